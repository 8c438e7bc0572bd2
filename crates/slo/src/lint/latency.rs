//! Alerts on latency: dead thresholds, quantiles of single series, averages.

use super::{Alert, Said, error, warning};
use crate::buckets::{Buckets, around};
use crate::code;
use crate::promql::{self, Call, Comparing, Comparison, Expr};
use promql_parser::label::MatchOp;

pub(super) fn lint(alert: &Alert<'_>, buckets: &Buckets) -> Vec<Said> {
    let mut said = Vec::new();
    for comparison in promql::comparisons(alert.expr) {
        said.extend(threshold(alert, &comparison, buckets));
    }
    for call in promql::quantiles(alert.expr) {
        said.extend(aggregation(call));
    }
    said.extend(missing_bucket(alert, buckets));
    said.extend(average(alert.expr));
    said
}

/// The histogram that a quantile is taken of, when it is one of buckets.
fn histogram(call: &Call) -> Option<String> {
    let of = call.args.args.get(1)?;
    let mut names = promql::selectors(of)
        .into_iter()
        .filter_map(promql::name_of);
    names.find_map(|name| name.strip_suffix("_bucket").map(str::to_owned))
}

/// Whether the compared value is the quantile itself.
fn compared_quantile<'e>(comparison: &Comparison<'e>) -> Option<&'e Call> {
    match comparison.what {
        Expr::Call(call) if call.func.name == "histogram_quantile" => Some(call),
        _ => None,
    }
}

// Trap 7: `histogram_quantile` gives at most the last finite bound.
fn threshold(alert: &Alert<'_>, comparison: &Comparison<'_>, buckets: &Buckets) -> Option<Said> {
    let call = compared_quantile(comparison)?;
    let histogram = histogram(call)?;
    let Some(bounds) = buckets.of(&histogram) else {
        return Some(warning(
            code::UNKNOWN_BUCKETS,
            format!(
                "the buckets of {histogram} are not known, so nobody can tell whether {} can fire",
                alert.name
            ),
            format!(
                "give them: `--buckets {histogram}=0.1,0.5,1`, `--metrics FILE` or `--prometheus URL`"
            ),
        ));
    };
    let last = bounds.last().copied()?;
    let value = comparison.value;
    let dead = match comparison.how {
        Comparing::Above => value >= last,
        Comparing::AtLeast => value > last,
        Comparing::Below | Comparing::AtMost => value < 0.0,
    };
    if dead {
        return Some(error(
            code::NEVER_FIRES,
            format!(
                "{} can never fire: a quantile of {histogram} is at most {last}, its last finite \
                 bucket bound, and the threshold is {value}",
                alert.name
            ),
            format!(
                "add buckets above {value} to {histogram}, or lower the threshold below {last}"
            ),
        ));
    }
    (!bounds.contains(&value)).then(|| {
        warning(
            code::BETWEEN,
            format!(
                "{value} lies between two bucket bounds of {histogram}: between them a quantile is \
                 only guessed"
            ),
            format!("use {}, or add a bucket at {value}", around(bounds, value)),
        )
    })
}

// Trap 8: without `sum by (le)` each label set has a quantile of its own.
fn aggregation(call: &Call) -> Option<Said> {
    let histogram = histogram(call)?;
    let of = promql::bare(call.args.args.get(1)?);
    let Expr::Aggregate(aggregate) = of else {
        return Some(error(
            code::QUANTILE,
            format!(
                "the quantile of {histogram} is taken of each label set by itself: one quiet \
                 instance or route is enough to fire, and a fault spread over many is not"
            ),
            format!("sum first: `sum by (le) (rate({histogram}_bucket[5m]))`"),
        ));
    };
    if !promql::keeps(aggregate, "le") {
        return Some(error(
            code::QUANTILE,
            format!(
                "the aggregation drops `le`, so the quantile of {histogram} has no buckets and is never a number"
            ),
            "keep it: `sum by (le) (...)`",
        ));
    }
    (!promql::sums(aggregate)).then(|| {
        error(
            code::QUANTILE,
            format!(
                "the buckets of {histogram} are not summed, so they belong to no one distribution"
            ),
            "write `sum by (le) (...)`",
        )
    })
}

/// A bucket that is selected by a bound that does not exist.
fn missing_bucket(alert: &Alert<'_>, buckets: &Buckets) -> Vec<Said> {
    let mut said = Vec::new();
    for selector in promql::selectors(alert.expr) {
        let Some(histogram) =
            promql::name_of(selector).and_then(|n| n.strip_suffix("_bucket").map(str::to_owned))
        else {
            continue;
        };
        let wanted = selector
            .matchers
            .matchers
            .iter()
            .find(|m| m.name == "le" && m.op == MatchOp::Equal);
        let bound = wanted
            .and_then(|m| m.value.parse::<f64>().ok())
            .filter(|b| b.is_finite());
        if let (Some(bound), Some(bounds)) = (bound, buckets.of(&histogram))
            && !bounds.contains(&bound)
        {
            said.push(error(
                code::NEVER_FIRES,
                format!(
                    "{histogram} has no bucket {bound}: {} compares with nothing",
                    alert.name
                ),
                format!("use {}, or add the bucket", around(bounds, bound)),
            ));
        }
    }
    said
}

// Trap 6: the mean stays low while one request in twenty waits.
fn average(expr: &Expr) -> Vec<Said> {
    let named = |expr: &Expr, suffix: &str| {
        let names = promql::selectors(expr)
            .into_iter()
            .filter_map(promql::name_of);
        let mut histograms = names.filter_map(|n| n.strip_suffix(suffix).map(str::to_owned));
        histograms.next()
    };
    promql::all(expr)
        .into_iter()
        .filter_map(|e| match e {
            Expr::Binary(b) if promql::divides(b) => {
                let (sum, count) = (named(&b.lhs, "_sum")?, named(&b.rhs, "_count")?);
                (sum == count).then_some(sum)
            }
            _ => None,
        })
        .map(|histogram| {
            warning(
                code::AVERAGE,
                format!("the mean of {histogram} hides the slow requests"),
                format!("compare a quantile: `histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket[5m])))`"),
            )
        })
        .collect()
}
