//! `audit verify`.

use crate::args::{AuditVerb, Global};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use esclusa_server::body::AuditView;

pub(crate) async fn run(
    verb: AuditVerb,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let AuditVerb::Verify = verb;
    let found: AuditView = Client::new(global)?.get("/api/v1/audit/verify").await?;
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
