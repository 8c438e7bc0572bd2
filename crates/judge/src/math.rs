//! Logarithms, tilts and intervals that everything else is built from.
//!
//! All functions are total for the counts that a judge can hold. What they do not
//! do: decide anything.

use libm::{exp, lgamma, log, log1p};
use std::collections::BTreeMap;

/// The chance that a bad event falls on the canary when its rate is `rho` times the
/// baseline's, given how many requests each side served.
pub(crate) fn theta(rho: f64, canary: u64, baseline: u64) -> f64 {
    let tilted = rho * canary as f64;
    tilted / (tilted + baseline as f64)
}

/// `ln((1 - theta_1) / (1 - theta_0))` where `rho_1 = rho * factor`: what every bad
/// event of a block contributes, whichever side it fell on.
pub(crate) fn log_complement_ratio(rho: f64, factor: f64, canary: u64, baseline: u64) -> f64 {
    let canary = canary as f64;
    -log1p(rho * (factor - 1.0) * canary / (rho * canary + baseline as f64))
}

/// `ln(mean(exp(x)))` without overflow; `x` is not empty.
pub(crate) fn log_mean_exp(values: &[f64]) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|v| exp(v - top)).sum();
    top + log(sum / values.len() as f64)
}

/// `ln(sum(weight * exp(x)))` without overflow, for weights that sum to one.
pub(crate) fn log_weighted_mean(parts: &[(f64, f64)]) -> f64 {
    let top = parts
        .iter()
        .map(|(_, v)| *v)
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = parts.iter().map(|(weight, v)| weight * exp(v - top)).sum();
    top + log(sum)
}

/// Which of several hypotheses to reject by their log e-values, so that at most the part
/// `alpha` of those is expected to be wrong, however the values depend on each other.
pub(crate) fn e_benjamini_hochberg(log_e: &BTreeMap<u32, f64>, alpha: f64) -> Vec<u32> {
    let mut sorted: Vec<(u32, f64)> = log_e.iter().map(|(key, e)| (*key, *e)).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let all = sorted.len() as f64;
    let rejected = (0..sorted.len())
        .rev()
        .find(|at| sorted[*at].1 >= log(all / (alpha * (*at as f64 + 1.0))));
    sorted
        .into_iter()
        .take(rejected.map_or(0, |at| at + 1))
        .map(|(key, _)| key)
        .collect()
}

fn ln_beta(a: f64, b: f64) -> f64 {
    lgamma(a) + lgamma(b) - lgamma(a + b)
}

/// Log of the Beta(1/2, 1/2) mixture over the likelihood of `p`, for `bad` of `total`
/// (both may be thinned counts, hence floats). An e-value against `p` at any time.
struct Mixture {
    bad: f64,
    good: f64,
    log_beta: f64,
}

impl Mixture {
    fn new(bad: f64, total: f64) -> Self {
        let good = total - bad;
        Self {
            bad,
            good,
            log_beta: ln_beta(bad + 0.5, good + 0.5) - ln_beta(0.5, 0.5),
        }
    }

    fn log_evidence(&self, p: f64) -> f64 {
        let likelihood = |count: f64, ln_p: f64| if count > 0.0 { count * ln_p } else { 0.0 };
        self.log_beta - likelihood(self.bad, log(p)) - likelihood(self.good, log1p(-p))
    }
}

/// The highest rate that `bad` of `total` leaves possible, at any time, with error
/// probability `alpha` (shared with the lower end).
pub(crate) fn rate_upper(bad: f64, total: f64, alpha: f64) -> f64 {
    if total <= 0.0 || bad >= total {
        return 1.0;
    }
    bisect(bad, total, alpha, (bad / total).max(1e-300), 1.0)
}

/// The lowest such rate.
pub(crate) fn rate_lower(bad: f64, total: f64, alpha: f64) -> f64 {
    if total <= 0.0 || bad <= 0.0 {
        return 0.0;
    }
    bisect(bad, total, alpha, bad / total, 0.0)
}

/// Between a possible rate and an impossible end of the range lies the edge.
fn bisect(bad: f64, total: f64, alpha: f64, possible: f64, impossible: f64) -> f64 {
    let limit = -log(alpha);
    let mixture = Mixture::new(bad, total);
    let (mut inside, mut outside) = (possible, impossible);
    for _ in 0..60 {
        let middle = 0.5 * (inside + outside);
        if mixture.log_evidence(middle) < limit {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    0.5 * (inside + outside)
}

/// Kullback-Leibler divergence of a coin `p` from a coin `q`, in nats per toss;
/// `q` lies strictly between 0 and 1.
pub(crate) fn coin_divergence(p: f64, q: f64) -> f64 {
    let heads = if p > 0.0 { p * log(p / q) } else { 0.0 };
    let tails = if p < 1.0 {
        (1.0 - p) * (log1p(-p) - log1p(-q))
    } else {
        0.0
    };
    heads + tails
}

#[cfg(test)]
pub(crate) fn assert_close(actual: f64, expected: f64) {
    let error = (actual - expected).abs() / expected.abs().max(1e-12);
    assert!(error <= 1e-9, "{actual} is not {expected}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn theta_is_the_canarys_part_of_the_bad_events() {
        assert_close(theta(1.0, 50, 950), 0.05);
        assert_close(theta(1.25, 50, 950), 0.061_728_395_061_728_39);
    }

    #[test]
    fn intervals_of_a_rate() {
        assert_close(rate_lower(5.0, 1_000.0, 0.05), 0.000_539_304_165_889_563_7);
        assert_close(rate_upper(5.0, 1_000.0, 0.05), 0.018_003_858_871_300_904);
        assert_close(rate_lower(950.0, 1_000.0, 0.05), 0.920_760_418_189_143);
        assert_close(rate_upper(950.0, 1_000.0, 0.05), 0.971_280_082_740_376_7);
        assert_close(rate_lower(9_500.0, 10_000.0, 0.05), 0.940_904_826_192_738_1);
        assert_close(rate_upper(9_500.0, 10_000.0, 0.05), 0.958_156_678_287_740_6);
        assert_eq!(rate_lower(0.0, 300.0, 0.05), 0.0);
        assert_close(rate_upper(0.0, 300.0, 0.05), 0.021_173_966_497_778_546);
    }

    #[test]
    fn guilty_routes_are_named_with_few_wrong_ones() {
        let log_e = |values: &[f64]| -> BTreeMap<u32, f64> {
            (0u32..).zip(values.iter().map(|e| log(*e))).collect()
        };
        let named = |values: &[f64]| e_benjamini_hochberg(&log_e(values), 0.05);
        assert_eq!(named(&[120.0, 45.0, 18.0, 3.0, 0.2]), [0]);
        assert_eq!(named(&[60.0, 51.0, 0.2]), [0, 1]);
        assert!(named(&[19.0]).is_empty() && named(&[]).is_empty());
    }

    #[test]
    fn nothing_seen_leaves_every_rate_possible() {
        assert_eq!(
            (rate_lower(0.0, 0.0, 0.05), rate_upper(0.0, 0.0, 0.05)),
            (0.0, 1.0)
        );
    }

    proptest! {
        #[test]
        fn an_interval_holds_what_was_seen(total in 1u64..100_000, part in 0.0..=1.0f64) {
            let bad = libm::floor(total as f64 * part);
            let (low, high) = (rate_lower(bad, total as f64, 0.05), rate_upper(bad, total as f64, 0.05));
            let rate = bad / total as f64;
            prop_assert!(low <= rate && rate <= high, "{low} {rate} {high}");
        }

        #[test]
        fn complements_agree_with_theta(rho in 0.1..50.0f64, factor in 0.05..100.0f64, c in 1u64..5_000, b in 1u64..5_000) {
            let direct = log((1.0 - theta(rho * factor, c, b)) / (1.0 - theta(rho, c, b)));
            prop_assert!((direct - log_complement_ratio(rho, factor, c, b)).abs() < 1e-6);
        }
    }
}
