//! The `judge` section, in plans and alone in `judge.yaml`.
//!
//! `worse-by` is sugar: `0.5pp` for errors is a delta with ratio 1, `20%` for a
//! quantile its harm margin. Defaults come from the judge itself.

use crate::diagnostic as code;
use crate::read::{Fields, Sink};
use crate::shape::{Block, Key, Shape};
use crate::units::Margin;
use esclusa_judge::{
    Alpha, Bake, Blind, BlindThen, Errors, Evidence, Floor, JudgeConfig, Latency, OnUnproven,
    Quantile, WarmUp,
};
use esclusa_model::Fraction;

const FRACTION: Shape = Shape::Fraction { most: 1 };
const MARGIN: Shape = Shape::Fraction { most: 10 };

const fn count(max: i64) -> Shape {
    Shape::Integer { min: 1, max }
}

/// The table of the section.
pub(crate) fn block() -> Block {
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
            Shape::Margin,
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
            Shape::Margin,
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

/// Builds the configuration; findings go to the sink, defaults stand in for them.
pub(crate) fn build(fields: &Fields, sink: &mut Sink<'_>) -> JudgeConfig {
    let d = JudgeConfig::default();
    JudgeConfig {
        alpha: build_alpha(fields, d.alpha),
        evidence: build_evidence(fields, d.evidence),
        errors: build_errors(fields.block("errors"), d.errors, sink),
        latency: build_latency(fields.block("latency"), d.latency, sink),
        warm_up: build_warm_up(fields, d.warm_up),
        bake: build_bake(fields, d.bake),
        on_unproven: match fields.text("on-unproven").as_deref() {
            Some("hold") => OnUnproven::Hold,
            Some("rollback") => OnUnproven::Rollback,
            _ => OnUnproven::PromoteIfQuiet,
        },
        floor: Floor {
            min_requests: whole(fields.block("floor").as_ref(), "min-requests")
                .unwrap_or(d.floor.min_requests),
        },
        blind: build_blind(fields, d.blind),
    }
}

/// A count; tables keep counts positive.
fn whole(fields: Option<&Fields>, key: &str) -> Option<u64> {
    fields?.integer(key).and_then(|n| u64::try_from(n).ok())
}

fn small(fields: Option<&Fields>, key: &str) -> Option<u32> {
    fields?.integer(key).and_then(|n| u32::try_from(n).ok())
}

fn build_alpha(fields: &Fields, d: Alpha) -> Alpha {
    let block = fields.block("alpha").unwrap_or_default();
    Alpha {
        rollback: block.fraction("rollback").unwrap_or(d.rollback),
        proceed: block.fraction("proceed").unwrap_or(d.proceed),
    }
}

fn build_evidence(fields: &Fields, d: Evidence) -> Evidence {
    let burst = fields.block("burst");
    let change = fields.block("changepoint");
    Evidence {
        block_s: fields.seconds("block-s").unwrap_or(d.block_s),
        cap_nats: fields.number("cap-nats").unwrap_or(d.cap_nats),
        change_point_start: change
            .as_ref()
            .and_then(|c| c.fraction("p-start"))
            .unwrap_or(d.change_point_start),
        change_point_blocks: small(change.as_ref(), "hazard-blocks")
            .unwrap_or(d.change_point_blocks),
        phi_prior_blocks: small(burst.as_ref(), "phi-prior-blocks").unwrap_or(d.phi_prior_blocks),
        phi_window: small(burst.as_ref(), "phi-window").unwrap_or(d.phi_window),
        fano_window: small(burst.as_ref(), "fano-window").unwrap_or(d.fano_window),
    }
}

fn build_errors(fields: Option<Fields>, d: Errors, sink: &mut Sink<'_>) -> Errors {
    let Some(fields) = fields else { return d };
    let mut errors = Errors {
        ratio: fields.number("ratio").unwrap_or(d.ratio),
        delta: fields.fraction("delta").unwrap_or(d.delta),
        risk_budget: fields.fraction("risk-budget").unwrap_or(d.risk_budget),
        min_errors: whole(Some(&fields), "min-errors").unwrap_or(d.min_errors),
        min_seconds: whole(Some(&fields), "min-seconds").unwrap_or(d.min_seconds),
        never_above: if fields.is_off("never-above") {
            None
        } else {
            fields.fraction("never-above").or(d.never_above)
        },
    };
    match fields.margin("worse-by") {
        None => {}
        Some(Margin::Points(delta)) => {
            exclude(&fields, &["ratio", "delta"], sink);
            errors.ratio = 1.0;
            errors.delta = delta;
        }
        Some(Margin::Relative(part)) => sink.error(
            code::WRONG_VALUE,
            &fields.at("worse-by"),
            "errors get worse by percentage points".to_owned(),
            format!(
                "write `worse-by: 0.5pp`, or `ratio: {}` for a relative margin",
                1.0 + part.get()
            ),
        ),
    }
    errors
}

/// `worse-by` and what it stands for cannot both be written.
fn exclude(fields: &Fields, long: &[&str], sink: &mut Sink<'_>) {
    for key in long.iter().filter(|key| fields.given(key)) {
        sink.error(
            code::EXCLUSIVE,
            &fields.at(key),
            format!("`worse-by` already says `{key}`"),
            format!("keep `worse-by` or `{key}`"),
        );
    }
}

fn build_latency(fields: Option<Fields>, d: Latency, sink: &mut Sink<'_>) -> Latency {
    let Some(fields) = fields else { return d };
    let mut one = |key: &str, default: Option<Quantile>| {
        if fields.is_off(key) {
            return None;
        }
        match fields.block(key) {
            Some(block) => Some(build_quantile(&block, default.as_ref(), sink)),
            None => default,
        }
    };
    Latency {
        p50: one("p50", d.p50),
        p95: one("p95", d.p95),
        p99: one("p99", d.p99),
    }
}

fn build_quantile(fields: &Fields, d: Option<&Quantile>, sink: &mut Sink<'_>) -> Quantile {
    let zero = Fraction::from_per_100k(0);
    let mut quantile = Quantile {
        harm: fields
            .fraction("harm")
            .or(d.map(|d| d.harm))
            .unwrap_or(zero),
        noninferior: fields
            .fraction("noninferior")
            .or(d.map(|d| d.noninferior))
            .unwrap_or(zero),
        never_above: fields.duration("never-above"),
    };
    match fields.margin("worse-by") {
        None => {}
        Some(Margin::Relative(harm)) => {
            exclude(fields, &["harm"], sink);
            quantile.harm = harm;
            if !fields.given("noninferior")
                && let Ok(twice) = Fraction::new(harm.get() * 2.0)
            {
                quantile.noninferior = twice;
            }
        }
        Some(Margin::Points(_)) => sink.error(
            code::WRONG_VALUE,
            &fields.at("worse-by"),
            "latency gets worse by a part of the stable version's".to_owned(),
            "write `worse-by: 20%`".to_owned(),
        ),
    }
    quantile
}

fn build_warm_up(fields: &Fields, d: WarmUp) -> WarmUp {
    let block = fields.block("warm-up").unwrap_or_default();
    WarmUp {
        arm_s: block.seconds("arm-s").unwrap_or(d.arm_s),
        max_s: block.seconds("max-s").unwrap_or(d.max_s),
        decay: block.fraction("decay").unwrap_or(d.decay),
    }
}

fn build_bake(fields: &Fields, d: Bake) -> Bake {
    let block = fields.block("bake").unwrap_or_default();
    Bake {
        min_s: block.seconds("min-s").unwrap_or(d.min_s),
        min_requests: whole(Some(&block), "min-requests").unwrap_or(d.min_requests),
    }
}

fn build_blind(fields: &Fields, d: Blind) -> Blind {
    let block = fields.block("blind").unwrap_or_default();
    Blind {
        hold: block.duration("hold").unwrap_or(d.hold),
        then: match block.text("then").as_deref() {
            Some("hold") => BlindThen::Hold,
            _ => BlindThen::Rollback,
        },
    }
}
