//! A limit for everything that could last: nothing waits forever by accident.

use esclusa_model::Millis;
use esclusa_plan::{Requirement, Stage};
use esclusa_release::{Release, Task};

/// Longest time for a dial to show what was asked for. A DNS record with a minute's
/// time-to-live fits; longer and nobody could call the release under control.
pub const DIAL_LIMIT: Millis = Millis(120_000);

/// How far a dial's reading may lie from what was asked, in basis points:
/// coarse balancers have steps of 1/256, which is 39.
pub const DIAL_TOLERANCE_BP: u16 = 50;

/// How often a check that could not be asked is asked again.
pub(crate) const CHECK_ATTEMPTS: u32 = 3;

/// Hashing and copying an artifact of some gigabytes from a slow disk.
const PREPARE_LIMIT: Millis = Millis(15 * 60_000);

/// Slack over a driver's own deadlines, so that its more exact error is seen first.
const SLACK: Millis = Millis(30_000);

/// Handing over stops the old and starts the new copy of each worker.
const HAND_OVER_LIMIT: Millis = Millis(10 * 60_000);

/// Longest run of a task, enforced by the engine even if the shell forgets;
/// `None` for records in our own store, which are retried until they succeed.
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
        Task::RecordStable | Task::RestoreStable => return None,
    };
    Some(limit)
}
