//! Bets on a coin that falls with a chance of one half at most.

use libm::{exp, log, log1p};

/// The log evidence that a coin which fell `worse` times in `pairs` tosses falls so in
/// more than half of all: an e-process, so it may be looked at after every toss.
///
/// All chances above one half are bet on alike:
/// `E = 2^(n+1) * integral from 1/2 to 1 of u^k (1-u)^(n-k) du`, which is
/// `sum over j <= k of C(n+1, j)`, divided by `(n+1-k) C(n+1, k)`. The terms of that sum
/// follow from each other by a factor, so nothing overflows.
#[must_use]
pub fn sign_log_e(worse: u32, pairs: u32) -> f64 {
    let worse = worse.min(pairs);
    let all = f64::from(pairs) + 1.0;
    // Relative to its last term: `log_term` is the present one, `log_sum` all so far.
    let (mut log_term, mut log_sum) = (0.0_f64, 0.0_f64);
    for j in (1..=worse).rev() {
        let j = f64::from(j);
        log_term += log(j / (all - j + 1.0));
        let (high, low) = if log_term > log_sum {
            (log_term, log_sum)
        } else {
            (log_sum, log_term)
        };
        log_sum = high + log1p(exp(low - high));
        // Terms fall from here on, and these no longer count.
        if log_term < log_sum - 45.0 && j < all / 2.0 {
            break;
        }
    }
    log_sum - log(all - f64::from(worse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_seen_is_no_evidence_and_long_runs_stay_finite() {
        assert_eq!(sign_log_e(0, 0), 0.0);
        let long = sign_log_e(20_000, 20_000);
        let expected = 20_001.0 * core::f64::consts::LN_2 - log(20_001.0);
        assert!((long - expected).abs() < 1e-6 * expected, "{long}");
        assert!(sign_log_e(0, 20_000).is_finite());
    }

    proptest! {
        // The next toss of a fair coin changes nothing on average: a martingale.
        #[test]
        fn a_fair_coin_brings_nothing_on_average(pairs in 0u32..400, part in 0.0..=1.0f64) {
            let worse = (f64::from(pairs) * part) as u32;
            let now = sign_log_e(worse, pairs);
            let next = [sign_log_e(worse, pairs + 1), sign_log_e(worse + 1, pairs + 1)];
            let mean = 0.5 * (exp(next[0] - now) + exp(next[1] - now));
            prop_assert!((mean - 1.0).abs() < 1e-9, "{mean}");
            prop_assert!(next[1] >= now);
        }
    }
}
