//! Links by which somebody approves or aborts, once.

use super::pick;
use crate::args::LinkVerb;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use esclusa_server::body::{CreateLink, CreatedLink, LinkAction};

pub(super) async fn link(
    client: &Client,
    verb: LinkVerb,
    output: &Output,
) -> Result<Exit, Failure> {
    let (action, link, role) = match verb {
        LinkVerb::Approve { link, role } => (LinkAction::Approve, link, role),
        LinkVerb::Abort { link } => (LinkAction::Abort, link, None),
    };
    let id = pick::release(client, &link.which).await?;
    let asked = CreateLink {
        action,
        role,
        label: link.label,
        valid_for_s: Some(link.valid.as_secs()),
    };
    let path = format!("/api/v1/releases/{}/links", pick::path_part(&id));
    let made: CreatedLink = client.post(&path, &asked).await?;
    if !output.json(&made) {
        output.line(made.url.as_ref().unwrap_or(&made.url_path));
        if made.url.is_none() {
            output.say(
                "the server does not know its own address: put it in front, or start `esclusa \
                 serve` with --public-url",
            );
        }
        output.say(&format!(
            "whoever has this link can act by it, once; they are recorded as {}",
            made.recorded_as
        ));
    }
    Ok(Exit::Done)
}
