//! Failed logins by address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed logins of one address within [`FAILURE_WINDOW_US`] that are answered in full.
pub(super) const FAILURES_ALLOWED: u32 = 10;
/// How long failed logins of an address are remembered.
const FAILURE_WINDOW_US: i64 = 60_000_000;
/// Addresses remembered at once; the memory a flood can take is bounded by it.
const FAILURE_ADDRESSES: usize = 4_096;

/// Failed logins by address.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<Option<IpAddr>, (u32, i64)>>);

impl Failures {
    /// Counts a failure; false once the address has failed too often in this window.
    pub(super) fn record(&self, from: Option<IpAddr>, now_us: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FAILURE_ADDRESSES {
            known.retain(|_, (_, since)| now_us - *since < FAILURE_WINDOW_US);
        }
        if known.len() >= FAILURE_ADDRESSES && !known.contains_key(&from) {
            return false;
        }
        let entry = known.entry(from).or_insert((0, now_us));
        if now_us - entry.1 >= FAILURE_WINDOW_US {
            *entry = (0, now_us);
        }
        entry.0 = entry.0.saturating_add(1);
        entry.0 <= FAILURES_ALLOWED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_address_and_forgotten() {
        let failures = Failures::default();
        let address: IpAddr = [10, 0, 0, 1].into();
        for _ in 0..FAILURES_ALLOWED {
            assert!(failures.record(Some(address), 1));
        }
        assert!(!failures.record(Some(address), 2));
        assert!(
            failures.record(Some([10, 0, 0, 2].into()), 2),
            "another address"
        );
        assert!(
            failures.record(Some(address), 1 + FAILURE_WINDOW_US),
            "later"
        );
    }
}
