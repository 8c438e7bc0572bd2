//! A limit for everything that could last: nothing waits forever by accident.

use esclusa_model::Millis;
use esclusa_plan::{Requirement, Stage};
use esclusa_release::{Release, Task, TaskEnd};

/// How far a dial's reading may lie from what was asked, in basis points:
/// coarse balancers have steps of 1/256, which is 39.
pub const DIAL_TOLERANCE_BP: u16 = 50;

/// How long cancelled work may take to end. Killing is the shell's first means, so
/// whatever lasts longer is stuck.
pub const CANCEL_LIMIT: Millis = Millis(120_000);

/// How often a check is asked that could not be answered.
const CHECK_ATTEMPTS: u32 = 3;

/// Time between two such questions.
const CHECK_PAUSE: Millis = Millis(2_000);

/// How often a record in our own store is tried: with the pauses between, for about
/// eight minutes. A store that is away longer needs a person.
const RECORD_ATTEMPTS: u32 = 12;

/// Longest run of one try to record.
const RECORD_LIMIT: Millis = Millis(60_000);

/// Longest pause between two tries to record.
const RECORD_PAUSE_MOST: Millis = Millis(60_000);

/// Hashing and copying an artifact of some gigabytes from a slow disk.
const PREPARE_LIMIT: Millis = Millis(15 * 60_000);

/// Slack over a driver's own deadlines, so that its more exact error is seen first.
const SLACK: Millis = Millis(30_000);

/// Handing over stops the old and starts the new copy of each worker.
const HAND_OVER_LIMIT: Millis = Millis(10 * 60_000);

const fn is_record(task: Task) -> bool {
    matches!(
        task,
        Task::RecordStable | Task::RestoreStable | Task::RecordFlags | Task::RestoreFlags
    )
}

/// The pause before a task that ended like this is tried again; `None` when it is not.
pub(crate) fn retry_pause(task: Task, attempt: u32, end: &TaskEnd) -> Option<Millis> {
    match task {
        task if is_record(task) && attempt < RECORD_ATTEMPTS => {
            // 1 s, 2 s, 4 s, ...
            let doubled = Millis::from_secs(1)
                .0
                .saturating_mul(1 << (attempt.max(1) - 1));
            Some(Millis(doubled.min(RECORD_PAUSE_MOST.0)))
        }
        Task::Check(_) if matches!(end, TaskEnd::Unknown { .. }) && attempt < CHECK_ATTEMPTS => {
            Some(CHECK_PAUSE)
        }
        _ => None,
    }
}

/// Longest run of one try of a task, enforced by the engine even if the shell forgets;
/// `None` for a task that the plan does not have.
#[must_use]
pub fn task_limit(release: &Release, task: Task) -> Option<Millis> {
    let plan = &release.requested.plan;
    let with_slack = |limit: Millis| Millis(limit.0.saturating_add(SLACK.0));
    let limit = match task {
        Task::Prepare => PREPARE_LIMIT,
        Task::Check(index) => match plan.requires.get(index) {
            Some(Requirement::Check { timeout, .. }) => with_slack(*timeout),
            Some(Requirement::SignOff { within, .. }) => *within,
            None => Millis::ZERO,
        },
        Task::Before(index) => with_slack(plan.before.get(index)?.timeout),
        Task::After(index) => with_slack(plan.after.get(index)?.timeout),
        Task::UndoBefore(index) => with_slack(plan.before.get(index)?.undo.as_ref()?.timeout),
        Task::UndoAfter(index) => with_slack(plan.after.get(index)?.undo.as_ref()?.timeout),
        Task::Deploy => with_slack(plan.deploy_timeout),
        Task::WarmUp(index) => match plan.stages.get(index) {
            Some(Stage::WarmUp(warm_up)) => with_slack(warm_up.for_),
            Some(Stage::Expose(_)) | None => Millis::ZERO,
        },
        Task::HandOver | Task::HandBack | Task::StopCanary => HAND_OVER_LIMIT,
        Task::RecordStable | Task::RestoreStable | Task::RecordFlags | Task::RestoreFlags => {
            RECORD_LIMIT
        }
    };
    Some(limit)
}
