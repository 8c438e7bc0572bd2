//! Limits that can never act: they look like safety and are none (traps 7 and 53).

use super::warning;
use crate::diagnostic as code;
use crate::model::{Audience, Expose, HoldThen, NamedRoute, Plan, Stage};
use crate::sink::{Sink, child};
use esclusa_judge::{JudgeConfig, MAX_BUCKET, OnUnproven, lower_edge};
use esclusa_model::{BasisPoints, Millis};

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    slow_answers(plan, sink);
    named_routes(plan, sink);
    if !sink.failed_below("stages") {
        stages(plan, sink);
        nobody_new(plan, sink);
    }
    let blind = plan.judge.blind.hold;
    if plan.hold.then == HoldThen::Rollback && blind > plan.hold.for_ && sink.has("judge") {
        never(
            sink,
            "judge.blind.hold",
            &format!(
                "data may be missing for {blind}, and the release waits for {} at most",
                plan.hold.for_
            ),
            &format!(
                "write at most {} here, or a longer `hold: {{ for: {blind} }}`",
                plan.hold.for_
            ),
        );
    }
}

/// The part that judges' files of their own have too.
pub(super) fn judge(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    if let Some(rail) = judge.errors.never_above.filter(|rail| rail.get() >= 1.0) {
        never(
            sink,
            &child(at, "errors.never-above"),
            &format!("no more than all requests can fail, so a rail of {rail} never acts"),
            "write the worst that is acceptable, such as `5%`, or `off`",
        );
    }
    if judge.on_unproven != OnUnproven::PromoteIfQuiet && sink.has(&child(at, "floor")) {
        never(
            sink,
            &child(at, "floor"),
            "only `on-unproven: promote-if-quiet` asks for this floor",
            "remove `floor`, or write `on-unproven: promote-if-quiet`",
        );
    }
    let last = Millis(lower_edge(MAX_BUCKET) / 1_000);
    for name in ["p50", "p95", "p99"] {
        let rail = quantile(judge, name);
        if let Some(rail) = rail.filter(|rail| *rail >= last) {
            never(
                sink,
                &child(at, &format!("latency.{name}.never-above")),
                &format!("latencies are told apart up to {last}, so a rail of {rail} never acts"),
                "write the slowest that is acceptable, such as `2s`, or `off`",
            );
        }
    }
}

fn quantile(judge: &JudgeConfig, name: &str) -> Option<Millis> {
    let latency = &judge.latency;
    let quantile = match name {
        "p50" => &latency.p50,
        "p95" => &latency.p95,
        _ => &latency.p99,
    };
    quantile.as_ref()?.never_above
}

fn never(sink: &mut Sink<'_>, path: &str, message: &str, help: &str) {
    warning(sink, code::UNREACHABLE, path, message, help);
}

/// A response whose head is not there in time is an error, and no slow answer.
fn slow_answers(plan: &Plan, sink: &mut Sink<'_>) {
    let Some(limit) = plan.route.as_ref().map(|route| route.response_timeout) else {
        return;
    };
    for name in ["p50", "p95", "p99"] {
        let rail = quantile(&plan.judge, name);
        if let Some(rail) = rail.filter(|rail| *rail >= limit && limit > Millis::ZERO) {
            never(
                sink,
                &format!("judge.latency.{name}.never-above"),
                &format!(
                    "a request without an answer fails after {limit}, so none is answered after {rail}"
                ),
                "write a rail below `route.response-timeout`, or a longer `response-timeout`",
            );
        }
    }
}

fn named_routes(plan: &Plan, sink: &mut Sink<'_>) {
    let Some(route) = &plan.route else { return };
    let Some(prefix) = &route.path else { return };
    for (index, NamedRoute { path, .. }) in route.routes.iter().enumerate() {
        // What comes before the first variable part decides.
        let fixed = path.split(['*', ':']).next().unwrap_or(path);
        let below = fixed
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let above = fixed != path && prefix.starts_with(fixed);
        if !below && !above {
            never(
                sink,
                &format!("route.routes[{index}]"),
                &format!("no request of this service is `{path}`: they all are below `{prefix}`"),
                &format!("write the whole path, such as `{prefix}{path}`, or remove it"),
            );
        }
    }
}

fn exposures(plan: &Plan) -> impl Iterator<Item = (usize, &Expose)> {
    let stages = plan.stages.iter().enumerate();
    stages.filter_map(|(index, stage)| match stage {
        Stage::Expose(expose) => Some((index, expose)),
        Stage::WarmUp(_) => None,
    })
}

fn stages(plan: &Plan, sink: &mut Sink<'_>) {
    let least = Millis::from_secs(u64::from(plan.judge.bake.min_s));
    let block = Millis::from_secs(u64::from(plan.judge.evidence.block_s));
    for (index, expose) in exposures(plan) {
        let time = expose.for_;
        let random = matches!(expose.to, Audience::Share(share) if share < BasisPoints::FULL);
        if expose.early && random && time <= least {
            never(
                sink,
                &format!("stages[{index}].early"),
                &format!(
                    "nothing counts as proved in the first {least}, and this stage lasts {time}"
                ),
                "remove `early`, watch for longer, or write a shorter `judge: { bake: { min-s: 30s } }`",
            );
        }
        if random && time < block {
            never(
                sink,
                &format!("stages[{index}].for"),
                &format!("evidence comes in blocks of {block}, and this stage lasts {time}"),
                &format!(
                    "watch for at least {block}, better many times that, or write a shorter `judge.block-s`"
                ),
            );
        }
        let longest = Millis(time.0.saturating_add(plan.hold.for_.0));
        let ends = plan.hold.then == HoldThen::Rollback;
        if let Some(budget) = expose.budget.filter(|budget| ends && *budget >= longest) {
            never(
                sink,
                &format!("stages[{index}].budget"),
                &format!(
                    "a stage of {time} with a hold of {} never takes as long as {budget}",
                    plan.hold.for_
                ),
                &format!("write a budget between {time} and {longest}, or remove it"),
            );
        }
    }
}

/// With few units, a larger share may be the same people.
fn nobody_new(plan: &Plan, sink: &mut Sink<'_>) {
    let all = plan.population.len() as u64;
    if all == 0 {
        return;
    }
    let mut before = 0;
    for (index, expose) in exposures(plan) {
        let Audience::Share(share) = expose.to else {
            continue;
        };
        let units = (all * u64::from(share.get())).div_ceil(10_000).max(1);
        if units == before {
            never(
                sink,
                &format!("stages[{index}].to"),
                &format!("{share} of {all} units are {units}, as in the stage before: nobody new"),
                "remove the stage, or write a share that is one unit more",
            );
        }
        before = units;
    }
}
