//! Why a flag exists, and until when.

use crate::definition::FlagSet;
use esclusa_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A flag's kind, and the last day it should exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lifetime {
    /// What it is for.
    pub kind: LifetimeKind,
    /// Its last day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
}

/// What flags are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifetimeKind {
    /// Brings a feature to everybody, then goes.
    Release,
    /// Compares variants, then goes.
    Experiment,
    /// Turns something heavy off under load; stays.
    Ops,
    /// Says who may use something; stays.
    Permission,
}

/// A day, written `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a day: write it as 2026-12-31")]
pub struct DateError(pub String);

impl Date {
    /// When the day is over.
    #[must_use]
    pub fn end(self) -> Timestamp {
        const DAY: i64 = 86_400 * 1_000_000;
        Timestamp((self.days() + 1) * DAY)
    }

    /// Days since 1970-01-01, by the usual count of eras of 400 years.
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;
    fn try_from(text: String) -> Result<Self, DateError> {
        let parts: Vec<&str> = text.split('-').collect();
        let digits = |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
        if let [year, month, day] = parts[..]
            && digits(year, 4)
            && digits(month, 2)
            && digits(day, 2)
            && let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse())
            && day >= 1
            && day <= days_in(year, month)
        {
            return Ok(Self { year, month, day });
        }
        Err(DateError(text.chars().take(40).collect()))
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A flag that should be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StaleFlag {
    /// The flag.
    pub flag: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Its last day.
    pub expired: Date,
}

/// The flags whose last day is over at `now`, the longest overdue first.
#[must_use]
pub fn stale(set: &FlagSet, now: Timestamp) -> Vec<StaleFlag> {
    let mut found: Vec<_> = set
        .flags
        .iter()
        .filter_map(|(key, flag)| {
            let expired = flag.lifetime?.expires.filter(|day| day.end() <= now)?;
            Some(StaleFlag {
                flag: key.clone(),
                owner: flag.owner.clone(),
                expired,
            })
        })
        .collect();
    found.sort_by(|a, b| (a.expired, &a.flag).cmp(&(b.expired, &b.flag)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01", 86_400),
            ("2000-02-29", 951_868_800),
            ("2026-11-29", 1_795_996_800),
            ("2026-12-31", 1_798_761_600),
        ] {
            let date = Date::try_from(text.to_owned()).expect(text);
            assert_eq!(date.end(), Timestamp(seconds * 1_000_000), "{text}");
            assert_eq!(date.to_string(), text);
        }
        for bad in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "1900-02-29",
            "2026-12-00",
            "",
            "x",
        ] {
            assert!(Date::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
