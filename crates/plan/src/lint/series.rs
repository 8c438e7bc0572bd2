//! Series that cannot do what they are there for.

use super::{error, warning};
use crate::catalog::{Capability, Catalog};
use crate::diagnostic as code;
use crate::model::{Audience, Plan, Stage};
use crate::sink::{Sink, child};
use esclusa_judge::{JudgeConfig, Series, SeriesKind};
use esclusa_model::{BasisPoints, Millis};

/// More series leave too little weight to errors and latency.
const MOST: usize = 16;
/// Readings that prove a series harmless when all of them are.
const PROOF_BY_SIGN: u64 = 7;
const PROOF_BY_MEAN: u64 = 30;
const SLOWEST: Millis = Millis(600_000);
const FASTEST: Millis = Millis(1_000);

/// Checks the settings themselves; `at` is the path of the judge's block.
pub(super) fn check(judge: &JudgeConfig, at: &str, sink: &mut Sink<'_>) {
    if judge.series.len() > MOST {
        error(
            sink,
            code::JUDGE,
            &child(at, "series"),
            &format!("more than {MOST} series leave too little weight to errors and latency"),
            "keep those that say something of their own",
        );
    }
    for (index, series) in judge.series.iter().enumerate() {
        one(series, &format!("{at}.series[{index}]"), sink);
    }
}

fn one(series: &Series, at: &str, sink: &mut Sink<'_>) {
    if series.noninferior < series.margin {
        error(
            sink,
            code::JUDGE,
            &child(at, "noninferior"),
            &format!(
                "`margin` of {} is above `noninferior` of {}: what is not yet harm must still \
                 count as harmless",
                series.margin, series.noninferior
            ),
            "write a larger `noninferior`, or a smaller `margin`",
        );
    } else if series.required && series.noninferior.get() == 0.0 {
        error(
            sink,
            code::JUDGE,
            at,
            "a margin of 0% can never be proved, and this series is required",
            "write how much worse is harmless, such as `noninferior: 20%`",
        );
    }
    if series.every < FASTEST || series.every > SLOWEST {
        error(
            sink,
            code::OUT_OF_BOUNDS,
            &child(at, "every"),
            &format!(
                "a series is read every {FASTEST} to {SLOWEST}, not every {}",
                series.every
            ),
            "write how often its source measures, such as `every: 15s`",
        );
    }
    if series.per.is_some() && series.kind != SeriesKind::Counter {
        error(
            sink,
            code::JUDGE,
            &child(at, "per"),
            "only the increase of a counter is divided by requests",
            "write `kind: counter`, or divide in the query",
        );
    }
}

/// Checks series against the rest of the plan.
pub(super) fn in_plan(plan: &Plan, catalog: &Catalog, sink: &mut Sink<'_>) {
    if plan.judge.series.is_empty() {
        return;
    }
    let traffic = catalog.traffic_driver(&plan.traffic.driver);
    if traffic.is_some_and(|driver| !driver.can(Capability::Observes)) {
        warning(
            sink,
            code::BLIND,
            "judge.series",
            "series are judged beside counted requests, and this traffic driver counts none",
            "use esclusa's own proxy, or let people look at these numbers",
        );
    }
    for (index, series) in plan.judge.series.iter().enumerate() {
        let at = format!("judge.series[{index}]");
        if series.kind == SeriesKind::Counter && series.per.is_none() && splits(plan) {
            warning(
                sink,
                code::JUDGE,
                &at,
                "what grows with traffic is smaller on a canary with a small share, however bad \
                 it is",
                "add `per: request`, or ask for a `rate(...)` by request and leave out `kind`",
            );
        }
        too_short(plan, series, &at, sink);
    }
}

/// Whether both versions serve at once, one more than the other.
fn splits(plan: &Plan) -> bool {
    shares(plan).any(|(share, _)| share < BasisPoints::FULL)
}

fn shares(plan: &Plan) -> impl Iterator<Item = (BasisPoints, Millis)> + '_ {
    plan.stages.iter().filter_map(|stage| match stage {
        Stage::Expose(expose) => match expose.to {
            Audience::Share(share) => Some((share, expose.for_)),
            Audience::Segment(_) => None,
        },
        Stage::WarmUp(_) => None,
    })
}

fn too_short(plan: &Plan, series: &Series, at: &str, sink: &mut Sink<'_>) {
    let readings = match series.kind {
        SeriesKind::Gauge => PROOF_BY_SIGN,
        SeriesKind::Counter | SeriesKind::Mean => PROOF_BY_MEAN,
    };
    let proof = Millis(series.every.0.saturating_mul(readings));
    let partial = shares(plan).filter(|(share, _)| *share < BasisPoints::FULL);
    let shortest = partial.min_by_key(|(_, for_)| *for_);
    if let Some((share, for_)) = shortest.filter(|(_, for_)| series.required && *for_ < proof) {
        warning(
            sink,
            code::TIMES,
            at,
            &format!(
                "a proof takes {readings} readings, {proof} at the least, and the stage of \
                 {share} lasts {for_}: it will wait"
            ),
            "read more often if the source measures more often, or write a longer stage",
        );
    }
}
