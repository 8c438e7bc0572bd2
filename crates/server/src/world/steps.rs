//! Runs the commands of a plan. A command goes on when the controller dies, and whoever
//! asks for it again waits for the same run.

use super::instances::placeholders;
use super::{TaskContext, done, driver_reason, failed};
use esclusa_drivers::{KeptLog, LastingEnd, LastingStep, StepOutcome, fill_words};
use esclusa_engine::Completion;
use esclusa_model::Millis;
use esclusa_release::{Release, Task, TaskEnd};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) async fn step(context: &TaskContext, task: Task) -> Completion {
    let Some((words, timeout)) = command_of(context, task) else {
        return failed("the plan has no such step");
    };
    // An undo must not meet the step that it undoes.
    if let Some(undone) = undone_by(task)
        && let Some(state) = context.release.tasks.get(&undone)
        && let Err(error) = lasting(context, undone, state.attempt).cancel().await
    {
        return failed(format!("{undone} still runs: {}", driver_reason(&error)));
    }
    let attempt = context
        .release
        .tasks
        .get(&task)
        .map_or(1, |state| state.attempt);
    let words = match fill_words(words, &placeholders(context)) {
        Ok(words) => words,
        Err(error) => return failed(error.message),
    };
    let step = LastingStep {
        words,
        env: environment(context, task),
        timeout,
        ..lasting(context, task, attempt)
    };
    match step.run(context.shared.drivers.shim()).await {
        Ok(LastingEnd::Known(end)) => told(end.end, &end.output_tail),
        Ok(LastingEnd::Lost { output_tail }) => failed(format!(
            "it is gone and nobody saw how it ended{}",
            said(&output_tail)
        )),
        Err(error) => failed(driver_reason(&error)),
    }
}

/// Ends what a cancelled task left running.
pub(crate) async fn end_cancelled(context: &TaskContext, task: Task, attempt: u32) {
    if command_of(context, task).is_none() {
        return;
    }
    if let Err(error) = lasting(context, task, attempt).cancel().await {
        tracing::error!(%task, reason = driver_reason(&error), "A cancelled step still runs");
    }
}

fn told(end: StepOutcome, output: &str) -> Completion {
    let said = said(output);
    match end {
        StepOutcome::Exited(0) => done("exit 0"),
        StepOutcome::Exited(code) => failed(format!("exit {code}{said}")),
        StepOutcome::Signalled(signal) => failed(format!("ended by signal {signal}{said}")),
        StepOutcome::TimedOut => Completion::Ended(TaskEnd::TimedOut),
        StepOutcome::Stuck => failed(format!(
            "took too long and cannot be ended; it may still work{said}"
        )),
        StepOutcome::NotStarted(reason) => failed(reason),
    }
}

fn said(output: &str) -> String {
    let tail = output.trim_end();
    if tail.is_empty() {
        String::new()
    } else {
        format!("; its last lines: {tail}")
    }
}

/// A step's place, its command still empty.
fn lasting(context: &TaskContext, task: Task, attempt: u32) -> LastingStep {
    place(&context.shared.data_dir, &context.release, task, attempt)
}

/// The same of any release. Short, because a socket lies in it.
fn place(data_dir: &Path, release: &Release, task: Task, attempt: u32) -> LastingStep {
    let id = release.requested.release.as_str();
    let tail = id.get(id.len().saturating_sub(12)..).unwrap_or(id);
    LastingStep {
        words: Vec::new(),
        env: BTreeMap::new(),
        cwd: PathBuf::from(&release.requested.base_dir),
        timeout: Millis::ZERO,
        dir: data_dir
            .join("steps")
            .join(tail)
            .join(attempt_name(task, attempt)),
    }
}

/// A try's name, one word.
pub(super) fn attempt_name(task: Task, attempt: u32) -> String {
    format!("{}-{attempt}", task.to_string().replace('/', "-"))
}

/// What a try of a step has printed; none for work that is no step.
pub(super) fn log(data_dir: &Path, release: &Release, task: Task, attempt: u32) -> Option<KeptLog> {
    let is_step = matches!(
        task,
        Task::Before(_) | Task::After(_) | Task::UndoBefore(_) | Task::UndoAfter(_)
    );
    is_step.then(|| place(data_dir, release, task, attempt).log())
}

const fn undone_by(task: Task) -> Option<Task> {
    match task {
        Task::UndoBefore(index) => Some(Task::Before(index)),
        Task::UndoAfter(index) => Some(Task::After(index)),
        _ => None,
    }
}

fn command_of(context: &TaskContext, task: Task) -> Option<(&[String], Millis)> {
    let plan = &context.release.requested.plan;
    match task {
        Task::Before(index) => plan.before.get(index).map(|s| (&s.command[..], s.timeout)),
        Task::After(index) => plan.after.get(index).map(|s| (&s.command[..], s.timeout)),
        Task::UndoBefore(index) => plan
            .before
            .get(index)?
            .undo
            .as_ref()
            .map(|u| (&u.command[..], u.timeout)),
        Task::UndoAfter(index) => plan
            .after
            .get(index)?
            .undo
            .as_ref()
            .map(|u| (&u.command[..], u.timeout)),
        _ => None,
    }
}

/// What a step or check is told about the release that runs it.
pub(super) fn environment(context: &TaskContext, task: Task) -> BTreeMap<String, String> {
    let requested = &context.release.requested;
    let attempt = context
        .release
        .tasks
        .get(&task)
        .map_or(1, |state| state.attempt);
    let mut env: BTreeMap<String, String> = [
        ("ESCLUSA_SERVICE", requested.service.to_string()),
        ("ESCLUSA_RELEASE", requested.release.to_string()),
        ("ESCLUSA_VERSION", requested.version.to_string()),
        ("ESCLUSA_TASK", task.to_string()),
        ("ESCLUSA_ATTEMPT", attempt.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(version) = &context.release.version {
        env.insert("ESCLUSA_DIGEST".into(), version.digest.to_string());
    }
    if let Some(stable) = &requested.stable {
        env.insert("ESCLUSA_STABLE_VERSION".into(), stable.name.to_string());
    }
    env
}
