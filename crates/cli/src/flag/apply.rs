//! Making flags what a file says.

use super::agree::{agreed, show, spare_flags};
use super::args::Apply;
use super::file::FlagFile;
use super::{guard_warnings, say_arrived};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, Output};
use esclusa_server::body::{AppliedView, ApplyFlags};

pub(super) async fn apply(
    client: &Client,
    asked: &Apply,
    output: &Output,
) -> Result<Exit, Failure> {
    let file = FlagFile::read(&asked.file)?;
    let mut body = ApplyFlags {
        set: file.set.clone(),
        replace: asked.replace,
        force: asked.force,
        revision: None,
        dry_run: true,
        reason: asked.reason.clone(),
    };
    let would = client.put("/api/v1/flag-set", &body).await;
    let would: AppliedView = would.map_err(|failure| file.place(failure))?;
    if let Some(read_at) = file.set["revision"].as_u64()
        && read_at > would.revision
    {
        output.say(&format!(
            "the file's revision {read_at} is none of this server: what was changed since cannot \
             be compared"
        ));
    }
    if would.changes.is_empty() || asked.dry_run {
        if !output.json(&would) {
            show(&would.changes, output);
            guard_warnings(&would.guards, &[], output);
        }
        return Ok(Exit::Done);
    }
    if asked.replace {
        spare_flags(&would.changes, asked.yes)?;
    }
    if output.form == Form::People {
        guard_warnings(&would.guards, &[], output);
    }
    if !agreed(&would.changes, asked.yes, output) {
        return Ok(Exit::BadInput);
    }
    // Exactly what was shown: somebody else's change in between is a conflict.
    body.revision = Some(would.revision);
    body.dry_run = false;
    let done: AppliedView = client.put("/api/v1/flag-set", &body).await?;
    if !output.json(&done) {
        output.say(&format!("revision {}", done.revision));
        say_arrived(done.in_force, done.note.as_deref(), output);
        guard_warnings(&done.guards, &would.guards, output);
    }
    Ok(Exit::Done)
}
