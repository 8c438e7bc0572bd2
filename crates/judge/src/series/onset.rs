//! Evidence for a harm that may have begun at any pair.
//!
//! A weighted mean of bets that began at different pairs is a bet itself; what has not
//! begun is worth one.

use super::run::{Bet, Run};
use libm::{exp, log};
use serde::{Deserialize, Serialize};

/// The weight of the bet that harm is there from the first pair on.
const FROM_THE_START: f64 = 0.8;
/// Pairs between two beginnings.
const APART: u32 = 8;
/// Beginnings that are kept; the least promising one gives way, and its weight is lost.
const KEPT: usize = 48;
/// Evidence beyond this is counted as if it were this.
const MOST_NATS: f64 = 460.0;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Beginning {
    weight: f64,
    run: Run,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Onset {
    pairs: u32,
    beginnings: Vec<Beginning>,
}

impl Onset {
    /// One pair more.
    pub(super) fn add(&mut self, beyond: bool, by: f64, bet: Bet, alpha: f64) {
        if self.pairs.is_multiple_of(APART) {
            self.make_room(bet, alpha);
            let nth = f64::from(self.pairs / APART);
            let weight = if self.pairs == 0 {
                FROM_THE_START
            } else {
                // These add up to the rest.
                (1.0 - FROM_THE_START) / (nth * (nth + 1.0))
            };
            self.beginnings.push(Beginning {
                weight,
                run: Run::default(),
            });
        }
        self.pairs = self.pairs.saturating_add(1);
        for beginning in &mut self.beginnings {
            beginning.run.add(beyond, by);
        }
    }

    fn make_room(&mut self, bet: Bet, alpha: f64) {
        if self.beginnings.len() < KEPT {
            return;
        }
        let worth = |b: &Beginning| log(b.weight) + b.run.log_e(bet, alpha);
        // The youngest have had no time yet.
        let old = self.beginnings.len() - KEPT / 4;
        let least = (1..old)
            .min_by(|a, b| worth(&self.beginnings[*a]).total_cmp(&worth(&self.beginnings[*b])));
        if let Some(least) = least {
            self.beginnings.remove(least);
        }
    }

    /// The log evidence of all of them together.
    pub(super) fn log_e(&self, bet: Bet, alpha: f64) -> f64 {
        let sum: f64 = self
            .beginnings
            .iter()
            .map(|b| b.weight * exp(b.run.log_e(bet, alpha).min(MOST_NATS)))
            .sum();
        log(sum + (1.0 - self.begun()).max(0.0))
    }

    /// The weight of all beginnings there ever were.
    fn begun(&self) -> f64 {
        if self.pairs == 0 {
            return 0.0;
        }
        let later = f64::from(self.pairs.saturating_sub(1) / APART);
        FROM_THE_START + (1.0 - FROM_THE_START) * (1.0 - 1.0 / (later + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(harmless: u32, harmful: u32) -> f64 {
        let mut onset = Onset::default();
        (0..harmless).for_each(|_| onset.add(false, -1.0, Bet::Sign, 0.05));
        (0..harmful).for_each(|_| onset.add(true, 1.0, Bet::Sign, 0.05));
        onset.log_e(Bet::Sign, 0.05)
    }

    #[test]
    fn nothing_is_no_evidence_and_a_late_harm_is_found() {
        assert_eq!(after(0, 0), 0.0);
        assert!(after(40, 0) < 0.0);
        assert!(after(0, 13) > 6.0);
        // Without later beginnings this would take more than 100 pairs.
        assert!(after(100, 30) > 6.0, "{}", after(100, 30));
        assert!(after(2_000, 45) > 6.0, "{}", after(2_000, 45));
    }

    // Each path of fair tosses is as likely as any other: the mean over all is one.
    #[test]
    fn it_is_worth_one_on_average_when_there_is_no_harm() {
        let tosses = 12;
        let sum: f64 = (0u32..1 << tosses)
            .map(|path| {
                let mut onset = Onset::default();
                for toss in 0..tosses {
                    onset.add(path >> toss & 1 == 1, 0.0, Bet::Sign, 0.05);
                }
                exp(onset.log_e(Bet::Sign, 0.05))
            })
            .sum();
        let mean = sum / f64::from(1u32 << tosses);
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
    }
}
