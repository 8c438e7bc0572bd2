//! Runs the commands of a plan.

use super::instances::placeholders;
use super::{TaskContext, done, failed};
use esclusa_drivers::{StepOutcome, StepRun, run_step};
use esclusa_engine::Completion;
use esclusa_model::Millis;
use esclusa_release::{Task, TaskEnd};
use std::collections::BTreeMap;

pub(super) async fn step(context: &TaskContext, task: Task) -> Completion {
    let Some((name, words, timeout)) = command_of(context, task) else {
        return failed("the plan has no such step");
    };
    let values = placeholders(context);
    let mut filled = Vec::with_capacity(words.len());
    for word in words {
        match values.fill(word) {
            Ok(word) => filled.push(word),
            Err(error) => return failed(error.to_string()),
        }
    }
    let run = StepRun {
        name: name.to_owned(),
        words: filled,
        env: environment(context, task),
        cwd: context.base_dir(),
        timeout,
        log_path: context.log_path(&task.to_string()),
    };
    let end = run_step(run).await;
    let tail = end.output_tail.trim_end();
    let said = if tail.is_empty() { String::new() } else { format!("; its last lines: {tail}") };
    match end.end {
        StepOutcome::Exited(0) => done("exit 0"),
        StepOutcome::Exited(code) => failed(format!("exit {code}{said}")),
        StepOutcome::Signalled(signal) => failed(format!("ended by signal {signal}{said}")),
        StepOutcome::TimedOut => Completion::Ended(TaskEnd::TimedOut),
        StepOutcome::Stuck => {
            failed(format!("took too long and cannot be ended; it may still work{said}"))
        }
        StepOutcome::NotStarted(reason) => failed(reason),
    }
}

fn command_of(context: &TaskContext, task: Task) -> Option<(&str, &[String], Millis)> {
    let plan = &context.release.requested.plan;
    match task {
        Task::Before(index) => {
            plan.before.get(index).map(|s| (s.name.as_str(), &s.command[..], s.timeout))
        }
        Task::After(index) => {
            plan.after.get(index).map(|s| (s.name.as_str(), &s.command[..], s.timeout))
        }
        Task::UndoBefore(index) => {
            let step = plan.before.get(index)?;
            step.undo.as_ref().map(|u| (step.name.as_str(), &u.command[..], u.timeout))
        }
        Task::UndoAfter(index) => {
            let step = plan.after.get(index)?;
            step.undo.as_ref().map(|u| (step.name.as_str(), &u.command[..], u.timeout))
        }
        _ => None,
    }
}

/// What a step is told about the release that runs it.
pub(super) fn environment(context: &TaskContext, task: Task) -> BTreeMap<String, String> {
    let requested = &context.release.requested;
    let attempt = context.release.tasks.get(&task).map_or(1, |state| state.attempt);
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
