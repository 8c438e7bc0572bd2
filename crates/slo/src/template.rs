//! Ready-made alerts for what nearly every service needs, written as they should be:
//! shares in place of counts, quantiles over all series, a least number of events, and an
//! alert for data that stops.

use crate::buckets::{Buckets, around, histogram};
use crate::duration::Span;
use crate::promql;
use crate::write::{Group, Rule, RuleKind};
use std::collections::BTreeMap;

/// Which alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A queue grows too long; a gauge.
    Queue,
    /// Too large a part of events is bad; two counters.
    ErrorRate,
    /// Too many requests are slow; a histogram.
    ResponseTime,
}

impl Template {
    /// The usual limit: 1,000 jobs, 5 %, one second.
    #[must_use]
    pub const fn usual_limit(self) -> f64 {
        match self {
            Self::Queue => 1_000.0,
            Self::ErrorRate => 0.05,
            Self::ResponseTime => 1.0,
        }
    }
}

/// What a template is filled with.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateOptions {
    /// The service.
    pub service: String,
    /// The gauge, the counter of all events, or the histogram; a selector.
    pub metric: String,
    /// For an error rate: the counter of bad events; a selector.
    pub bad: Option<String>,
    /// The limit, in the metric's unit.
    pub limit: f64,
    /// The quantile of a response time.
    pub quantile: f64,
    /// Fewest events in five minutes.
    pub min_events: u64,
    /// The label `severity`.
    pub severity: String,
    /// Bounds that are known.
    pub buckets: Buckets,
}

const WINDOW: Span = Span(300);
const FOR: Span = Span(300);
const NO_DATA: Span = Span(600);

/// The rules of a template.
///
/// # Errors
/// When a selector is none, or the limit makes no sense for the metric.
pub fn template(which: Template, options: &TemplateOptions) -> Result<Vec<Group>, String> {
    if !options.limit.is_finite() || options.limit <= 0.0 {
        return Err("the limit must be a number above 0".into());
    }
    selector(&options.metric)?;
    let (name, expr, seen, summary, description) = match which {
        Template::Queue => queue(options),
        Template::ErrorRate => error_rate(options)?,
        Template::ResponseTime => response_time(options)?,
    };
    let prefix: String = options
        .service
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let mut chars = word.chars();
            chars.next().map_or_else(String::new, |c| {
                c.to_ascii_uppercase().to_string() + chars.as_str()
            })
        })
        .collect();
    let alert = |suffix: &str, expr: String, for_, texts: [String; 2]| {
        let [summary, description] = texts;
        Rule {
            kind: RuleKind::Alert {
                name: format!("{prefix}{suffix}"),
                for_: Some(for_),
                annotations: BTreeMap::from([
                    ("summary".to_owned(), summary),
                    ("description".to_owned(), description),
                ]),
            },
            expr,
            labels: BTreeMap::from([
                ("service".to_owned(), options.service.clone()),
                ("severity".to_owned(), options.severity.clone()),
            ]),
        }
    };
    let missing = [
        format!("{}: no data", options.service),
        format!(
            "Nothing was seen of {} for {NO_DATA}; {prefix}{name} cannot fire.",
            options.metric
        ),
    ];
    Ok(vec![Group {
        name: format!("{} {name}", options.service),
        interval: None,
        rules: vec![
            alert(name, expr, FOR, [summary, description]),
            alert(
                &format!("{name}NoData"),
                format!("absent({seen})"),
                NO_DATA,
                missing,
            ),
        ],
    }])
}

type Filled = (&'static str, String, String, String, String);

fn queue(options: &TemplateOptions) -> Filled {
    let expr = format!("sum({}) > {}", options.metric, options.limit);
    (
        "QueueTooLong",
        expr,
        options.metric.clone(),
        format!("{}: the queue is too long", options.service),
        format!(
            "{{{{ $value | humanize }}}} jobs wait; the limit is {}.",
            options.limit
        ),
    )
}

fn error_rate(options: &TemplateOptions) -> Result<Filled, String> {
    let Some(bad) = &options.bad else {
        return Err("an error rate needs the counter of bad events as well".into());
    };
    if options.limit >= 1.0 {
        return Err("the limit of an error rate is a part of 1, such as 0.05".into());
    }
    selector(bad)?;
    let (bad, all) = (
        format!("sum(rate({bad}[{WINDOW}]))"),
        format!("sum(rate({}[{WINDOW}]))", options.metric),
    );
    let mut expr = format!("{bad} / {all} > {}", options.limit);
    if options.min_events > 0 {
        expr.push_str(&format!(
            "\nand\nsum(increase({}[{WINDOW}])) >= {}",
            options.metric, options.min_events
        ));
    }
    Ok((
        "ErrorRateTooHigh",
        expr,
        options.metric.clone(),
        format!("{}: too many failures", options.service),
        format!(
            "{{{{ $value | humanizePercentage }}}} fail; the limit is {}%.",
            crate::openslo::rounded(options.limit * 100.0)
        ),
    ))
}

fn response_time(options: &TemplateOptions) -> Result<Filled, String> {
    let parsed = promql::parse(&options.metric)?;
    let (name, matchers) = match promql::bare(&parsed) {
        promql::Expr::VectorSelector(v) => {
            let name = promql::name_of(v).ok_or("the histogram needs a name")?;
            let list: Vec<String> = v
                .matchers
                .matchers
                .iter()
                .map(ToString::to_string)
                .collect();
            (histogram(&name).to_owned(), list.join(","))
        }
        _ => return Err("the metric must be the name of a histogram".into()),
    };
    if !(0.0..1.0).contains(&options.quantile) {
        return Err("the quantile is a part of 1, such as 0.95".into());
    }
    if let Some(bounds) = options.buckets.of(&name) {
        let last = bounds.last().copied().unwrap_or_default();
        if options.limit >= last {
            return Err(format!(
                "a quantile of {name} is never above {last}, its last finite bound: this alert \
                 could never fire; write less than {last}, or add buckets"
            ));
        }
        if !bounds.contains(&options.limit) {
            return Err(format!(
                "{} is no bucket bound of {name}; write {}",
                options.limit,
                around(bounds, options.limit)
            ));
        }
    }
    let series = |suffix: &str| {
        if matchers.is_empty() {
            format!("{name}{suffix}")
        } else {
            format!("{name}{suffix}{{{matchers}}}")
        }
    };
    let mut expr = format!(
        "histogram_quantile({}, sum by (le) (rate({}[{WINDOW}]))) > {}",
        options.quantile,
        series("_bucket"),
        options.limit
    );
    if options.min_events > 0 {
        expr.push_str(&format!(
            "\nand on ()\nsum(increase({}[{WINDOW}])) >= {}",
            series("_count"),
            options.min_events
        ));
    }
    let percent = options.quantile * 100.0;
    Ok((
        "TooSlow",
        expr,
        series("_count"),
        format!("{}: responses are slow", options.service),
        format!(
            "p{percent} is {{{{ $value | humanizeDuration }}}}; the limit is {} s.",
            options.limit
        ),
    ))
}

fn selector(text: &str) -> Result<(), String> {
    let parsed = promql::parse(text).map_err(|why| format!("`{text}` is no selector: {why}"))?;
    match promql::bare(&parsed) {
        promql::Expr::VectorSelector(_) => Ok(()),
        _ => Err(format!(
            "`{text}` is no selector: write a name, with labels in braces if need be"
        )),
    }
}
