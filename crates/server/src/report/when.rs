//! Times as RFC 3339 text in UTC.

use esclusa_model::Timestamp;

const DAY_S: i64 = 86_400;

/// `2026-11-22T10:15:00.250Z`, to the millisecond, rounded down.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1_000_000);
    let millis = at.0.rem_euclid(1_000_000) / 1_000;
    let (day, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A second since 1970 in the same form.
pub(crate) fn second(second: i64) -> String {
    rfc3339(Timestamp(second.saturating_mul(1_000_000)))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
/// Years are counted from March, so that the leap day is the last of its year.
const fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_written_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(seconds * 1_000_000)), text);
        }
        assert_eq!(rfc3339(Timestamp(1_250_999)), "1970-01-01T00:00:01.250Z");
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut before = date(-1);
        for day in 0..60_000 {
            let (year, month, of_month) = date(day);
            let expected = if of_month > 1 {
                (before.0, before.1, before.2 + 1)
            } else if month > 1 {
                assert!(before.2 >= 28);
                (before.0, before.1 + 1, 1)
            } else {
                assert_eq!((before.1, before.2), (12, 31));
                (before.0 + 1, 1, 1)
            };
            assert_eq!((year, month, of_month), expected);
            before = (year, month, of_month);
        }
    }
}
