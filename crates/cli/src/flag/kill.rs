//! Turning features off for everybody by a server, and opening them again.

use super::args::Names;
use super::say_arrived;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::table::one_line;
use esclusa_model::Outcome;
use esclusa_server::body::{FlagsKilledView, FlagsLiftedView, KillFlags};

fn asked(names: Names) -> KillFlags {
    let all = names.names.iter().any(|name| name == "all");
    KillFlags {
        names: if all { Vec::new() } else { names.names },
        all,
        reason: names.reason,
    }
}

pub(super) async fn kill(client: &Client, names: Names, output: &Output) -> Result<Exit, Failure> {
    let typed = names.names.join(" ");
    let done: Result<FlagsKilledView, Failure> =
        client.post("/api/v1/flag-set/kill", &asked(names)).await;
    let done = done.map_err(|failure| or_at_the_proxy(failure, &typed))?;
    if !output.json(&done) {
        output.line(&line(&done, output));
        warnings(&done, output);
    }
    Ok(match done.in_force {
        true => Exit::Done,
        false => Exit::Outcome(Outcome::RollbackFailed),
    })
}

/// Nobody who has to turn something off looks for another command.
fn or_at_the_proxy(mut failure: Failure, names: &str) -> Failure {
    if failure.error.code == "ESC-0501" {
        failure.error.help = format!(
            "without a server the proxy of this machine does it: `esclusa kill {names}`; or {}",
            failure.error.help
        );
    }
    failure
}

fn words(flags: Option<&Vec<String>>) -> String {
    flags.map_or_else(|| "all flags".into(), |flags| one_line(&flags.join(", ")))
}

/// What became of a kill.
pub(crate) fn line(done: &FlagsKilledView, output: &Output) -> String {
    let flags = output
        .colour
        .paint(Tone::Strong, &words(done.flags.as_ref()));
    match done.in_force {
        true => {
            let off = output.colour.paint(Tone::Good, "off for everybody");
            format!("{flags}: {off}, kill epoch {}", done.epoch)
        }
        false => {
            let off = output.colour.paint(Tone::Bad, "not off yet at the proxy");
            let why = done.note.as_deref().unwrap_or("it does not say why");
            format!("{flags}: {off}: {why}")
        }
    }
}

/// What else there is to know of a kill.
pub(crate) fn warnings(done: &FlagsKilledView, output: &Output) {
    let warn = |words: &str| {
        let word = output.talk_colour.paint(Tone::Warn, "warning");
        output.say(&format!("{word}: {words}"));
    };
    if !done.recorded {
        warn("it is in force and not recorded yet; it is recorded as soon as that can be");
    }
    for who in &done.unconfirmed {
        warn(&format!("{} has not asked again since", one_line(who)));
    }
    for sink in &done.sinks_behind {
        warn(&format!("a table does not have it yet: {}", one_line(sink)));
    }
}

pub(super) async fn lift(client: &Client, names: Names, output: &Output) -> Result<Exit, Failure> {
    let done: FlagsLiftedView = client.post("/api/v1/flag-set/lift", &asked(names)).await?;
    if !output.json(&done) {
        let what = match done.in_force {
            true => "as their rules say again",
            false => "lifted",
        };
        output.line(&format!(
            "{}: {what}, kill epoch {}",
            words(done.flags.as_ref()),
            done.epoch
        ));
        say_arrived(done.in_force, done.note.as_deref(), output);
    }
    Ok(Exit::Done)
}
