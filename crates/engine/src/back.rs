//! The way back: shares, records, workers, instances, undos, in this order.
//!
//! Nothing here raises exposure, and nothing is given up silently: what cannot be put
//! back is named in the end, which is then `rollback_failed`.

use crate::decide::advance;
use crate::desired::wanted_tasks;
use crate::dial::{detail, late};
use crate::limits::CANCEL_LIMIT;
use crate::observed::Observed;
use crate::tasks::{Progress, describe_task, progress};
use esclusa_model::Outcome;
use esclusa_release::{Event, Phase, Release, Task, TaskEnd};

pub(crate) fn decide_back(release: &Release, observed: &Observed) -> Vec<Event> {
    if release.was_exposed && !release.dial_confirmed() {
        return users_are_not_back(release, observed);
    }
    if observed.busy {
        return cancelled_work(release, observed);
    }
    for task in wanted_tasks(release) {
        match progress(release, task, observed.now) {
            Progress::Start(attempt) => return vec![Event::TaskStarted { task, attempt }],
            Progress::Running => return Vec::new(),
            Progress::Done => {}
            Progress::Failed(_) => match task {
                // The record names the canary as stable: stopping it would stop the service.
                Task::RestoreStable => return end(release),
                // Undos depend on each other in order: after one failed, the rest stays.
                Task::UndoAfter(_) | Task::UndoBefore(_) => break,
                _ => {}
            },
        }
    }
    next_phase(release)
}

fn next_phase(release: &Release) -> Vec<Event> {
    let why = |task: Task, done: &str, nothing: &str| match release.task_end(task) {
        None => nothing.to_owned(),
        Some(TaskEnd::Done { .. }) => done.to_owned(),
        Some(end) => format!("{} {end}", describe_task(release, task)),
    };
    match release.phase {
        Phase::Lowering if release.was_exposed => {
            advance(Phase::HandingBack, "nobody is exposed any more")
        }
        Phase::Lowering => advance(Phase::HandingBack, "nobody was exposed"),
        Phase::HandingBack => advance(
            Phase::Stopping,
            why(Task::HandBack, "workers are back", "no workers had moved"),
        ),
        Phase::Stopping => advance(
            Phase::Undoing,
            why(
                Task::StopCanary,
                "the new version is stopped",
                "the new version did not run",
            ),
        ),
        Phase::Undoing => end(release),
        _ => Vec::new(),
    }
}

fn users_are_not_back(release: &Release, observed: &Observed) -> Vec<Event> {
    if !late(release, observed) {
        return Vec::new();
    }
    let reason = format!(
        "the {} dial of {} did not go back to 0% within {}: {}",
        release.requested.plan.traffic.driver,
        release.requested.service,
        release.requested.plan.dial_timeout,
        detail(observed),
    );
    failed(release, &reason)
}

/// Cancelled work may still change what an undo would take back.
fn cancelled_work(release: &Release, observed: &Observed) -> Vec<Event> {
    let cancelled_at = release
        .tasks
        .values()
        .filter_map(|state| state.ended_at)
        .fold(observed.watching_since.max(release.phase_since), Ord::max);
    if observed.now.since(cancelled_at) <= CANCEL_LIMIT {
        return Vec::new();
    }
    failed(
        release,
        &format!("cancelled work did not end within {CANCEL_LIMIT}, so nothing more was undone"),
    )
}

fn failed(release: &Release, what: &str) -> Vec<Event> {
    let reason = match &release.returning {
        Some(returning) => format!("{what} (going back because: {})", returning.decision.reason),
        None => what.to_owned(),
    };
    vec![Event::Ended {
        outcome: Outcome::RollbackFailed,
        reason,
    }]
}

/// The end, which is what was decided only if everything could be put back.
fn end(release: &Release) -> Vec<Event> {
    let Some(returning) = &release.returning else {
        return Vec::new();
    };
    let failed: Vec<String> = release
        .tasks
        .iter()
        .filter(|(task, _)| puts_back(**task))
        .filter_map(|(task, state)| match &state.end {
            Some(end) if !end.is_done() => Some(format!("{} {end}", describe_task(release, *task))),
            _ => None,
        })
        .collect();
    let reason = &returning.decision.reason;
    let (outcome, reason) = if failed.is_empty() {
        (returning.decision.outcome, reason.clone())
    } else {
        (
            Outcome::RollbackFailed,
            format!("{reason}; nobody is exposed, but {}", failed.join("; ")),
        )
    };
    vec![Event::Ended { outcome, reason }]
}

const fn puts_back(task: Task) -> bool {
    matches!(
        task,
        Task::RestoreStable
            | Task::RestoreFlags
            | Task::HandBack
            | Task::StopCanary
            | Task::UndoBefore(_)
            | Task::UndoAfter(_)
    )
}
