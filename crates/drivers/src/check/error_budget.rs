//! `error-budget`: enough of an SLO's error budget is left to risk a release.
//!
//! The SLO is an OpenSLO file, the numbers are those of a Prometheus. No data is no
//! budget: what cannot be known is unknown, also for a fix.

use super::{Adapter, Answer, Check, CheckContext};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::metrics::{PrometheusAt, instant_query};
use crate::template::fill;
use async_trait::async_trait;
use esclusa_model::{BasisPoints, CheckResult};
use esclusa_plan::{Capability, DriverEntry, FieldKind, SourceFile};
use esclusa_slo::{budget_query, read_openslo};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

const NAME: &str = "error-budget";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(read::<ErrorBudget>(NAME, config)?)),
};
/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;

fn describe() -> DriverEntry {
    entry(
        NAME,
        "Enough of the error budget of an SLO is left, as a Prometheus has counted.",
        vec![
            required(
                "slo",
                FieldKind::Template,
                "The OpenSLO file; all of its objectives count.",
            ),
            required(
                "prometheus",
                FieldKind::Template,
                "The server, such as http://127.0.0.1:9090.",
            ),
            optional(
                "at-least",
                FieldKind::Share,
                "The part of the budget that must be left; 0% when absent, which asks that it is not overspent.",
            ),
            optional(
                "fix",
                FieldKind::Switch,
                "This release mends what spends the budget: too little of it is told and lets it pass. What is not known does not.",
            ),
            optional(
                "headers",
                FieldKind::TemplateMap,
                "Headers of the request; a secret is a reference such as env:TOKEN.",
            ),
            optional(
                "ca-file",
                FieldKind::Template,
                "PEM file of a private certificate authority.",
            ),
        ],
        &[Capability::Early],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ErrorBudget {
    slo: String,
    prometheus: String,
    #[serde(default)]
    at_least: Option<BasisPoints>,
    #[serde(default)]
    fix: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ca_file: Option<String>,
}

#[async_trait]
impl Check for ErrorBudget {
    async fn ask(&self, context: &CheckContext) -> CheckResult {
        self.answer(context).await.unwrap_or_else(Into::into).now()
    }
}

impl ErrorBudget {
    async fn answer(&self, context: &CheckContext) -> Result<Answer, DriverError> {
        let values = &context.placeholders;
        let file = fill(&self.slo, values)?;
        let server = PrometheusAt {
            url: fill(&self.prometheus, values)?,
            headers: self.headers.clone(),
            ca_file: self.ca_file.clone(),
        };
        let queries = match queries(&context.cwd, &file).await {
            Ok(queries) => queries,
            Err(why) => return Ok(Answer::unknown(why)),
        };
        let mut told = Vec::new();
        let (mut too_little, mut unknown) = (false, false);
        let least = self.at_least.unwrap_or(BasisPoints::ZERO).fraction();
        for query in &queries {
            let answer = instant_query(&server, &query.promql, values, context.timeout).await;
            match answer.and_then(|answer| query.read(&answer).map_err(|e| e.to_string())) {
                Ok(budget) => {
                    too_little |= budget.left < least;
                    told.push(format!("{}: {:.1} % left", query.what, budget.left * 100.0));
                }
                Err(why) => {
                    unknown = true;
                    told.push(why);
                }
            }
        }
        let told = told.join("; ");
        let asked = format!("{:.1} % asked", least * 100.0);
        Ok(match (unknown, too_little, self.fix) {
            // A budget that is known to be too small outweighs one that is not known.
            (_, true, false) => Answer::fail(format!("{told}; {asked}")),
            (true, ..) => Answer::unknown(told),
            (false, true, true) => Answer::pass(format!(
                "{told}; {asked}, and the plan says that this is a fix"
            )),
            (false, false, _) => Answer::pass(told),
        })
    }
}

/// The questions of all objectives in a file; one at least.
async fn queries(cwd: &Path, file: &str) -> Result<Vec<esclusa_slo::BudgetQuery>, String> {
    let text = text_of(&cwd.join(file))
        .await
        .map_err(|why| format!("{file}: {why}"))?;
    let source = SourceFile::new(file, text);
    let read = read_openslo(&source).map_err(|found| {
        found.first().map_or_else(
            || format!("{file} cannot be read"),
            |first| format!("{file}:{}: {} [{}]", first.line, first.message, first.code),
        )
    })?;
    let mut queries = Vec::new();
    for slo in &read.slos {
        queries.extend(budget_query(slo).map_err(|e| e.to_string())?);
    }
    if queries.is_empty() {
        return Err(format!("{file}: no objective is given"));
    }
    Ok(queries)
}

async fn text_of(path: &Path) -> Result<String, String> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|e| e.to_string())?;
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text).await;
    let read = read.map_err(|e| e.to_string())?;
    if read as u64 > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<ErrorBudget>(&describe());
    }
}
