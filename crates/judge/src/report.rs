//! What a stage saw and what follows from it, in numbers for people.
//!
//! These figures explain a verdict; they never make one.

use crate::config::JudgeConfig;
use crate::histogram::{Histogram, lower_edge, upper_edge};
use crate::math::{rate_lower, rate_upper};
use crate::metric::Metric;
use crate::side::Side;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One version's organic traffic in this stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Finished requests.
    pub requests: u64,
    /// Of these, failures of the version.
    pub failures: u64,
    /// Failures over requests; nothing without requests.
    pub error_rate: Option<f64>,
    /// Upper edge of the bucket that holds the 95th percentile, in microseconds.
    pub p95_us: Option<u64>,
}

/// In what a margin is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Fraction of requests above stable's rate.
    Rate,
    /// Fraction of stable's latency above it.
    Latency,
}

/// What is proved about one metric in this stage, beside what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// The metric.
    pub metric: Metric,
    /// In what the numbers are measured.
    pub unit: Unit,
    /// The margin that a proof asks for.
    pub asked: f64,
    /// The margin that is proved; nothing when none is.
    pub proved: Option<f64>,
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.unit {
            Unit::Rate => "error rate",
            Unit::Latency => self.metric.key(),
        };
        let unit = match self.unit {
            Unit::Rate => "pp",
            Unit::Latency => "%",
        };
        match self.proved {
            Some(proved) => write!(f, "{name} < +{:.2} {unit}", proved * 100.0)?,
            None => write!(f, "{name}: nothing")?,
        }
        write!(f, " (asked +{:.2} {unit})", self.asked * 100.0)
    }
}

/// Organic traffic of a stage, both versions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    sides: [Totals; 2],
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Totals {
    requests: u64,
    failures: u64,
    latency: Histogram,
}

impl Totals {
    fn add(&mut self, side: &Side) {
        self.requests += side.requests;
        self.failures += side.failures;
        self.latency.merge(&side.latency);
    }

    fn observed(&self) -> Observed {
        Observed {
            requests: self.requests,
            failures: self.failures,
            error_rate: (self.requests > 0).then(|| self.failures as f64 / self.requests as f64),
            p95_us: self.latency.quantile_bucket(0.95).map(upper_edge),
        }
    }
}

impl Report {
    /// Counts one stratum's second.
    pub(crate) fn add(&mut self, baseline: &Side, canary: &Side) {
        self.sides[0].add(baseline);
        self.sides[1].add(canary);
    }

    /// Organic canary requests.
    pub(crate) const fn canary_requests(&self) -> u64 {
        self.sides[1].requests
    }

    /// The baseline's and the canary's figures.
    pub(crate) fn observed(&self) -> [Observed; 2] {
        [self.sides[0].observed(), self.sides[1].observed()]
    }

    /// How far above the baseline's error rate the canary's may still lie, when bad
    /// events come in clusters of `phi`.
    pub(crate) fn error_margin(&self, config: &JudgeConfig, delta: f64, phi: f64) -> Margin {
        let alpha = config.alpha.proceed.get().clamp(1e-12, 1.0);
        let [baseline, canary] = &self.sides;
        let thin = |n: u64| n as f64 / phi;
        let stable = baseline.failures as f64 / baseline.requests.max(1) as f64;
        let proved = (canary.requests > 0).then(|| {
            let upper = rate_upper(thin(canary.failures), thin(canary.requests), alpha);
            (upper - rate_lower(thin(baseline.failures), thin(baseline.requests), alpha)).max(0.0)
        });
        let asked = (config.errors.ratio - 1.0) * stable + delta;
        Margin {
            metric: Metric::Errors,
            unit: Unit::Rate,
            asked,
            proved: proved.filter(|p| *p < 1.0),
        }
    }

    /// How much slower than the baseline's quantile `q` the canary's may still be.
    pub(crate) fn latency_margin(
        &self,
        config: &JudgeConfig,
        metric: Metric,
        q: f64,
        phi: f64,
    ) -> Option<Margin> {
        let asked = metric.margins(config)?.noninferior.get();
        let alpha = config.alpha.proceed.get().clamp(1e-12, 1.0);
        let [baseline, canary] = &self.sides;
        let thin = |n: u64| n as f64 / phi;
        let above = |side: &Totals, edge: u64| thin(side.latency.at_or_above(edge));
        let proved = baseline.latency.quantile_bucket(q).and_then(|bucket| {
            let edge = upper_edge(bucket);
            let rate = rate_lower(above(baseline, edge), thin(baseline.latency.total()), alpha);
            let total = thin(canary.latency.total());
            let harmless = |edge: u64| rate_upper(above(canary, edge), total, alpha) <= rate;
            // Exceedances fall as edges rise: the smallest harmless edge is found by halving.
            let edges: Vec<u64> = std::iter::once(edge)
                .chain(
                    canary
                        .latency
                        .iter()
                        .map(|(b, _)| upper_edge(b))
                        .filter(|e| *e > edge),
                )
                .collect();
            let at = edges.partition_point(|e| !harmless(*e));
            edges
                .get(at)
                .map(|found| *found as f64 / lower_edge(bucket).max(1) as f64 - 1.0)
        });
        Some(Margin {
            metric,
            unit: Unit::Latency,
            asked,
            proved,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(requests: u64, failures: u64, bucket: u16) -> Side {
        let mut side = Side {
            requests,
            failures,
            ..Side::default()
        };
        side.latency.add(bucket, requests - failures);
        side
    }

    #[test]
    fn proved_margins_are_printed_beside_the_asked_ones() {
        let config = JudgeConfig::default();
        let mut report = Report::default();
        report.add(&side(20_000, 0, 300), &side(1_000, 0, 301));
        let errors = report.error_margin(&config, 0.001, 1.0);
        assert_eq!(errors.to_string(), "error rate < +0.70 pp (asked +0.10 pp)");
        let tight = Report::default().error_margin(&config, 0.001, 1.0);
        assert_eq!(tight.to_string(), "error rate: nothing (asked +0.10 pp)");
    }
}
