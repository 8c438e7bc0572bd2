//! Bets on a mean, by an asymptotic confidence sequence.
//!
//! Right for sums of many readings whatever their distribution, with an error that fades
//! as they grow; [`LEAST`] of them are asked for before it says anything.

use libm::{log, sqrt};

/// Fewest readings whose mean is spoken of.
pub(super) const LEAST: u32 = 30;
/// The number of readings at which the sequence is narrowest.
const TUNED_FOR: f64 = 60.0;

/// How wide the mixture over means is, for the narrowest sequence at `tuned_for`.
fn spread(alpha: f64, tuned_for: f64) -> f64 {
    let wide = -2.0 * log(alpha);
    (wide + log(wide + 1.0)) / tuned_for
}

/// Half the width of the interval that holds a mean at all times with the chance
/// `1 - alpha`, after `n` readings with standard deviation `deviation`.
#[must_use]
pub fn half_width(n: u32, deviation: f64, alpha: f64, tuned_for: f64) -> f64 {
    let (n, spread) = (f64::from(n), spread(alpha, tuned_for));
    let grown = n * spread + 1.0;
    deviation * sqrt(2.0 * grown / (n * n * spread) * log(sqrt(grown) / alpha))
}

/// The log evidence that a mean is above zero: the very mixture whose level sets
/// [`half_width`] gives, without what speaks for a mean below zero.
pub(super) fn mean_log_e(n: u32, mean: f64, deviation: f64, alpha: f64) -> f64 {
    let (n, spread) = (f64::from(n), spread(alpha, TUNED_FOR));
    let grown = n * spread + 1.0;
    let distance = (mean / deviation).max(0.0) * n;
    0.5 * spread * distance * distance / grown - 0.5 * log(grown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // The evidence reaches 1/alpha exactly where the interval leaves zero behind.
        #[test]
        fn evidence_and_interval_agree(n in LEAST..5_000, deviation in 0.01..100.0f64) {
            let alpha = 0.05;
            let edge = half_width(n, deviation, alpha, TUNED_FOR);
            let log_e = mean_log_e(n, edge, deviation, alpha);
            prop_assert!((log_e + log(alpha)).abs() < 1e-9, "{log_e}");
        }
    }

    #[test]
    fn what_speaks_the_other_way_is_no_evidence() {
        assert!(mean_log_e(100, -5.0, 1.0, 0.05) < 0.0);
        assert!(mean_log_e(100, 0.5, 1.0, 0.05) > 3.0);
    }
}
