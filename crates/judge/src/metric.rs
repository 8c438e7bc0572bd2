//! What is compared: one entry a kind of bad event.
//!
//! A new event class or quantile is one more [`Metric`] and one more line in
//! [`entries`]; nothing else asks which metrics there are.

use crate::config::{JudgeConfig, Quantile};
use crate::series::SeriesName;
use crate::slice::EventClass;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// What is compared between the versions: a kind of bad event, or a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Failures of the version: 5xx, connect, reset, timeout.
    Errors,
    /// Answers 400 to 499.
    ClientErrors,
    /// gRPC status other than OK.
    GrpcStatus,
    /// Clients that went away while they waited.
    Cancelled,
    /// Slower than the baseline's median.
    P50,
    /// Slower than 95 % of the baseline.
    P95,
    /// Slower than 99 % of the baseline.
    P99,
    /// A series of the configuration.
    Series(SeriesName),
}

/// All metrics that have a name of their own.
pub(crate) const BUILT_IN: &[Metric] = &[
    Metric::Errors,
    Metric::ClientErrors,
    Metric::GrpcStatus,
    Metric::Cancelled,
    Metric::P50,
    Metric::P95,
    Metric::P99,
];

/// The metric of this key, where that is no series'.
pub(crate) fn built_in(key: &str) -> Option<Metric> {
    BUILT_IN.iter().copied().find(|metric| metric.key() == key)
}

/// How the bad events of a metric are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Counting {
    /// Finished requests with any of these classes.
    Events(&'static [EventClass]),
    /// Requests slower than this quantile of the baseline, waiting ones included.
    SlowerThan(f64),
}

impl Metric {
    /// The key in verdicts and timelines.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Errors => "err",
            Self::ClientErrors => "4xx",
            Self::GrpcStatus => "grpc",
            Self::Cancelled => "cancelled",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Series(name) => name.as_str(),
        }
    }

    /// In words, for sentences.
    #[must_use]
    pub fn words(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Errors => "the error rate",
            Self::ClientErrors => "the rate of 4xx answers",
            Self::GrpcStatus => "the rate of gRPC errors",
            Self::Cancelled => "the rate of clients giving up",
            Self::P50 => "p50 latency",
            Self::P95 => "p95 latency",
            Self::P99 => "p99 latency",
            Self::Series(name) => return Cow::Owned(format!("series `{name}`")),
        })
    }

    /// Whether this speaks of latency.
    #[must_use]
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99)
    }

    /// Whether this is a series of the configuration.
    #[must_use]
    pub const fn is_series(self) -> bool {
        matches!(self, Self::Series(_))
    }

    pub(crate) const fn counting(self) -> Counting {
        use EventClass as E;
        match self {
            Self::Errors => Counting::Events(&[E::ServerError, E::Connect, E::Reset, E::Timeout]),
            Self::ClientErrors => Counting::Events(&[E::ClientError]),
            Self::GrpcStatus => Counting::Events(&[E::GrpcStatus]),
            Self::Cancelled => Counting::Events(&[E::Cancelled]),
            Self::P50 => Counting::SlowerThan(0.50),
            Self::P95 => Counting::SlowerThan(0.95),
            Self::P99 => Counting::SlowerThan(0.99),
            // No request tells of it.
            Self::Series(_) => Counting::Events(&[]),
        }
    }

    /// The margins of a latency metric, when the configuration compares it.
    pub(crate) const fn margins(self, config: &JudgeConfig) -> Option<&Quantile> {
        match self {
            Self::P50 => config.latency.p50.as_ref(),
            Self::P95 => config.latency.p95.as_ref(),
            Self::P99 => config.latency.p99.as_ref(),
            Self::Errors
            | Self::ClientErrors
            | Self::GrpcStatus
            | Self::Cancelled
            | Self::Series(_) => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        match built_in(&key) {
            Some(metric) => Ok(metric),
            None => SeriesName::new(&key)
                .map(Self::Series)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// Whether a proof of harmlessness asks for this metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Gate {
    /// Must be proved.
    Proof,
    /// Can only accuse.
    HarmOnly,
}

/// One compared metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub metric: Metric,
    /// Its part of the combined evidence; all parts add up to at most one.
    pub weight: f64,
    /// What its single routes have of the combined evidence, together.
    pub weight_of_routes: f64,
    pub gate: Gate,
}

/// All compared metrics of a configuration. A weight that a left-out quantile does
/// not use stays at evidence one, which keeps the combination valid.
pub(crate) fn entries(config: &JudgeConfig) -> Vec<Entry> {
    const ALL: &[(Metric, f64, f64, Gate)] = &[
        (Metric::Errors, 0.40, 0.10, Gate::Proof),
        (Metric::ClientErrors, 0.03, 0.0, Gate::HarmOnly),
        (Metric::GrpcStatus, 0.02, 0.0, Gate::HarmOnly),
        (Metric::Cancelled, 0.02, 0.0, Gate::HarmOnly),
        (Metric::P50, 0.10, 0.0, Gate::Proof),
        (Metric::P95, 0.13, 0.09, Gate::Proof),
        (Metric::P99, 0.11, 0.0, Gate::Proof),
    ];
    ALL.iter()
        .filter(|(metric, ..)| !metric.is_latency() || metric.margins(config).is_some())
        .map(|(metric, weight, weight_of_routes, gate)| Entry {
            metric: *metric,
            weight: *weight,
            weight_of_routes: *weight_of_routes,
            gate: *gate,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_never_exceed_one() {
        let sum: f64 = entries(&JudgeConfig::default())
            .iter()
            .map(|e| e.weight + e.weight_of_routes)
            .sum();
        assert!(sum <= 1.0 + 1e-12 && sum > 0.99, "{sum}");
    }

    #[test]
    fn keys_are_read_back() {
        for metric in BUILT_IN {
            let json = serde_json::to_string(metric).expect("a key");
            assert_eq!(json, format!("\"{}\"", metric.key()));
            assert_eq!(
                serde_json::from_str::<Metric>(&json).expect("read"),
                *metric
            );
            assert!(SeriesName::new(metric.key()).is_err());
        }
        let series: Metric = serde_json::from_str("\"queue_depth\"").expect("a series");
        assert!(series.is_series() && series.to_string() == "queue_depth");
        assert!(serde_json::from_str::<Metric>("\"no name\"").is_err());
    }

    #[test]
    fn failures_are_the_error_metric_and_nothing_else_is() {
        let Counting::Events(classes) = Metric::Errors.counting() else {
            panic!("errors are events")
        };
        assert!(classes.iter().all(|c| c.is_failure()));
        for metric in [Metric::ClientErrors, Metric::GrpcStatus, Metric::Cancelled] {
            let Counting::Events(classes) = metric.counting() else {
                panic!("{metric} are events")
            };
            assert!(classes.iter().all(|c| !c.is_failure()));
        }
    }
}
