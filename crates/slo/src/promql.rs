//! PromQL as a tree, and the few changes that are made to it.

use crate::duration::Span;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token;
pub(crate) use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, MatrixSelector, VectorSelector,
};
use std::time::Duration;

/// Longest expression and deepest nesting that are read; deeper ones are no work of
/// people, and the parser is recursive.
const MOST_BYTES: usize = 16 * 1_024;
const MOST_NESTED: usize = 60;

/// How a query asks for the window that it is evaluated over.
const WINDOW_WORDS: [&str; 4] = ["{{.window}}", "{{ .window }}", "${window}", "$__window"];

/// Parses an expression.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_NESTED {
            return Err(format!("it is nested more than {MOST_NESTED} deep"));
        }
    }
    promql_parser::parser::parse(text)
}

/// The parts of an expression that are expressions themselves.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(e) => e.param.iter().map(|p| &**p).chain([&*e.expr]).collect(),
        Expr::Unary(e) => vec![&e.expr],
        Expr::Binary(e) => vec![&e.lhs, &e.rhs],
        Expr::Paren(e) => vec![&e.expr],
        Expr::Subquery(e) => vec![&e.expr],
        Expr::Call(e) => e.args.args.iter().map(|arg| &**arg).collect(),
        _ => Vec::new(),
    }
}

/// The expression and everything inside it, outer parts first.
pub(crate) fn all(expr: &Expr) -> Vec<&Expr> {
    let mut found = vec![expr];
    let mut next = 0;
    while let Some(expr) = found.get(next).copied() {
        found.extend(children(expr));
        next += 1;
    }
    found
}

/// The selectors inside an expression.
pub(crate) fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    all(expr)
        .into_iter()
        .filter_map(|e| match e {
            Expr::VectorSelector(v) => Some(v),
            Expr::MatrixSelector(m) => Some(&m.vs),
            _ => None,
        })
        .collect()
}

/// The name of the series that a selector picks.
pub(crate) fn name_of(selector: &VectorSelector) -> Option<String> {
    selector.name.clone().or_else(|| {
        let named = |m: &&Matcher| m.name == "__name__" && m.op == MatchOp::Equal;
        selector
            .matchers
            .matchers
            .iter()
            .find(named)
            .map(|m| m.value.clone())
    })
}

/// Without the brackets around it.
pub(crate) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expr {
        expr = &inner.expr;
    }
    expr
}

/// A number, signs and brackets included.
pub(crate) fn literal(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(n) => Some(n.val),
        Expr::Unary(e) => literal(&e.expr).map(|n| -n),
        Expr::Binary(e) => {
            let (a, b) = (literal(&e.lhs)?, literal(&e.rhs)?);
            match e.op.id() {
                token::T_ADD => Some(a + b),
                token::T_SUB => Some(a - b),
                token::T_MUL => Some(a * b),
                token::T_DIV => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparing {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// A comparison of something with a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'e> {
    pub what: &'e Expr,
    pub how: Comparing,
    pub value: f64,
}

/// All comparisons with a number inside an expression.
pub(crate) fn comparisons(expr: &Expr) -> Vec<Comparison<'_>> {
    all(expr).into_iter().filter_map(comparison).collect()
}

fn comparison(expr: &Expr) -> Option<Comparison<'_>> {
    let Expr::Binary(binary) = expr else {
        return None;
    };
    let how = match binary.op.id() {
        token::T_GTR => Comparing::Above,
        token::T_GTE => Comparing::AtLeast,
        token::T_LSS => Comparing::Below,
        token::T_LTE => Comparing::AtMost,
        _ => return None,
    };
    if let Some(value) = literal(&binary.rhs) {
        return Some(Comparison {
            what: bare(&binary.lhs),
            how,
            value,
        });
    }
    let turned = match how {
        Comparing::Above => Comparing::Below,
        Comparing::AtLeast => Comparing::AtMost,
        Comparing::Below => Comparing::Above,
        Comparing::AtMost => Comparing::AtLeast,
    };
    let value = literal(&binary.lhs)?;
    Some(Comparison {
        what: bare(&binary.rhs),
        how: turned,
        value,
    })
}

/// Whether a binary expression divides.
pub(crate) fn divides(binary: &BinaryExpr) -> bool {
    binary.op.id() == token::T_DIV
}

/// Whether it joins two conditions that both have to hold.
pub(crate) fn joins(binary: &BinaryExpr) -> bool {
    binary.op.id() == token::T_LAND
}

/// Whether an aggregation sums.
pub(crate) fn sums(aggregate: &AggregateExpr) -> bool {
    aggregate.op.id() == token::T_SUM
}

/// Whether an aggregation keeps a label.
pub(crate) fn keeps(aggregate: &AggregateExpr, label: &str) -> bool {
    let has = |labels: &promql_parser::label::Labels| labels.labels.iter().any(|l| l == label);
    match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => has(labels),
        Some(LabelModifier::Exclude(labels)) => !has(labels),
        None => false,
    }
}

/// The query per second over `window`: ranges become the window, counters without a range
/// get one, and what is not summed is.
pub(crate) fn per_second(query: &str, window: Span) -> Result<String, String> {
    let expr = parse(&with_window(query, window))?;
    let changed = windowed(expr, window)?;
    let summed = match bare(&changed) {
        Expr::Aggregate(_) => changed.to_string(),
        _ => format!("sum({changed})"),
    };
    parse(&summed).map(|_| summed)
}

/// A query that is taken as it is, at most told its window.
pub(crate) fn as_written(query: &str, window: Span) -> Result<String, String> {
    let text = with_window(query, window);
    parse(&text).map(|_| text)
}

fn with_window(query: &str, window: Span) -> String {
    WINDOW_WORDS
        .iter()
        .fold(query.trim().to_owned(), |text, word| {
            text.replace(word, &window.to_string())
        })
}

fn windowed(expr: Expr, window: Span) -> Result<Expr, String> {
    let inside = |e: Box<Expr>| windowed(*e, window).map(Box::new);
    Ok(match expr {
        Expr::Aggregate(mut e) => {
            e.expr = inside(e.expr)?;
            Expr::Aggregate(e)
        }
        Expr::Unary(mut e) => {
            e.expr = inside(e.expr)?;
            Expr::Unary(e)
        }
        Expr::Paren(mut e) => {
            e.expr = inside(e.expr)?;
            Expr::Paren(e)
        }
        Expr::Binary(mut e) => {
            e.lhs = inside(e.lhs)?;
            e.rhs = inside(e.rhs)?;
            Expr::Binary(e)
        }
        Expr::VectorSelector(vs) => rate_of(vs, window)?,
        Expr::Call(mut call) => match (call.func.name, call.args.args.first().map(|a| bare(a))) {
            ("rate" | "increase", Some(Expr::MatrixSelector(m))) => rate_of(m.vs.clone(), window)?,
            (name, Some(Expr::MatrixSelector(_) | Expr::Subquery(_))) => {
                return Err(format!(
                    "`{name}` cannot be moved to another window; give the counter, or `rate` of it"
                ));
            }
            _ => {
                let args = std::mem::take(&mut call.args.args);
                call.args.args = args.into_iter().map(inside).collect::<Result<_, _>>()?;
                Expr::Call(call)
            }
        },
        Expr::MatrixSelector(_) | Expr::Subquery(_) => {
            return Err("a range stands where a number is needed; give the counter".into());
        }
        other => other,
    })
}

/// `rate(selector[window])`.
fn rate_of(vs: VectorSelector, window: Span) -> Result<Expr, String> {
    let mut rate = promql_parser::parser::parse("rate(x[5m])")?;
    if let Expr::Call(call) = &mut rate
        && let Some(argument) = call.args.args.first_mut()
    {
        **argument = Expr::MatrixSelector(MatrixSelector {
            vs,
            range: Duration::from_secs(window.0),
        });
    }
    Ok(rate)
}

/// A histogram's bucket series inside a query: the name without `_bucket`, and what else
/// selects it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BucketSeries {
    pub histogram: String,
    matchers: Vec<String>,
}

impl BucketSeries {
    /// A selector of one of the histogram's series, with one matcher more.
    pub(crate) fn selector(&self, suffix: &str, more: Option<&str>) -> String {
        let matchers: Vec<&str> = self
            .matchers
            .iter()
            .map(String::as_str)
            .chain(more)
            .collect();
        format!("{}{suffix}{{{}}}", self.histogram, matchers.join(","))
    }
}

/// The one bucket series that a query is about, if it is about one and takes no quantile
/// of it.
pub(crate) fn bucket_series(expr: &Expr) -> Option<BucketSeries> {
    let found = selectors(expr);
    let [selector] = found.as_slice() else {
        return None;
    };
    let name = name_of(selector)?;
    let histogram = name.strip_suffix("_bucket")?.to_owned();
    let matchers = selector
        .matchers
        .matchers
        .iter()
        .filter(|m| m.name != "le" && m.name != "__name__")
        .map(ToString::to_string)
        .collect();
    let plain = selector.matchers.or_matchers.is_empty() && quantiles(expr).is_empty();
    plain.then_some(BucketSeries {
        histogram,
        matchers,
    })
}

/// Calls of `histogram_quantile`, with what they are taken of.
pub(crate) fn quantiles(expr: &Expr) -> Vec<&Call> {
    all(expr)
        .into_iter()
        .filter_map(|e| match e {
            Expr::Call(call) if call.func.name == "histogram_quantile" => Some(call),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Span = Span(3_600);

    #[test]
    fn queries_move_to_a_window() {
        for (query, expected) in [
            (
                "x_total{code=~\"5..\"}",
                "sum(rate(x_total{code=~\"5..\"}[1h]))",
            ),
            ("sum(rate(x_total[5m]))", "sum(rate(x_total[1h]))"),
            (
                "sum by (a) (increase(x_total[30d]))",
                "sum by (a) (rate(x_total[1h]))",
            ),
            ("sum(rate(x_total[{{.window}}]))", "sum(rate(x_total[1h]))"),
            (
                "sum(x_total) + sum(y_total)",
                "sum(sum(rate(x_total[1h])) + sum(rate(y_total[1h])))",
            ),
            ("x_total offset 5m", "sum(rate(x_total[1h] offset 5m))"),
        ] {
            assert_eq!(per_second(query, HOUR).as_deref(), Ok(expected), "{query}");
        }
        for bad in [
            "sum(",
            "irate(x_total[5m])",
            "x_total[5m]",
            "",
            "max_over_time(x[5m:1m])",
        ] {
            assert!(per_second(bad, HOUR).is_err(), "{bad}");
        }
        let deep = format!("{}x{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn a_histogram_is_recognised() {
        let series = |text| bucket_series(&parse(text).expect("parses"));
        let found = series("sum by (le) (rate(x_seconds_bucket{job=\"a\",le=\"1\"}[5m]))");
        let found = found.expect("a histogram");
        assert_eq!(found.selector("_count", None), "x_seconds_count{job=\"a\"}");
        assert_eq!(
            found.selector("_bucket", Some("le=\"0.3\"")),
            "x_seconds_bucket{job=\"a\",le=\"0.3\"}"
        );
        assert_eq!(series("histogram_quantile(0.9, rate(x_bucket[5m]))"), None);
        assert_eq!(series("queue_size"), None);
    }

    #[test]
    fn comparisons_are_found_from_both_sides() {
        let expr = parse("(2 * 5 < sum(x)) and (rate(y[5m]) >= 0.5)").expect("parses");
        let found: Vec<_> = comparisons(&expr)
            .iter()
            .map(|c| (c.how, c.value))
            .collect();
        assert_eq!(found, [(Comparing::Above, 10.0), (Comparing::AtLeast, 0.5)]);
    }
}
