//! What an objective is measured by, as PromQL.
//!
//! An indicator answers two questions for any window: which part of the events, or of the
//! time, was bad, and how many events a second there were. A ratio whose failures have no
//! series yet is 0 and not absent; one whose successes have none is 1. One without any
//! events is no number, which no alert and no gate takes for health.

use crate::duration::Span;
use crate::promql::{self, BucketSeries};

/// A query, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(pub String);

/// Which events a numerator counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// The good ones.
    Good,
    /// The bad ones.
    Bad,
}

/// How a value is compared to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `lte`
    AtMost,
    /// `lt`
    Below,
    /// `gte`
    AtLeast,
    /// `gt`
    Above,
}

impl Op {
    const fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::Above => ">",
        }
    }
}

/// What an objective is measured by.
#[derive(Debug, Clone, PartialEq)]
pub enum Indicator {
    /// Counted events: good or bad ones of all.
    Events {
        /// What `part` counts.
        counts: Ratio,
        /// The numerator.
        part: Query,
        /// The denominator.
        total: Query,
    },
    /// A ratio that somebody else computed.
    Raw {
        /// What the ratio is of.
        counts: Ratio,
        /// The ratio.
        ratio: Query,
    },
    /// A value that is good when it compares so with a threshold, sample by sample; or,
    /// where the query is about the buckets of a histogram, events that are.
    Threshold {
        /// The value, or the buckets.
        value: Query,
        /// How.
        op: Op,
        /// With what.
        threshold: f64,
    },
}

impl Indicator {
    /// Complains about the first query that cannot be used.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let window = Span(300);
        let counted = |key, query: &Query| {
            let told = promql::per_second(&query.0, window);
            told.map(|_| ()).map_err(|why| (key, why))
        };
        match self {
            Self::Events {
                counts,
                part,
                total,
            } => {
                let key = match counts {
                    Ratio::Good => "good",
                    Ratio::Bad => "bad",
                };
                counted(key, part).and_then(|()| counted("total", total))
            }
            Self::Raw { ratio, .. } => promql::as_written(&ratio.0, window)
                .map(|_| ())
                .map_err(|why| ("raw", why)),
            Self::Threshold { value, .. } => promql::as_written(&value.0, window)
                .map(|_| ())
                .map_err(|why| ("thresholdMetric", why)),
        }
    }

    /// The histogram and bound that it counts by, where it counts by one.
    #[must_use]
    pub fn bound(&self) -> Option<(String, f64)> {
        match self {
            Self::Threshold { threshold, .. } => Some((self.buckets()?.histogram, *threshold)),
            Self::Events { .. } | Self::Raw { .. } => None,
        }
    }

    fn buckets(&self) -> Option<BucketSeries> {
        let Self::Threshold { value, .. } = self else {
            return None;
        };
        promql::bucket_series(&promql::parse(&value.0).ok()?)
    }

    /// Whether it counts events, so that there is a number of them.
    pub(crate) fn counts_events(&self) -> bool {
        matches!(self, Self::Events { .. }) || self.buckets().is_some()
    }

    /// The part that was bad over `window`, as PromQL.
    pub(crate) fn bad_part(&self, window: Span) -> Result<String, String> {
        if let Some(buckets) = self.buckets() {
            return self.bad_part_of(&buckets, window);
        }
        match self {
            Self::Events {
                counts,
                part,
                total,
            } => {
                let total = promql::per_second(&total.0, window)?;
                let part = promql::per_second(&part.0, window)?;
                Ok(ratio(*counts, &part, &total))
            }
            Self::Raw { counts, ratio } => {
                let ratio = promql::as_written(&ratio.0, window)?;
                let mean = format!("avg_over_time(({ratio})[{window}:1m])");
                Ok(match counts {
                    Ratio::Good => format!("1 - {mean}"),
                    Ratio::Bad => mean,
                })
            }
            Self::Threshold { .. } => Ok(format!(
                "1 - avg_over_time(({})[{window}:1m])",
                self.is_good(window)?
            )),
        }
    }

    fn bad_part_of(&self, buckets: &BucketSeries, window: Span) -> Result<String, String> {
        let Self::Threshold { op, threshold, .. } = self else {
            return Err("no threshold".into());
        };
        let within = buckets.selector("_bucket", Some(&le(*threshold)));
        let within = format!("sum(rate({within}[{window}]))");
        let total = self.events(window)?;
        let counts = match op {
            Op::AtMost | Op::Below => Ratio::Good,
            Op::AtLeast | Op::Above => Ratio::Bad,
        };
        Ok(ratio(counts, &within, &total))
    }

    /// 1 where a sample is good and 0 where it is not.
    fn is_good(&self, window: Span) -> Result<String, String> {
        match self {
            Self::Threshold {
                value,
                op,
                threshold,
            } => {
                let value = promql::as_written(&value.0, window)?;
                Ok(format!("({value}) {} bool {threshold}", op.sign()))
            }
            Self::Events { .. } | Self::Raw { .. } => Err("no threshold".into()),
        }
    }

    /// The part of slices of `slice` that were bad over `window`: those in which less than
    /// `target` was good.
    pub(crate) fn bad_slices(
        &self,
        window: Span,
        slice: Span,
        target: f64,
    ) -> Result<String, String> {
        let bad = self.bad_part(slice)?;
        let allowed = crate::openslo::rounded(1.0 - target);
        Ok(format!(
            "1 - avg_over_time((({bad}) <= bool {allowed})[{window}:{slice}])"
        ))
    }

    /// The mean over slices of the part that was bad.
    pub(crate) fn mean_of_slices(&self, window: Span, slice: Span) -> Result<String, String> {
        Ok(format!(
            "avg_over_time(({})[{window}:{slice}])",
            self.bad_part(slice)?
        ))
    }

    /// Events a second over `window`.
    pub(crate) fn events(&self, window: Span) -> Result<String, String> {
        if let Some(buckets) = self.buckets() {
            let total = buckets.selector("_count", None);
            return Ok(format!("sum(rate({total}[{window}]))"));
        }
        match self {
            Self::Events { total, .. } => promql::per_second(&total.0, window),
            Self::Raw { .. } | Self::Threshold { .. } => Err("it counts no events".into()),
        }
    }
}

/// The bad part, from counts a second.
fn ratio(counts: Ratio, part: &str, total: &str) -> String {
    let part = format!("({part} or 0 * {total})");
    match counts {
        Ratio::Bad => format!("{part} / {total}"),
        Ratio::Good => format!("1 - {part} / {total}"),
    }
}

/// A matcher of the bucket with this bound. Clients write whole bounds as `1` or `1.0`.
fn le(bound: f64) -> String {
    if bound.fract() == 0.0 {
        format!("le=~\"{bound}(\\\\.0)?\"")
    } else {
        format!("le=\"{bound}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Span = Span(300);

    fn events(counts: Ratio) -> Indicator {
        Indicator::Events {
            counts,
            part: Query("x_total{ok=\"1\"}".into()),
            total: Query("x_total".into()),
        }
    }

    // Trap 1: failed / (failed + ok), and a total outage is 1.
    #[test]
    fn what_has_no_series_yet_counts_as_none() {
        assert_eq!(
            events(Ratio::Bad).bad_part(FIVE).as_deref(),
            Ok(
                "(sum(rate(x_total{ok=\"1\"}[5m])) or 0 * sum(rate(x_total[5m]))) / sum(rate(x_total[5m]))"
            )
        );
        assert_eq!(
            events(Ratio::Good).bad_part(FIVE).as_deref(),
            Ok(
                "1 - (sum(rate(x_total{ok=\"1\"}[5m])) or 0 * sum(rate(x_total[5m]))) / sum(rate(x_total[5m]))"
            )
        );
    }

    #[test]
    fn buckets_are_counted_and_values_are_timed() {
        let latency = Indicator::Threshold {
            value: Query("sum by (le) (rate(x_seconds_bucket[5m]))".into()),
            op: Op::AtMost,
            threshold: 1.0,
        };
        assert!(latency.counts_events());
        let bad = latency.bad_part(FIVE).expect("a query");
        assert!(
            bad.contains("x_seconds_bucket{le=~\"1(\\\\.0)?\"}[5m]"),
            "{bad}"
        );
        assert!(bad.ends_with("/ sum(rate(x_seconds_count{}[5m]))"), "{bad}");
        let queue = Indicator::Threshold {
            value: Query("queue_size".into()),
            op: Op::Below,
            threshold: 1_000.0,
        };
        assert!(!queue.counts_events());
        assert_eq!(
            queue.bad_part(FIVE).as_deref(),
            Ok("1 - avg_over_time(((queue_size) < bool 1000)[5m:1m])")
        );
    }
}
