//! `command`: the user's own program prints the number.
//!
//! The last line of its output that is not empty is the number. An exit code other than 0
//! is unknown: a program that fails has measured nothing.

use super::{Adapter, Lack, MetricContext, MetricSource, Reading, Unknown, believed};
use crate::fields::{entry, optional, read, required};
use crate::proc::{Ended, Order, run};
use crate::template::{fill_map, fill_words};
use async_trait::async_trait;
use esclusa_model::Millis;
use esclusa_plan::{DriverEntry, FieldKind};
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
const SAID: usize = 100;

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A command prints the number as the last line of its output.",
        vec![
            required("run", FieldKind::Command, "The command."),
            optional("env", FieldKind::TemplateMap, "More variables for it."),
        ],
        &[],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Command {
    run: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

impl Command {
    async fn answer(&self, context: &MetricContext) -> Result<Reading, Unknown> {
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
        let last = done
            .output
            .lines()
            .map(str::trim)
            .rfind(|line| !line.is_empty());
        if let Some(why) = done.complaint(context.timeout) {
            let lack = match done.ended {
                Ended::Exited(126 | 127) | Ended::NotStarted(_) => Lack::Question,
                _ => Lack::Unreachable,
            };
            let said = last
                .map(|line| format!(": {}", cut(line)))
                .unwrap_or_default();
            return Err(Unknown::new(lack, format!("{why}{said}")));
        }
        let line = last.ok_or_else(|| Unknown::new(Lack::Absent, "it printed nothing"))?;
        let number = line.parse().map_err(|_| {
            let why = format!("its last line is no number: {}", cut(line));
            Unknown::new(Lack::Question, why)
        })?;
        Ok(believed(number, None, context))
    }
}

fn cut(line: &str) -> String {
    line.chars().take(SAID).collect()
}

#[async_trait]
impl MetricSource for Command {
    async fn read(&self, context: &MetricContext) -> Reading {
        self.answer(context).await.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Command>(&describe());
    }
}
