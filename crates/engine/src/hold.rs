//! Waiting for proof or a person, with a deadline of its own.

use crate::decide::turn_back;
use esclusa_model::Timestamp;
use esclusa_plan::HoldThen;
use esclusa_release::{Event, Release, ReturnCause};

/// `next`, unless something keeps the release: then a hold that names it. A hold whose
/// reason is gone ends, so that the next one has its whole time again.
pub(crate) fn gate(
    release: &Release,
    now: Timestamp,
    keeps: Option<String>,
    next: Vec<Event>,
) -> Vec<Event> {
    let leaves = next.iter().any(|e| matches!(e, Event::Advanced { .. }));
    match keeps {
        Some(reason) => wait(release, now, reason),
        None if release.hold.is_some() && !leaves => vec![Event::HoldEnded],
        None => next,
    }
}

/// A hold, as long as the plan lets it last.
pub(crate) fn wait(release: &Release, now: Timestamp, reason: String) -> Vec<Event> {
    let rule = release.requested.plan.hold;
    let over = release
        .hold
        .as_ref()
        .is_some_and(|hold| now.since(hold.since) > rule.for_);
    if over && rule.then == HoldThen::Rollback {
        let reason = format!("held for more than {}: {reason}", rule.for_);
        return turn_back(release, ReturnCause::Deadline, reason);
    }
    begin(release, reason)
}

/// A hold without a deadline, where the caller keeps one.
pub(crate) fn begin(release: &Release, reason: String) -> Vec<Event> {
    match &release.hold {
        // The reason's numbers move every second; what is missing is recorded once.
        Some(hold) if same_reason(&hold.reason, &reason) => Vec::new(),
        Some(_) | None => vec![Event::HoldBegan { reason }],
    }
}

/// Equal up to the first digit: the words say what is missing, the numbers how much.
fn same_reason(left: &str, right: &str) -> bool {
    let words = |text: &str| {
        let end = text.find(|c: char| c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    words(left) == words(right)
}
