//! The `judge` section, in plans and alone in `judge.yaml`.
//!
//! `worse-by` is sugar: `0.5pp` for errors is a delta with ratio 1, `20%` for a
//! quantile its harm margin. Defaults come from the judge itself.

use crate::catalog::Catalog;
use crate::shape::{Block, Key, Shape};
use crate::units::MarginKind;
use esclusa_judge::{
    Alpha, Bake, Blind, Errors, Evidence, Floor, JudgeConfig, Latency, Quantile, WarmUp,
};

mod build;
mod series;

pub(crate) use build::build;
pub(crate) use series::sources;

const FRACTION: Shape = Shape::Fraction { most: 1 };
const MARGIN: Shape = Shape::Fraction { most: 10 };

const fn count(max: i64) -> Shape {
    Shape::Integer { min: 1, max }
}

/// The table of the section.
pub(crate) fn block(catalog: &Catalog) -> Block {
    let d = JudgeConfig::default();
    Block::of(vec![
        Key::new(
            "alpha",
            Shape::Block(alpha(&d.alpha)),
            "Error probabilities per release.",
        ),
        Key::new("block-s", Shape::Seconds, "Length of a block of evidence.")
            .default(d.evidence.block_s.to_string()),
        Key::new(
            "cap-nats",
            Shape::Number {
                min: 0.1,
                max: 10.0,
            },
            "The most evidence that one block may add, in nats; keeps one burst from deciding.",
        )
        .default(d.evidence.cap_nats.to_string()),
        Key::new(
            "errors",
            Shape::Block(errors(&d.errors)),
            "The comparison of error rates with the stable version.",
        ),
        Key::new(
            "latency",
            Shape::Block(latency(&d.latency)),
            "The comparison of latency quantiles with the stable version.",
        ),
        Key::new(
            "warm-up",
            Shape::Block(warm_up(&d.warm_up)),
            "How a cold start is told from a slow version.",
        ),
        Key::new(
            "bake",
            Shape::Block(bake(&d.bake)),
            "What must have been seen before anything counts as proved.",
        ),
        Key::new(
            "burst",
            Shape::Block(burst(&d.evidence)),
            "How bursts of errors are damped.",
        ),
        Key::new(
            "changepoint",
            Shape::Block(changepoint(&d.evidence)),
            "When faults are expected to begin.",
        ),
        Key::new(
            "on-unproven",
            Shape::choice(&["promote-if-quiet", "hold", "rollback"]),
            "What decides at the end of a stage without proof.",
        )
        .default("promote-if-quiet"),
        Key::new(
            "floor",
            Shape::Block(floor(&d.floor)),
            "The least that `promote-if-quiet` asks for.",
        ),
        Key::new(
            "blind",
            Shape::Block(blind(&d.blind)),
            "What happens when the data stops.",
        ),
        Key::new(
            "series",
            series::shape(catalog),
            "Numbers that no proxy counts, read for both versions and compared.",
        ),
        Key::new(
            "slo",
            Shape::Block(slo()),
            "What users were promised; a budget that burns fast holds or returns the release.",
        ),
    ])
}

fn slo() -> Block {
    let latency = Block::of(vec![
        Key::new(
            "le-ms",
            count(3_600_000),
            "Milliseconds that a good request takes at most.",
        )
        .required()
        .example("300"),
        Key::new(
            "target",
            FRACTION,
            "The part of requests that must be good.",
        )
        .required()
        .example("0.99"),
    ]);
    Block::of(vec![
        Key::new(
            "availability",
            FRACTION,
            "The part of requests that must not fail, such as `0.999`.",
        ),
        Key::new(
            "latency",
            Shape::list(Shape::Block(latency)),
            "The parts of requests that must be fast.",
        ),
    ])
}

fn alpha(d: &Alpha) -> Block {
    Block::of(vec![
        Key::new(
            "rollback",
            FRACTION,
            "Chance that a healthy release is returned.",
        )
        .default(d.rollback.to_string()),
        Key::new(
            "proceed",
            FRACTION,
            "Chance that a proof of harmlessness is wrong.",
        )
        .default(d.proceed.to_string()),
    ])
}

fn errors(d: &Errors) -> Block {
    let rail = d
        .never_above
        .map_or("off".to_owned(), |rail| rail.to_string());
    Block::of(vec![
        Key::new(
            "worse-by",
            Shape::Margin(MarginKind::Points),
            "Percentage points above the stable version that are tolerated, such as `0.5pp`; short for `delta` with `ratio: 1`.",
        ),
        Key::new(
            "ratio",
            Shape::Number {
                min: 1.0,
                max: 100.0,
            },
            "Relative margin: 1.25 tolerates a quarter more errors.",
        )
        .default(d.ratio.to_string()),
        Key::new(
            "delta",
            FRACTION,
            "Absolute margin, as a part of all requests.",
        )
        .default(d.delta.to_string()),
        Key::new(
            "risk-budget",
            FRACTION,
            "Share of all requests that the next stage may at worst add as errors.",
        )
        .default(d.risk_budget.to_string()),
        Key::new(
            "min-errors",
            count(1_000_000),
            "Fewest failures of the canary that can decide.",
        )
        .default(d.min_errors.to_string()),
        Key::new(
            "min-seconds",
            count(3_600),
            "Fewest distinct seconds that these must lie in.",
        )
        .default(d.min_seconds.to_string()),
        Key::new(
            "never-above",
            Shape::or_off(Shape::Percent),
            "Outer guard rail on the canary's own error rate.",
        )
        .default(rail),
    ])
}

fn latency(d: &Latency) -> Block {
    let names = ["p50", "p95", "p99"];
    let docs = [
        "The median.",
        "One request in twenty is slower.",
        "One request in a hundred is slower.",
    ];
    let defaults = [&d.p50, &d.p95, &d.p99];
    let keys = names
        .iter()
        .zip(docs)
        .zip(defaults)
        .map(|((name, doc), default)| {
            let shape = Shape::or_off(Shape::Block(quantile(default.as_ref())));
            Key::new(name, shape, doc)
        });
    Block::of(keys.collect())
}

fn quantile(d: Option<&Quantile>) -> Block {
    let mut harm = Key::new("harm", MARGIN, "Slower than this much is harm.");
    let mut noninferior = Key::new(
        "noninferior",
        MARGIN,
        "Within this much is harmless; twice `worse-by` unless given.",
    );
    if let Some(d) = d {
        harm = harm.default(d.harm.to_string());
        noninferior = noninferior.default(d.noninferior.to_string());
    }
    Block::of(vec![
        Key::new(
            "worse-by",
            Shape::Margin(MarginKind::Relative),
            "How much slower than the stable version is harm, such as `20%`; short for `harm`, with `noninferior` twice that.",
        ),
        harm,
        noninferior,
        Key::new(
            "never-above",
            Shape::or_off(Shape::Duration),
            "Outer guard rail on the canary's own quantile.",
        )
        .default("off"),
    ])
}

fn warm_up(d: &WarmUp) -> Block {
    Block::of(vec![
        Key::new(
            "arm-s",
            Shape::Seconds,
            "From the first organic canary request until latency may act.",
        )
        .default(d.arm_s.to_string()),
        Key::new(
            "max-s",
            Shape::Seconds,
            "After this a cold start is no excuse.",
        )
        .default(d.max_s.to_string()),
        Key::new(
            "decay",
            FRACTION,
            "A gap that fell below this part of its beginning is a cold start.",
        )
        .default(d.decay.to_string()),
    ])
}

fn bake(d: &Bake) -> Block {
    Block::of(vec![
        Key::new(
            "min-s",
            Shape::Seconds,
            "Least observation; a stage's `for` replaces it.",
        )
        .default(d.min_s.to_string()),
        Key::new(
            "min-requests",
            count(1_000_000_000),
            "Fewest canary requests.",
        )
        .default(d.min_requests.to_string()),
    ])
}

fn burst(d: &Evidence) -> Block {
    let blocks = Shape::Integer {
        min: 1,
        max: 10_000,
    };
    Block::of(vec![
        Key::new(
            "phi-prior-blocks",
            blocks.clone(),
            "Weight of \"no overdispersion\", in blocks.",
        )
        .default(d.phi_prior_blocks.to_string()),
        Key::new(
            "phi-window",
            blocks.clone(),
            "Blocks whose residuals estimate overdispersion.",
        )
        .default(d.phi_window.to_string()),
        Key::new(
            "fano-window",
            blocks,
            "Blocks of the stable version's counts that estimate burstiness.",
        )
        .default(d.fano_window.to_string()),
        Key::new(
            "mode",
            Shape::choice(&["tempered", "strict"]),
            "`strict` is valid whatever the clusters within a block are, and slower; use blocks as long as bursts.",
        )
        .default("tempered"),
    ])
}

fn changepoint(d: &Evidence) -> Block {
    Block::of(vec![
        Key::new(
            "p-start",
            FRACTION,
            "Chance that a fault is there from the start.",
        )
        .default(d.change_point_start.to_string()),
        Key::new(
            "hazard-blocks",
            count(1_000_000),
            "Mean number of blocks until a later fault begins.",
        )
        .default(d.change_point_blocks.to_string()),
    ])
}

fn floor(d: &Floor) -> Block {
    Block::of(vec![
        Key::new(
            "min-requests",
            count(1_000_000_000),
            "Organic canary requests in the stage.",
        )
        .default(d.min_requests.to_string()),
    ])
}

fn blind(d: &Blind) -> Block {
    Block::of(vec![
        Key::new("hold", Shape::Duration, "How long no data may arrive.")
            .default(d.hold.to_string()),
        Key::new(
            "then",
            Shape::choice(&["rollback", "hold"]),
            "What happens then.",
        )
        .default("rollback"),
    ])
}
