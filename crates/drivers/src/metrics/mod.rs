//! Numbers that no proxy counts, from wherever they are kept.
//!
//! A source never errs: what could not be asked, read or believed is unknown, and unknown
//! is neither zero nor the number before. Whether a number is good is decided elsewhere.

mod ask;
mod command;
mod http_json;
mod prometheus;
mod value;

pub use prometheus::{PrometheusAt, instant_query};

use crate::error::DriverError;
use async_trait::async_trait;
use esclusa_model::{Millis, Timestamp};
use esclusa_plan::{DriverEntry, Placeholders};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A number that can be read again and again, its texts not yet filled.
#[async_trait]
pub trait MetricSource: Send + Sync {
    /// Reads once, for at most the context's timeout.
    async fn read(&self, context: &MetricContext) -> Reading;
}

/// Whose number is read, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricContext {
    /// Values for the source's templates: `version`, `track`, `service` ...
    pub placeholders: Placeholders,
    /// Variables for commands, `ESCLUSA_SERVICE` and so on.
    pub env: BTreeMap<String, String>,
    /// The folder that relative commands start from.
    pub cwd: PathBuf,
    /// Which version is asked about.
    pub side: Side,
    /// The time that is asked about: both sides of a pair are asked about the same one.
    pub at: Timestamp,
    /// A number that was measured longer before `at` is stale.
    pub fresh: Millis,
    /// Longest time for the answer; later it is unknown.
    pub timeout: Millis,
}

/// Which of the two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The stable version.
    Baseline,
    /// The canary.
    Canary,
}

/// What a source said.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A finite number, and when it was measured as far as the source says so.
    Value {
        /// The number, in the unit of whoever measures.
        value: f64,
        /// When it was measured; the time that was asked about where the source is silent.
        at: Timestamp,
    },
    /// There is no number to believe, and why, in words that hold no secret.
    Unknown(Unknown),
}

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What kind of lack it is.
    pub lack: Lack,
    /// In words.
    pub why: String,
}

/// What kind of lack it is: each has another next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lack {
    /// The source does not answer.
    Unreachable,
    /// It answers and has no such number: no series, NaN.
    Absent,
    /// The number is too old.
    Stale,
    /// The question is wrong: it will not get better by itself.
    Question,
}

impl Lack {
    /// Its name in data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Question => "question",
        }
    }
}

impl Unknown {
    fn new(lack: Lack, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { lack, why }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<DriverError> for Unknown {
    fn from(error: DriverError) -> Self {
        Self::new(Lack::Question, error.message)
    }
}

/// The number that was found, if it can be believed.
fn believed(value: f64, measured: Option<Timestamp>, context: &MetricContext) -> Reading {
    if !value.is_finite() {
        let why = format!("the value is {value}, which is no number to compare");
        return Reading::Unknown(Unknown::new(Lack::Absent, why));
    }
    let at = measured.unwrap_or(context.at);
    let age = context.at.since(at);
    if age > context.fresh {
        let why = format!(
            "the value was measured {age} before, and {} is the limit",
            context.fresh
        );
        return Reading::Unknown(Unknown::new(Lack::Stale, why));
    }
    Reading::Value { value, at }
}

impl From<Result<Reading, Unknown>> for Reading {
    fn from(read: Result<Self, Unknown>) -> Self {
        read.unwrap_or_else(Self::Unknown)
    }
}

/// One line of the registry.
struct Adapter {
    entry: fn() -> DriverEntry,
    build: fn(&serde_json::Value) -> Result<Arc<dyn MetricSource>, DriverError>,
}

const ADAPTERS: &[Adapter] = &[prometheus::ADAPTER, http_json::ADAPTER, command::ADAPTER];

/// What there is, for plans to be checked against.
#[must_use]
pub fn entries() -> Vec<DriverEntry> {
    ADAPTERS.iter().map(|adapter| (adapter.entry)()).collect()
}

/// The source of a plan's normalised block.
///
/// # Errors
/// When there is no such driver, or its block does not fit.
pub fn source(
    name: &str,
    config: &serde_json::Value,
) -> Result<Arc<dyn MetricSource>, DriverError> {
    let adapter = ADAPTERS
        .iter()
        .find(|adapter| (adapter.entry)().name == name);
    let adapter =
        adapter.ok_or_else(|| DriverError::config(format!("{name}: no such metric source")))?;
    (adapter.build)(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> MetricContext {
        MetricContext {
            placeholders: Placeholders::default(),
            env: BTreeMap::new(),
            cwd: "/".into(),
            side: Side::Canary,
            at: Timestamp(100_000_000),
            fresh: Millis(30_000),
            timeout: Millis(1_000),
        }
    }

    // MET-10: no number is no zero, and an old one is none.
    #[test]
    fn what_is_no_number_or_too_old_is_unknown() {
        let lack = |reading| match reading {
            Reading::Unknown(unknown) => Some(unknown.lack),
            Reading::Value { .. } => None,
        };
        let read = |value, second: Option<i64>| {
            let at = second.map(|second| Timestamp(second * 1_000_000));
            lack(believed(value, at, &context()))
        };
        assert_eq!(read(f64::NAN, None), Some(Lack::Absent));
        assert_eq!(read(f64::INFINITY, Some(100)), Some(Lack::Absent));
        assert_eq!(read(1.0, Some(69)), Some(Lack::Stale));
        assert_eq!(read(1.0, Some(70)), None);
        // A clock that runs ahead is no reason to disbelieve.
        assert_eq!(read(1.0, Some(200)), None);
        assert_eq!(read(0.0, None), None);
    }

    #[test]
    fn an_unknown_source_is_told() {
        let error = source("graphite", &serde_json::json!({}));
        let error = error.err().expect("refused");
        assert!(error.message.contains("graphite"), "{}", error.message);
    }
}
