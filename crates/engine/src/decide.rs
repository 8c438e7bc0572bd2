//! The next events of a release: which rule speaks in which phase.

use crate::back::decide_back;
use crate::dial::{confirm_dial, dial_trouble, drifted, words};
use crate::hold::gate;
use crate::observed::{Judgement, Observed, Opinion};
use crate::preflight::preflight;
use crate::stage::{at_stage, blind, passed_by_person};
use crate::tasks::{Tasks, forward_tasks, timed_out_tasks};
use esclusa_judge::BlindThen;
use esclusa_model::{BasisPoints, Outcome};
use esclusa_plan::{FlagTurns, Stage};
use esclusa_release::{Event, Phase, Release, ReturnCause, Returned, Task};

/// The next events; none when there is nothing to do but wait. Apply them and ask
/// again until none come.
#[must_use]
pub fn decide(release: &Release, observed: &Observed) -> Vec<Event> {
    if release.ended.is_some() {
        return Vec::new();
    }
    let next = next(release, observed);
    // A store that does not answer must not keep users where they are: what lowers
    // stands before everything that only has to be written down.
    if next.iter().any(lowers) {
        return next;
    }
    let timed_out = timed_out_tasks(release, observed);
    if !timed_out.is_empty() {
        return timed_out;
    }
    if let Some(confirmed) = confirm_dial(release, observed) {
        return vec![Event::DialConfirmed(confirmed)];
    }
    if let Some(remark) = remark(release, observed) {
        return vec![remark];
    }
    next
}

const fn lowers(event: &Event) -> bool {
    matches!(
        event,
        Event::ReturnDecided(_) | Event::ReturnedByProxy { .. }
    )
}

fn next(release: &Release, observed: &Observed) -> Vec<Event> {
    match release.phase {
        Phase::Lowering | Phase::HandingBack | Phase::Stopping | Phase::Undoing | Phase::Ended => {
            decide_back(release, observed)
        }
        Phase::Promoted => promoted(release),
        Phase::Preflight => preflight(release, observed),
        Phase::Preparing | Phase::Before | Phase::Deploying => phase_tasks(release, observed),
        Phase::CanaryChecks => {
            canary_ended(release, observed).unwrap_or_else(|| phase_tasks(release, observed))
        }
        Phase::Stage(_) | Phase::After | Phase::HandOver => {
            if let Some(lowering) = what_lowers(release, observed) {
                return lowering;
            }
            match release.stage() {
                Some((index, Stage::Expose(expose))) => at_stage(release, observed, index, expose),
                Some((index, Stage::WarmUp(_))) if release.skip_asked || release.promote_asked => {
                    passed_by_person(release, index)
                }
                Some((_, Stage::WarmUp(_))) | None => phase_tasks(release, observed),
            }
        }
    }
}

/// A canary whose process is gone is evidence on its own, with or without traffic.
fn canary_ended(release: &Release, observed: &Observed) -> Option<Vec<Event>> {
    let reason = observed.canary_ended.clone()?;
    Some(turn_back(release, ReturnCause::Failure, reason))
}

/// Everything that takes the canary back by itself, in order of how little it can wait.
fn what_lowers(release: &Release, observed: &Observed) -> Option<Vec<Event>> {
    // First, because it is the cause of what the judge sees.
    if let Some(lowering) = canary_ended(release, observed) {
        return Some(lowering);
    }
    if let Some(judgement) = &observed.judgement
        && judgement.opinion == Opinion::Rollback
    {
        let reason = judgement.evidence.summary.clone();
        return Some(judged_harmful(release, judgement, reason));
    }
    if let Some(reason) = dial_trouble(release, observed) {
        return Some(turn_back(release, ReturnCause::Failure, reason));
    }
    let in_stage = matches!(release.phase, Phase::Stage(_));
    if in_stage
        && observed.returned_by_proxy
        && release.returned_by_proxy.is_none()
        && !release.exposure().is_nobody()
    {
        let reason = "a proxy lost its controller and returned the share by itself; resume to \
                      expose users again, or abort"
            .into();
        return Some(vec![Event::ReturnedByProxy { reason }]);
    }
    let returns_when_blind = release.requested.plan.judge.blind.then == BlindThen::Rollback;
    match blind(release, observed) {
        Some(reason) if returns_when_blind => Some(turn_back(release, ReturnCause::Blind, reason)),
        Some(_) | None => None,
    }
}

/// Going back with a plain reason and no new verdict.
pub(crate) fn turn_back(release: &Release, cause: ReturnCause, reason: String) -> Vec<Event> {
    vec![Event::ReturnDecided(Returned {
        cause,
        reason,
        outcome: outcome_of_return(release),
        evidence: release.judged.clone(),
    })]
}

/// Going back because of the judge.
pub(crate) fn judged_harmful(
    release: &Release,
    judgement: &Judgement,
    reason: String,
) -> Vec<Event> {
    vec![Event::ReturnDecided(Returned {
        cause: ReturnCause::Judge,
        reason,
        outcome: outcome_of_return(release),
        evidence: Some(judgement.evidence.clone()),
    })]
}

/// Before any exposure nothing was rolled back: the release was refused.
pub(crate) const fn outcome_of_return(release: &Release) -> Outcome {
    if release.was_exposed {
        Outcome::RolledBack
    } else {
        Outcome::Refused
    }
}

pub(crate) fn advance(to: Phase, why: impl Into<String>) -> Vec<Event> {
    vec![Event::Advanced {
        to,
        why: why.into(),
        evidence: None,
    }]
}

/// What is worth writing down though nothing follows from it.
fn remark(release: &Release, observed: &Observed) -> Option<Event> {
    let exposing = matches!(
        release.phase,
        Phase::Stage(_) | Phase::After | Phase::HandOver
    );
    if let Some(judgement) = observed.judgement.as_ref().filter(|_| exposing) {
        let known = release.judged.as_ref().map(|known| known.code.as_str());
        if known != Some(judgement.evidence.code.as_str()) {
            return Some(Event::Judged(judgement.evidence.clone()));
        }
    }
    let (index, stage) = release.stage()?;
    let Stage::Expose(expose) = stage else {
        return None;
    };
    let record = release.stage_record()?;
    let over = observed.now.since(record.entered_at) > expose.budget?;
    (over && !record.over_budget).then_some(Event::OverBudget { stage: index })
}

/// Runs the phase's tasks; once all are done, goes on, unless something keeps it.
fn phase_tasks(release: &Release, observed: &Observed) -> Vec<Event> {
    let next = match forward_tasks(release, observed.now) {
        Tasks::Failed(reason) => return turn_back(release, ReturnCause::Failure, reason),
        Tasks::Start(events) => events,
        Tasks::Running => Vec::new(),
        Tasks::Done => next_phase(release),
    };
    gate(release, observed.now, obstacle(release, observed), next)
}

/// What keeps a release from going on in any phase.
pub(crate) fn obstacle(release: &Release, observed: &Observed) -> Option<String> {
    if release.paused.is_some() {
        return Some("paused by a person".into());
    }
    drifted(release, observed)
}

pub(crate) fn next_phase(release: &Release) -> Vec<Event> {
    let plan = &release.requested.plan;
    let alone = release.flags_alone().is_some();
    match release.phase {
        Phase::Preparing if alone => advance(Phase::Preflight, "no version has to be stored"),
        Phase::Preparing => advance(Phase::Preflight, "the version is stored"),
        Phase::Preflight => advance(Phase::Before, passed_checks(release)),
        Phase::Before => advance(Phase::Deploying, steps_done(plan.before.len())),
        Phase::Deploying if alone => advance(Phase::CanaryChecks, "no version has to be started"),
        Phase::Deploying => advance(Phase::CanaryChecks, "all components are ready"),
        Phase::CanaryChecks => first_stage(release),
        Phase::Stage(index) if index + 1 < plan.stages.len() => {
            advance(Phase::Stage(index + 1), "warm-up done")
        }
        Phase::Stage(_) => advance(Phase::After, "all stages done"),
        Phase::After => advance(Phase::HandOver, steps_done(plan.after.len())),
        Phase::HandOver if alone => advance(Phase::Promoted, "the flag set has the flags"),
        Phase::HandOver => advance(Phase::Promoted, "the new version is stable"),
        Phase::Promoted
        | Phase::Lowering
        | Phase::HandingBack
        | Phase::Stopping
        | Phase::Undoing
        | Phase::Ended => Vec::new(),
    }
}

/// Without a stable version there is nothing to compare with: straight to the last stage.
fn first_stage(release: &Release) -> Vec<Event> {
    let Some(last) = release.requested.plan.stages.len().checked_sub(1) else {
        let reason = "the plan has no stages".into();
        return turn_back(release, ReturnCause::Failure, reason);
    };
    if release.requested.stable.is_some() || release.flags_alone().is_some() {
        return advance(Phase::Stage(0), passed_checks(release));
    }
    let why = format!(
        "first deployment: no stable version to compare with, so only checks stand behind it ({})",
        passed_checks(release)
    );
    advance(Phase::Stage(last), why)
}

fn passed_checks(release: &Release) -> String {
    let done = release
        .tasks
        .iter()
        .filter(|(task, state)| {
            matches!(task, Task::Check(_)) && state.end.as_ref().is_some_and(|e| e.is_done())
        })
        .count();
    let agreed = release.sign_offs.len();
    match (done, agreed) {
        (0, 0) => "no checks were asked for".into(),
        (0, agreed) => format!("{} given", count(agreed, "sign-off")),
        (done, 0) => format!("{} passed", count(done, "check")),
        (done, agreed) => format!(
            "{} passed, {} given",
            count(done, "check"),
            count(agreed, "sign-off")
        ),
    }
}

fn steps_done(steps: usize) -> String {
    match steps {
        0 => "no steps to run".into(),
        n => format!("{} done", count(n, "step")),
    }
}

pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// The end of a release of flags, which need not have reached everybody.
fn flags_stay(release: &Release, flags: &FlagTurns) -> Vec<Event> {
    let (outcome, how) = if release.hurried {
        (Outcome::PromotedEarly, "a person passed at least one gate")
    } else {
        (Outcome::Promoted, "through all gates")
    };
    let whom = match release.exposure() {
        all if all.share == BasisPoints::FULL => "all users".to_owned(),
        some => words(&some),
    };
    let reason = format!("{flags} for {whom}, {how}; the flag set has it");
    vec![Event::Ended { outcome, reason }]
}

fn promoted(release: &Release) -> Vec<Event> {
    if let Some(flags) = release.flags_alone() {
        return flags_stay(release, flags);
    }
    let (outcome, reason) = if release.hurried {
        (
            Outcome::PromotedEarly,
            "reached all users; a person passed at least one gate",
        )
    } else if release.requested.stable.is_none() {
        (
            Outcome::Promoted,
            "reached all users; as the first version it had nothing to be compared with",
        )
    } else {
        (Outcome::Promoted, "reached all users through all gates")
    };
    vec![Event::Ended {
        outcome,
        reason: reason.into(),
    }]
}
