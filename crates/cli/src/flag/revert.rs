//! Taking changes back.

use super::agree::{agreed, show};
use super::args::Revert;
use super::say_arrived;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use esclusa_server::body::{AppliedView, RevertFlags};

pub(super) async fn revert(
    client: &Client,
    asked: &Revert,
    output: &Output,
) -> Result<Exit, Failure> {
    let path = "/api/v1/flag-set/revert";
    let mut body = RevertFlags {
        revision: asked.revision,
        everything: asked.everything,
        expected: None,
        dry_run: true,
        reason: asked.reason.clone(),
    };
    let would: AppliedView = client.post(path, &body).await?;
    if would.changes.is_empty() || asked.dry_run {
        if !output.json(&would) {
            show(&would.changes, output);
        }
        return Ok(Exit::Done);
    }
    if !agreed(&would.changes, asked.yes, output) {
        return Ok(Exit::BadInput);
    }
    body.expected = Some(would.revision);
    body.dry_run = false;
    let done: AppliedView = client.post(path, &body).await?;
    if !output.json(&done) {
        output.say(&format!("revision {}", done.revision));
        say_arrived(done.in_force, done.note.as_deref(), output);
    }
    Ok(Exit::Done)
}
