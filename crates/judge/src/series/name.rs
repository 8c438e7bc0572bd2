//! The name of a series: short, and copied like a number.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const LONGEST: usize = 63;

/// Letters, digits, `_`, `-` and `.`, at most 63 of them, a letter first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesName {
    bytes: [u8; LONGEST],
    len: u8,
}

/// Why a text is no name of a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a series is named by 1 to 63 letters, digits, `_`, `-` and `.`, a letter first, and not \
     like a metric that is always compared"
)]
pub struct SeriesNameError;

impl SeriesName {
    /// Takes a name.
    ///
    /// # Errors
    /// When it is none, or that of a built-in metric.
    pub fn new(text: &str) -> Result<Self, SeriesNameError> {
        let fits = text.len() <= LONGEST
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !fits || crate::metric::built_in(text).is_some() {
            return Err(SeriesNameError);
        }
        let mut bytes = [0; LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self {
            bytes,
            len: text.len() as u8,
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII by construction.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SeriesName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SeriesName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words_that_no_metric_has() {
        let long = "x".repeat(LONGEST);
        for good in ["queue_depth", "gc.pause-p99", long.as_str()] {
            assert_eq!(SeriesName::new(good).expect(good).as_str(), good);
        }
        let too_long = "x".repeat(LONGEST + 1);
        for bad in ["", "9lives", "a b", "err", "p95", "über", too_long.as_str()] {
            assert!(SeriesName::new(bad).is_err(), "{bad}");
        }
    }
}
