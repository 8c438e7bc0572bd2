//! A release's traffic over time: a bounded number of buckets, each the sum of what was
//! counted in it (DSH-02, DSH-03).
//!
//! Pure. Histograms are added and quantiles taken of the sum; quantiles are never
//! averaged. A bucket in which nobody counted is unknown, not zero.

mod marks;

pub use marks::{Mark, MarkKind};

use crate::figures::{LatencyMs, Percent};
use crate::view::VersionView;
use esclusa_judge::{Histogram, Slice};
use esclusa_model::{BasisPoints, Digest, Envelope, Timestamp};
use esclusa_release::{Event, Release};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

#[cfg(test)]
pub(crate) mod tests;

/// A release's traffic over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Series {
    /// The version that served when the release began; absent on a first deployment.
    pub stable_version: Option<VersionView>,
    /// The version that is released, once it is stored.
    pub canary_version: Option<VersionView>,
    /// Where the first bucket starts, milliseconds since 1970.
    pub from_ms: i64,
    /// Where the last bucket ends.
    pub to_ms: i64,
    /// The length of a bucket.
    pub bucket_ms: u64,
    /// Why nothing is known, when that is so.
    pub unknown_because: Option<String>,
    /// Without gaps in time, oldest first.
    pub buckets: Vec<Bucket>,
    /// What happened, oldest first.
    pub marks: Vec<Mark>,
    /// Older marks that are left out.
    pub marks_left_out: u64,
}

/// What was counted in a length of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Bucket {
    /// Its start, milliseconds since 1970.
    pub start_ms: i64,
    /// Its length.
    pub length_ms: u64,
    /// Of how many of its seconds there are counts.
    pub counted_s: u32,
    /// The share of the canary in force at its end, as the dial was read back.
    pub share_percent: Percent,
    /// The version before; null when nobody counted.
    pub stable: Option<Side>,
    /// The new version; null when nobody counted.
    pub canary: Option<Side>,
}

/// One version's part of a bucket, without synthetic requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Side {
    /// Requests.
    pub requests: u64,
    /// Failures by the version's fault.
    pub errors: u64,
    /// Failures in a hundred requests; null without requests.
    pub error_percent: Option<Percent>,
    /// Half of the requests got their answer's head within this; null without any.
    pub p50_ms: Option<LatencyMs>,
    /// 95 of 100 did.
    pub p95_ms: Option<LatencyMs>,
    /// 99 of 100 did.
    pub p99_ms: Option<LatencyMs>,
}

/// How many buckets somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Points(u16);

impl Points {
    /// The most that are given.
    pub(crate) const MOST: u16 = 1_000;
    /// When nobody says how many.
    pub(crate) const USUAL: Self = Self(240);
    /// As many as a chart on paper shows.
    pub(crate) const REPORT: Self = Self(120);

    /// Unless it is none, or more than [`Self::MOST`].
    pub(crate) fn new(points: u16) -> Option<Self> {
        (1..=Self::MOST).contains(&points).then_some(Self(points))
    }
}

/// Whole seconds, the end left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub from: i64,
    pub to: i64,
}

impl Span {
    /// The time that a release took, up to now while it is under way.
    pub(crate) fn of(release: &Release, now: Timestamp) -> Self {
        let from = release.requested_at.unix_second();
        let end = release.ended.as_ref().map_or(now, |ended| ended.at);
        Self {
            from,
            to: (end.unix_second() + 1).max(from + 1),
        }
    }

    pub(crate) const fn seconds(self) -> i64 {
        self.to - self.from
    }
}

#[derive(Default)]
struct Sum {
    requests: u64,
    errors: u64,
    latency: Histogram,
}

impl Sum {
    fn side(&self) -> Side {
        let quantile = |fraction| LatencyMs::quantile(&self.latency, fraction);
        Side {
            requests: self.requests,
            errors: self.errors,
            error_percent: Percent::of(self.errors, self.requests),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
        }
    }
}

#[derive(Default)]
struct Counted {
    seconds: BTreeSet<i64>,
    stable: Sum,
    canary: Sum,
}

/// Adds slices up into buckets.
pub(crate) struct Collector {
    span: Span,
    bucket_s: i64,
    stable: Option<Digest>,
    canary: Option<Digest>,
    buckets: Vec<Counted>,
}

impl Collector {
    pub(crate) fn new(release: &Release, span: Span, Points(points): Points) -> Self {
        let points = i64::from(points);
        let bucket_s = (span.seconds() + points - 1).div_euclid(points).max(1);
        let count = (span.seconds() + bucket_s - 1).div_euclid(bucket_s);
        let digest = |version: &esclusa_model::VersionRef| version.digest;
        Self {
            span,
            bucket_s,
            stable: release.requested.stable.as_ref().map(digest),
            canary: release.version.as_ref().map(digest),
            buckets: (0..count).map(|_| Counted::default()).collect(),
        }
    }

    pub(crate) fn take(&mut self, slice: &Slice) {
        let offset = slice.second - self.span.from;
        let index = usize::try_from(offset.div_euclid(self.bucket_s));
        let Some(bucket) = index.ok().and_then(|index| self.buckets.get_mut(index)) else {
            return;
        };
        bucket.seconds.insert(slice.second);
        for cell in slice.cells.iter().filter(|cell| !cell.synthetic) {
            let sum = if Some(cell.intended) == self.canary {
                &mut bucket.canary
            } else if Some(cell.intended) == self.stable {
                &mut bucket.stable
            } else {
                continue;
            };
            sum.requests += cell.requests;
            sum.errors += cell.failures();
            sum.latency.merge(&cell.latency);
        }
    }

    /// The whole. `events` is the release's stream; `unknown_because` says why nothing
    /// could be counted, and then nothing is shown as counted.
    pub(crate) fn finish(
        self,
        release: &Release,
        events: &[Envelope],
        unknown_because: Option<String>,
    ) -> Series {
        let shares = shares(events);
        let known = unknown_because.is_none();
        let (from, bucket_s) = (self.span.from, self.bucket_s);
        let starts = (0..).map(|n: i64| from + n * bucket_s);
        let buckets = starts.zip(&self.buckets).map(|(start, counted)| {
            // The last bucket may be shorter.
            let end = (start + bucket_s).min(self.span.to);
            let is_counted = known && !counted.seconds.is_empty();
            let side = |version: Option<Digest>, sum: &Sum| {
                (is_counted && version.is_some()).then(|| sum.side())
            };
            Bucket {
                start_ms: start * 1_000,
                length_ms: u64::try_from((end - start) * 1_000).unwrap_or_default(),
                counted_s: match is_counted {
                    true => u32::try_from(counted.seconds.len()).unwrap_or(u32::MAX),
                    false => 0,
                },
                share_percent: share_at(&shares, end).into(),
                stable: side(self.stable, &counted.stable),
                canary: side(self.canary, &counted.canary),
            }
        });
        let (marks, marks_left_out) = marks::marks(release, events);
        Series {
            stable_version: release.requested.stable.as_ref().map(Into::into),
            canary_version: release.version.as_ref().map(Into::into),
            from_ms: self.span.from * 1_000,
            to_ms: self.span.to * 1_000,
            bucket_ms: u64::try_from(bucket_s * 1_000).unwrap_or_default(),
            buckets: buckets.collect(),
            unknown_because,
            marks,
            marks_left_out,
        }
    }
}

/// The shares in force, each from its time on.
fn shares(events: &[Envelope]) -> Vec<(Timestamp, BasisPoints)> {
    let share = |stored: &Envelope| match Event::from_stored(&stored.kind, &stored.payload) {
        Ok(Event::DialConfirmed(dial)) => Some((stored.at, dial.achieved)),
        Ok(Event::ReturnedByProxy { .. }) => Some((stored.at, BasisPoints::ZERO)),
        _ => None,
    };
    events.iter().filter_map(share).collect()
}

/// The share before this second.
fn share_at(shares: &[(Timestamp, BasisPoints)], second: i64) -> BasisPoints {
    let mut before = shares.iter().rev();
    let found = before.find(|(at, _)| at.0 < second.saturating_mul(1_000_000));
    found.map_or(BasisPoints::ZERO, |(_, share)| *share)
}
