//! Points in time and lengths of time, as values: nothing here reads a clock.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a number and a unit, such as 300ms, 30s, 15m, 48h or 7d")]
pub struct TimeError(pub String);

/// Microseconds since 1970-01-01 UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The whole second that this instant lies in.
    #[must_use]
    pub const fn unix_second(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u64::try_from(self.0.saturating_sub(earlier.0).max(0) / 1_000).unwrap_or(0))
    }

    /// The instant `span` later.
    #[must_use]
    pub fn plus(self, span: Millis) -> Self {
        let micros = i64::try_from(span.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A length of time in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A length of `seconds`.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Parses `300ms`, `30s`, `1.5h`, `1h30m`; at most ten years.
    ///
    /// # Errors
    /// When a number has no unit, the unit is unknown, or the text is empty.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError(text.to_owned());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(error());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(error)?;
            let (number, tail) = rest.split_at(digits);
            let unit_len = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, next) = tail.split_at(unit_len);
            let (_, scale) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(error)?;
            total = total
                .checked_add(scaled(number, *scale).ok_or_else(error)?)
                .ok_or_else(error)?;
            rest = next;
        }
        const TEN_YEARS_MS: u64 = 10 * 366 * 86_400_000;
        if total > TEN_YEARS_MS {
            Err(error())
        } else {
            Ok(Self(total))
        }
    }
}

/// `1.5` with scale 60,000 is 90,000; at most three decimals, which must come out whole.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, decimals) = match number.split_once('.') {
        Some((w, d)) if !d.is_empty() && d.len() <= 3 && !d.contains('.') => (w, d),
        Some(_) => return None,
        None => (number, ""),
    };
    let whole: u64 = whole.parse().ok()?;
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    let product = thousandths.checked_mul(scale)?;
    (product % 1_000 == 0)
        .then(|| {
            whole
                .checked_mul(scale)
                .and_then(|ms| ms.checked_add(product / 1_000))
        })
        .flatten()
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, scale) in UNITS.iter().rev() {
            if rest >= *scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_units_and_refuses_bare_numbers() {
        // Trap 50: a number without a unit is never guessed.
        for (text, ms) in [
            ("300ms", 300),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(Millis::parse(text), Ok(Millis(ms)), "{text}");
        }
        for bad in [
            "",
            "5",
            "5 m",
            "m",
            "5x",
            "-1s",
            "1.2345s",
            "1..5s",
            "99999999d",
        ] {
            assert!(Millis::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back(ms in 0u64..100_000_000_000) {
            prop_assert_eq!(Millis::parse(&Millis(ms).to_string()), Ok(Millis(ms)));
        }
    }
}
