//! What a row of pairs adds up to.

use super::mean::{LEAST, mean_log_e};
use super::sign::sign_log_e;
use libm::sqrt;
use serde::{Deserialize, Serialize};

/// What is bet on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Bet {
    /// How often a pair is beyond the margin.
    Sign,
    /// By how much pairs are beyond it on average.
    Mean,
}

/// Pairs from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) pairs: u32,
    beyond: u32,
    mean: f64,
    squares: f64,
}

impl Run {
    /// One pair more, `by` how much it is beyond what is tolerated.
    pub(super) fn add(&mut self, beyond: bool, by: f64) {
        self.pairs = self.pairs.saturating_add(1);
        self.beyond += u32::from(beyond);
        let step = by - self.mean;
        self.mean += step / f64::from(self.pairs);
        self.squares += step * (by - self.mean);
    }

    /// The log evidence of these pairs.
    pub(super) fn log_e(&self, bet: Bet, alpha: f64) -> f64 {
        match bet {
            Bet::Sign => sign_log_e(self.beyond, self.pairs),
            Bet::Mean if self.pairs < LEAST => 0.0,
            Bet::Mean => {
                let deviation = sqrt(self.squares / f64::from(self.pairs - 1));
                // Readings that are all the same have no scale of their own.
                if deviation > self.mean.abs() * 1e-9 {
                    mean_log_e(self.pairs, self.mean, deviation, alpha)
                } else {
                    sign_log_e(self.beyond, self.pairs)
                }
            }
        }
    }
}
