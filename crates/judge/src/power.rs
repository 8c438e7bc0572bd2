//! What a stage can see before it begins: the smallest regression that it finds in time,
//! and how long the proof of a healthy canary takes.
//!
//! Expected evidence a second against the evidence that decides. These are means for
//! independent requests: half of all runs take longer, and bursts make all of them slower.

use crate::config::JudgeConfig;
use crate::evidence::HARM_FACTORS;
use crate::math::{coin_divergence, theta};
use crate::metric::{Metric, entries};
use esclusa_model::BasisPoints;
use libm::log;
use serde::{Deserialize, Serialize};

/// Shares and rates are turned into counts of so many requests.
const SCALE: f64 = 1e9;
/// Twice the cap is what blocks whose seconds all speak for harm bring.
const CAPS_A_BLOCK: f64 = 2.0;
/// A mixture of bets is behind its best one by about so much.
const MIXTURE_NATS: f64 = 1.4;

/// A stage as it is planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// Requests a second of the service.
    pub rps: f64,
    /// Its error rate.
    pub error_rate: f64,
    /// The canary's share.
    pub share: BasisPoints,
    /// The share after it.
    pub next_share: BasisPoints,
    /// Seconds of the stage.
    pub for_s: u64,
}

/// What such a stage can see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// Canary requests in the whole stage.
    pub requests: f64,
    /// The smallest error rate of the canary that is found within the stage; nothing when
    /// none is.
    pub found_error_rate: Option<f64>,
    /// Seconds until a canary that fails everything is found.
    pub outage_s: f64,
    /// Seconds until a healthy canary's errors are proved to be within the margin; nothing
    /// when the stage is over sooner.
    pub proof_s: Option<f64>,
    /// Requests a second from which that proof would come in time.
    pub rps_for_proof: f64,
}

impl Planned {
    fn canary_rps(&self) -> f64 {
        self.rps * self.share.fraction()
    }

    /// Nats a second that a canary with error rate `canary` brings against `ratio`.
    fn nats(&self, canary: f64, ratio: f64) -> f64 {
        let share = self.share.fraction();
        let (on_canary, on_stable) = (share * canary, (1.0 - share) * self.error_rate);
        let bad = on_canary + on_stable;
        if bad <= 0.0 || share >= 1.0 {
            return 0.0;
        }
        let requests = |part: f64| (part * SCALE) as u64;
        let expected = theta(ratio, requests(share), requests(1.0 - share));
        self.rps * bad * coin_divergence((on_canary / bad).min(1.0), expected)
    }
}

/// What a stage can see.
#[must_use]
pub fn power(config: &JudgeConfig, planned: &Planned) -> Power {
    let rate = planned.error_rate.clamp(1e-6, 0.5);
    let planned = Planned {
        error_rate: rate,
        ..*planned
    };
    let errors = &config.errors;
    let canary_rps = planned.canary_rps();
    let weight = entries(config)
        .iter()
        .find(|entry| entry.metric == Metric::Errors)
        .map_or(1.0, |entry| entry.weight)
        * crate::series::scale_of_weights(config.series.len());
    let alpha = config.alpha.rollback.get().clamp(1e-12, 1.0);
    let start = config.evidence.change_point_start.get().clamp(1e-6, 1.0);
    let needed = -log(alpha * weight * start) + log(HARM_FACTORS.len() as f64).min(MIXTURE_NATS);
    let cap = CAPS_A_BLOCK * config.evidence.cap_nats / f64::from(config.evidence.block_s.max(1));
    let harm = errors.ratio + errors.delta.get() / rate;
    let found_in = |canary: f64| {
        let by_evidence = needed / planned.nats(canary, harm).min(cap);
        by_evidence.max(errors.min_errors as f64 / (canary_rps * canary))
    };
    let time = planned.for_s as f64;
    let (mut low, mut high) = ((harm * rate).min(1.0), 1.0);
    let found = found_in(high) <= time;
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if found_in(middle) <= time {
            high = middle;
        } else {
            low = middle;
        }
    }
    let proof = proof_s(config, &planned, rate);
    Power {
        requests: canary_rps * time,
        found_error_rate: found.then_some(high),
        outage_s: (8.0 / canary_rps).max(3.0),
        proof_s: (proof <= time).then_some(proof),
        rps_for_proof: planned.rps * proof / time.max(1.0),
    }
}

/// Seconds until a canary that equals stable is proved harmless.
fn proof_s(config: &JudgeConfig, planned: &Planned, rate: f64) -> f64 {
    let errors = &config.errors;
    let next = planned.next_share.fraction().max(1e-4);
    let delta = (errors.risk_budget.get() / next).max(errors.delta.get());
    let limit = (errors.ratio * rate + delta).min(1.0);
    let split = planned.nats(rate, limit / rate);
    let alone = planned.canary_rps() * (limit - rate - rate * log(limit / rate));
    // Two bets on equality, each half of the whole, and two ways to prove.
    let needed = -log(config.alpha.proceed.get().clamp(1e-12, 1.0)) + log(4.0);
    let requests = config.bake.min_requests as f64 / planned.canary_rps();
    (needed / split.max(alone))
        .max(requests)
        .max(f64::from(config.bake.min_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rps: f64, share: u16, next: u16, for_s: u64) -> Power {
        let points = |points| BasisPoints::new(points).expect("a share");
        let planned = Planned {
            rps,
            error_rate: 0.001,
            share: points(share),
            next_share: points(next),
            for_s,
        };
        power(&JudgeConfig::default(), &planned)
    }

    #[test]
    fn more_traffic_sees_smaller_harm_and_proves_sooner() {
        let (few, many) = (at(100.0, 500, 2_500, 900), at(1_000.0, 500, 2_500, 900));
        let found = |power: &Power| power.found_error_rate.expect("found");
        assert!(found(&many) < found(&few) && found(&many) > 0.001);
        assert!(many.proof_s < few.proof_s && many.proof_s.is_some());
    }

    #[test]
    fn a_stage_without_traffic_sees_nothing_and_says_what_it_needs() {
        let powerless = at(0.02, 100, 10_000, 60);
        assert_eq!(
            (powerless.found_error_rate, powerless.proof_s),
            (None, None)
        );
        assert!(powerless.rps_for_proof > 1.0);
    }

    /// The measured medians of the benchmark lie within a factor of two.
    #[test]
    fn times_agree_with_what_is_measured() {
        let proof = at(100.0, 500, 2_500, 900).proof_s.expect("in time");
        assert!((110.0..450.0).contains(&proof), "{proof}");
    }
}
