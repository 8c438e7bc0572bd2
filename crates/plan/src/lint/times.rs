//! Times that contradict each other, and times that look like a slip of the unit.

use super::{error, warning};
use crate::diagnostic as code;
use crate::model::{Component, Plan, Requirement, Stage};
use crate::sink::{Sink, child};
use esclusa_model::{ComponentKind, Millis};

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    for (name, component) in &plan.components {
        let at = super::components::path(sink, name.as_str(), &component.run.driver);
        instance(plan, component, &at, sink);
    }
    units(plan, sink);
}

fn time(config: &serde_json::Value, keys: [&str; 2]) -> Option<Millis> {
    let value = keys
        .into_iter()
        .filter(|key| !key.is_empty())
        .try_fold(config, |value, key| value.get(key))?;
    value.as_u64().map(Millis)
}

fn instance(plan: &Plan, component: &Component, at: &str, sink: &mut Sink<'_>) {
    let config = &component.run.config;
    let within = time(config, ["ready", "within"]);
    if let Some(within) = within.filter(|w| *w > plan.deploy_timeout && plan.deploy_timeout.0 > 0) {
        warning(
            sink,
            code::TIMES,
            &child(at, "ready.within"),
            &format!(
                "an instance may take {within} to be ready, and the release gives all of them {}",
                plan.deploy_timeout
            ),
            &format!(
                "write at most {} here, or `deploy-timeout: {within}`",
                plan.deploy_timeout
            ),
        );
    }
    if let (Some(running), Some(within)) = (time(config, ["ready", "running-for"]), within)
        && running >= within
    {
        error(
            sink,
            code::TIMES,
            &child(at, "ready.running-for"),
            &format!("nothing can have run for {running} within {within}"),
            &format!("write less than {within} here, or a longer `within`"),
        );
    }
    let drain = time(config, ["drain", ""]);
    let answer = plan.route.as_ref().map(|route| route.response_timeout);
    if let (Some(drain), Some(answer)) = (drain, answer)
        && component.kind == ComponentKind::Web
        && answer > drain
        && sink.has("route.response-timeout")
    {
        warning(
            sink,
            code::TIMES,
            &child(at, "drain"),
            &format!("a request may wait {answer} for its answer, and is cut off after {drain}"),
            &format!("write `drain: {answer}`, or a shorter `route.response-timeout`"),
        );
    }
}

/// What a time usually is, in milliseconds: shorter or longer is a slip more often than
/// a wish (trap 50).
struct Usual {
    least: u64,
    most: u64,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn units(plan: &Plan, sink: &mut Sink<'_>) {
    let mut found: Vec<(String, Millis, Usual)> = Vec::new();
    let mut add = |path: String, time: Millis, least: u64, most: u64| {
        found.push((path, time, Usual { least, most }));
    };
    for (index, stage) in plan.stages.iter().enumerate() {
        match stage {
            Stage::Expose(expose) => {
                for key in ["for", "watch"] {
                    let path = format!("stages[{index}].{key}");
                    add(path, expose.for_, SECOND, 60 * DAY);
                }
            }
            Stage::WarmUp(asked) => {
                add(
                    format!("stages[{index}].warm-up.for"),
                    asked.for_,
                    SECOND,
                    DAY,
                );
            }
        }
    }
    for (index, requirement) in plan.requires.iter().enumerate() {
        match requirement {
            Requirement::Check { timeout, .. } => {
                add(format!("requires[{index}].timeout"), *timeout, 50, HOUR);
            }
            Requirement::SignOff { within, .. } => {
                add(
                    format!("requires[{index}].sign-off.within"),
                    *within,
                    MINUTE,
                    60 * DAY,
                );
            }
        }
    }
    for (list, steps) in [("before", &plan.before), ("after", &plan.after)] {
        for (index, step) in steps.iter().enumerate() {
            add(
                format!("{list}[{index}].timeout"),
                step.timeout,
                SECOND,
                7 * DAY,
            );
        }
    }
    if let Some(route) = &plan.route {
        add(
            "route.response-timeout".into(),
            route.response_timeout,
            100,
            DAY,
        );
        add(
            "route.lost-control.after".into(),
            route.lost_control.after,
            SECOND,
            DAY,
        );
    }
    for (name, quantile) in [
        ("p50", &plan.judge.latency.p50),
        ("p95", &plan.judge.latency.p95),
        ("p99", &plan.judge.latency.p99),
    ] {
        if let Some(rail) = quantile.as_ref().and_then(|q| q.never_above) {
            let path = format!("judge.latency.{name}.never-above");
            add(path, rail, 2, 10 * MINUTE);
        }
    }
    add(
        "judge.blind.hold".into(),
        plan.judge.blind.hold,
        SECOND,
        7 * DAY,
    );
    add("hold.for".into(), plan.hold.for_, SECOND, 90 * DAY);
    add("keep-warm.for".into(), plan.keep_warm, SECOND, 400 * DAY);
    add(
        "deploy-timeout".into(),
        plan.deploy_timeout,
        SECOND,
        2 * DAY,
    );
    add("dial-timeout".into(), plan.dial_timeout, SECOND, DAY);
    for (path, time, usual) in found {
        if sink.has(&path) {
            suspicious(&path, time, &usual, sink);
        }
    }
}

fn suspicious(path: &str, time: Millis, usual: &Usual, sink: &mut Sink<'_>) {
    if time == Millis::ZERO || (usual.least..=usual.most).contains(&time.0) {
        return;
    }
    let short = time.0 < usual.least;
    let written = written(path, time, sink);
    let size = if short { "short" } else { "long" };
    let help = match meant(&written, usual, short) {
        Some(meant) => format!("did you mean `{meant}`? Keep `{written}` if it is meant"),
        None => format!("look at the unit again; keep `{written}` if it is meant"),
    };
    warning(
        sink,
        code::UNIT_SLIP,
        path,
        &format!("`{written}` is unusually {size} here"),
        &help,
    );
}

/// The time as the file has it.
fn written(path: &str, time: Millis, sink: &Sink<'_>) -> String {
    let span = sink.place(path);
    let text = sink.text.get(span.offset..span.offset + span.len);
    let text = text.map(|text| text.trim_matches(['"', '\'']));
    text.filter(|text| Millis::parse(text) == Ok(time))
        .map_or_else(|| time.to_string(), str::to_owned)
}

/// The same number with the nearest unit that makes it usual.
fn meant(written: &str, usual: &Usual, short: bool) -> Option<String> {
    const UNITS: [&str; 5] = ["ms", "s", "m", "h", "d"];
    let at = written.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = written.split_at(at);
    let place = UNITS.iter().position(|known| *known == unit)?;
    let fits = |unit: &&str| {
        let time = Millis::parse(&format!("{number}{unit}")).ok()?;
        (usual.least..=usual.most)
            .contains(&time.0)
            .then(|| format!("{number}{unit}"))
    };
    if short {
        UNITS.iter().skip(place + 1).find_map(&fits)
    } else {
        UNITS.iter().take(place).rev().find_map(fits)
    }
}
