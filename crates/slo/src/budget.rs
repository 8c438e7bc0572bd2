//! How much of an error budget is left, asked of a Prometheus.

use crate::openslo::{Budgeting, Period, Slo, rounded};
use serde_json::Value;

/// What to ask, and how to read the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetQuery {
    /// PromQL; one number is expected: the part that was bad over the whole window.
    pub promql: String,
    /// The part that may be bad.
    allowed: f64,
    /// The objective, for people.
    pub what: String,
}

/// A budget as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The part that is left: 1 untouched, 0 spent, below that overspent.
    pub left: f64,
    /// The part of events, or of time, that was bad.
    pub bad: f64,
}

/// Why nothing can be said about a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoBudget(pub String);

/// The questions about each objective of an SLO.
///
/// # Errors
/// When its window is bound to the calendar: a server is asked about the last so many days
/// only.
pub fn budget_query(slo: &Slo) -> Result<Vec<BudgetQuery>, NoBudget> {
    let Period::Rolling(window) = slo.period else {
        return Err(NoBudget(format!(
            "{}: the budget of a calendar window is not known; give it a rolling one",
            slo.name
        )));
    };
    slo.objectives
        .iter()
        .map(|objective| {
            let indicator = &objective.indicator;
            let promql = match (slo.budgeting, objective.slice) {
                (Budgeting::Timeslices, Some(s)) => {
                    indicator.bad_slices(window, s.length, s.target)
                }
                (Budgeting::RatioTimeslices, Some(s)) => indicator.mean_of_slices(window, s.length),
                _ => indicator.bad_part(window),
            };
            Ok(BudgetQuery {
                promql: promql.map_err(|why| NoBudget(format!("{}: {why}", slo.name)))?,
                allowed: rounded(1.0 - objective.target),
                what: format!("{} {} over {window}", slo.name, objective.id),
            })
        })
        .collect()
}

impl BudgetQuery {
    /// Reads the answer of `GET /api/v1/query`.
    ///
    /// # Errors
    /// When there is no one number in it: no data is no budget.
    pub fn read(&self, answer: &Value) -> Result<Budget, NoBudget> {
        let no = |why: &str| NoBudget(format!("{}: {why}", self.what));
        if answer["status"] != "success" {
            let said = answer["error"]
                .as_str()
                .unwrap_or("the answer is not understood");
            return Err(no(&said.chars().take(200).collect::<String>()));
        }
        let data = &answer["data"];
        let value = match (
            data["resultType"].as_str(),
            data["result"].as_array().map(Vec::as_slice),
        ) {
            (Some("scalar"), Some(pair)) => pair.get(1),
            (Some("vector"), Some([])) => return Err(no("no data in the whole window")),
            (Some("vector"), Some([one])) => one["value"].get(1),
            (Some("vector"), Some(several)) => {
                let why = format!(
                    "{} series where one is needed; sum them in the query",
                    several.len()
                );
                return Err(no(&why));
            }
            _ => return Err(no("the answer is not understood")),
        };
        let bad = value
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<f64>().ok());
        match bad {
            Some(bad) if bad.is_finite() => Ok(Budget {
                left: 1.0 - bad / self.allowed,
                bad,
            }),
            Some(_) => Err(no("no events in the whole window")),
            None => Err(no("the answer is not understood")),
        }
    }
}
