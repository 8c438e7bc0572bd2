//! How long a story may take at most once nothing goes wrong any more.

use crate::outside::Outside;
use esclusa_engine::CANCEL_LIMIT;
use esclusa_model::Millis;
use esclusa_plan::{Plan, Requirement, Stage};

/// Slack of the engine over a driver's own deadlines, and of this world over both.
const SLACK: Millis = Millis(60_000);
/// Storing a version, moving workers, moving them back, stopping: the engine's limits.
const FIXED: Millis = Millis((15 + 10 + 10 + 10) * 60_000);
/// Recording is tried again for some minutes, forward and back.
const RECORDS: Millis = Millis(2 * 24 * 60_000);

/// The longest way forward and all the way back.
pub(crate) fn longest(plan: &Plan) -> Millis {
    let mut sum =
        FIXED.0 + RECORDS.0 + CANCEL_LIMIT.0 + 2 * plan.dial_timeout.0 + plan.deploy_timeout.0;
    let mut add = |millis: Millis| sum = sum.saturating_add(millis.0).saturating_add(SLACK.0);
    for requirement in &plan.requires {
        match requirement {
            // Asked up to three times.
            Requirement::Check { timeout, .. } => add(Millis(timeout.0.saturating_mul(3))),
            Requirement::SignOff { within, .. } => add(*within),
        }
    }
    for step in plan.before.iter().chain(&plan.after) {
        add(step.timeout);
        add(step.undo.as_ref().map_or(Millis::ZERO, |undo| undo.timeout));
    }
    for stage in &plan.stages {
        match stage {
            Stage::WarmUp(warm_up) => add(warm_up.for_),
            Stage::Expose(expose) => {
                add(expose.for_);
                add(plan.dial_timeout);
                add(plan.judge.blind.hold);
                add(plan.hold.for_);
            }
        }
    }
    // A hold may begin in any phase.
    add(plan.hold.for_);
    Millis(sum)
}

/// The same for all that is still to come: those in line take their time as well, and a
/// clock that was moved moves every deadline with it.
pub(crate) fn still(out: &Outside) -> Millis {
    let releases = u64::try_from(out.store.service.queue.len()).unwrap_or(0) + 1;
    Millis(
        longest(&out.plan)
            .0
            .saturating_mul(releases)
            .saturating_add(out.jumped.0),
    )
}
