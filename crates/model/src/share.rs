//! Shares of exposure and statistical fractions.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text or number is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// A text.
    #[error(
        "{0:?} is not a share: write a percentage from 0% to 100% in steps of 0.01%, such as 5%"
    )]
    Text(String),
    /// A number of basis points.
    #[error("{0} basis points are no share: write a whole number from 0 to 10000 (100%)")]
    Points(u32),
}

/// A share of a population in hundredths of a percent, 0 to 10,000.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u32", into = "u16")]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const FULL: Self = Self(10_000);

    /// A share from basis points.
    ///
    /// # Errors
    /// When `bp` is above 10,000.
    pub fn new(bp: u16) -> Result<Self, ShareError> {
        if bp <= 10_000 {
            Ok(Self(bp))
        } else {
            Err(ShareError::Points(bp.into()))
        }
    }

    /// The number of basis points, 0 to 10,000.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The share as a fraction of one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Whether the share is neither nobody nor everybody.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.0 > 0 && self.0 < 10_000
    }

    /// Parses `5%`, `0.5%`, `12.25 %`.
    ///
    /// # Errors
    /// When the text is not a percentage, is out of range or finer than 0.01 %.
    pub fn parse_percent(text: &str) -> Result<Self, ShareError> {
        let error = || ShareError::Text(text.to_owned());
        let number = text.trim().strip_suffix('%').ok_or_else(error)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let all_digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
        let has_dot_without_decimals = number.contains('.') && decimals.is_empty();
        if whole.is_empty()
            || whole.len() > 3
            || decimals.len() > 2
            || has_dot_without_decimals
            || !all_digits(whole)
            || !all_digits(decimals)
        {
            return Err(error());
        }
        let whole: u32 = whole.parse().map_err(|_| error())?;
        let hundredths: u32 = format!("{decimals:0<2}").parse().map_err(|_| error())?;
        u16::try_from(whole * 100 + hundredths)
            .ok()
            .and_then(|bp| Self::new(bp).ok())
            .ok_or_else(error)
    }
}

impl TryFrom<u32> for BasisPoints {
    type Error = ShareError;
    fn try_from(bp: u32) -> Result<Self, ShareError> {
        u16::try_from(bp).map_or(Err(ShareError::Points(bp)), Self::new)
    }
}

impl From<BasisPoints> for u16 {
    fn from(share: BasisPoints) -> u16 {
        share.0
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            r if r % 10 == 0 => write!(f, "{whole}.{}%", r / 10),
            r => write!(f, "{whole}.{r:02}%"),
        }
    }
}

/// A finite, non-negative fraction: an error rate, a margin, a significance level.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fraction(f64);

impl Fraction {
    /// A fraction from a plain number.
    ///
    /// # Errors
    /// When the number is negative, infinite or not a number.
    pub fn new(value: f64) -> Result<Self, ShareError> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(ShareError::Text(value.to_string()))
        }
    }

    /// A fraction from parts in a hundred thousand; for constants.
    #[must_use]
    pub const fn from_per_100k(parts: u32) -> Self {
        Self(parts as f64 / 100_000.0)
    }

    /// The plain number, 0.05 for 5 %.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Fraction {
    type Error = ShareError;
    fn try_from(value: f64) -> Result<Self, ShareError> {
        Self::new(value)
    }
}

impl From<Fraction> for f64 {
    fn from(value: Fraction) -> f64 {
        value.0
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four significant decimals of a percent are finer than any decision here.
        let text = format!("{:.4}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_percentages() {
        for (text, bp) in [
            ("5%", 500),
            ("0.1%", 10),
            ("100%", 10_000),
            ("12.25 %", 1225),
            ("0%", 0),
        ] {
            assert_eq!(
                BasisPoints::parse_percent(text).map(BasisPoints::get),
                Ok(bp),
                "{text}"
            );
        }
        for bad in [
            "5", "101%", "-1%", "0.001%", "%", "5.%", ".5%", "1e2%", "٥%",
        ] {
            assert!(BasisPoints::parse_percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fractions_refuse_what_is_no_rate() {
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Fraction::new(bad).is_err());
        }
        assert_eq!(Fraction::from_per_100k(500).to_string(), "0.5%");
        assert_eq!(Fraction::from_per_100k(20_000).to_string(), "20%");
    }

    proptest! {
        #[test]
        fn display_is_read_back(bp in 0u16..=10_000) {
            let share = BasisPoints::new(bp).expect("in range");
            prop_assert_eq!(BasisPoints::parse_percent(&share.to_string()), Ok(share));
        }
    }
}
