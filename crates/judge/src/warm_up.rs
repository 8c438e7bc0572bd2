//! Tells a cold start from a slow version.
//!
//! A cold canary is slow at first and recovers; a slow version stays slow. The gap
//! between mean log latencies shows it, because unlike quantile exceedances it does
//! not saturate. Errors and outages are never excused by warmth.

use crate::config;
use crate::histogram::log_edge;
use crate::side::Side;
use libm::sqrt;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Blocks that a gap is read from.
const GAP_BLOCKS: usize = 3;
/// Gaps below this are no warm-up.
const SMALLEST_GAP: f64 = 0.05;
/// Standard errors that a first gap, and its fall, must exceed.
const BEYOND_NOISE: f64 = 2.0;
/// Blocks after which a gap can be seen not to fall, and those that are looked at.
const FLAT_BLOCKS: usize = 4;
const FIRST_BLOCKS: usize = 6;
/// A gap does not fall when the line through its blocks loses less than this part of it,
/// one-sided at 95 %.
const FLAT: f64 = 0.2;
const FLAT_ERRORS: f64 = 1.64;
/// A gap that fell by so much at `arm-s` may still be a cold start: it is waited for, at
/// most as long again.
const MAY_FALL: f64 = 0.9;
/// A cold start is over when the gap did not fall over this many blocks.
const SETTLED_BLOCKS: usize = 5;
/// The gap that later ones are compared with to see a leak, in seconds of the release.
const EARLY_S: std::ops::RangeInclusive<i64> = 15..=60;

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Moments {
    n: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, side: &Side) {
        for (bucket, n) in side.latency.iter() {
            let value = log_edge(bucket);
            self.n += n;
            self.sum += n as f64 * value;
            self.squares += n as f64 * value * value;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }

    fn variance_of_mean(&self) -> f64 {
        let n = self.n as f64;
        // Buckets are 3 % wide: no sample is more exact than that.
        (self.squares / n - self.mean() * self.mean()).max(1e-4) / n
    }
}

/// Mean log latency of the canary over the baseline's, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Gap {
    mean: f64,
    error: f64,
}

impl Gap {
    /// Whether there was a gap, and `later` is smaller than the part `decay` of it.
    fn may_have_shrunk_to(&self, later: &Self, decay: f64) -> bool {
        let began = self.mean > SMALLEST_GAP.max(BEYOND_NOISE * self.error);
        began && later.mean < decay * self.mean
    }

    /// Whether the fall to `later` is more than chance would bring.
    fn shrank_beyond_chance(&self, later: &Self) -> bool {
        self.mean - later.mean > BEYOND_NOISE * self.error_to(later)
    }

    fn error_to(&self, later: &Self) -> f64 {
        sqrt(self.error * self.error + later.error * later.error)
    }

    /// Whether it is seen not to have fallen: there is nothing that warms up.
    fn is_kept_by(&self, later: &Self) -> bool {
        let fall = self.mean - later.mean + FLAT_ERRORS * self.error_to(later);
        fall < FLAT * self.mean || self.mean + FLAT_ERRORS * self.error < SMALLEST_GAP
    }
}

/// Whether the gaps of the first blocks are seen to stay where they began, or to be none:
/// nothing warms up.
fn is_flat(gaps: &[Gap]) -> bool {
    if gaps.len() < FLAT_BLOCKS {
        return false;
    }
    let n = gaps.len() as f64;
    let mean = gaps.iter().map(|g| g.mean).sum::<f64>() / n;
    let variance = gaps.iter().map(|g| g.error * g.error).sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let (mut products, mut squares) = (0.0, 0.0);
    for (at, gap) in gaps.iter().enumerate() {
        let x = at as f64 - middle;
        products += x * gap.mean;
        squares += x * x;
    }
    let fall = -products / squares * (n - 1.0);
    let fall_error = sqrt(variance / squares) * (n - 1.0);
    let none = mean + FLAT_ERRORS * sqrt(variance / n) < SMALLEST_GAP;
    none || fall + FLAT_ERRORS * fall_error < FLAT * mean
}

/// What latency may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No organic canary request yet, or too few seconds since: it gathers only.
    Arming,
    /// It recovers from a cold start: latency does not act.
    Cold,
    /// Latency acts.
    Armed,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WarmUp {
    settings: config::WarmUp,
    first_request: Option<i64>,
    open: Vec<[Moments; 2]>,
    blocks: VecDeque<Vec<[Moments; 2]>>,
    first_gap: Option<Gap>,
    /// The gaps of the first blocks, one by one.
    single: Vec<Gap>,
    /// Whether the gap is seen not to fall: no cold start.
    flat: bool,
    /// Whether the last gap is a little smaller than the first.
    may_fall: bool,
    /// The gaps of the last blocks, while a cold start lasts.
    falling: VecDeque<Gap>,
    settled: bool,
    /// Sum and number of the gaps of the first minute, and the last one.
    early: (f64, u32),
    now: Option<f64>,
    /// Whether the last gap is smaller than the first one by enough, if not beyond chance.
    shrinking: bool,
    cold: bool,
    over: bool,
}

impl WarmUp {
    /// A warm-up that has not begun.
    pub(crate) fn new(settings: config::WarmUp) -> Self {
        Self {
            settings,
            first_request: None,
            open: Vec::new(),
            blocks: VecDeque::new(),
            first_gap: None,
            single: Vec::new(),
            flat: false,
            may_fall: false,
            falling: VecDeque::new(),
            settled: false,
            early: (0.0, 0),
            now: None,
            shrinking: false,
            cold: false,
            over: false,
        }
    }

    /// Counts one organic stratum's second.
    pub(crate) fn observe(&mut self, t: i64, stratum: usize, baseline: &Side, canary: &Side) {
        if canary.requests + canary.pending.total() > 0 {
            self.first_request.get_or_insert(t);
        }
        if self.first_request.is_some() {
            if self.open.len() <= stratum {
                self.open.resize_with(stratum + 1, Default::default);
            }
            self.open[stratum][0].add(baseline);
            self.open[stratum][1].add(canary);
        }
    }

    /// Ends a block at `t` and looks whether the gap shrinks.
    pub(crate) fn end_block(&mut self, t: i64) {
        let Some(first) = self.first_request else {
            return;
        };
        self.blocks.push_back(std::mem::take(&mut self.open));
        if self.blocks.len() > GAP_BLOCKS {
            self.blocks.pop_front();
        }
        if self.single.len() < FIRST_BLOCKS && !self.over {
            self.single.extend(self.gap_of(1));
        }
        if self.blocks.len() < GAP_BLOCKS {
            return;
        }
        let Some(gap) = self.gap_of(GAP_BLOCKS) else {
            return;
        };
        self.now = Some(gap.mean);
        if EARLY_S.contains(&(t - first)) {
            self.early = (self.early.0 + gap.mean, self.early.1 + 1);
        }
        if self.over {
            return;
        }
        self.flat |= is_flat(&self.single);
        self.falling.push_back(gap);
        if self.falling.len() > SETTLED_BLOCKS {
            let earlier = self.falling.pop_front();
            self.settled |= self.cold && earlier.is_some_and(|earlier| earlier.is_kept_by(&gap));
        }
        match &self.first_gap {
            None => self.first_gap = Some(gap),
            Some(first) => {
                self.shrinking = first.may_have_shrunk_to(&gap, self.settings.decay.get());
                self.may_fall = first.may_have_shrunk_to(&gap, MAY_FALL);
                self.cold |= self.shrinking && first.shrank_beyond_chance(&gap);
            }
        }
    }

    /// New hosts join: what they bring may be cold again.
    pub(crate) fn begin_again(&mut self) {
        *self = Self {
            early: self.early,
            now: self.now,
            ..Self::new(self.settings.clone())
        };
    }

    /// The gap now.
    pub(crate) fn gap(&self) -> f64 {
        self.now.unwrap_or(0.0)
    }

    /// The gap of the first minute.
    pub(crate) fn early_gap(&self) -> f64 {
        match self.early {
            (sum, n) if n > 0 => sum / f64::from(n),
            _ => 0.0,
        }
    }

    /// Seconds since the first organic canary request.
    pub(crate) fn age(&self, t: i64) -> i64 {
        self.first_request.map_or(0, |first| t - first)
    }

    /// Moves time on; true exactly once, when a cold start's excuse ends and latency
    /// has to be judged afresh.
    pub(crate) fn excuse_ends(&mut self, t: i64) -> bool {
        let past_end = self
            .first_request
            .is_some_and(|first| t - first + 1 >= i64::from(self.settings.max_s));
        if self.over || !(past_end || self.settled) {
            return false;
        }
        self.over = true;
        self.falling.clear();
        self.cold
    }

    /// What latency may do at `t`.
    pub(crate) fn phase(&self, t: i64) -> Phase {
        let Some(first) = self.first_request else {
            return Phase::Arming;
        };
        let cold = self.cold || self.shrinking;
        // The first second counts.
        let (age, arm_s) = (t - first + 1, i64::from(self.settings.arm_s));
        if self.over || (self.flat && !cold) {
            Phase::Armed
        } else if age < arm_s {
            Phase::Arming
        } else if cold || (self.may_fall && age < 2 * arm_s) {
            Phase::Cold
        } else {
            Phase::Armed
        }
    }

    /// Whether a cold start is seen.
    pub(crate) const fn is_cold(&self) -> bool {
        self.cold && !self.over
    }

    /// When latency may act, if the first organic request has come.
    pub(crate) fn armed_at(&self) -> Option<i64> {
        let wait = if self.cold || self.shrinking {
            self.settings.max_s
        } else if self.flat {
            0
        } else {
            self.settings.arm_s
        };
        self.first_request.map(|first| first - 1 + i64::from(wait))
    }

    /// The gap of the last `blocks` blocks, route by route.
    fn gap_of(&self, blocks: usize) -> Option<Gap> {
        let last = || self.blocks.iter().rev().take(blocks);
        let strata = last().map(Vec::len).max()?;
        let (mut weight, mut sum, mut variance) = (0.0, 0.0, 0.0);
        for stratum in 0..strata {
            let mut sides = [Moments::default(); 2];
            for block in last() {
                if let Some(moments) = block.get(stratum) {
                    sides[0].merge(&moments[0]);
                    sides[1].merge(&moments[1]);
                }
            }
            let [baseline, canary] = sides;
            if baseline.n > 1 && canary.n > 0 {
                let n = canary.n as f64;
                weight += n;
                sum += n * (canary.mean() - baseline.mean());
                variance += n * n * (canary.variance_of_mean() + baseline.variance_of_mean());
            }
        }
        (weight > 0.0).then(|| Gap {
            mean: sum / weight,
            error: sqrt(variance) / weight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(latency_us: u64) -> Side {
        let mut side = Side {
            requests: 20,
            ..Side::default()
        };
        side.latency.add(crate::bucket_of(latency_us), 20);
        side
    }

    fn run(canary_us: impl Fn(i64) -> u64) -> WarmUp {
        let mut warm_up = WarmUp::new(config::WarmUp::default());
        for t in 0..60 {
            warm_up.observe(t, 0, &side(10_000), &side(canary_us(t)));
            if t % 5 == 4 {
                warm_up.end_block(t);
            }
        }
        warm_up
    }

    #[test]
    fn a_gap_that_shrinks_is_a_cold_start() {
        let mut warm_up = run(|t| if t < 20 { 20_000 } else { 10_000 });
        assert_eq!(
            (warm_up.phase(28), warm_up.phase(60)),
            (Phase::Arming, Phase::Cold)
        );
        // It is over when the gap has stopped to fall, at 120 s at the latest.
        assert!(warm_up.settled);
        assert!(warm_up.excuse_ends(60) && !warm_up.excuse_ends(61));
        assert_eq!(warm_up.phase(61), Phase::Armed);
    }

    #[test]
    fn what_may_be_a_cold_start_is_waited_for_as_long_as_one() {
        let mut warm_up = run(|_| 10_000);
        warm_up.shrinking = true;
        assert_eq!(warm_up.phase(60), Phase::Cold);
        assert_eq!(warm_up.armed_at(), Some(119));
    }

    #[test]
    fn a_gap_that_stays_is_a_slow_version() {
        assert_eq!(run(|_| 20_000).phase(31), Phase::Armed);
        assert_eq!(run(|_| 10_000).phase(31), Phase::Armed);
        // A gap that is seen to stay need not be waited for.
        assert_eq!(run(|_| 20_000).phase(20), Phase::Armed);
    }

    #[test]
    fn a_larger_share_may_be_cold_again() {
        let mut warm_up = run(|_| 10_000);
        warm_up.begin_again();
        assert_eq!(warm_up.phase(61), Phase::Arming);
    }
}
