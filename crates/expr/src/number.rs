//! Numbers of two kinds in one order.

use std::cmp::Ordering;

/// A decimal literal. It came from digits, so that it is never NaN and equals itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decimal(f64);

impl Eq for Decimal {}

impl Decimal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|n: &f64| !n.is_nan()).map(Self)
    }

    pub(crate) fn get(self) -> f64 {
        self.0
    }
}

/// A whole number against a decimal one, exact: no digit of the whole one is lost.
pub(crate) fn compare_mixed(whole: i64, decimal: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if decimal.is_nan() {
        return None;
    }
    if decimal >= LIMIT {
        return Some(Ordering::Less);
    }
    if decimal < -LIMIT {
        return Some(Ordering::Greater);
    }
    let floor = decimal.floor();
    // Within 64 bits by the comparisons above, and whole.
    let ordering = whole.cmp(&(floor as i64));
    Some(match ordering {
        Ordering::Equal if decimal > floor => Ordering::Less,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_is_lost() {
        for (whole, decimal, expected) in [
            (1, 1.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (-1, -1.5, Some(Ordering::Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (
                i64::MIN,
                -9_223_372_036_854_775_808.0,
                Some(Ordering::Equal),
            ),
            (
                (1 << 53) + 1,
                9_007_199_254_740_992.0,
                Some(Ordering::Greater),
            ),
            (0, f64::INFINITY, Some(Ordering::Less)),
            (0, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(compare_mixed(whole, decimal), expected, "{whole} {decimal}");
        }
    }
}
