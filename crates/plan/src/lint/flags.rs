//! Flags as dials: what can be told without the flag set. Whether a flag, variant,
//! environment or segment exists is found out when the release is asked for.

use super::{error, warning};
use crate::diagnostic as code;
use crate::model::{Audience, Plan, Stage};
use crate::section::components::DEFAULT_TRAFFIC;
use crate::sink::{Sink, printable};
use crate::suggest::nearest;

/// The units that every context may name.
const UNITS: [&str; 3] = ["targetingKey", "tenant", "user"];

/// Keys that say something about versions.
const OF_VERSIONS: [(&str, &str); 8] = [
    (
        "route",
        "requests keep coming where the stable version's plan says",
    ),
    ("traffic", "the share is that of the flags"),
    ("take-over", "no version becomes stable"),
    ("segments", "segments are those of the flag set"),
    ("population", "the flag set's tenants are the known units"),
    ("artifact", "no version is brought"),
    ("kind", "no version is brought"),
    ("instances", "no version is brought"),
];

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    let Some(flags) = &plan.flags else { return };
    if let Some(of) = &flags.of
        && !UNITS.contains(&of.as_str())
        && let Some(meant) = nearest(of, UNITS)
    {
        warning(
            sink,
            code::FLAGS,
            "flags.of",
            &format!(
                "`{}` is a unit only if the flag set declares it",
                printable(of)
            ),
            &format!("did you mean `{meant}`?"),
        );
    }
    if plan.flags_alone().is_some() {
        if !sink.failed_below("components") {
            alone(plan, sink);
        }
    } else {
        beside_a_version(plan, sink);
    }
}

fn alone(plan: &Plan, sink: &mut Sink<'_>) {
    for (key, why) in OF_VERSIONS {
        if sink.has(key) {
            error(
                sink,
                code::FLAGS_ALONE,
                key,
                &format!("this plan turns flags alone: {why}"),
                &format!("remove `{key}`, or add what the version is made of"),
            );
        }
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        if matches!(stage, Stage::WarmUp(_)) {
            error(
                sink,
                code::FLAGS_ALONE,
                &format!("stages[{index}].warm-up"),
                "this plan turns flags alone: there is no new version to warm up",
                "remove the stage",
            );
        }
    }
}

/// Whom the flags mean where a version is split from another.
fn beside_a_version(plan: &Plan, sink: &mut Sink<'_>) {
    if plan.traffic.driver != DEFAULT_TRAFFIC {
        warning(
            sink,
            code::FLAGS,
            "flags",
            &format!(
                "`traffic.{}` chooses whom it sends to the new version, and the flags are turned \
                 for a share of their own",
                plan.traffic.driver
            ),
            "use esclusa's own proxy, or turn the flags with a plan of their own afterwards",
        );
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        if let Stage::Expose(expose) = stage
            && let Audience::Segment(name) = &expose.to
        {
            warning(
                sink,
                code::FLAGS,
                &format!("stages[{index}].to"),
                &format!(
                    "the flags are turned for `{name}` only where the flag set has a segment of \
                     that name"
                ),
                "keep a segment of that name in the flag set, with the same people",
            );
        }
    }
}
