//! The order of exposure.

use super::{error, warning};
use crate::diagnostic as code;
use crate::model::{Audience, Expose, Plan, Stage, WarmUp};
use crate::sink::{Sink, printable};
use crate::suggest::{listed, nearest};
use esclusa_model::{BasisPoints, Millis};
use std::collections::BTreeSet;

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    segments(plan, sink);
    // Broken stages were left out: an order cannot be told from the rest.
    if sink.failed_below("stages") {
        return;
    }
    if plan.stages.is_empty() {
        if sink.has("stages") && !sink.unread("template") && !sink.unread("stages") {
            error(
                sink,
                code::EMPTY,
                "stages",
                "there is no stage",
                "end with `- { to: 100%, watch: 1h }`",
            );
        }
        return;
    }
    order(plan, sink);
    ends(plan, sink);
    first_watch(plan, sink);
}

fn exposures(plan: &Plan) -> impl Iterator<Item = (usize, &Expose)> {
    plan.stages
        .iter()
        .enumerate()
        .filter_map(|(index, stage)| match stage {
            Stage::Expose(expose) => Some((index, expose)),
            Stage::WarmUp(_) => None,
        })
}

fn order(plan: &Plan, sink: &mut Sink<'_>) {
    let mut share = BasisPoints::ZERO;
    let mut exposed = false;
    let mut seen = BTreeSet::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let at = format!("stages[{index}].to");
        match stage {
            Stage::WarmUp(asked) => warm_up(plan, index, asked, exposed, sink),
            Stage::Expose(expose) => {
                exposed = true;
                match &expose.to {
                    Audience::Share(to) if *to == BasisPoints::ZERO => error(
                        sink,
                        code::SHARES,
                        &at,
                        "0% exposes nobody",
                        "write a share above zero, or a `warm-up` for requests of esclusa's own",
                    ),
                    Audience::Share(to) if *to <= share => error(
                        sink,
                        code::SHARES,
                        &at,
                        &format!("{to} does not grow: the stage before has {share}"),
                        "put the stages in growing order, each share once",
                    ),
                    Audience::Share(to) => share = *to,
                    Audience::Segment(name) => {
                        if share > BasisPoints::ZERO {
                            error(
                                sink,
                                code::SHARES,
                                &at,
                                &format!("a segment after {share} would take users back"),
                                "put segments before the first share",
                            );
                        }
                        if !seen.insert(name) {
                            error(
                                sink,
                                code::SHARES,
                                &at,
                                "this segment is exposed already",
                                "remove the stage",
                            );
                        }
                        if expose.early {
                            warning(
                                sink,
                                code::JUDGE,
                                &format!("stages[{index}].early"),
                                "a segment is not drawn at random, so nothing is proved on it early",
                                "remove `early`",
                            );
                        }
                    }
                }
            }
        }
    }
}

fn warm_up(plan: &Plan, index: usize, asked: &WarmUp, exposed: bool, sink: &mut Sink<'_>) {
    let at = format!("stages[{index}].warm-up");
    if exposed {
        error(
            sink,
            code::WARM_UP_ORDER,
            &at,
            "a warm-up after users were exposed warms nothing",
            "move it before the first `to`",
        );
    }
    if plan.web().is_none() && !sink.failed_below("components") && !plan.components.is_empty() {
        error(
            sink,
            code::ROUTE,
            &at,
            "nothing answers a warm-up: no component is `kind: web`",
            "remove the stage",
        );
    }
    let Some(prefix) = plan.route.as_ref().and_then(|route| route.path.as_deref()) else {
        return;
    };
    for (n, path) in asked.get.iter().enumerate() {
        let plain = path.split(['?', '#']).next().unwrap_or(path);
        let below = plain
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !below {
            error(
                sink,
                code::ROUTE,
                &format!("{at}.get[{n}]"),
                &format!("`{}` is no request of this service", printable(path)),
                &format!("the service's `route` takes what is below `{prefix}`"),
            );
        }
    }
}

/// Also where the flags themselves could not be read.
fn flags_alone(plan: &Plan, sink: &Sink<'_>) -> bool {
    sink.has("flags") && plan.components.is_empty()
}

fn ends(plan: &Plan, sink: &mut Sink<'_>) {
    // Flags may stay with some: the set keeps the share.
    if flags_alone(plan, sink) {
        return;
    }
    let last = exposures(plan).last();
    if last.is_none_or(|(_, expose)| expose.to != Audience::Share(BasisPoints::FULL)) {
        error(
            sink,
            code::SHARES,
            "stages",
            "the stages do not end with everybody",
            "add `- { to: 100%, watch: 1h }` as the last stage",
        );
    }
}

/// Latency cannot act before its warm-up is over.
fn first_watch(plan: &Plan, sink: &mut Sink<'_>) {
    let arm = Millis::from_secs(u64::from(plan.judge.warm_up.arm_s));
    if let Some((index, expose)) = exposures(plan).next()
        && expose.for_ < arm
        && expose.for_.0 > 0
    {
        warning(
            sink,
            code::JUDGE,
            &format!("stages[{index}].for"),
            &format!(
                "latency is not judged in the first {arm}, and this stage may end after {}",
                expose.for_
            ),
            &format!("watch the first stage for at least {arm}, better a few minutes"),
        );
    }
}

fn segments(plan: &Plan, sink: &mut Sink<'_>) {
    // Theirs are those of the flag set, which is asked when the release begins.
    if flags_alone(plan, sink) {
        return;
    }
    let mut used = BTreeSet::new();
    for (index, expose) in exposures(plan) {
        let Audience::Segment(name) = &expose.to else {
            continue;
        };
        used.insert(name.as_str());
        let known = sink.has(&format!("segments.{name}"));
        if !known {
            let names = || plan.segments.keys().map(String::as_str);
            let help = match nearest(name, names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if plan.segments.is_empty() => {
                    format!("add `segments: {{ {name}: {{ header: x-team, any-of: [{name}] }} }}`")
                }
                None => format!("the segments of this plan are {}", listed(names())),
            };
            error(
                sink,
                code::SEGMENT,
                &format!("stages[{index}].to"),
                &format!("there is no segment `{name}`"),
                &help,
            );
        }
    }
    for name in plan.segments.keys() {
        if !used.contains(name.as_str()) && !sink.failed_below("stages") {
            warning(
                sink,
                code::SEGMENT,
                &format!("segments.{name}"),
                &format!("no stage exposes the segment `{name}`"),
                &format!("add `- to: {{ segment: {name} }}` before the first share, or remove it"),
            );
        }
    }
}
