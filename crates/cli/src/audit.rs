//! `audit verify`.

use crate::args::{AuditVerb, Global};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::place;
use esclusa_server::body::AuditView;

/// The code of a server that nobody could reach.
const NO_SERVER: &str = "ESC-0501";

/// Asks the server, or without one reads the data folder itself.
async fn verified(global: &Global) -> Result<AuditView, Failure> {
    let asked = Client::new(global)?.get("/api/v1/audit/verify").await;
    match asked {
        Err(failure) if failure.error.code == NO_SERVER && global.server.is_none() => {
            let data = place::data(global)?;
            match esclusa_server::verify_folder(&data).await {
                Ok(Some(found)) => Ok(found),
                // Neither a server nor a record.
                Ok(None) => Err(failure),
                Err(error) => Err(error.into()),
            }
        }
        asked => asked,
    }
}

pub(crate) async fn run(
    verb: AuditVerb,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let AuditVerb::Verify = verb;
    let found = verified(global).await?;
    let done = if found.intact {
        Exit::Done
    } else {
        Exit::Fault
    };
    if output.json(&found) {
        return Ok(done);
    }
    for damage in &found.broken {
        let word = output.colour.paint(Tone::Bad, "damaged");
        output.line(&format!(
            "{word} {} at position {}: {}",
            damage.stream, damage.position, damage.what
        ));
    }
    let AuditView {
        events, streams, ..
    } = found;
    if found.intact {
        let word = output.colour.paint(Tone::Good, "intact");
        output.line(&format!(
            "{word}: {events} events in {streams} streams are as they were written"
        ));
    } else {
        output.say(
            "keep a copy of the data folder before anything else; see docs/errors/ESC-0901.md",
        );
    }
    Ok(done)
}
