//! From recorded events to what was decided, in words.

use super::Decision;
use super::when::rfc3339;
use esclusa_model::Envelope;
use esclusa_release::{Because, Event, Evidence, Phase};

/// Everything that was decided, in order. `stages` are the plan's stages in words.
pub(super) fn decisions(events: &[Envelope], stages: &[String]) -> Vec<Decision> {
    events
        .iter()
        .filter_map(|event| decision_of(event, stages))
        .collect()
}

/// What one event decided, if it did.
pub(crate) fn decision_of(stored: &Envelope, stages: &[String]) -> Option<Decision> {
    let event = match Event::from_stored(&stored.kind, &stored.payload) {
        Ok(event) => event,
        // Newer programs may have recorded it: named, not passed over.
        Err(_) => {
            return Some(entry(stored, format!("recorded {}", stored.kind), "", None));
        }
    };
    let (what, why, evidence) = match &event {
        Event::Requested(asked) => (format!("asked for version {}", asked.version), "", None),
        Event::Advanced { to, why, evidence } => (
            format!("went on to {}", phase(*to, stages)),
            why.as_str(),
            evidence.as_ref(),
        ),
        Event::Judged(evidence) => ("judged".to_owned(), "", Some(evidence)),
        Event::HoldBegan { reason } => ("held".to_owned(), reason.as_str(), None),
        Event::HoldEnded => ("held no longer".to_owned(), "", None),
        Event::ReturnedByProxy { reason } => (
            "the proxy took the share back".to_owned(),
            reason.as_str(),
            None,
        ),
        Event::OverBudget { stage } => (
            format!("{} is over its budget", phase(Phase::Stage(*stage), stages)),
            "",
            None,
        ),
        Event::SignedOff(agreed) => (
            format!("signed off as {}", agreed.role),
            agreed.comment.as_str(),
            None,
        ),
        Event::Paused(why) => ("paused".to_owned(), words(why.as_ref()), None),
        Event::Resumed(why) => ("resumed".to_owned(), words(why.as_ref()), None),
        Event::Skipped(why) => (
            "skipped the rest of the stage".to_owned(),
            words(why.as_ref()),
            None,
        ),
        Event::PromoteAsked(why) => ("asked for 100% now".to_owned(), words(why.as_ref()), None),
        Event::ReturnDecided(back) => (
            "decided to go back".to_owned(),
            back.reason.as_str(),
            back.evidence.as_ref(),
        ),
        Event::Ended { outcome, reason } => (format!("ended: {outcome}"), reason.as_str(), None),
        Event::Prepared { .. }
        | Event::TaskStarted { .. }
        | Event::TaskEnded { .. }
        | Event::Deployed { .. }
        | Event::FlagsChange { .. }
        | Event::DialConfirmed(_) => return None,
    };
    Some(entry(stored, what, why, evidence))
}

fn words(because: Option<&Because>) -> &str {
    because.map_or("", |because| because.reason.as_str())
}

fn entry(stored: &Envelope, what: String, why: &str, evidence: Option<&Evidence>) -> Decision {
    Decision {
        at: rfc3339(stored.at),
        by: stored.actor.to_string(),
        what,
        why: why.to_owned(),
        evidence: evidence.map(|evidence| evidence.summary.clone()),
    }
}

fn phase(phase: Phase, stages: &[String]) -> String {
    match phase {
        Phase::Stage(index) => match stages.get(index) {
            Some(to) => format!("{phase} ({to})"),
            None => phase.to_string(),
        },
        other => other.to_string(),
    }
}
