//! Slices that nobody has acknowledged yet, oldest first.

use esclusa_judge::Slice;
use esclusa_model::BootId;
use esclusa_wire::{SliceAck, StampedSlice};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Most slices in one answer.
const MAX_BATCH: usize = 1_000;

#[derive(Debug)]
struct Inner {
    queue: VecDeque<StampedSlice>,
    last_sequence: u64,
    lost: u64,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct SliceStore {
    boot: BootId,
    keep_seconds: i64,
    inner: Mutex<Inner>,
    arrived: watch::Sender<u64>,
    /// Whether other lives of this proxy may still add to it.
    expects: AtomicBool,
}

impl SliceStore {
    /// Begins a boot, behind what earlier boots left. `lost` of those could not be read.
    pub(crate) fn new(
        boot: BootId,
        keep_seconds: usize,
        earlier: Vec<StampedSlice>,
        lost: u64,
    ) -> Self {
        Self {
            boot,
            keep_seconds: i64::try_from(keep_seconds).unwrap_or(i64::MAX),
            inner: Mutex::new(Inner {
                queue: earlier.into(),
                last_sequence: 0,
                lost,
            }),
            arrived: watch::Sender::new(0),
            expects: AtomicBool::new(false),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds slices in order and gives them their numbers.
    pub(crate) fn push(&self, slices: Vec<Slice>) -> Vec<StampedSlice> {
        let mut stamped = Vec::with_capacity(slices.len());
        let mut inner = self.inner();
        for slice in slices {
            let oldest = slice.second.saturating_sub(self.keep_seconds);
            while inner.queue.front().is_some_and(|s| s.slice.second < oldest) {
                inner.queue.pop_front();
                inner.lost += 1;
            }
            inner.last_sequence += 1;
            let one = StampedSlice {
                boot: self.boot.clone(),
                sequence: inner.last_sequence,
                slice,
            };
            inner.queue.push_back(one.clone());
            stamped.push(one);
        }
        let last = inner.last_sequence;
        drop(inner);
        self.arrived.send_replace(last);
        stamped
    }

    /// Adds what another boot counted, with the numbers that it gave. Nobody is woken:
    /// slices of this boot follow at once.
    pub(crate) fn push_earlier(&self, slices: Vec<StampedSlice>, unreadable: u64) {
        let mut inner = self.inner();
        inner.queue.extend(slices);
        inner.lost += unreadable;
    }

    /// Counts slices that a predecessor lost.
    pub(crate) fn add_lost(&self, lost: u64) {
        self.inner().lost += lost;
    }

    /// Slices behind `after` of this boot, and all of earlier boots, at most a batch.
    pub(crate) fn after(&self, after: u64) -> Vec<StampedSlice> {
        let inner = self.inner();
        let newer = |s: &&StampedSlice| s.boot != self.boot || s.sequence > after;
        inner
            .queue
            .iter()
            .filter(newer)
            .take(MAX_BATCH)
            .cloned()
            .collect()
    }

    /// The same, waiting up to `wait` for the first.
    pub(crate) async fn wait_after(&self, after: u64, wait: Duration) -> Vec<StampedSlice> {
        let until = tokio::time::Instant::now() + wait;
        let mut arrived = self.arrived.subscribe();
        loop {
            let found = self.after(after);
            if !found.is_empty() {
                return found;
            }
            // What is acknowledged already is no reason to answer.
            match tokio::time::timeout_at(until, arrived.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return found,
            }
        }
    }

    /// Forgets what is stored elsewhere.
    pub(crate) fn ack(&self, ack: &SliceAck) {
        self.inner()
            .queue
            .retain(|s| s.boot != ack.boot || s.sequence > ack.sequence);
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.inner().last_sequence
    }

    /// Whether other lives of this proxy may still add slices. While they may, an empty
    /// queue does not mean that everything was told.
    pub(crate) fn expects_others(&self) -> bool {
        self.expects.load(Ordering::Acquire)
    }

    /// Says whether others may still add slices.
    pub(crate) fn expect_others(&self, may: bool) {
        self.expects.store(may, Ordering::Release);
    }

    /// Slices lost for good.
    pub(crate) fn lost(&self) -> u64 {
        self.inner().lost
    }

    /// Slices that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.inner().queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_judge::SLICE_VERSION;
    use esclusa_model::{GenerationId, ServiceName};

    fn slice(second: i64) -> Slice {
        Slice {
            v: SLICE_VERSION,
            service: ServiceName::new("shop").expect("name"),
            second,
            uptime_s: 1,
            generation: GenerationId::default(),
            cells: Vec::new(),
            client_faults: 0,
            proxy_faults: 0,
        }
    }

    fn boot(name: &str) -> BootId {
        BootId::new(name).expect("boot")
    }

    #[test]
    fn each_boot_is_acknowledged_by_itself() {
        let old = StampedSlice {
            boot: boot("a"),
            sequence: 9,
            slice: slice(5),
        };
        let store = SliceStore::new(boot("b"), 100, vec![old], 0);
        store.push(vec![slice(10), slice(10)]);
        let seen: Vec<_> = store
            .after(1)
            .iter()
            .map(|s| (s.boot.to_string(), s.sequence))
            .collect();
        assert_eq!(seen, [("a".into(), 9), ("b".into(), 2)]);
        store.ack(&SliceAck {
            boot: boot("b"),
            sequence: 1,
        });
        assert_eq!(store.after(0).len(), 2);
        store.ack(&SliceAck {
            boot: boot("a"),
            sequence: 9,
        });
        store.ack(&SliceAck {
            boot: boot("b"),
            sequence: 2,
        });
        assert_eq!(
            (store.waiting(), store.last_sequence(), store.lost()),
            (0, 2, 0)
        );
    }

    /// Whoever fetches and acknowledges asks without `after`, and must not be answered
    /// in a loop.
    #[tokio::test]
    async fn a_wait_lasts_until_there_is_news() {
        let store = SliceStore::new(boot("b"), 100, Vec::new(), 0);
        store.push(vec![slice(10)]);
        store.ack(&SliceAck {
            boot: boot("b"),
            sequence: 1,
        });
        let mut wait = std::pin::pin!(store.wait_after(0, Duration::from_secs(600)));
        let now = std::future::poll_fn(|context| {
            std::task::Poll::Ready(wait.as_mut().poll(context).is_ready())
        });
        assert!(!now.await, "there is nothing to answer with");
        store.push(vec![slice(11)]);
        assert_eq!(wait.await[0].sequence, 2);
    }

    #[test]
    fn what_nobody_fetches_is_dropped_and_said() {
        let store = SliceStore::new(boot("b"), 10, Vec::new(), 0);
        for second in 0..20 {
            store.push(vec![slice(second)]);
        }
        assert_eq!((store.waiting(), store.lost()), (11, 9));
        assert_eq!(store.after(0)[0].sequence, 10);
    }
}
