//! Events in words, for golden transcripts.

use crate::world::{START, World};
use esclusa_release::Event;
use std::fmt::Write as _;

/// The whole stream, a line an event, times since the start.
pub(crate) fn transcript(world: &World) -> String {
    let mut text = String::new();
    for (event, by, at) in &world.journal.log {
        let line = say(event);
        writeln!(
            text,
            "{:>8}  {:<7} {line}",
            at.since(START).to_string(),
            by.as_str()
        )
        .expect("a string");
    }
    text
}

fn say(event: &Event) -> String {
    match event {
        Event::Requested(requested) => format!("asks for version {}", requested.version),
        Event::Prepared { version, .. } => format!("version {version} is stored"),
        Event::FlagsChange { .. } => "knows what the flag set becomes".into(),
        Event::TaskStarted { task, attempt: 1 } => format!("{task} begins"),
        Event::TaskStarted { task, attempt } => format!("{task} begins, attempt {attempt}"),
        Event::TaskEnded { task, end, .. } => format!("{task} {end}"),
        Event::Deployed { instances } => format!("{} instances are ready", instances.len()),
        Event::SignedOff(sign_off) => {
            format!("signs off as {}: {}", sign_off.role, sign_off.comment)
        }
        Event::Advanced { to, why, evidence } => {
            let judged = evidence.as_ref().map(|e| format!(" [{}]", e.summary));
            format!("-> {to}: {why}{}", judged.unwrap_or_default())
        }
        Event::DialConfirmed(dial) => format!("dial shows {} for {}", dial.achieved, dial.asked),
        Event::Judged(evidence) => format!("judge: {}: {}", evidence.code, evidence.summary),
        Event::HoldBegan { reason } => format!("holds: {reason}"),
        Event::HoldEnded => "holds no more".into(),
        Event::ReturnedByProxy { reason } => format!("nobody is exposed: {reason}"),
        Event::OverBudget { stage } => format!("stage {} is over its budget", stage + 1),
        Event::Paused(_) => "pauses".into(),
        Event::Resumed(_) => "resumes".into(),
        Event::Skipped(_) => "skips".into(),
        Event::PromoteAsked(_) => "promotes".into(),
        Event::ReturnDecided(returned) => {
            format!(
                "<- {} ({:?}): {}",
                returned.outcome, returned.cause, returned.reason
            )
        }
        Event::Ended { outcome, reason } => format!("ends {outcome}: {reason}"),
    }
}
