//! From the section's values to the judge's configuration; defaults stand in for what
//! is absent or broken.

use crate::diagnostic as code;
use crate::fields::{Fields, Val};
use crate::sink::Sink;
use crate::units::Margin;
use esclusa_judge::{
    Alpha, Bake, Blind, BlindThen, BurstMode, Errors, Evidence, Floor, JudgeConfig, Latency,
    LatencySlo, OnUnproven, Quantile, Slo, WarmUp,
};
use esclusa_model::Fraction;

/// Builds the configuration; findings go to the sink, defaults stand in for them.
pub(crate) fn build(fields: &Fields, sink: &mut Sink<'_>) -> JudgeConfig {
    let d = JudgeConfig::default();
    JudgeConfig {
        alpha: build_alpha(fields, &d.alpha),
        evidence: build_evidence(fields, &d.evidence),
        errors: build_errors(fields.block("errors"), d.errors, sink),
        latency: build_latency(fields.block("latency"), d.latency, sink),
        warm_up: build_warm_up(fields, &d.warm_up),
        bake: build_bake(fields, &d.bake),
        on_unproven: match fields.text("on-unproven").as_deref() {
            Some("hold") => OnUnproven::Hold,
            Some("rollback") => OnUnproven::Rollback,
            _ => OnUnproven::PromoteIfQuiet,
        },
        floor: Floor {
            min_requests: whole(fields.block("floor").as_ref(), "min-requests")
                .unwrap_or(d.floor.min_requests),
        },
        blind: build_blind(fields, &d.blind),
        series: super::series::build(fields, sink),
        slo: fields.block("slo").map(|slo| build_slo(&slo)),
    }
}

fn build_slo(fields: &Fields) -> Slo {
    let latency = fields.list("latency").unwrap_or_default();
    Slo {
        availability: fields.fraction("availability"),
        latency: latency
            .iter()
            .filter_map(|item| match item {
                // A broken item keeps its place, so that findings name the right one.
                Val::Block(one) => Some(LatencySlo {
                    le_ms: whole(Some(one), "le-ms").unwrap_or(1),
                    target: one
                        .fraction("target")
                        .unwrap_or(Fraction::from_per_100k(99_000)),
                }),
                _ => None,
            })
            .collect(),
    }
}

/// A count; tables keep counts positive.
fn whole(fields: Option<&Fields>, key: &str) -> Option<u64> {
    fields?.integer(key).and_then(|n| u64::try_from(n).ok())
}

fn small(fields: Option<&Fields>, key: &str) -> Option<u32> {
    fields?.integer(key).and_then(|n| u32::try_from(n).ok())
}

fn build_alpha(fields: &Fields, d: &Alpha) -> Alpha {
    let block = fields.block("alpha").unwrap_or_default();
    Alpha {
        rollback: block.fraction("rollback").unwrap_or(d.rollback),
        proceed: block.fraction("proceed").unwrap_or(d.proceed),
    }
}

fn build_evidence(fields: &Fields, d: &Evidence) -> Evidence {
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
        mode: match burst
            .as_ref()
            .and_then(|burst| burst.text("mode"))
            .as_deref()
        {
            Some("strict") => BurstMode::Strict,
            _ => BurstMode::Tempered,
        },
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

fn build_warm_up(fields: &Fields, d: &WarmUp) -> WarmUp {
    let block = fields.block("warm-up").unwrap_or_default();
    WarmUp {
        arm_s: block.seconds("arm-s").unwrap_or(d.arm_s),
        max_s: block.seconds("max-s").unwrap_or(d.max_s),
        decay: block.fraction("decay").unwrap_or(d.decay),
    }
}

fn build_bake(fields: &Fields, d: &Bake) -> Bake {
    let block = fields.block("bake").unwrap_or_default();
    Bake {
        min_s: block.seconds("min-s").unwrap_or(d.min_s),
        min_requests: whole(Some(&block), "min-requests").unwrap_or(d.min_requests),
    }
}

fn build_blind(fields: &Fields, d: &Blind) -> Blind {
    let block = fields.block("blind").unwrap_or_default();
    Blind {
        hold: block.duration("hold").unwrap_or(d.hold),
        then: match block.text("then").as_deref() {
            Some("hold") => BlindThen::Hold,
            _ => BlindThen::Rollback,
        },
    }
}
