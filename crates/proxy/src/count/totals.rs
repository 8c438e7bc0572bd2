//! Counts since the start, for `/metrics`: the sum of all slices.
//!
//! Made from slices, not beside them, so that both can never disagree; a scrape is at
//! most a second behind. The text is written here: a metrics library keeps its own
//! counters, which would have to be fed per request.

use super::shard::Faults;
use esclusa_judge::{EventClass, Histogram, Slice};
use esclusa_model::{Digest, ServiceName};
use std::collections::BTreeMap;

/// Upper bounds of the latency histogram in microseconds.
pub(crate) const BOUNDS_US: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// Versions that were neither counted nor served for so long are no longer shown.
const FORGET_AFTER_S: u64 = 24 * 3_600;

/// What a sum is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SumKey {
    pub(crate) service: ServiceName,
    pub(crate) intended: Digest,
    pub(crate) served: Option<Digest>,
    pub(crate) synthetic: bool,
}

/// Sums of one kind of request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) events: BTreeMap<EventClass, u64>,
    pub(crate) latency: Histogram,
    last_s: u64,
}

/// All sums.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sums: BTreeMap<SumKey, Sum>,
    pub(crate) faults: BTreeMap<ServiceName, Faults>,
    pub(crate) unrouted: Faults,
}

impl Totals {
    /// Adds a second's slices.
    pub(crate) fn add(&mut self, slices: &[Slice], unrouted: Faults, uptime_s: u64) {
        for slice in slices {
            for cell in &slice.cells {
                let key = SumKey {
                    service: slice.service.clone(),
                    intended: cell.intended,
                    served: cell.served,
                    synthetic: cell.synthetic,
                };
                let sum = self.sums.entry(key).or_default();
                sum.requests += cell.requests;
                for (class, n) in &cell.events {
                    *sum.events.entry(*class).or_default() += n;
                }
                sum.latency.merge(&cell.latency);
                sum.last_s = uptime_s;
            }
            let faults = self.faults.entry(slice.service.clone()).or_default();
            faults.client += slice.client_faults;
            faults.proxy += slice.proxy_faults;
        }
        self.unrouted.client += unrouted.client;
        self.unrouted.proxy += unrouted.proxy;
        self.sums
            .retain(|_, sum| uptime_s.saturating_sub(sum.last_s) < FORGET_AFTER_S);
    }
}
