//! The next events of a release.

use crate::complete::count;
use crate::desired::{is_sequential, wanted_tasks};
use crate::limits::{CHECK_ATTEMPTS, DIAL_LIMIT, DIAL_TOLERANCE_BP, task_limit};
use crate::stage::decide_stage;
use crate::{DialState, Observed};
use esclusa_model::{BasisPoints, Outcome, Timestamp};
use esclusa_plan::{Audience, Requirement, Stage};
use esclusa_release::{DialEvidence, Event, Phase, Release, ReturnCause, Returned, Task, TaskEnd};

/// The next events; none when there is nothing to do but wait. Apply them and ask
/// again until none come.
#[must_use]
pub fn decide(release: &Release, observed: &Observed) -> Vec<Event> {
    let timed_out = timed_out_tasks(release, observed.now);
    if !timed_out.is_empty() {
        return timed_out;
    }
    if let Some(event) = confirm_dial(release, observed) {
        return vec![event];
    }
    match release.phase {
        Phase::Promoted => promoted(release),
        Phase::Ended => Vec::new(),
        Phase::Lowering => lowering(release, observed),
        Phase::Stage(index) => match release.requested.plan.stages.get(index) {
            Some(Stage::Expose(expose)) => decide_stage(release, observed, index, expose),
            Some(Stage::WarmUp(_)) | None => run_phase(release, observed),
        },
        Phase::Preflight => preflight(release, observed),
        Phase::Preparing
        | Phase::Before
        | Phase::Deploying
        | Phase::CanaryChecks
        | Phase::After
        | Phase::HandOver
        | Phase::HandingBack
        | Phase::Undoing
        | Phase::Stopping => run_phase(release, observed),
    }
}

/// Going back with a plain reason and no verdict.
pub(crate) fn turn_back(release: &Release, cause: ReturnCause, reason: String) -> Vec<Event> {
    let outcome = if release.was_exposed {
        Outcome::RolledBack
    } else {
        Outcome::Refused
    };
    vec![Event::ReturnDecided(Returned {
        cause,
        reason,
        outcome,
        evidence: release.judged.clone(),
    })]
}

pub(crate) fn advance(to: Phase, why: impl Into<String>) -> Vec<Event> {
    vec![Event::Advanced {
        to,
        why: why.into(),
        evidence: None,
    }]
}

/// The engine's own deadline for tasks: the shell may have died with them.
fn timed_out_tasks(release: &Release, now: Timestamp) -> Vec<Event> {
    release
        .tasks
        .iter()
        .filter(|(_, state)| state.end.is_none())
        .filter(|(task, state)| {
            task_limit(release, **task).is_some_and(|limit| now.since(state.started_at) > limit)
        })
        .map(|(task, state)| Event::TaskEnded {
            task: *task,
            attempt: state.attempt,
            end: TaskEnd::TimedOut,
        })
        .collect()
}

/// A reading that shows the exposure asked for now, not yet recorded.
fn confirm_dial(release: &Release, observed: &Observed) -> Option<Event> {
    let reading = observed.dial.as_ref()?;
    let achieved = reading.achieved?;
    let fresh = reading.at >= release.phase_since
        && reading.state == DialState::Converged
        && reading.asked == release.exposure()
        && close_enough(achieved, reading.asked.share);
    if !fresh || release.dial_confirmed() {
        return None;
    }
    // Before the first exposure there is nothing to confirm.
    let matters = release.was_exposed || !release.exposure().is_nobody();
    matters.then(|| {
        Event::DialConfirmed(DialEvidence {
            asked: reading.asked.share,
            achieved,
            generation: reading.generation,
        })
    })
}

/// Coarse dials may be off by a step, but nobody must be nobody and all must be all.
fn close_enough(achieved: BasisPoints, asked: BasisPoints) -> bool {
    if asked.is_partial() {
        achieved.get().abs_diff(asked.get()) <= DIAL_TOLERANCE_BP
    } else {
        achieved == asked
    }
}

/// Sign-offs beside the early checks.
fn preflight(release: &Release, observed: &Observed) -> Vec<Event> {
    for requirement in &release.requested.plan.requires {
        let Requirement::SignOff { roles, within } = requirement else {
            continue;
        };
        let missing: Vec<&str> = roles
            .iter()
            .filter(|role| !release.sign_offs.contains_key(*role))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            continue;
        }
        let reason = format!("waiting for sign-off by {}", missing.join(", "));
        if observed.now.since(release.phase_since) > *within {
            let reason = format!("no sign-off by {} within {within}", missing.join(", "));
            return turn_back(release, ReturnCause::Deadline, reason);
        }
        let checks = run_tasks(release, observed);
        if !checks.is_empty() {
            return checks;
        }
        return match &release.hold {
            Some(hold) if hold.reason == reason => Vec::new(),
            _ => vec![Event::HoldBegan { reason }],
        };
    }
    run_phase(release, observed)
}

/// Runs the phase's tasks; once all are done, goes on.
fn run_phase(release: &Release, observed: &Observed) -> Vec<Event> {
    let events = run_tasks(release, observed);
    if !events.is_empty() {
        return events;
    }
    let all_done = wanted_tasks(release)
        .iter()
        .all(|task| release.task_end(*task).is_some_and(is_settled));
    if all_done {
        next_phase(release)
    } else {
        Vec::new()
    }
}

const fn is_settled(end: &TaskEnd) -> bool {
    // On the way back a failed task is settled too; going forward it turned back.
    matches!(
        end,
        TaskEnd::Done { .. } | TaskEnd::Failed { .. } | TaskEnd::TimedOut
    )
}

/// Starts, retries or gives up on tasks of the present phase.
fn run_tasks(release: &Release, observed: &Observed) -> Vec<Event> {
    let start = |task, attempt| vec![Event::TaskStarted { task, attempt }];
    let mut events = Vec::new();
    for task in wanted_tasks(release) {
        match release.tasks.get(&task) {
            None => events.extend(start(task, 1)),
            Some(state) => match &state.end {
                None => {}
                Some(TaskEnd::Done { .. }) => continue,
                Some(_) if is_retried(task, state.attempt, state.end.as_ref()) => {
                    events.extend(start(task, state.attempt + 1));
                }
                Some(end) => match give_up(release, task, end) {
                    GiveUp::TurnBack(events) => return events,
                    GiveUp::GoOn => continue,
                },
            },
        }
        if is_sequential(release.phase) {
            break;
        }
    }
    if observed.busy && release.phase.is_returning() {
        Vec::new()
    } else {
        events
    }
}

/// Records of our own are retried until they succeed; a check that could not be
/// asked, a few times.
const fn is_retried(task: Task, attempt: u32, end: Option<&TaskEnd>) -> bool {
    match task {
        Task::RecordStable | Task::RestoreStable => true,
        Task::Check(_) => matches!(end, Some(TaskEnd::Unknown { .. })) && attempt < CHECK_ATTEMPTS,
        _ => false,
    }
}

enum GiveUp {
    TurnBack(Vec<Event>),
    GoOn,
}

fn give_up(release: &Release, task: Task, end: &TaskEnd) -> GiveUp {
    if release.phase.is_returning() {
        // Undos depend on each other in order: after one failed, the rest stays.
        let undo = matches!(task, Task::UndoBefore(_) | Task::UndoAfter(_));
        return if undo {
            GiveUp::TurnBack(advance(Phase::Stopping, format!("{task} {end}")))
        } else {
            GiveUp::GoOn
        };
    }
    let name = describe(release, task);
    GiveUp::TurnBack(turn_back(
        release,
        ReturnCause::Failure,
        format!("{name} {end}"),
    ))
}

/// A task in the plan's own words.
fn describe(release: &Release, task: Task) -> String {
    let plan = &release.requested.plan;
    match task {
        Task::Check(index) => match plan.requires.get(index) {
            Some(Requirement::Check { name, .. }) => format!("check {name:?}"),
            Some(Requirement::SignOff { .. }) | None => task.to_string(),
        },
        Task::Before(index) => plan
            .before
            .get(index)
            .map_or(task.to_string(), |s| format!("step {:?}", s.name)),
        Task::After(index) => plan
            .after
            .get(index)
            .map_or(task.to_string(), |s| format!("step {:?}", s.name)),
        _ => task.to_string(),
    }
}

fn next_phase(release: &Release) -> Vec<Event> {
    let plan = &release.requested.plan;
    match release.phase {
        Phase::Preparing => advance(Phase::Preflight, "the version is stored"),
        Phase::Preflight => advance(Phase::Before, passed(release, "check")),
        Phase::Before => advance(
            Phase::Deploying,
            format!("{} done", count(plan.before.len(), "step")),
        ),
        Phase::Deploying => advance(Phase::CanaryChecks, "all components are ready"),
        Phase::CanaryChecks => first_stage(release),
        Phase::Stage(index) if index + 1 < plan.stages.len() => {
            advance(Phase::Stage(index + 1), "warm-up done")
        }
        Phase::Stage(_) => advance(Phase::After, "all stages done"),
        Phase::After => advance(
            Phase::HandOver,
            format!("{} done", count(plan.after.len(), "step")),
        ),
        Phase::HandOver => advance(Phase::Promoted, "the new version is stable"),
        Phase::HandingBack => advance(Phase::Undoing, "workers are back"),
        Phase::Undoing => advance(Phase::Stopping, "undone"),
        Phase::Stopping => end_return(release),
        Phase::Promoted | Phase::Lowering | Phase::Ended => Vec::new(),
    }
}

fn passed(release: &Release, noun: &str) -> String {
    let n = release
        .tasks
        .keys()
        .filter(|task| matches!(task, Task::Check(_)))
        .count();
    format!("{} passed", count(n, noun))
}

/// Without a stable version there is nothing to compare with: straight to the last stage.
fn first_stage(release: &Release) -> Vec<Event> {
    let last = release.requested.plan.stages.len().saturating_sub(1);
    match &release.requested.stable {
        Some(_) => advance(Phase::Stage(0), passed(release, "check")),
        None => advance(
            Phase::Stage(last),
            format!(
                "first deployment: no stable version to compare with, so only checks stand \
                 behind it ({})",
                passed(release, "check")
            ),
        ),
    }
}

fn promoted(release: &Release) -> Vec<Event> {
    if release.ended.is_some() {
        return Vec::new();
    }
    let (outcome, reason) = if release.hurried {
        (
            Outcome::PromotedEarly,
            "reached all users; a person passed at least one gate",
        )
    } else {
        (Outcome::Promoted, "reached all users through all gates")
    };
    vec![Event::Ended {
        outcome,
        reason: reason.into(),
    }]
}

/// Shares first; only when they are seen to be back does anything else move.
fn lowering(release: &Release, observed: &Observed) -> Vec<Event> {
    let back = !release.was_exposed || release.dial_confirmed();
    if back && !observed.busy {
        let records = run_tasks(release, observed);
        if !records.is_empty() {
            return records;
        }
        let recorded = wanted_tasks(release)
            .iter()
            .all(|task| release.task_end(*task).is_some_and(TaskEnd::is_done));
        if recorded {
            return advance(Phase::HandingBack, "nobody is exposed any more");
        }
        return Vec::new();
    }
    if !back && observed.now.since(release.phase_since) > DIAL_LIMIT {
        let detail = observed
            .dial
            .as_ref()
            .map_or("no reading", |dial| dial.detail.as_str());
        let reason = format!(
            "the {} dial of {} did not go back to 0% within {DIAL_LIMIT}: {detail}",
            release.requested.plan.traffic.driver, release.requested.service,
        );
        return vec![Event::Ended {
            outcome: Outcome::RollbackFailed,
            reason,
        }];
    }
    Vec::new()
}

fn end_return(release: &Release) -> Vec<Event> {
    let Some(returning) = &release.returning else {
        return Vec::new();
    };
    let failed: Vec<String> = release
        .tasks
        .iter()
        .filter(|(task, _)| {
            matches!(
                task,
                Task::UndoBefore(_) | Task::UndoAfter(_) | Task::HandBack | Task::StopCanary
            )
        })
        .filter_map(|(task, state)| match &state.end {
            Some(end) if !end.is_done() => Some(format!("{task} {end}")),
            _ => None,
        })
        .collect();
    let reason = &returning.decision.reason;
    let (outcome, reason) = if failed.is_empty() {
        (returning.decision.outcome, reason.clone())
    } else {
        (
            Outcome::RollbackFailed,
            format!("{reason}; users are back, but {}", failed.join("; ")),
        )
    };
    vec![Event::Ended { outcome, reason }]
}

/// An audience in the plan's words.
pub(crate) fn audience(to: &Audience) -> String {
    match to {
        Audience::Share(share) => share.to_string(),
        Audience::Segment(name) => format!("segment {name}"),
    }
}
