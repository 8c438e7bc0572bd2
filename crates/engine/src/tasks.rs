//! Tasks of the present phase: what runs, what is tried again and when, what failed.

use crate::desired::{is_sequential, wanted_tasks};
use crate::limits::{retry_pause, task_limit};
use crate::observed::Observed;
use esclusa_model::Timestamp;
use esclusa_plan::Requirement;
use esclusa_release::{Event, Release, Task, TaskEnd};

/// Where one task stands.
pub(crate) enum Progress<'a> {
    /// To be started, as this attempt.
    Start(u32),
    /// Runs, or waits for its next attempt.
    Running,
    /// Done.
    Done,
    /// Not done and not tried again.
    Failed(&'a TaskEnd),
}

/// Where `task` stands.
pub(crate) fn progress(release: &Release, task: Task, now: Timestamp) -> Progress<'_> {
    let Some(state) = release.tasks.get(&task) else {
        return Progress::Start(1);
    };
    let Some(end) = &state.end else {
        return Progress::Running;
    };
    if end.is_done() {
        return Progress::Done;
    }
    match retry_pause(task, state.attempt, end) {
        None => Progress::Failed(end),
        Some(pause) if now.since(state.ended_at.unwrap_or(now)) >= pause => {
            Progress::Start(state.attempt.saturating_add(1))
        }
        Some(_) => Progress::Running,
    }
}

/// Where the tasks of a phase on the way forward stand together.
pub(crate) enum Tasks {
    /// These begin.
    Start(Vec<Event>),
    /// Something runs.
    Running,
    /// All are done, each of them seen to be done.
    Done,
    /// One is not done and never will be; in words.
    Failed(String),
}

pub(crate) fn forward_tasks(release: &Release, now: Timestamp) -> Tasks {
    let mut start = Vec::new();
    let mut running = false;
    for task in wanted_tasks(release) {
        match progress(release, task, now) {
            Progress::Done => continue,
            Progress::Start(attempt) => start.push(Event::TaskStarted { task, attempt }),
            Progress::Running => running = true,
            Progress::Failed(end) => {
                return Tasks::Failed(format!("{} {end}", describe_task(release, task)));
            }
        }
        if is_sequential(release.phase) {
            break;
        }
    }
    match (start.is_empty(), running) {
        (false, _) => Tasks::Start(start),
        (true, true) => Tasks::Running,
        (true, false) => Tasks::Done,
    }
}

/// The engine's own deadline for tasks: the shell may have died with them. A shell that
/// began anew runs them anew, so the time counts from there.
pub(crate) fn timed_out_tasks(release: &Release, observed: &Observed) -> Vec<Event> {
    release
        .tasks
        .iter()
        .filter(|(_, state)| state.end.is_none())
        .filter(|(task, state)| {
            let since = state.started_at.max(observed.watching_since);
            task_limit(release, **task).is_some_and(|limit| observed.now.since(since) > limit)
        })
        .map(|(task, state)| Event::TaskEnded {
            task: *task,
            attempt: state.attempt,
            end: TaskEnd::TimedOut,
        })
        .collect()
}

/// A task in the plan's own words, such as `step "migrate"`.
#[must_use]
pub fn describe_task(release: &Release, task: Task) -> String {
    let plan = &release.requested.plan;
    let named = |step: Option<&esclusa_plan::Step>, what: &str| {
        step.map_or_else(|| task.to_string(), |s| format!("{what} {:?}", s.name))
    };
    match task {
        Task::Prepare if release.flags_alone().is_some() => "naming the flags".into(),
        Task::Prepare => "storing the version".into(),
        Task::Check(index) => match plan.requires.get(index) {
            Some(Requirement::Check { name, .. }) => format!("check {name:?}"),
            Some(Requirement::SignOff { .. }) | None => task.to_string(),
        },
        Task::Before(index) => named(plan.before.get(index), "step"),
        Task::After(index) => named(plan.after.get(index), "step"),
        Task::UndoBefore(index) => named(plan.before.get(index), "undo of step"),
        Task::UndoAfter(index) => named(plan.after.get(index), "undo of step"),
        Task::Deploy => "starting the new version".into(),
        Task::WarmUp(_) => "warm-up".into(),
        Task::HandOver => "hand-over of workers".into(),
        Task::RecordStable => "recording the new stable version".into(),
        Task::RestoreStable => "recording the version before as stable".into(),
        Task::RecordFlags => "recording the flags in the flag set".into(),
        Task::RestoreFlags => "recording the flags as they were before".into(),
        Task::HandBack => "handing workers back".into(),
        Task::StopCanary => "stopping the new version".into(),
    }
}
