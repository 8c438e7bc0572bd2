//! The last seconds of a service's traffic, for pages and `release watch`.

use esclusa_judge::{Histogram, Slice, upper_edge};
use esclusa_model::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many seconds are remembered.
const SECONDS: usize = 120;
/// Over how many of them rates and quantiles are shown.
const WINDOW: usize = 10;

/// One version's traffic over the last seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionTraffic {
    /// The version's digest.
    pub version: String,
    /// Requests per second.
    pub requests_per_s: f64,
    /// Failures by the version's fault, as a fraction of its requests; absent without any.
    pub error_rate: Option<f64>,
    /// 95 of 100 requests got their answer's head within this many milliseconds.
    pub p95_ms: Option<f64>,
    /// Requests in the window.
    pub requests: u64,
    /// Failures in the window.
    pub failures: u64,
}

#[derive(Default)]
struct Second {
    second: i64,
    versions: BTreeMap<Digest, Counts>,
}

#[derive(Default, Clone)]
struct Counts {
    requests: u64,
    failures: u64,
    latency: Histogram,
}

/// Recent seconds, oldest first.
#[derive(Default)]
pub(crate) struct Live {
    seconds: VecDeque<Second>,
    /// Traffic by version as of the newest slice: summed up once, looked at often.
    shown: Vec<VersionTraffic>,
}

impl Live {
    pub(crate) fn take(&mut self, slice: &Slice) {
        let at = match self
            .seconds
            .iter()
            .rposition(|known| known.second <= slice.second)
        {
            Some(index) if self.seconds[index].second == slice.second => index,
            found => {
                let index = found.map_or(0, |index| index + 1);
                self.seconds.insert(
                    index,
                    Second {
                        second: slice.second,
                        ..Second::default()
                    },
                );
                index
            }
        };
        for cell in slice.cells.iter().filter(|cell| !cell.synthetic) {
            let counts = self.seconds[at].versions.entry(cell.intended).or_default();
            counts.requests += cell.requests;
            counts.failures += cell.failures();
            counts.latency.merge(&cell.latency);
        }
        while self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        self.shown = self.sum();
    }

    /// The newest second seen, since 1970.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.seconds.back().map(|second| second.second)
    }

    /// Traffic by version over the last seconds.
    pub(crate) fn versions(&self) -> &[VersionTraffic] {
        &self.shown
    }

    fn sum(&self) -> Vec<VersionTraffic> {
        let Some(newest) = self.newest() else {
            return Vec::new();
        };
        let mut sums: BTreeMap<Digest, Counts> = BTreeMap::new();
        for second in self
            .seconds
            .iter()
            .rev()
            .take_while(|s| s.second > newest - WINDOW as i64)
        {
            for (version, counts) in &second.versions {
                let sum = sums.entry(*version).or_default();
                sum.requests += counts.requests;
                sum.failures += counts.failures;
                sum.latency.merge(&counts.latency);
            }
        }
        sums.into_iter()
            .map(|(version, counts)| VersionTraffic {
                version: version.to_string(),
                requests_per_s: counts.requests as f64 / WINDOW as f64,
                error_rate: (counts.requests > 0)
                    .then(|| counts.failures as f64 / counts.requests as f64),
                p95_ms: counts
                    .latency
                    .quantile_bucket(0.95)
                    .map(|bucket| upper_edge(bucket) as f64 / 1_000.0),
                requests: counts.requests,
                failures: counts.failures,
            })
            .collect()
    }
}
