//! Facts in words, for transcripts.

use crate::fact::{Fact, attempt, exposure};
use esclusa_engine::Command;
use esclusa_model::Timestamp;
use esclusa_release::{Event, ReturnCause, ServiceEvent};
use std::fmt::Write as _;

/// Facts as lines, times since the beginning. Readings are left out, and a line that says
/// once more what one just before it says.
pub(crate) fn transcript(facts: &[(Timestamp, Fact)], since: Timestamp) -> String {
    let mut text = String::new();
    let mut last = [String::new(), String::new(), String::new()];
    for (at, fact) in facts {
        if let Some((who, what)) = line(fact) {
            let said = format!("{who:<8} {what}");
            if !last.contains(&said) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{:>10}  {said}", when(*at, since));
                last.rotate_left(1);
                last[2] = said;
            }
        }
    }
    text
}

/// A time in whole seconds; what happens within one is ordered by its line.
pub(crate) fn when(at: Timestamp, since: Timestamp) -> String {
    let seconds = at.since(since).as_secs();
    esclusa_model::Millis::from_secs(seconds).to_string()
}

fn line(fact: &Fact) -> Option<(String, String)> {
    let said = |who: &str, what: String| Some((who.to_owned(), what));
    match fact {
        Fact::Asked { by, what, answer } => match answer {
            Ok(()) => said(by.as_str(), format!("> {what}")),
            Err(why) => said(by.as_str(), format!("> {what}\n{:>22}refused: {why}", "")),
        },
        Fact::Recorded { event, by, .. } => match &**event {
            // The person's own line says it.
            Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Skipped { .. }
            | Event::PromoteAsked { .. } => None,
            event => said(by.as_str(), say(event)),
        },
        Fact::ServiceRecorded { event, .. } => said("service", say_service(event)),
        Fact::Refused { what, why, .. } => said("store", format!("refuses {what}: {why}")),
        Fact::InForce { event, .. } => said(
            "engine",
            format!("{} (in force, not yet recorded)", say(event)),
        ),
        Fact::Turned {
            asked, was, answer, ..
        } => match answer {
            Ok(()) if asked == was => None,
            Ok(()) => said("dial", format!("asked for {}", exposure(asked))),
            Err(why) => said("dial", format!("asked for {}: {why}", exposure(asked))),
        },
        Fact::FlagsKept { kept: true, .. } => said("flags", "the flag set has them on".into()),
        Fact::FlagsKept { .. } => said("flags", "the flag set is as it was before".into()),
        Fact::Shows(share) => said("users", format!("{share} see the new version")),
        Fact::Read { .. } | Fact::Began { .. } => None,
        Fact::ProxyReturned(_) => said(
            "proxy",
            "nobody controls it: everybody to the stable version".into(),
        ),
        Fact::Cancelled(task) => said("engine", format!("{task} is cancelled")),
        Fact::Died { at, .. } => match at {
            Some(point) => said("crash", format!("the controller dies {point}")),
            None => said("crash", "the controller dies".into()),
        },
        Fact::Started { epoch } => said("start", format!("a controller begins, epoch {epoch}")),
        Fact::World(what) => said("world", what.clone()),
    }
}

/// An event of a release.
pub(crate) fn say(event: &Event) -> String {
    match event {
        Event::Requested(requested) => format!("asks for version {}", requested.version),
        Event::Prepared { version, .. } => format!("version {version} is stored"),
        Event::FlagsChange { .. } => "knows what the flag set becomes".into(),
        Event::TaskStarted { task, attempt: n } => format!("{} begins", attempt(*task, *n)),
        Event::TaskEnded { task, end, .. } => format!("{task} {end}"),
        Event::Deployed { instances } => format!("{} instances are ready", instances.len()),
        Event::SignedOff(sign_off) => format!("signs off as {}", sign_off.role),
        Event::Advanced { to, why, .. } => format!("-> {to}: {why}"),
        Event::DialConfirmed(dial) => format!("dial shows {} for {}", dial.achieved, dial.asked),
        Event::Judged(evidence) => format!("{}: {}", evidence.code, evidence.summary),
        Event::HoldBegan { reason } => format!("holds: {reason}"),
        Event::HoldEnded => "holds no more".into(),
        Event::ReturnedByProxy { reason } => format!("nobody is exposed: {reason}"),
        Event::OverBudget { stage } => format!("stage {} is over its budget", stage + 1),
        Event::Paused { .. } => "pauses".into(),
        Event::Resumed { .. } => "resumes".into(),
        Event::Skipped { .. } => "skips".into(),
        Event::PromoteAsked { .. } => "promotes".into(),
        Event::ReturnDecided(returned) => {
            format!("<- {}: {}", cause(returned.cause), returned.reason)
        }
        Event::Ended { outcome, reason } => format!("ends {outcome}: {reason}"),
    }
}

const fn cause(cause: ReturnCause) -> &'static str {
    match cause {
        ReturnCause::Judge => "back, the judge found harm",
        ReturnCause::Failure => "back, something failed",
        ReturnCause::Deadline => "back, a deadline passed",
        ReturnCause::Blind => "back, nobody can see",
        ReturnCause::Person => "back",
        ReturnCause::Superseded => "back",
    }
}

/// An event of the service.
pub(crate) fn say_service(event: &ServiceEvent) -> String {
    match event {
        ServiceEvent::TakenOver(deployed) => {
            format!(
                "version {} is stable, as it was found",
                deployed.version.name
            )
        }
        ServiceEvent::ReleaseAdmitted { release } => format!("release {release} is under way"),
        ServiceEvent::ReleaseQueued { release } => format!("release {release} waits in line"),
        ServiceEvent::ReleaseEnded { release, outcome } => {
            format!("release {release} is over: {outcome}")
        }
        ServiceEvent::StableChanged { stable, .. } => {
            format!("version {} is stable", stable.version.name)
        }
        ServiceEvent::StableRestored { .. } => "the version before is stable again".into(),
        ServiceEvent::StableWithdrawn { .. } => "no version is stable".into(),
        ServiceEvent::WarmRetired { .. } => "the version before is stopped for good".into(),
    }
}

/// A command, as it is typed.
pub(crate) fn say_command(command: &Command) -> String {
    let with = |verb: &str, reason: &str| match reason {
        "" => verb.to_owned(),
        reason => format!("{verb} --reason {reason:?}"),
    };
    match command {
        Command::Pause => "pause".into(),
        Command::Resume => "resume".into(),
        Command::Skip => "skip".into(),
        Command::Promote => "promote".into(),
        Command::Abort { reason } => with("abort", reason),
        Command::Rollback { reason, .. } => with("rollback", reason),
        Command::Supersede { by } => format!("start {by} --on-conflict supersede"),
        Command::SignOff { role, .. } => format!("sign-off --role {role}"),
    }
}
