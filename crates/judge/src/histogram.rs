//! Log-linear latency histograms: integer microseconds, 32 buckets an octave.
//!
//! A bucket is at most 3.1 % wide; histograms merge by addition. Index and edges
//! follow the replay format `esclusa-judge/1`, so that live and replayed data agree.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The highest bucket that is told apart; about 73 minutes.
pub const MAX_BUCKET: u16 = 895;

/// The bucket that a latency of `micros` falls into.
#[must_use]
pub const fn bucket_of(micros: u64) -> u16 {
    if micros < 32 {
        return micros as u16;
    }
    let octave = micros.ilog2() - 5;
    let index = ((octave as u64) << 5) + (micros >> octave);
    if index > MAX_BUCKET as u64 {
        MAX_BUCKET
    } else {
        index as u16
    }
}

/// The smallest latency in microseconds that falls into bucket `index`.
#[must_use]
pub const fn lower_edge(index: u16) -> u64 {
    if index < 64 {
        index as u64
    } else {
        (32 + (index as u64) % 32) << (index as u64 / 32 - 1)
    }
}

/// The first latency in microseconds above bucket `index`.
#[must_use]
pub const fn upper_edge(index: u16) -> u64 {
    lower_edge(index + 1)
}

/// Counts by bucket; empty buckets take no room. Written as `[index, count, index, count, ...]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Histogram {
    counts: BTreeMap<u16, u64>,
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, micros: u64) {
        self.add(bucket_of(micros), 1);
    }

    /// Adds `count` to bucket `index`; indexes past [`MAX_BUCKET`] count there.
    pub fn add(&mut self, index: u16, count: u64) {
        if count > 0 {
            let slot = self.counts.entry(index.min(MAX_BUCKET)).or_default();
            *slot = slot.saturating_add(count);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (index, count) in other.iter() {
            self.add(index, count);
        }
    }

    /// Non-empty buckets in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.counts.iter().map(|(index, count)| (*index, *count))
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        let add = |sum: u64, n: &u64| sum.saturating_add(*n);
        self.counts.values().fold(0, add)
    }

    /// How many latencies lie in buckets that start at or above `edge_us`.
    #[must_use]
    pub fn at_or_above(&self, edge_us: u64) -> u64 {
        let bucket = bucket_of(edge_us);
        let first = bucket + u16::from(lower_edge(bucket) < edge_us);
        self.counts.range(first..).map(|(_, n)| n).sum()
    }

    /// The bucket that holds quantile `q` (0 to 1), or nothing when empty.
    #[must_use]
    pub fn quantile_bucket(&self, q: f64) -> Option<u16> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        // The rank is at least 1 and at most `total`, so the scan ends inside.
        let rank = (libm::ceil(q * total as f64) as u64).clamp(1, total);
        let mut seen = 0;
        for (index, count) in self.iter() {
            seen += count;
            if seen >= rank {
                return Some(index);
            }
        }
        None
    }
}

impl TryFrom<Vec<u64>> for Histogram {
    type Error = String;
    fn try_from(pairs: Vec<u64>) -> Result<Self, String> {
        if !pairs.len().is_multiple_of(2) {
            return Err("a histogram is a list of index, count pairs".into());
        }
        let mut histogram = Self::default();
        for pair in pairs.chunks_exact(2) {
            let index =
                u16::try_from(pair[0]).map_err(|_| format!("bucket {} is too high", pair[0]))?;
            histogram.add(index, pair[1]);
        }
        Ok(histogram)
    }
}

impl From<Histogram> for Vec<u64> {
    fn from(histogram: Histogram) -> Self {
        histogram
            .iter()
            .flat_map(|(index, count)| [u64::from(index), count])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indexes_are_those_of_the_replay_format() {
        for (micros, index, low, high) in [
            (31, 31, 31, 32),
            (64, 64, 64, 66),
            (1_000, 190, 992, 1_008),
            (12_345, 304, 12_288, 12_544),
            (250_000, 445, 249_856, 253_952),
            (1_000_000, 509, 999_424, 1_015_808),
        ] {
            assert_eq!(
                (bucket_of(micros), lower_edge(index), upper_edge(index)),
                (index, low, high)
            );
        }
    }

    #[test]
    fn quantile_of_nothing_is_unknown() {
        assert_eq!(Histogram::default().quantile_bucket(0.95), None);
    }

    proptest! {
        #[test]
        fn a_latency_lies_between_its_edges(micros in 0u64..4_000_000_000) {
            let index = bucket_of(micros);
            prop_assert!(lower_edge(index) <= micros && micros < upper_edge(index));
        }

        #[test]
        fn text_form_is_read_back(values in proptest::collection::vec(0u64..10_000_000, 0..50)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|v| histogram.record(*v));
            let text = serde_json::to_string(&histogram).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).expect("reads"), histogram);
        }
    }
}
