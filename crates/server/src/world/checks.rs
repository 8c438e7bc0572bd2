//! Asks the plan's requirements.

use super::instances::placeholders;
use super::steps::environment;
use super::{TaskContext, done, failed};
use esclusa_drivers::check::{self, CheckContext};
use esclusa_engine::Completion;
use esclusa_model::CheckStatus;
use esclusa_plan::Requirement;
use esclusa_release::{Task, TaskEnd};

pub(super) async fn check(context: &TaskContext, index: usize) -> Completion {
    let requirement = context.release.requested.plan.requires.get(index);
    let Some(Requirement::Check { check, timeout, .. }) = requirement else {
        return failed("the plan has no such check");
    };
    let question = match check::check(&check.driver, &check.config) {
        Ok(question) => question,
        Err(error) => return failed(error.message),
    };
    let task = Task::Check(index);
    let asked = CheckContext {
        placeholders: placeholders(context),
        env: environment(context, task),
        cwd: context.base_dir(),
        timeout: *timeout,
    };
    let result = question.ask(&asked).await;
    match result.status {
        CheckStatus::Pass => done(result.message),
        CheckStatus::Fail => failed(result.message),
        CheckStatus::Unknown => Completion::Ended(TaskEnd::Unknown {
            reason: result.message,
        }),
    }
}
