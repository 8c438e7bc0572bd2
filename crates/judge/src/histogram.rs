//! Log-linear latency histograms: integer microseconds, 32 buckets an octave.
//!
//! A bucket is at most 3.1 % wide; histograms merge by addition. Index and edges
//! follow the replay format `esclusa-judge/1`, so that live and replayed data agree.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::LazyLock;

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

/// The logarithm of the smallest latency in bucket `index`, that of one microsecond at
/// least. Looked up: means of logarithms are taken every second.
pub(crate) fn log_edge(index: u16) -> f64 {
    static LOGS: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let log = |index| libm::log(lower_edge(index).max(1) as f64);
        (0..=MAX_BUCKET).map(log).collect()
    });
    LOGS[usize::from(index.min(MAX_BUCKET))]
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
    /// Rising by bucket, no bucket twice.
    counts: Vec<(u16, u64)>,
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, micros: u64) {
        self.add(bucket_of(micros), 1);
    }

    /// Adds `count` to bucket `index`; indexes past [`MAX_BUCKET`] count there.
    pub fn add(&mut self, index: u16, count: u64) {
        if count == 0 {
            return;
        }
        let index = index.min(MAX_BUCKET);
        match self
            .counts
            .binary_search_by_key(&index, |(known, _)| *known)
        {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (index, count)),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        let own = std::mem::take(&mut self.counts);
        self.counts.reserve(own.len() + other.counts.len());
        let (mut own, mut more) = (own.iter().peekable(), other.counts.iter().peekable());
        while let (Some(a), Some(b)) = (own.peek(), more.peek()) {
            match a.0.cmp(&b.0) {
                Ordering::Less => self.counts.extend(own.next()),
                Ordering::Greater => self.counts.extend(more.next()),
                Ordering::Equal => {
                    self.counts.push((a.0, a.1.saturating_add(b.1)));
                    own.next();
                    more.next();
                }
            }
        }
        self.counts.extend(own);
        self.counts.extend(more);
    }

    /// Non-empty buckets in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter()
            .fold(0, |sum: u64, (_, n)| sum.saturating_add(n))
    }

    /// How many latencies lie in buckets that start at or above `edge_us`.
    #[must_use]
    pub fn at_or_above(&self, edge_us: u64) -> u64 {
        let bucket = bucket_of(edge_us);
        let first = bucket + u16::from(lower_edge(bucket) < edge_us);
        let at = self.counts.partition_point(|(index, _)| *index < first);
        self.counts[at..].iter().map(|(_, n)| n).sum()
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
        fn merging_is_adding_one_by_one(
            a in proptest::collection::vec(0u64..100_000, 0..50),
            b in proptest::collection::vec(0u64..100_000, 0..50),
            edge in 0u64..200_000,
        ) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|v| histogram.record(*v));
                histogram
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let all = of(&[a, b].concat());
            let above = |h: &Histogram| {
                h.iter().filter(|(i, _)| lower_edge(*i) >= edge).map(|(_, n)| n).sum::<u64>()
            };
            prop_assert_eq!(all.at_or_above(edge), above(&all));
            prop_assert_eq!(merged, all);
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
