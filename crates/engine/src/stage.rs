//! The gate of a stage with real users.

use crate::decide::{advance, audience, turn_back};
use crate::limits::{DIAL_LIMIT, DIAL_TOLERANCE_BP};
use crate::{Judgement, Observed, Opinion, StageEnd};
use esclusa_judge::BlindThen;
use esclusa_model::{BasisPoints, Outcome, Timestamp};
use esclusa_plan::{Expose, HoldThen};
use esclusa_release::{Event, Phase, Release, ReturnCause, Returned};

/// The next events of stage `index`. What can lower comes first, in order of how
/// little it can wait.
pub(crate) fn decide_stage(
    release: &Release,
    observed: &Observed,
    index: usize,
    expose: &Expose,
) -> Vec<Event> {
    let judgement = observed.judgement.as_ref();
    if let Some(judgement) = judgement
        && judgement.opinion == Opinion::Rollback
    {
        return judged_harmful(judgement, &judgement.evidence.summary);
    }
    if let Some(events) = dial_trouble(release, observed, expose) {
        return events;
    }
    if let Some(events) = lost_sight(release, observed) {
        return events;
    }
    if let Some(events) = bookkeeping(release, observed, index, expose) {
        return events;
    }
    let Some(confirmed_at) = release
        .stage_record()
        .and_then(|record| record.confirmed_at)
    else {
        return Vec::new();
    };
    if release.promote_asked || release.skip_asked {
        return passed_by_person(release, index);
    }
    if release.paused.is_some() {
        return waiting(release, observed.now, "paused by a person".into());
    }
    let watched = observed.now.since(confirmed_at);
    let proved = judgement.is_some_and(|j| j.opinion == Opinion::Proceed);
    if watched < expose.for_ && !(expose.early && proved) {
        return Vec::new();
    }
    at_end(release, observed, index)
}

fn judged_harmful(judgement: &Judgement, reason: &str) -> Vec<Event> {
    vec![Event::ReturnDecided(Returned {
        cause: ReturnCause::Judge,
        reason: reason.to_owned(),
        outcome: Outcome::RolledBack,
        evidence: Some(judgement.evidence.clone()),
    })]
}

/// A dial that does not arrive, or shows more than was asked for.
fn dial_trouble(release: &Release, observed: &Observed, expose: &Expose) -> Option<Vec<Event>> {
    let driver = &release.requested.plan.traffic.driver;
    if let Some(reading) = observed
        .dial
        .as_ref()
        .filter(|r| r.at >= release.phase_since)
        && let Some(achieved) = reading.achieved
        && reading.asked == release.exposure()
        && overshoots(achieved, reading.asked.share)
    {
        let reason = format!(
            "the {driver} dial shows {achieved} where {} was asked for: {}",
            reading.asked.share, reading.detail
        );
        return Some(turn_back(release, ReturnCause::Failure, reason));
    }
    if release.dial_confirmed() || observed.now.since(release.phase_since) <= DIAL_LIMIT {
        return None;
    }
    let detail = observed
        .dial
        .as_ref()
        .map_or("no reading", |dial| dial.detail.as_str());
    let reason = format!(
        "the {driver} dial did not reach {} within {DIAL_LIMIT}: {detail}",
        audience(&expose.to)
    );
    Some(turn_back(release, ReturnCause::Failure, reason))
}

const fn overshoots(achieved: BasisPoints, asked: BasisPoints) -> bool {
    achieved.get() > asked.get().saturating_add(DIAL_TOLERANCE_BP)
}

/// Metrics lost, or the share taken back by a proxy that lost us.
fn lost_sight(release: &Release, observed: &Observed) -> Option<Vec<Event>> {
    if observed.returned_by_proxy && release.hold.is_none() {
        let reason = "a proxy lost its controller and returned the share by itself".into();
        return Some(vec![Event::HoldBegan { reason }]);
    }
    let blind = &release.requested.plan.judge.blind;
    if !observed.observes || observed.silent_for <= blind.hold {
        return None;
    }
    let reason = format!("no counts from any proxy for {}", blind.hold);
    Some(match blind.then {
        BlindThen::Rollback => turn_back(release, ReturnCause::Blind, reason),
        BlindThen::Hold => waiting(release, observed.now, reason),
    })
}

/// Changes of opinion and overrun budgets, for the record.
fn bookkeeping(
    release: &Release,
    observed: &Observed,
    index: usize,
    expose: &Expose,
) -> Option<Vec<Event>> {
    if let Some(judgement) = &observed.judgement {
        let known = release
            .judged
            .as_ref()
            .map(|evidence| evidence.code.as_str());
        if known != Some(judgement.evidence.code.as_str()) {
            return Some(vec![Event::Judged(judgement.evidence.clone())]);
        }
    }
    let record = release.stage_record()?;
    let budget = expose.budget?;
    let over = observed.now.since(record.entered_at) > budget && !record.over_budget;
    over.then(|| vec![Event::OverBudget { stage: index }])
}

fn passed_by_person(release: &Release, index: usize) -> Vec<Event> {
    let last = release.requested.plan.stages.len() - 1;
    let to = match (release.promote_asked && index < last, index < last) {
        (true, _) => Phase::Stage(last),
        (false, true) => Phase::Stage(index + 1),
        (false, false) => Phase::After,
    };
    advance(to, "passed by a person")
}

fn at_end(release: &Release, observed: &Observed, index: usize) -> Vec<Event> {
    let Some(judgement) = &observed.judgement else {
        let reason = if observed.observes {
            "no verdict yet: no counts have arrived"
        } else {
            "this traffic driver counts no requests, so a person must look and promote"
        };
        return waiting(release, observed.now, reason.into());
    };
    match &judgement.at_end {
        StageEnd::Rollback(reason) => judged_harmful(judgement, reason),
        StageEnd::Hold(reason) => waiting(release, observed.now, reason.clone()),
        StageEnd::Advance(why) => {
            let last = index + 1 == release.requested.plan.stages.len();
            vec![Event::Advanced {
                to: if last {
                    Phase::After
                } else {
                    Phase::Stage(index + 1)
                },
                why: why.clone(),
                evidence: Some(judgement.evidence.clone()),
            }]
        }
    }
}

/// A hold, with its own deadline.
fn waiting(release: &Release, now: Timestamp, reason: String) -> Vec<Event> {
    let rule = release.requested.plan.hold;
    match &release.hold {
        Some(hold) if now.since(hold.since) > rule.for_ => match rule.then {
            HoldThen::Rollback => {
                let reason = format!("held for more than {}: {reason}", rule.for_);
                turn_back(release, ReturnCause::Deadline, reason)
            }
            HoldThen::Hold => Vec::new(),
        },
        // The reason's numbers move every second; what is missing is recorded once.
        Some(hold) if same_reason(&hold.reason, &reason) => Vec::new(),
        Some(_) | None => vec![Event::HoldBegan { reason }],
    }
}

/// Equal up to the first digit: the words say what is missing, the numbers how much.
fn same_reason(left: &str, right: &str) -> bool {
    let words = |text: &str| {
        text.split(|c: char| c.is_ascii_digit())
            .next()
            .map(str::to_owned)
    };
    words(left) == words(right)
}
