//! How much more bad events cluster than independent ones would.
//!
//! Witnesses: the residuals of the split between the versions, and the baseline's own
//! counts from block to block and on longer scales. All look at successive differences, so
//! a steady regression or a slow trend does not look like a burst. What this does
//! not do: look at hosts or users one by one.

use crate::clusters::Clusters;
use libm::{pow, sqrt};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The size of clusters enters by this power (caps do the rest), and no further than
/// the limit.
const COUNTS_POWER: f64 = 0.65;
const MOST_FROM_COUNTS: f64 = 8.0;
/// Blocks after which a jump that did not come back is a step.
const STEP_BLOCKS: usize = 3;
/// Overdispersion up to here is what 24 blocks of independent events show by chance.
const NOISE: f64 = 1.5;

/// Bad events of one block, pooled over strata.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Split {
    /// The canary's.
    pub canary_bad: u64,
    /// Both sides'.
    pub bad: u64,
    /// The canary's expected part when both versions are equal.
    pub theta: f64,
}

/// Overdispersion of one kind of bad event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dispersion {
    prior_blocks: u32,
    window: usize,
    splits: VecDeque<Split>,
    count_window: usize,
    /// Bad events and requests of the baseline by block.
    counts: VecDeque<(u64, u64)>,
    clusters: Clusters,
    phi: f64,
    /// As of the last block.
    burstiness: f64,
}

impl Dispersion {
    /// `prior_blocks` blocks speak for independence before any data does.
    pub(crate) fn new(prior_blocks: u32, window: u32, count_window: u32) -> Self {
        Self {
            prior_blocks,
            window: window as usize,
            splits: VecDeque::new(),
            count_window: count_window as usize,
            counts: VecDeque::new(),
            clusters: Clusters::default(),
            phi: 1.0,
            burstiness: 1.0,
        }
    }

    /// The estimate from all blocks before the open one.
    pub(crate) const fn before(&self) -> f64 {
        self.phi
    }

    /// The estimate if `open` ended now; blocks without bad events have no split.
    pub(crate) fn with(&self, open: Option<Split>) -> f64 {
        let residuals = residuals(self.splits.iter().copied().chain(open));
        let from_splits =
            phi_of_residuals(&residuals, self.prior_blocks) - step(&residuals, self.prior_blocks);
        let from_counts = pow(self.burstiness(), COUNTS_POWER).min(MOST_FROM_COUNTS);
        beyond_noise(from_splits.max(from_counts))
    }

    /// Takes a block in: its split, and the bad events and requests of the baseline.
    pub(crate) fn absorb(&mut self, split: Option<Split>, baseline_bad: u64, baseline: u64) {
        push(&mut self.splits, split, self.window);
        self.phi = self.with(None);
        // A block in which nothing was counted says nothing about how bad events cluster.
        let counted = (baseline > 0).then_some((baseline_bad, baseline));
        push(&mut self.counts, counted, self.count_window);
        self.clusters.absorb(baseline_bad, baseline);
        self.burstiness = fano(&self.counts).max(self.clusters.size());
    }

    /// What was counted so far cannot be compared with what will be.
    pub(crate) fn begin_counts(&mut self) {
        self.counts.clear();
        self.clusters.begin_windows();
    }

    /// How long their clusters last, in blocks.
    pub(crate) fn span(&self) -> u32 {
        self.clusters.span()
    }

    /// In what size the baseline's bad events come; one when independent.
    pub(crate) const fn burstiness(&self) -> f64 {
        self.burstiness
    }
}

/// The larger of several noisy estimates of one is above one: what independent events
/// bring by chance counts as one, and what lies well beyond it is kept whole.
fn beyond_noise(phi: f64) -> f64 {
    let noise = NOISE;
    if phi <= noise {
        1.0
    } else {
        (1.0 + (phi - noise) * 2.0).min(phi)
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: Option<T>, most: usize) {
    ring.extend(item);
    while ring.len() > most {
        ring.pop_front();
    }
}

/// Pearson residuals of each block about the ratio that fits all of them.
fn residuals(splits: impl Iterator<Item = Split> + Clone) -> Vec<f64> {
    let (mut up, mut down) = (0.0, 0.0);
    for split in splits.clone() {
        up += split.canary_bad as f64 * (1.0 - split.theta);
        down += (split.bad - split.canary_bad) as f64 * split.theta;
    }
    // Half an event on either side: a ratio from nothing is one.
    let odds = (up + 0.25) / (down + 0.25);
    splits
        .map(|split| {
            let tilted = odds * split.theta;
            let theta = tilted / (tilted + 1.0 - split.theta);
            let bad = split.bad as f64;
            let variance = bad * theta * (1.0 - theta);
            if variance > 0.0 {
                (split.canary_bad as f64 - bad * theta) / sqrt(variance)
            } else {
                0.0
            }
        })
        .collect()
}

/// Variance of residuals by successive differences, with a prior of one.
pub(crate) fn phi_of_residuals(residuals: &[f64], prior_blocks: u32) -> f64 {
    let prior = f64::from(prior_blocks);
    let squares: f64 = residuals
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0]) / 2.0)
        .sum();
    (prior + squares) / (prior + residuals.len().saturating_sub(1) as f64)
}

/// What the largest jump adds to that variance, unless another one leads back: the
/// beginning of a fault is no burst.
fn step(residuals: &[f64], prior_blocks: u32) -> f64 {
    let jumps: Vec<f64> = residuals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let older = jumps.len().saturating_sub(STEP_BLOCKS);
    let largest = jumps[..older]
        .iter()
        .copied()
        .max_by(|a, b| libm::fabs(*a).total_cmp(&libm::fabs(*b)))
        .unwrap_or(0.0);
    let leads_back =
        |jump: &f64| jump * largest < 0.0 && libm::fabs(*jump) * 2.0 > libm::fabs(largest);
    if jumps.iter().any(leads_back) {
        return 0.0;
    }
    largest * largest / 2.0 / (f64::from(prior_blocks) + jumps.len() as f64)
}

/// Variance to mean of counts by successive differences, with a prior of one. Counts are
/// compared as rates: a baseline that hands half of its traffic over has no burst.
pub(crate) fn fano(counts: &VecDeque<(u64, u64)>) -> f64 {
    let squares: f64 = counts
        .iter()
        .zip(counts.iter().skip(1))
        .map(|((a, n), (b, m))| {
            let step = *b as f64 * *n as f64 - *a as f64 * *m as f64;
            step * step / (*n as f64 * *m as f64) / 2.0
        })
        .sum();
    let sum: u64 = counts.iter().map(|(bad, _)| bad).sum();
    (squares + 5.0) / (sum as f64 + 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::assert_close;

    #[test]
    fn worked_numbers() {
        assert_close(phi_of_residuals(&[0.2, -0.5, 7.0, -0.4, 0.1], 4), 7.484_375);
        assert_close(
            fano(&[6, 5, 7, 6, 46, 40, 5, 6].map(|bad| (bad, 400)).into()),
            11.420_634_920_634_921,
        );
    }

    #[test]
    fn a_steady_regression_is_no_burst() {
        let mut steady = Dispersion::new(4, 24, 60);
        let mut burst = Dispersion::new(4, 24, 60);
        for block in 0..12 {
            let split = |canary_bad| {
                Some(Split {
                    canary_bad,
                    bad: canary_bad + 3,
                    theta: 0.05,
                })
            };
            steady.absorb(split(12), 3, 400);
            burst.absorb(split(if block == 6 { 60 } else { 0 }), 3, 400);
        }
        assert!(steady.before() < 1.1, "{}", steady.before());
        assert!(burst.before() > 3.0, "{}", burst.before());
    }
}
