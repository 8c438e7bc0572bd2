//! One worker's counts by second, and the requests that wait.
//!
//! A request is counted in the second in which it ended, however late the cutter comes:
//! a machine that is busy moves no request to another second. Only its worker and the once-a-second cutter lock a shard, so the lock is free
//! nearly always. Counts are kept under numbers; names are looked up when a slice is cut.

use crate::registry::Key;
use esclusa_judge::{EventClass, Histogram};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a cell is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CellKey {
    pub(crate) service: Key,
    pub(crate) intended: Key,
    pub(crate) served: Option<Key>,
    pub(crate) route: Key,
    pub(crate) instance: Option<Key>,
    pub(crate) synthetic: bool,
}

/// Distinct units counted in one cell and second; later ones are left out of the
/// heaviest, which a unit that comes 4,096 units late is not.
const MAX_TRACKED_UNITS: usize = 4_096;

/// Counts of one cell.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) events: HashMap<EventClass, u64>,
    pub(crate) latency: Histogram,
    pub(crate) pending: Histogram,
    /// Requests and failures by unit.
    pub(crate) units: HashMap<u64, (u64, u64)>,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        for (class, n) in &other.events {
            *self.events.entry(*class).or_default() += n;
        }
        self.latency.merge(&other.latency);
        self.pending.merge(&other.pending);
        for (unit, (requests, failures)) in &other.units {
            let sum = self.units.entry(*unit).or_default();
            sum.0 += requests;
            sum.1 += failures;
        }
    }
}

/// Faults that no version answers for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) client: u64,
    pub(crate) proxy: u64,
}

/// A second's counts, taken out of a shard.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) cells: HashMap<CellKey, Tally>,
    pub(crate) faults: HashMap<Key, Faults>,
    /// Requests that no service could be found for, and broken heads.
    pub(crate) unrouted: Faults,
}

#[derive(Debug)]
struct Waiting {
    key: CellKey,
    since: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the second's start on the wall clock: the running one, and those before it
    /// that nobody has cut yet.
    seconds: BTreeMap<i64, Counts>,
    waiting: Vec<Option<Waiting>>,
    free: Vec<usize>,
}

/// One worker's counts.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    inner: Mutex<Inner>,
    ending: AtomicBool,
}

/// A request that is finished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    pub(crate) key: CellKey,
    pub(crate) class: Option<EventClass>,
    pub(crate) latency_us: u64,
    pub(crate) unit: Option<u64>,
}

impl Shard {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is the proxy that breaks requests off.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// A request begins to wait for a head. The answer names it until then.
    pub(crate) fn wait(&self, key: CellKey, since: Instant) -> usize {
        let mut inner = self.inner();
        let waiting = Some(Waiting { key, since });
        if let Some(slot) = inner.free.pop() {
            inner.waiting[slot] = waiting;
            slot
        } else {
            inner.waiting.push(waiting);
            inner.waiting.len() - 1
        }
    }

    /// It now waits for another instance.
    pub(crate) fn moved(&self, slot: usize, instance: Option<Key>) {
        if let Some(Some(waiting)) = self.inner().waiting.get_mut(slot) {
            waiting.key.instance = instance;
        }
    }

    /// It no longer waits.
    pub(crate) fn waited(&self, slot: usize) {
        let mut inner = self.inner();
        if inner.waiting.get_mut(slot).and_then(Option::take).is_some() {
            inner.free.push(slot);
        }
    }

    /// Counts a request that finished in this second.
    pub(crate) fn finish(&self, second: i64, done: Finished) {
        let failed = done.class.is_some_and(EventClass::is_failure);
        let mut inner = self.inner();
        let counts = inner.seconds.entry(second).or_default();
        let tally = counts.cells.entry(done.key).or_default();
        tally.requests += 1;
        if let Some(class) = done.class {
            *tally.events.entry(class).or_default() += 1;
        }
        if !failed {
            tally.latency.record(done.latency_us);
        }
        if let Some(unit) = done.unit {
            let room = tally.units.len() < MAX_TRACKED_UNITS;
            if let Some(sum) = tally.units.get_mut(&unit) {
                sum.0 += 1;
                sum.1 += u64::from(failed);
            } else if room {
                tally.units.insert(unit, (1, u64::from(failed)));
            }
        }
    }

    /// Counts a fault of the client in this second.
    pub(crate) fn client_fault(&self, second: i64, service: Option<Key>) {
        let mut inner = self.inner();
        inner.faults(second, service).client += 1;
    }

    /// Counts a fault of the proxy in this second.
    pub(crate) fn proxy_fault(&self, second: i64, service: Option<Key>) {
        let mut inner = self.inner();
        inner.faults(second, service).proxy += 1;
    }

    /// The seconds in which anything was counted and that nobody has cut.
    pub(crate) fn seconds(&self) -> BTreeSet<i64> {
        self.inner().seconds.keys().copied().collect()
    }

    /// Takes a second's counts, with the ages of what waits at its end, `at`.
    pub(crate) fn cut(&self, second: i64, at: Instant) -> Counts {
        let mut inner = self.inner();
        let mut counts = inner.seconds.remove(&second).unwrap_or_default();
        for waiting in inner.waiting.iter().flatten().filter(|w| w.since <= at) {
            let age = at.saturating_duration_since(waiting.since).as_micros();
            let tally = counts.cells.entry(waiting.key).or_default();
            tally.pending.record(u64::try_from(age).unwrap_or(u64::MAX));
        }
        counts
    }
}

impl Inner {
    fn faults(&mut self, second: i64, service: Option<Key>) -> &mut Faults {
        let counts = self.seconds.entry(second).or_default();
        match service {
            Some(service) => counts.faults.entry(service).or_default(),
            None => &mut counts.unrouted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CellKey {
        CellKey {
            service: 0,
            intended: 1,
            served: None,
            route: 2,
            instance: None,
            synthetic: false,
        }
    }

    #[test]
    fn waiting_requests_are_shown_each_second_and_finished_ones_once() {
        let shard = Shard::default();
        let start = Instant::now();
        let slot = shard.wait(key(), start);
        let later = start + std::time::Duration::from_secs(3);
        for _ in 0..2 {
            let counts = shard.cut(1, later);
            let tally = &counts.cells[&key()];
            assert_eq!((tally.requests, tally.pending.total()), (0, 1));
            assert_eq!(tally.pending.at_or_above(2_000_000), 1);
        }
        shard.waited(slot);
        shard.waited(slot);
        let done = Finished {
            key: key(),
            class: Some(EventClass::ServerError),
            latency_us: 5,
            unit: Some(9),
        };
        shard.finish(2, done);
        let good = Finished {
            class: None,
            ..done
        };
        shard.finish(2, good);
        shard.finish(3, good);
        let counts = shard.cut(2, later);
        let tally = &counts.cells[&key()];
        assert_eq!(
            (tally.requests, tally.latency.total(), tally.units[&9]),
            (2, 1, (2, 1))
        );
        assert!(shard.cut(2, later).cells.is_empty());
        // The next second has its own.
        assert_eq!(shard.seconds(), BTreeSet::from([3]));
        assert_eq!(shard.cut(3, later).cells[&key()].requests, 1);
        // A freed place is used again, once.
        assert_eq!(shard.wait(key(), start), slot);
        assert_ne!(shard.wait(key(), start), slot);
    }
}
