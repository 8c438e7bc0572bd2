//! What is measured: the queries of an indicator.

use super::build::Found;
use crate::code;
use crate::fields::text;
use crate::indicator::{Indicator, Op, Query, Ratio};
use esclusa_plan::Settings;
use serde_json::Value;

/// An indicator whose threshold stands in the objective.
pub(super) enum Measured {
    Whole(Indicator),
    Value(Query),
}

pub(super) fn measure(
    settings: &mut Settings<'_>,
    found: &Found,
    sources: &[String],
) -> Option<Measured> {
    let (value, path) = (&found.value, found.path.as_str());
    match (value.get("ratioMetric"), value.get("thresholdMetric")) {
        (Some(ratio), None) => {
            let path = format!("{path}.ratioMetric");
            ratio_metric(settings, ratio, &path, sources).map(Measured::Whole)
        }
        (None, Some(metric)) => {
            let path = format!("{path}.thresholdMetric");
            let query = query(settings, metric, &path, sources)?;
            let one = Indicator::Threshold {
                value: query.clone(),
                op: Op::AtMost,
                threshold: 1.0,
            };
            is_usable(settings, &one, &path).then_some(Measured::Value(query))
        }
        _ => {
            settings.refuse(
                code::REFERENCE,
                path,
                "exactly one of `ratioMetric` and `thresholdMetric` says what is measured"
                    .to_owned(),
                "keep the ratio where events are counted".to_owned(),
            );
            None
        }
    }
}

fn ratio_metric(
    settings: &mut Settings<'_>,
    ratio: &Value,
    path: &str,
    sources: &[String],
) -> Option<Indicator> {
    let mut side = |key: &str| {
        let metric = ratio.get(key)?;
        query(settings, metric, &format!("{path}.{key}"), sources)
    };
    let (good, bad, total, raw) = (side("good"), side("bad"), side("total"), side("raw"));
    let kind = text(ratio, "rawType");
    let counts = |kind| {
        if kind == Some("success") {
            Ratio::Good
        } else {
            Ratio::Bad
        }
    };
    let indicator = match (good, bad, total, raw) {
        (Some(part), None, Some(total), None) => Indicator::Events {
            counts: Ratio::Good,
            part,
            total,
        },
        (None, Some(part), Some(total), None) => Indicator::Events {
            counts: Ratio::Bad,
            part,
            total,
        },
        (None, None, None, Some(ratio)) if kind.is_some() => Indicator::Raw {
            counts: counts(kind),
            ratio,
        },
        _ => {
            settings.refuse(
                code::REFERENCE,
                path,
                "a ratio is `good` or `bad` of `total`, or `raw` with its `rawType`".to_owned(),
                "write exactly one of these pairs".to_owned(),
            );
            return None;
        }
    };
    if ratio.get("counter") == Some(&Value::Bool(false)) && indicator.counts_events() {
        settings.refuse(
            code::UNSUPPORTED,
            &format!("{path}.counter"),
            "events that are no counters cannot be summed over a window".to_owned(),
            "count them with counters, or give their ratio as `raw`".to_owned(),
        );
        return None;
    }
    is_usable(settings, &indicator, path).then_some(indicator)
}

fn is_usable(settings: &mut Settings<'_>, indicator: &Indicator, path: &str) -> bool {
    let Err((key, why)) = indicator.check() else {
        return true;
    };
    let path = if key == "thresholdMetric" {
        path.to_owned()
    } else {
        format!("{path}.{key}")
    };
    settings.refuse(
        code::QUERY,
        &format!("{path}.metricSource.spec.query"),
        format!("this query cannot be used: {}", why.trim()),
        "write PromQL, such as `sum(http_requests_total{code=~\"5..\"})`; windows are put in for \
         you"
        .to_owned(),
    );
    false
}

fn query(
    settings: &mut Settings<'_>,
    metric: &Value,
    path: &str,
    sources: &[String],
) -> Option<Query> {
    let source = metric.get("metricSource")?;
    let path = format!("{path}.metricSource");
    prometheus_only(settings, source.get("type"), &format!("{path}.type"));
    if let Some(name) = text(source, "metricSourceRef")
        && !sources.is_empty()
        && !sources.iter().any(|known| known == name)
    {
        let known = sources.iter().map(String::as_str);
        let at = format!("{path}.metricSourceRef");
        settings.refuse_unknown(
            code::REFERENCE,
            &at,
            name,
            "a DataSource of this file",
            known,
        );
    }
    text(&source["spec"], "query").map(|query| Query(query.to_owned()))
}

pub(super) fn prometheus_only(settings: &mut Settings<'_>, kind: Option<&Value>, path: &str) {
    let Some(kind) = kind.and_then(Value::as_str) else {
        return;
    };
    if !kind.eq_ignore_ascii_case("prometheus") {
        settings.refuse(
            code::UNSUPPORTED,
            path,
            format!("metrics of `{kind}` are not read"),
            "only `Prometheus` is, and what speaks its API".to_owned(),
        );
    }
}
