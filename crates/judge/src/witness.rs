//! The baseline against its own past: a fault that both versions share.
//!
//! When stable itself got worse, a comparison still cancels the fault, but nothing
//! can be proved by a broken yardstick: the judge holds. What this does not do:
//! blame, or excuse a canary that is worse still.

use libm::{log, log1p};
use serde::{Deserialize, Serialize};

/// Rates below this multiple of the past, plus a little, are no fault.
const RATIO: f64 = 1.5;
const ERRORS_DELTA: f64 = 0.002;
const SLOW_DELTA: f64 = 0.005;
/// The alternative: so many times the tolerated rate.
const FACTOR: f64 = 3.0;
/// Evidence 100 against "as before"; kept a little above, so that it ends soon after.
const FLAG_NATS: f64 = 4.605_170_185_988_091;
const MOST_NATS: f64 = FLAG_NATS + 3.0;
/// Past this age a reference is taken anew: a day's rhythm is no fault.
const REFERENCE_AGE_S: i64 = 1_800;
/// The part of requests that lies beyond the reference edge by construction.
const SLOW_RATE: f64 = 0.05;

/// One running test of a rate against its past.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Watch {
    bad: u64,
    all: u64,
    nats: f64,
}

impl Watch {
    fn end_block(&mut self, tolerated: f64, phi: f64, cap: f64) {
        let tolerated = tolerated.clamp(1e-6, 0.3);
        let (bad, good) = (self.bad as f64, self.all.saturating_sub(self.bad) as f64);
        let nats = bad * log(FACTOR) + good * (log1p(-FACTOR * tolerated) - log1p(-tolerated));
        self.nats = (self.nats + (nats / phi).min(cap)).clamp(0.0, MOST_NATS);
        (self.bad, self.all) = (0, 0);
    }
}

/// What the baseline was before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reference {
    since: i64,
    error_rate: f64,
    /// Latency edge by stratum, in the order of the strata.
    edges: Vec<Option<u64>>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Witness {
    reference: Option<Reference>,
    errors: Watch,
    slow: Watch,
}

impl Witness {
    /// Whether the reference should be taken now.
    pub(crate) fn wants_reference(&self, t: i64) -> bool {
        match &self.reference {
            None => true,
            Some(reference) => t - reference.since >= REFERENCE_AGE_S,
        }
    }

    /// Remembers what the baseline is like.
    pub(crate) fn take_reference(&mut self, t: i64, error_rate: f64, edges: Vec<Option<u64>>) {
        self.reference = Some(Reference {
            since: t,
            error_rate,
            edges,
        });
        self.errors = Watch::default();
        self.slow = Watch::default();
    }

    /// The reference edge of a stratum.
    pub(crate) fn edge(&self, stratum: usize) -> Option<u64> {
        self.reference
            .as_ref()?
            .edges
            .get(stratum)
            .copied()
            .flatten()
    }

    /// Counts one second of one stratum's baseline.
    pub(crate) fn observe(&mut self, failures: u64, requests: u64, slow: u64, timed: u64) {
        self.errors.bad += failures;
        self.errors.all += requests;
        self.slow.bad += slow;
        self.slow.all += timed;
    }

    /// Ends a block; `phi` are the overdispersions of errors and of latency.
    pub(crate) fn end_block(&mut self, phi: [f64; 2], cap: f64) {
        if let Some(reference) = &self.reference {
            self.errors
                .end_block(RATIO * reference.error_rate + ERRORS_DELTA, phi[0], cap);
            self.slow
                .end_block(RATIO * SLOW_RATE + SLOW_DELTA, phi[1], cap);
        }
    }

    /// Log evidence that the baseline is worse than before.
    pub(crate) fn log_evidence(&self) -> f64 {
        self.errors.nats.max(self.slow.nats)
    }

    /// Whether the baseline is worse than before now.
    pub(crate) fn sees_fault(&self) -> bool {
        self.log_evidence() >= FLAG_NATS
    }

    /// Whether it may be.
    pub(crate) fn suspects_fault(&self) -> bool {
        self.log_evidence() >= FLAG_NATS / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_seen_and_its_end_too() {
        let mut witness = Witness::default();
        witness.take_reference(0, 0.001, vec![Some(50_000)]);
        let mut block = |failures, slow| {
            witness.observe(failures, 500, slow, 500);
            witness.end_block([1.0, 1.0], 1.5);
            witness.sees_fault()
        };
        assert!((0..100).all(|_| !block(1, 25)));
        assert!((0..4).any(|_| block(25, 25)));
        assert!((0..4).any(|_| !block(1, 25)));
        assert!((0..5).any(|_| block(1, 200)));
    }
}
