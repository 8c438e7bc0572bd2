//! Objectives of the judge that can never act or contradict its other settings.

use super::{error, warning};
use crate::diagnostic as code;
use crate::sink::{Sink, child};
use esclusa_judge::{JudgeConfig, MAX_LATENCY_SLOS, Slo};
use esclusa_model::Fraction;

/// The slowest burn that acts; see the judge.
const LEAST_BURN: f64 = 6.0;

/// Checks `slo`; `at` is the path of the judge's block.
pub(super) fn check(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    let Some(slo) = &judge.slo else { return };
    let at = &child(at, "slo");
    if slo.availability.is_none() && slo.latency.is_empty() {
        error(
            sink,
            code::JUDGE,
            at,
            "no objective is given",
            "write `availability: 0.999`, `latency: [{ le-ms: 300, target: 0.99 }]`, or both",
        );
    }
    if let Some(target) = slo.availability {
        attainable(target, &child(at, "availability"), sink);
    }
    for (index, one) in slo.latency.iter().enumerate() {
        let path = format!("{}[{index}].target", child(at, "latency"));
        attainable(one.target, &path, sink);
    }
    if slo.latency.len() > MAX_LATENCY_SLOS {
        error(
            sink,
            code::JUDGE,
            &child(at, "latency"),
            &format!(
                "{} objectives are given; at most {MAX_LATENCY_SLOS} are watched",
                slo.latency.len()
            ),
            "keep those that users were promised",
        );
    }
    contradictions(judge, slo, at, sink);
}

/// A target leaves a budget, and the budget can burn.
fn attainable(target: Fraction, path: &str, sink: &mut Sink<'_>) {
    if target.get() >= 1.0 || target.get() <= 0.0 {
        error(
            sink,
            code::JUDGE,
            path,
            &format!("a target of {target} has no error budget to speak of"),
            "write a target below 1 and above 0, such as `0.999`",
        );
    } else if (1.0 - target.get()) * LEAST_BURN > 1.0 {
        warning(
            sink,
            code::UNREACHABLE,
            path,
            &format!(
                "even when every request is bad, a target of {target} burns less than \
                 {LEAST_BURN} times too fast: this objective never acts"
            ),
            "write a target of at least `0.84`, or use `never-above`",
        );
    }
}

fn contradictions(judge: &JudgeConfig, slo: &Slo, at: &str, sink: &mut Sink<'_>) {
    let Some((target, rail)) = slo.availability.zip(judge.errors.never_above) else {
        return;
    };
    if rail.get() < 1.0 - target.get() {
        warning(
            sink,
            code::JUDGE,
            &child(at, "availability"),
            &format!(
                "`errors.never-above: {rail}` is stricter than this objective, which allows {:.2} % \
                 of requests to fail",
                (1.0 - target.get()) * 100.0
            ),
            "promise users what the guard rail asks for, or raise the rail",
        );
    }
}
