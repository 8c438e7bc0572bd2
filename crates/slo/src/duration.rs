//! Durations: read as OpenSLO writes them, written as Prometheus does.

use std::fmt;

const DAY_S: u64 = 86_400;

/// A length of time in whole seconds; shown as Prometheus writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

impl Span {
    /// OpenSLO's shorthand: `5m`, `12h`, `28d`, `4w`, and months, quarters and years of
    /// 30, 90 and 365 days.
    pub(crate) fn openslo(text: &str) -> Option<Self> {
        let unit = text.chars().last()?;
        let digits = text.strip_suffix(unit)?;
        let unit_s = match unit {
            'm' => 60,
            'h' => 3_600,
            'd' => DAY_S,
            'w' => 7 * DAY_S,
            'M' => 30 * DAY_S,
            'Q' => 90 * DAY_S,
            'Y' => 365 * DAY_S,
            _ => return None,
        };
        Self::of(digits, unit_s)
    }

    fn of(digits: &str, unit_s: u64) -> Option<Self> {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<u64>().ok()?.checked_mul(unit_s)?;
        (seconds > 0).then_some(Self(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit_s, unit) = [(DAY_S, "d"), (3_600, "h"), (60, "m")]
            .into_iter()
            .find(|(unit_s, _)| self.0 > 0 && self.0.is_multiple_of(*unit_s))
            .unwrap_or((1, "s"));
        write!(f, "{}{unit}", self.0 / unit_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openslo_is_read_and_prometheus_is_written() {
        for (text, shown) in [
            ("5m", "5m"),
            ("12h", "12h"),
            ("28d", "28d"),
            ("4w", "28d"),
            ("1M", "30d"),
            ("1Q", "90d"),
        ] {
            assert_eq!(
                Span::openslo(text).map(|s| s.to_string()).as_deref(),
                Some(shown)
            );
        }
        for text in [
            "",
            "m",
            "5",
            "0d",
            "-1d",
            "1.5h",
            "5 m",
            "5é",
            "99999999999999999999d",
        ] {
            assert_eq!(Span::openslo(text), None, "{text}");
        }
        assert_eq!(Span(90).to_string(), "90s");
    }
}
