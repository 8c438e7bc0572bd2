//! Turning features off for everybody by a server, and opening them again.

use super::args::Names;
use super::say_arrived;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::table::one_line;
use esclusa_model::Outcome;
use esclusa_server::ErrorKind;
use esclusa_server::body::{FlagsKilledView, FlagsLiftedView, KillFlags};

/// Longest reason that is recorded, in characters.
const MAX_REASON: usize = 2_000;

fn asked(names: Names) -> KillFlags {
    let all = names.names.iter().any(|name| name == "all");
    KillFlags {
        names: if all { Vec::new() } else { names.names },
        all,
        reason: names.reason,
    }
}

/// A reason as it can be recorded: nobody is kept from killing by too many words.
pub(crate) fn short_reason(reason: &str, output: &Output) -> String {
    let short: String = reason.chars().take(MAX_REASON).collect();
    if short.len() < reason.len() {
        output.say(&format!(
            "the reason is cut off after {MAX_REASON} characters"
        ));
    }
    short
}

pub(super) async fn kill(
    client: &Client,
    mut names: Names,
    output: &Output,
) -> Result<Exit, Failure> {
    names.reason = short_reason(&names.reason, output);
    let again = format!("`esclusa kill {}`", names.names.join(" "));
    let asked = asked(names);
    let done: Result<FlagsKilledView, Failure> = client.post("/api/v1/flag-set/kill", &asked).await;
    let done = done.map_err(|mut failure| {
        if matches!(
            failure.error.kind,
            ErrorKind::Unavailable | ErrorKind::Internal
        ) {
            failure.error.help = format!(
                "{again} works without a server: it tells the proxy of the data folder itself"
            );
        }
        failure
    })?;
    if !output.json(&done) {
        output.line(&line(&done, output));
        warnings(&done, output);
    }
    Ok(match done.in_force {
        true => Exit::Done,
        false => Exit::Outcome(Outcome::RollbackFailed),
    })
}

/// The flags of a kill.
pub(crate) fn words(flags: Option<&Vec<String>>) -> String {
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
            let with = with_it(done);
            format!("{flags}: {off}{with}, kill epoch {}", done.epoch)
        }
        false => {
            let off = output.colour.paint(Tone::Bad, "not off yet at the proxy");
            let why = done.note.as_deref().unwrap_or("it does not say why");
            format!("{flags}: {off}: {why}")
        }
    }
}

/// What is off with it.
fn with_it(done: &FlagsKilledView) -> String {
    match done.off_with_it.is_empty() {
        true => String::new(),
        false => format!(
            ", and with it what needs it: {}",
            one_line(&done.off_with_it.join(", "))
        ),
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
    if output.json(&done) {
        return Ok(Exit::Done);
    }
    let lifted = done.flags.as_ref().is_none_or(|flags| !flags.is_empty());
    if lifted {
        output.line(&lifted_line(&done));
    }
    for name in &done.not_killed {
        output.line(&match name.as_str() {
            "all" => "all flags: were not killed together, so nothing is lifted".to_owned(),
            name => format!("{}: was not killed by itself", one_line(name)),
        });
    }
    say_killed_still(&done, output);
    if lifted {
        say_arrived(done.in_force, done.note.as_deref(), output);
    }
    Ok(Exit::Done)
}

fn lifted_line(done: &FlagsLiftedView) -> String {
    let flags = words(done.flags.as_ref());
    // Whoever opens everything is not told that what stays killed is open.
    let but = match done.flags.is_none() && !done.still_killed.is_empty() {
        true => format!(" but {}", one_line(&done.still_killed.join(", "))),
        false => String::new(),
    };
    let what = match (done.in_force, done.all_killed) {
        (true, false) => "as their rules say again",
        (true, true) | (false, _) => "lifted",
    };
    format!("{flags}{but}: {what}, kill epoch {}", done.epoch)
}

/// Names what is killed by another kill than the one that was lifted.
fn say_killed_still(done: &FlagsLiftedView, output: &Output) {
    let word = output.talk_colour.paint(Tone::Warn, "warning");
    if done.all_killed {
        output.say(&format!(
            "{word}: all flags are killed still: `esclusa flag lift all`"
        ));
    }
    let all = done.flags.is_none() || done.not_killed.iter().any(|name| name == "all");
    if all && !done.still_killed.is_empty() {
        let flags = one_line(&done.still_killed.join(" "));
        output.say(&format!(
            "{word}: killed still, by kills of their own: `esclusa flag lift {flags}`"
        ));
    }
}
