//! Evidence that holds whatever the clusters within a block are.
//!
//! The tempered process trusts an estimate of how bad events cluster. This one bets on
//! the canary's *share* of a block's bad events only: under hosts that are alike, that
//! share is expected to be the canary's part of the requests, in however few clusters
//! the events came. Blocks have to be as long as bursts are. It is slower, and valid
//! without an estimate.

use crate::stratum::Weighed;
use libm::log1p;

/// Nats of one block for `bets` bets, from the most careful to nearly all in.
pub(crate) fn nats(block: &[Weighed], bets: usize) -> Vec<f64> {
    let (mut bad, mut canary_bad, mut expected) = (0.0, 0.0, 0.0);
    for w in block {
        let counts = w.tally.harm;
        bad += counts.bad() as f64;
        canary_bad += counts.canary_bad as f64;
        expected += counts.bad() as f64 * counts.theta(w.rho_harm);
    }
    (1..=bets)
        .map(|bet| {
            if bad <= 0.0 || expected <= 0.0 {
                return 0.0;
            }
            let theta = expected / bad;
            // At most 1 / theta may be staked; never all of it.
            let stake = bet as f64 / (bets as f64 + 1.0) / theta;
            log1p(stake * (canary_bad / bad - theta))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Counts;
    use crate::stratum::Tally;

    fn block(canary_bad: u64, baseline_bad: u64) -> Vec<Weighed> {
        vec![Weighed {
            tally: Tally {
                harm: Counts {
                    canary_bad,
                    canary: 500,
                    baseline_bad,
                    baseline: 500,
                },
                canary_bad_harmless: canary_bad,
            },
            synthetic: false,
            route: 0,
            rho_harm: 1.0,
            rho_harmless: 1.0,
            equal: 0.5,
            limit_harm: 1.0,
            limit: None,
            rate: 0.0,
        }]
    }

    /// One cluster of any size is one observation.
    #[test]
    fn a_burst_of_a_thousand_says_what_a_burst_of_one_says() {
        assert_eq!(nats(&block(1, 0), 9), nats(&block(1_000, 0), 9));
        assert!(nats(&block(1, 0), 9).iter().all(|n| *n > 0.0 && *n < 0.7));
    }

    #[test]
    fn the_expected_gain_of_equal_versions_is_none() {
        for (win, loss) in nats(&block(7, 0), 9).iter().zip(nats(&block(0, 7), 9)) {
            let mean = 0.5 * (libm::exp(*win) + libm::exp(loss));
            assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        }
    }
}
