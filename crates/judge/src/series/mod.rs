//! Numbers that no proxy counts: values of both versions, read at the same moments.
//!
//! A pair of values is one observation. Whether the canary's is worse beyond the margin
//! is a coin that falls with a chance of one half at most for a harmless canary, however
//! the values are distributed; the bets on it are in [`sign`], those on means in
//! [`mean`]. What is missing is dropped as a pair and counted as missing: it is never a
//! zero and never the value before.

mod attendance;
mod config;
mod judged;
mod mean;
mod name;
mod onset;
mod pairs;
mod run;
mod serial;
mod sign;

pub(crate) use attendance::Lack;
pub use config::{Direction, Per, Series, SeriesKind};
pub(crate) use judged::scale_of_weights;
pub use mean::half_width;
pub use name::{SeriesName, SeriesNameError};
pub(crate) use pairs::SeriesTest;
pub use sign::sign_log_e;

use serde::{Deserialize, Serialize};

/// Whose value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesSide {
    /// The stable version's.
    Baseline,
    /// The canary's.
    Canary,
}

impl SeriesSide {
    const fn index(self) -> usize {
        match self {
            Self::Baseline => 0,
            Self::Canary => 1,
        }
    }
}

/// One reading of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesValue {
    /// Which series.
    pub name: SeriesName,
    /// The second, in the data's time; both versions' readings of one moment share it.
    pub t: i64,
    /// Whose.
    pub side: SeriesSide,
    /// The value; nothing when there was none to believe.
    pub value: Option<f64>,
    /// Why there was none, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
