//! How often somebody may ask: a bucket of requests for each caller, and one for each
//! address that names no caller.
//!
//! Buckets of callers and of addresses are apart, so that a flood of strangers from an
//! address keeps nobody with a token from anything. What takes users back is never counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Requests a second that may go on for ever. A page asks a few times a second.
const SUSTAINED: i64 = 50;
/// Requests at once from a bucket that nobody used for a while.
const BURST: i64 = 200;
/// Buckets remembered at once; the memory a flood can take is bounded by it.
const BUCKETS: usize = 4_096;
/// What one request costs, in microseconds of filling.
const COST_US: i64 = 1_000_000 / SUSTAINED;
/// After how many seconds a bucket is full again.
const FULL_AFTER_US: i64 = BURST * COST_US;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Somebody who was recognised.
    Caller(String),
    /// Whoever asks from there without saying who they are.
    Address(Option<IpAddr>),
}

/// Requests by who asked.
#[derive(Default)]
pub(crate) struct Rate(Mutex<BTreeMap<Who, i64>>);

impl Rate {
    /// Takes one request out of a bucket; false when it is empty.
    ///
    /// A bucket is the time at which it will be full again: what is missing of it is how
    /// far that lies ahead.
    pub(crate) fn take(&self, who: Who, now_us: i64) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS {
            buckets.retain(|_, full_at| *full_at > now_us);
        }
        if buckets.len() >= BUCKETS && !buckets.contains_key(&who) {
            return false;
        }
        let full_at = buckets.entry(who).or_insert(now_us);
        let next = (*full_at).max(now_us) + COST_US;
        if next - now_us > FULL_AFTER_US {
            return false;
        }
        *full_at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Who {
        Who::Caller(name.to_owned())
    }

    // SEC-15: a burst is let through, a flood is not, and it hits nobody else.
    #[test]
    fn a_bucket_empties_and_fills_again() {
        let rate = Rate::default();
        let burst = (0..1_000).filter(|_| rate.take(caller("ci"), 7)).count();
        assert_eq!(burst, 200);
        assert!(rate.take(caller("ana"), 7), "another caller");
        assert!(rate.take(Who::Address(None), 7), "nobody in particular");
        let later = 7 + 1_000_000;
        let in_a_second = (0..1_000)
            .filter(|_| rate.take(caller("ci"), later))
            .count();
        assert_eq!(in_a_second, 50);
        let much_later = later + 3_600_000_000;
        let full = (0..1_000)
            .filter(|_| rate.take(caller("ci"), much_later))
            .count();
        assert_eq!(full, 200, "never more than full");
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory() {
        let rate = Rate::default();
        let address = |n: u32| Who::Address(Some(std::net::Ipv4Addr::from(n).into()));
        let taken = (0..10_000).filter(|n| rate.take(address(*n), 1)).count();
        assert_eq!(taken, BUCKETS);
        assert!(rate.take(address(1), 2), "a known one");
        assert!(
            rate.take(address(20_000), 1 + FULL_AFTER_US),
            "forgotten when full"
        );
    }
}
