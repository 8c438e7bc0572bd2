//! Numbers with their unit, as answers and reports show them.

use esclusa_judge::{Histogram, upper_edge};
use esclusa_model::BasisPoints;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// A length of time in milliseconds, with decimals.
#[derive(
    Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(transparent)]
pub struct LatencyMs(f64);

impl LatencyMs {
    /// The time within which this fraction of what was counted had its answer's head: the
    /// upper edge of the histogram's bucket. None when nothing was counted.
    #[must_use]
    pub fn quantile(counted: &Histogram, fraction: f64) -> Option<Self> {
        let bucket = counted.quantile_bucket(fraction)?;
        Some(Self(upper_edge(bucket) as f64 / 1_000.0))
    }

    /// Of so many microseconds.
    #[must_use]
    pub fn from_micros(micros: u64) -> Self {
        Self(micros as f64 / 1_000.0)
    }

    /// The plain number of milliseconds.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for LatencyMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0)
    }
}

/// Parts in a hundred, with decimals.
#[derive(
    Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(transparent)]
pub struct Percent(f64);

impl Percent {
    /// So many of so many; none of nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        (whole > 0).then(|| Self(part as f64 * 100.0 / whole as f64))
    }

    /// The plain number, 5.0 for 5 %.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<BasisPoints> for Percent {
    fn from(share: BasisPoints) -> Self {
        Self(f64::from(share.get()) / 100.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_nothing_is_said() {
        assert_eq!(Percent::of(0, 0), None);
        assert_eq!(LatencyMs::quantile(&Histogram::default(), 0.95), None);
    }

    #[test]
    fn numbers_carry_their_unit() {
        assert_eq!(
            Percent::of(1, 8).map(|p| p.to_string()).as_deref(),
            Some("12.50%")
        );
        assert_eq!(LatencyMs::from_micros(41_500).to_string(), "41.5 ms");
        let share = BasisPoints::new(2_550).expect("a share");
        assert_eq!(Percent::from(share).get(), 25.5);
    }
}
