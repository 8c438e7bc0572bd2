//! Alerts on events: failures a second, failures over successes, counters as they are.

use super::{Alert, Said, error, warning};
use crate::code;
use crate::promql::{self, Comparing, Comparison, Expr, VectorSelector};
use promql_parser::label::MatchOp;

pub(super) fn lint(alert: &Alert<'_>) -> Vec<Said> {
    let comparisons = promql::comparisons(alert.expr);
    let counted = comparisons.iter().filter_map(|c| no_ratio(c));
    let bare = comparisons.iter().filter_map(bare_counter);
    counted.chain(bare).chain(odds(alert.expr)).collect()
}

/// Whether a selector picks failures.
fn failures(selector: &VectorSelector) -> bool {
    let name = promql::name_of(selector).unwrap_or_default();
    let words = ["fail", "error", "exception", "timeout", "reject"];
    let by_label = selector.matchers.matchers.iter().any(|m| {
        let value = m.value.to_ascii_lowercase();
        let truth = matches!(m.op, MatchOp::Equal) && ["success", "ok"].contains(&m.name.as_str());
        let status = ["code", "status", "status_code", "http_status"].contains(&m.name.as_str());
        (truth && ["false", "0", "no"].contains(&value.as_str()))
            || (status && matches!(m.op, MatchOp::Equal | MatchOp::Re(_)) && value.starts_with('5'))
            || (["result", "outcome", "status"].contains(&m.name.as_str())
                && words.iter().any(|word| value.contains(word)))
    });
    by_label || words.iter().any(|word| name.contains(word))
}

// Trap 8: failures a second say nothing about the part that fails.
fn no_ratio(comparison: &Comparison<'_>) -> Option<Said> {
    if !matches!(comparison.how, Comparing::Above | Comparing::AtLeast) {
        return None;
    }
    let parts = promql::all(comparison.what);
    if parts
        .iter()
        .any(|e| matches!(e, Expr::Binary(b) if promql::divides(b)))
    {
        return None;
    }
    let call = parts.iter().find_map(|e| match e {
        Expr::Call(call) if ["rate", "irate", "increase"].contains(&call.func.name) => Some(call),
        _ => None,
    })?;
    let selectors = promql::selectors(comparison.what);
    let failing = selectors.into_iter().find(|selector| failures(selector))?;
    let name = promql::name_of(failing).unwrap_or_else(|| "the counter".into());
    let value = comparison.value;
    let help = format!(
        "divide by all events and ask for some: `sum(rate({failing}[5m])) / sum(rate({name}[5m])) > \
         0.05 and sum(increase({name}[5m])) >= 10`, or write an SLO and let `esclusa slo rules` make \
         the alerts"
    );
    Some(if call.func.name == "increase" {
        warning(
            code::NO_RATIO,
            format!("{value} failures of {name} are compared, whatever the number of successes is"),
            help,
        )
    } else {
        error(
            code::NO_RATIO,
            format!(
                "failures of {name} a second are compared with {value}, and not their part of all: a \
                 small service that fails wholly is silent, a large one with few failures is not"
            ),
            help,
        )
    })
}

// Trap 2: a counter only grows.
fn bare_counter(comparison: &Comparison<'_>) -> Option<Said> {
    let mut bare = comparison.what;
    while let Expr::Aggregate(aggregate) = bare {
        bare = promql::bare(&aggregate.expr);
    }
    let Expr::VectorSelector(selector) = bare else {
        return None;
    };
    let name = promql::name_of(selector)?;
    let counter = ["_total", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    counter.then(|| {
        error(
            code::BARE_COUNTER,
            format!(
                "{name} counts since its process began: once above {} it stays there",
                comparison.value
            ),
            format!("look at a window: `rate({name}[5m])` or `increase({name}[1h])`"),
        )
    })
}

// Trap 1: with no success at all, failed / succeeded is no number and nothing fires.
fn odds(expr: &Expr) -> Vec<Said> {
    let sides = promql::all(expr).into_iter().filter_map(|e| match e {
        Expr::Binary(b) if promql::divides(b) => Some((&*b.lhs, &*b.rhs)),
        _ => None,
    });
    sides
        .filter_map(|(above, below)| {
            let (above, below) = (promql::selectors(above), promql::selectors(below));
            let ([above], [below]) = (above.as_slice(), below.as_slice()) else {
                return None;
            };
            let name = promql::name_of(above)
                .filter(|name| promql::name_of(below).as_ref() == Some(name))?;
            let differs = above.matchers.matchers.iter().any(|a| {
                below.matchers.matchers.iter().any(|b| {
                    a.name == b.name
                        && a.op == MatchOp::Equal
                        && b.op == MatchOp::Equal
                        && a.value != b.value
                })
            });
            differs.then(|| {
                error(
                    code::ODDS,
                    format!(
                        "one part of {name} is divided by another and not by all: when everything \
                         fails there is nothing to divide by, and no alert"
                    ),
                    format!("divide by all of it: `sum(rate({name}[5m]))`"),
                )
            })
        })
        .collect()
}
