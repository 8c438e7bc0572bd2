//! Evidence for harm and for harmlessness as non-negative supermartingales.
//!
//! Bad events are split between the two versions by a coin; the coin's bias under
//! "no worse than the margin" is known from the requests served. A process bets on
//! alternatives and multiplies its wins block by block, so it may be read at any
//! time. What it does not know: which events, which routes, and what to do about it.

use crate::math::{log_complement_ratio, log_mean_exp, theta};
use libm::{exp, log, log1p};
use serde::{Deserialize, Serialize};

/// How much worse than the margin the alternatives of harm are. The first lies just
/// above the margin: an alternative of 1.3 alone never finds a harm of 1.1.
pub(crate) const HARM_FACTORS: &[f64] = &[1.1, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// How much of the prior each of them has. Small and middling harms are found slowly and
/// need every nat; the largest ones win back a small prior in one block.
const HARM_PRIOR: &[f64] = &[0.09, 0.12, 0.17, 0.19, 0.16, 0.12, 0.09, 0.04, 0.02];

/// How far inside the margin the alternatives of harmlessness are.
pub(crate) const HARMLESS_FACTORS: &[f64] = &[0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05];

/// Rates that are bet on stay below this.
const MOST_RATE: f64 = 0.95;

/// One block cannot take more than this away; keeps sums finite.
const FLOOR_NATS: f64 = -50.0;

/// Past this a sum says nothing new.
const LARGEST: f64 = 1e200;

/// Bad events and requests of both sides in one stratum of one block.
/// Written as `[canary_bad, canary, baseline_bad, baseline]`: judges keep many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub(crate) struct Counts {
    /// The canary's bad events.
    pub canary_bad: u64,
    /// The canary's requests.
    pub canary: u64,
    /// The baseline's bad events.
    pub baseline_bad: u64,
    /// The baseline's requests.
    pub baseline: u64,
}

impl From<[u64; 4]> for Counts {
    fn from([canary_bad, canary, baseline_bad, baseline]: [u64; 4]) -> Self {
        Self {
            canary_bad,
            canary,
            baseline_bad,
            baseline,
        }
    }
}

impl From<Counts> for [u64; 4] {
    fn from(counts: Counts) -> Self {
        [
            counts.canary_bad,
            counts.canary,
            counts.baseline_bad,
            counts.baseline,
        ]
    }
}

impl Counts {
    /// Adds what another second or stratum counted.
    pub(crate) const fn add(&mut self, more: &Self) {
        self.canary += more.canary;
        self.canary_bad += more.canary_bad;
        self.baseline += more.baseline;
        self.baseline_bad += more.baseline_bad;
    }

    /// Bad events on either side.
    pub(crate) const fn bad(&self) -> u64 {
        self.canary_bad + self.baseline_bad
    }

    /// The canary's expected part of the bad events at rate ratio `rho`.
    pub(crate) fn theta(&self, rho: f64) -> f64 {
        theta(rho, self.canary, self.baseline)
    }

    /// Log likelihood ratio of rate ratio `rho * factor` against `rho`.
    pub(crate) fn log_ratio(&self, rho: f64, factor: f64) -> f64 {
        if self.bad() == 0 {
            return 0.0;
        }
        let each = log_complement_ratio(rho, factor, self.canary, self.baseline);
        self.canary_bad as f64 * log(factor) + self.bad() as f64 * each
    }
}

/// What tempers a block: its log evidence is divided by `phi`, then cut at `cap`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Temper {
    /// Overdispersion when the block speaks for the alternative.
    pub phi_for: f64,
    /// Overdispersion when it speaks against.
    pub phi_against: f64,
    /// The most that a block may add.
    pub cap: f64,
}

impl Temper {
    /// Applies to one alternative's log evidence.
    pub(crate) fn apply(&self, nats: f64) -> f64 {
        let phi = if nats > 0.0 {
            self.phi_for
        } else {
            self.phi_against
        };
        (nats / phi).min(self.cap).max(FLOOR_NATS)
    }
}

/// When a fault may begin: at the start, soon, or much later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangePoint {
    /// Chance that it is there from the first block.
    pub start: f64,
    /// Mean number of blocks until one that begins soon.
    pub blocks: f64,
    /// Part of the later faults that may begin after hours or days.
    pub late: f64,
}

impl ChangePoint {
    /// Chance that a fault begins exactly at block `k`; sums to one over all `k`.
    pub(crate) fn mass(&self, k: u64) -> f64 {
        if k == 0 {
            return self.start;
        }
        let k = k as f64;
        let soon = -libm::expm1(-1.0 / self.blocks) * exp(-(k - 1.0) / self.blocks);
        // Survival ln 2 / ln(k + 2): a tail so heavy that the second day costs 17 nats.
        let late = core::f64::consts::LN_2 * (1.0 / log(k + 1.0) - 1.0 / log(k + 2.0));
        (1.0 - self.start) * ((1.0 - self.late) * soon + self.late * late)
    }
}

/// Evidence that the canary is worse than the margin allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HarmProcess {
    prior: ChangePoint,
    sums: Vec<f64>,
    /// Prior mass of faults that have not begun yet.
    waiting: f64,
    blocks: u64,
}

impl HarmProcess {
    /// A process that has seen nothing: its evidence is one.
    pub(crate) fn new(prior: ChangePoint, alternatives: usize) -> Self {
        Self {
            prior,
            sums: vec![0.0; alternatives],
            waiting: 1.0,
            blocks: 0,
        }
    }

    /// Log evidence so far.
    pub(crate) fn log_evidence(&self) -> f64 {
        log(self.total(&self.sums, self.waiting))
    }

    /// Log evidence if a block with these log factors ended now.
    pub(crate) fn log_evidence_with(&self, nats: &[f64]) -> f64 {
        let (sums, waiting) = self.after(nats);
        log(self.total(&sums, waiting))
    }

    /// Takes a block in.
    pub(crate) fn absorb(&mut self, nats: &[f64]) {
        (self.sums, self.waiting) = self.after(nats);
        self.blocks += 1;
    }

    /// How many alternatives it weighs.
    pub(crate) fn alternatives(&self) -> usize {
        self.sums.len()
    }

    /// When faults are expected to begin.
    pub(crate) const fn prior(&self) -> ChangePoint {
        self.prior
    }

    /// Forgets all evidence.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.prior, self.sums.len());
    }

    fn total(&self, sums: &[f64], waiting: f64) -> f64 {
        let kinds = sums.len() / HARM_PRIOR.len();
        let mean = if kinds > 0 && sums.len().is_multiple_of(HARM_PRIOR.len()) {
            let parts = HARM_PRIOR.iter().cycle();
            let weighed: f64 = sums.iter().zip(parts).map(|(sum, part)| sum * part).sum();
            weighed / kinds as f64
        } else {
            sums.iter().sum::<f64>() / sums.len() as f64
        };
        mean + waiting
    }

    fn after(&self, nats: &[f64]) -> (Vec<f64>, f64) {
        let mass = self.prior.mass(self.blocks);
        let sums = self
            .sums
            .iter()
            .zip(nats)
            .map(|(sum, l)| ((sum + mass) * exp(*l)).min(LARGEST))
            .collect();
        (sums, (self.waiting - mass).max(0.0))
    }
}

/// Evidence that the canary is no worse than the margin allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HarmlessProcess {
    nats: Vec<f64>,
    /// The bet that both versions are equal, worth as much as all others together:
    /// what most releases are should be proved soonest.
    equal: f64,
    /// Evidence above this is not kept, so that a proof perishes soon after a late
    /// fault. Cutting from above keeps the process valid.
    ceiling: f64,
}

impl HarmlessProcess {
    /// A process that has seen nothing and keeps at most `ceiling` nats.
    pub(crate) fn new(ceiling: f64) -> Self {
        Self {
            nats: vec![0.0; HARMLESS_FACTORS.len()],
            equal: 0.0,
            ceiling,
        }
    }

    /// Log evidence so far.
    pub(crate) fn log_evidence(&self) -> f64 {
        log_mean_exp(&[log_mean_exp(&self.nats), self.equal])
    }

    /// Takes a block in: the bets on fixed factors, and the one on equality.
    pub(crate) fn absorb(&mut self, nats: &[f64], equal: f64) {
        for (sum, l) in self.nats.iter_mut().zip(nats) {
            *sum = (*sum + l).min(self.ceiling).max(-1e6);
        }
        self.equal = (self.equal + equal).min(self.ceiling).max(-1e6);
    }

    /// Forgets all evidence.
    pub(crate) fn restart(&mut self) {
        self.nats.fill(0.0);
        self.equal = 0.0;
    }
}

/// Log likelihood ratio of a plain rate `factor * limit` against `limit`, for the
/// canary alone: proves a small rate where the baseline has no bad events at all.
pub(crate) fn log_ratio_absolute(counts: &Counts, limit: f64, factor: f64) -> f64 {
    // A rate above one is none.
    let factor = factor.min(MOST_RATE / limit);
    let good = counts.canary.saturating_sub(counts.canary_bad) as f64;
    counts.canary_bad as f64 * log(factor) + good * (log1p(-factor * limit) - log1p(-limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::assert_close;

    /// The alternatives of the worked numbers.
    const EIGHT: &[f64] = &[1.3, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

    const UNTEMPERED: Temper = Temper {
        phi_for: 1.0,
        phi_against: 1.0,
        cap: f64::INFINITY,
    };
    const CAPPED: Temper = Temper {
        phi_for: 1.0,
        phi_against: 1.0,
        cap: 1.5,
    };
    const EARLY: ChangePoint = ChangePoint {
        start: 0.5,
        blocks: 120.0,
        late: 0.0,
    };

    fn counts(canary_bad: u64, baseline_bad: u64, canary: u64, baseline: u64) -> Counts {
        Counts {
            canary_bad,
            canary,
            baseline_bad,
            baseline,
        }
    }

    fn nats(counts: &Counts, rho: f64, factors: &[f64], temper: Temper) -> Vec<f64> {
        factors
            .iter()
            .map(|f| temper.apply(counts.log_ratio(rho, *f)))
            .collect()
    }

    #[test]
    fn likelihood_ratios_of_one_block() {
        assert_close(
            counts(6, 4, 250, 4_750).log_ratio(1.25, 3.0),
            5.427_570_213_564_546,
        );
        assert_close(
            counts(0, 5, 250, 4_750).log_ratio(1.25, 3.0),
            -0.582_051_759_222_056_1,
        );
        let block = nats(&counts(12, 40, 1_000, 19_000), 1.25, EIGHT, UNTEMPERED);
        assert_close(log_mean_exp(&block), 6.244_980_129_464_398);
    }

    const BLOCKS: [(u64, u64); 4] = [(1, 3), (5, 2), (9, 3), (12, 4)];

    #[test]
    fn capped_blocks_add_up() {
        let expected = [
            0.258_399_418_283_541_85,
            1.726_238_988_061_123_5,
            3.226_238_988_061_123_5,
            4.726_238_988_061_123,
        ];
        let mut sums = vec![0.0; EIGHT.len()];
        for ((canary, baseline), expected) in BLOCKS.into_iter().zip(expected) {
            let block = nats(&counts(canary, baseline, 250, 4_750), 1.25, EIGHT, CAPPED);
            sums.iter_mut().zip(block).for_each(|(sum, l)| *sum += l);
            assert_close(log_mean_exp(&sums), expected);
        }
    }

    #[test]
    fn a_fault_may_begin_at_any_block() {
        let expected = [
            0.137_522_874_259_560_42,
            1.201_035_141_302_116,
            2.578_933_538_235_446_6,
            4.049_775_350_080_902,
        ];
        let mut process = HarmProcess::new(EARLY, EIGHT.len());
        for ((canary, baseline), expected) in BLOCKS.into_iter().zip(expected) {
            let block = nats(&counts(canary, baseline, 250, 4_750), 1.25, EIGHT, CAPPED);
            assert_close(process.log_evidence_with(&block), expected);
            process.absorb(&block);
            assert_close(process.log_evidence(), expected);
        }
    }

    #[test]
    fn harmlessness_of_a_clean_canary() {
        for (bad, expected) in [(0, 3.219_550_120_662_36), (3, 0.003_273_410_284_004_549_5)] {
            let mut process = HarmlessProcess::new(100.0);
            let block = counts(bad, 20, 1_000, 20_000);
            process.absorb(&nats(&block, 5.25, HARMLESS_FACTORS, UNTEMPERED), 0.0);
            assert_close(log_mean_exp(&process.nats), expected);
        }
    }

    /// Fisher's noncentral hypergeometric: `bad` drawn without replacement.
    fn expected_ratio(canary: u64, baseline: u64, bad: u64, rho: f64, factor: f64) -> f64 {
        let ln_choose = |n: u64, k: u64| {
            libm::lgamma(n as f64 + 1.0)
                - libm::lgamma(k as f64 + 1.0)
                - libm::lgamma((n - k) as f64 + 1.0)
        };
        let (mut mean, mut total) = (0.0, 0.0);
        for x in bad.saturating_sub(baseline)..=bad.min(canary) {
            let weight = exp(ln_choose(canary, x)
                + ln_choose(baseline, bad - x)
                + x as f64 * log(rho)
                - 100.0);
            total += weight;
            mean += weight * exp(counts(x, bad - x, canary, baseline).log_ratio(rho, factor));
        }
        mean / total
    }

    #[test]
    fn common_events_keep_the_expected_ratio_below_one() {
        let rare = expected_ratio(50, 950, 100, 1.25, 2.0);
        let common = expected_ratio(20, 20, 30, 1.0, 2.0);
        assert!((rare - 0.661_812_622_220_330_5).abs() < 1e-6, "{rare}");
        assert!((common - 0.270_099_490_150_254_5).abs() < 1e-6, "{common}");
    }

    #[test]
    fn unused_weight_counts_as_one() {
        let m = 0.3 * exp(2.0) + 0.2 * exp(5.5) + 0.1 * exp(-1.0) + 0.1 + 0.3;
        assert_close(m, 51.591_891_226_640_41);
    }

    #[test]
    fn the_prior_never_spends_more_than_it_has() {
        for late in [0.0, 0.2] {
            let prior = ChangePoint { late, ..EARLY };
            let spent: f64 = (0..200_000).map(|k| prior.mass(k)).sum();
            assert!(spent <= 1.0 && spent > 0.98, "{spent}");
        }
    }

    #[test]
    fn blocks_without_bad_events_leave_evidence_where_it_is() {
        let mut process = HarmProcess::new(EARLY, EIGHT.len());
        for _ in 0..1_000 {
            process.absorb(&nats(&counts(0, 0, 250, 4_750), 1.25, EIGHT, CAPPED));
        }
        assert!(process.log_evidence().abs() < 1e-9);
    }
}
