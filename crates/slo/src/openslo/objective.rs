//! The targets of an SLO.

use super::measure::Measured;
use super::{Budgeting, Objective, Slice, rounded};
use crate::code;
use crate::duration::Span;
use crate::fields::{number, text};
use crate::indicator::{Indicator, Op, Query};
use esclusa_plan::Settings;
use serde_json::Value;

pub(super) fn objectives(
    settings: &mut Settings<'_>,
    written: &[Value],
    measured: &Measured,
    budgeting: Budgeting,
) -> Vec<Objective> {
    let mut found: Vec<Objective> = Vec::new();
    if written.is_empty() {
        let help = "write one, such as `- target: 0.999`".to_owned();
        settings.refuse(
            code::VALUE,
            "spec.objectives",
            "no objective is given".to_owned(),
            help,
        );
    }
    for (index, value) in written.iter().enumerate() {
        let path = format!("spec.objectives[{index}]");
        let Some(objective) = objective(settings, value, &path, measured, budgeting) else {
            continue;
        };
        if found.iter().any(|other| other.id == objective.id) {
            settings.refuse(
                code::VALUE,
                &path,
                format!("a second objective has the target {}", objective.id),
                "objectives of one SLO differ in their targets; write another SLO".to_owned(),
            );
        }
        found.push(objective);
    }
    found
}

fn objective(
    settings: &mut Settings<'_>,
    value: &Value,
    path: &str,
    measured: &Measured,
    budgeting: Budgeting,
) -> Option<Objective> {
    let target = target(settings, value, path)?;
    let indicator = match measured {
        Measured::Whole(indicator) => {
            for key in ["op", "value"] {
                if value.get(key).is_some() {
                    settings.refuse(
                        code::VALUE,
                        &format!("{path}.{key}"),
                        format!("`{key}` belongs to a thresholdMetric; a ratio has none"),
                        "remove it".to_owned(),
                    );
                }
            }
            indicator.clone()
        }
        Measured::Value(query) => compared(settings, value, path, query)?,
    };
    Some(Objective {
        id: format!("{}%", rounded(target * 100.0)),
        display_name: text(value, "displayName").map(str::to_owned),
        target,
        indicator,
        slice: slice(settings, value, path, budgeting)?,
    })
}

fn target(settings: &mut Settings<'_>, value: &Value, path: &str) -> Option<f64> {
    let (key, scale, example) = match (value.get("target"), value.get("targetPercent")) {
        (Some(_), None) => ("target", 1.0, "0.999"),
        (None, Some(_)) => ("targetPercent", 100.0, "99.9"),
        _ => {
            settings.refuse(
                code::VALUE,
                path,
                "exactly one of `target` and `targetPercent` is needed".to_owned(),
                "write `target: 0.999` or `targetPercent: 99.9`".to_owned(),
            );
            return None;
        }
    };
    let number = number(value, key)?.ok().map(|n| rounded(n / scale));
    let target = number.filter(|target| *target > 0.0 && *target < 1.0);
    if target.is_none() {
        settings.refuse(
            code::VALUE,
            &format!("{path}.{key}"),
            format!(
                "`{}` leaves no error budget to speak of",
                text(value, key).unwrap_or_default()
            ),
            format!("write a number above 0 and below {scale}, such as `{example}`"),
        );
    }
    target
}

fn compared(
    settings: &mut Settings<'_>,
    value: &Value,
    path: &str,
    query: &Query,
) -> Option<Indicator> {
    let op = match text(value, "op") {
        Some("lte") => Op::AtMost,
        Some("lt") => Op::Below,
        Some("gte") => Op::AtLeast,
        Some("gt") => Op::Above,
        _ => {
            let help = "write `op: lte` where small values are good".to_owned();
            settings.refuse(
                code::VALUE,
                path,
                "`op` says how a thresholdMetric is compared".to_owned(),
                help,
            );
            return None;
        }
    };
    let Some(Ok(threshold)) = number(value, "value") else {
        settings.refuse(
            code::VALUE,
            path,
            "`value` says with what a thresholdMetric is compared, in the metric's own unit"
                .to_owned(),
            "write a number, such as `value: 0.3`".to_owned(),
        );
        return None;
    };
    Some(Indicator::Threshold {
        value: query.clone(),
        op,
        threshold,
    })
}

/// `None` when something is wrong, `Some(None)` where the budget is no matter of slices.
fn slice(
    settings: &mut Settings<'_>,
    value: &Value,
    path: &str,
    budgeting: Budgeting,
) -> Option<Option<Slice>> {
    let wanted: &[&str] = match budgeting {
        Budgeting::Occurrences => &[],
        Budgeting::Timeslices => &["timeSliceTarget", "timeSliceWindow"],
        Budgeting::RatioTimeslices => &["timeSliceWindow"],
    };
    for key in ["timeSliceTarget", "timeSliceWindow"] {
        let given = value.get(key).is_some();
        if given != wanted.contains(&key) {
            let (message, help) = if given {
                (
                    format!("`{key}` does not belong to this budgeting method"),
                    "remove it",
                )
            } else {
                (
                    format!("`{key}` is missing"),
                    "write `timeSliceTarget: 0.95` and `timeSliceWindow: 1m`",
                )
            };
            settings.refuse(code::VALUE, path, message, help.to_owned());
            return None;
        }
    }
    if wanted.is_empty() {
        return Some(None);
    }
    let target = match number(value, "timeSliceTarget") {
        None => Some(0.0),
        Some(number) => number.ok().filter(|n| *n > 0.0 && *n <= 1.0),
    };
    let written = text(value, "timeSliceWindow").unwrap_or_default();
    // A plain number is of minutes.
    let length = Span::openslo(written).or_else(|| Span::openslo(&format!("{written}m")));
    // The shortest window of an alert holds five minutes.
    let length = length.filter(|span| span.0 <= 300);
    if target.is_none() {
        let at = format!("{path}.timeSliceTarget");
        let help = "write a number above 0 and at most 1".to_owned();
        settings.refuse(
            code::VALUE,
            &at,
            "this is no part of a slice".to_owned(),
            help,
        );
    }
    if length.is_none() {
        settings.refuse(
            code::UNSUPPORTED,
            &format!("{path}.timeSliceWindow"),
            format!("slices of `{written}` are not supported"),
            "write from `1m` to `5m`: the shortest window of an alert has five minutes".to_owned(),
        );
    }
    Some(Some(Slice {
        target: target?,
        length: length?,
    }))
}
