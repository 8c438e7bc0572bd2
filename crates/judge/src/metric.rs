//! What is compared: one entry a kind of bad event.
//!
//! A new event class or quantile is one more [`Metric`] and one more line in
//! [`entries`]; nothing else asks which metrics there are.

use crate::config::{JudgeConfig, Quantile};
use crate::slice::EventClass;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of bad event whose rate is compared between the versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Failures of the version: 5xx, connect, reset, timeout.
    #[serde(rename = "err")]
    Errors,
    /// Answers 400 to 499.
    #[serde(rename = "4xx")]
    ClientErrors,
    /// gRPC status other than OK.
    #[serde(rename = "grpc")]
    GrpcStatus,
    /// Clients that went away while they waited.
    #[serde(rename = "cancelled")]
    Cancelled,
    /// Slower than the baseline's median.
    #[serde(rename = "p50")]
    P50,
    /// Slower than 95 % of the baseline.
    #[serde(rename = "p95")]
    P95,
    /// Slower than 99 % of the baseline.
    #[serde(rename = "p99")]
    P99,
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
    pub const fn key(self) -> &'static str {
        match self {
            Self::Errors => "err",
            Self::ClientErrors => "4xx",
            Self::GrpcStatus => "grpc",
            Self::Cancelled => "cancelled",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// In words, for sentences.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Errors => "the error rate",
            Self::ClientErrors => "the rate of 4xx answers",
            Self::GrpcStatus => "the rate of gRPC errors",
            Self::Cancelled => "the rate of clients giving up",
            Self::P50 => "p50 latency",
            Self::P95 => "p95 latency",
            Self::P99 => "p99 latency",
        }
    }

    /// Whether this speaks of latency.
    #[must_use]
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99)
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
        }
    }

    /// The margins of a latency metric, when the configuration compares it.
    pub(crate) const fn margins(self, config: &JudgeConfig) -> Option<&Quantile> {
        match self {
            Self::P50 => config.latency.p50.as_ref(),
            Self::P95 => config.latency.p95.as_ref(),
            Self::P99 => config.latency.p99.as_ref(),
            Self::Errors | Self::ClientErrors | Self::GrpcStatus | Self::Cancelled => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
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
