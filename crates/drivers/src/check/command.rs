//! `command`: the user's own question.
//!
//! Exit code 0 is a pass. 75 (try again later), 126 and 127 (it could not be run), an
//! end by signal and one that does not come in time are unknown. Any other code fails.

use super::{Adapter, Answer, Check, CheckContext};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::proc::{Ended, Order, run};
use crate::template::{fill_map, fill_words};
use async_trait::async_trait;
use esclusa_model::{CheckResult, Millis};
use esclusa_plan::{Capability, DriverEntry, FieldKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "command";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(read::<Command>(NAME, config)?)),
};

const GRACE: Millis = Millis(500);
/// Longest piece of output in an answer, in characters.
const SAID: usize = 200;

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A command answers: exit code 0 passes, 75 is unknown, others fail.",
        vec![
            required("run", FieldKind::Command, "The command."),
            optional("env", FieldKind::TemplateMap, "More variables for it."),
        ],
        &[Capability::Early],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Command {
    run: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[async_trait]
impl Check for Command {
    async fn ask(&self, context: &CheckContext) -> CheckResult {
        self.answer(context).await.unwrap_or_else(Into::into).now()
    }
}

impl Command {
    async fn answer(&self, context: &CheckContext) -> Result<Answer, DriverError> {
        let mut env = fill_map(&self.env, &context.placeholders)?;
        env.extend(context.env.clone());
        let done = run(Order {
            words: fill_words(&self.run, &context.placeholders)?,
            env,
            cwd: context.cwd.clone(),
            timeout: context.timeout,
            grace: GRACE,
            log: None,
        })
        .await;
        let said = last_line(&done.output);
        let message = match done.complaint(context.timeout) {
            None => format!("exit code 0{said}"),
            Some(why) => format!("{why}{said}"),
        };
        Ok(match done.ended {
            Ended::Exited(0) => Answer::pass(message),
            Ended::Exited(75 | 126 | 127)
            | Ended::Signalled(_)
            | Ended::TimedOut { .. }
            | Ended::NotStarted(_) => Answer::unknown(message),
            Ended::Exited(_) => Answer::fail(message),
        })
    }
}

fn last_line(output: &str) -> String {
    output
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .map(|line| format!(": {}", line.chars().take(SAID).collect::<String>()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Command>(&describe());
    }
}
