//! What a series is to be compared by.

use super::SeriesName;
use esclusa_model::{Fraction, Millis};
use serde::{Deserialize, Serialize};

/// One series; where its values come from is not the judge's business.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Series {
    /// Its name, unique.
    pub name: SeriesName,
    /// How often it is read.
    pub every: Millis,
    /// Which way is worse.
    pub direction: Direction,
    /// Worse by more than this part of stable's value is harm.
    pub margin: Fraction,
    /// Worse by at most this part is harmless.
    pub noninferior: Fraction,
    /// What its values are.
    pub kind: SeriesKind,
    /// What an increase is divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// Whether nothing goes on without a proof of harmlessness.
    pub required: bool,
}

/// Which way is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More is worse: a queue, a cost, a pause.
    #[default]
    Up,
    /// Less is worse: a hit rate, an income.
    Down,
}

/// What the values of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesKind {
    /// A level. Which version's is worse is counted, not by how much, so outliers do not
    /// decide.
    #[default]
    Gauge,
    /// A sum that only rises; its increase between readings is compared. A value below
    /// the one before is a restart from zero.
    Counter,
    /// A level whose mean is what matters. Needs 30 readings.
    Mean,
}

/// What an increase is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// The requests that the version served meanwhile: what grows with traffic cannot be
    /// compared between a canary of 5 % and the rest without it.
    Request,
}
