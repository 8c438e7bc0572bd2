//! Slices on their way: told to everybody, then stored, then acknowledged.
//!
//! A judge hears what was counted also while the store is full, frozen or gone. What is
//! not stored stays with the proxy, and comes again from there.

use super::{CALL_LIMIT, Counted, DataPlane, HEARTBEAT, PublishError, limited};
use crate::clock;
use esclusa_model::{BootId, Timestamp};
use esclusa_store::Store;
use esclusa_wire::{SliceAck, SliceBatch};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a proxy may keep a question for slices open.
const SLICE_WAIT: Duration = Duration::from_millis(1_500);
/// Pause where a proxy has nothing to say but what was told already.
const NOTHING_NEW: Duration = Duration::from_millis(250);
/// How long a slice that is stored can be told again to whoever read the store just before.
const TOLD_FOR_US: i64 = 60_000_000;
/// Slices stored by one call.
const STORED_AT_ONCE: usize = 2_000;
/// Lives of a proxy, of which what was told is remembered.
const LIVES_REMEMBERED: usize = 64;
/// Slices remembered at most while the store takes none.
const MAX_TOLD: usize = 50_000;

/// Slices that were told lately, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lately {
    told: VecDeque<(Counted, Timestamp)>,
    /// How far each life of a proxy is stored.
    stored: BTreeMap<BootId, u64>,
}

impl Lately {
    fn add(&mut self, counted: Counted, now: Timestamp) {
        self.told.push_back((counted, now));
        while let Some((oldest, at)) = self.told.front() {
            let stored = self.stored.get(&oldest.1.boot);
            let is_stored = stored.is_some_and(|stored| oldest.1.sequence <= *stored);
            let is_old = now.0.saturating_sub(at.0) > TOLD_FOR_US;
            if !(is_stored && is_old) && self.told.len() <= MAX_TOLD {
                break;
            }
            self.told.pop_front();
        }
    }

    fn stored(&mut self, ack: &SliceAck) {
        let newest = self.stored.entry(ack.boot.clone()).or_default();
        *newest = (*newest).max(ack.sequence);
        let told = &self.told;
        self.stored
            .retain(|boot, _| *boot == ack.boot || told.iter().any(|(c, _)| c.1.boot == *boot));
    }
}

/// How far each life of the proxy was told.
#[derive(Debug, Default)]
struct Told(BTreeMap<BootId, u64>);

impl Told {
    /// From where on a proxy in this life has news.
    fn after(&self, boot: Option<&BootId>) -> u64 {
        let told = boot.and_then(|boot| self.0.get(boot));
        told.copied().unwrap_or(0)
    }

    fn meets_another(&self, batch: &SliceBatch) -> bool {
        let mut boots = batch.slices.iter().map(|stamped| &stamped.boot);
        boots.any(|boot| !self.0.contains_key(boot))
    }

    /// Leaves what was not told yet, and notes it as told.
    fn keep_new(&mut self, batch: &mut SliceBatch) {
        let answered: BTreeSet<BootId> = batch.slices.iter().map(|s| s.boot.clone()).collect();
        batch.slices.retain(|stamped| {
            let newest = self.0.entry(stamped.boot.clone()).or_default();
            let is_new = stamped.sequence > *newest;
            *newest = (*newest).max(stamped.sequence);
            is_new
        });
        if self.0.len() > LIVES_REMEMBERED && !answered.is_empty() {
            self.0.retain(|boot, _| answered.contains(boot));
        }
    }
}

impl DataPlane {
    /// What was told within the last minute, and all that is not stored, oldest first.
    pub(crate) fn told_lately(&self) -> Vec<Counted> {
        let lately = self.lately();
        let told = lately.told.iter().map(|(counted, _)| Arc::clone(counted));
        told.collect()
    }

    /// Fetches slices and tells everybody, each once.
    pub(super) async fn collect(self: Arc<Self>, to_store: mpsc::Sender<SliceBatch>) {
        let mut told = Told::default();
        loop {
            if let Err(error) = self.collect_once(&mut told, &to_store).await {
                self.in_trouble(error);
                tokio::time::sleep(HEARTBEAT).await;
            }
        }
    }

    async fn collect_once(
        &self,
        told: &mut Told,
        to_store: &mpsc::Sender<SliceBatch>,
    ) -> Result<(), PublishError> {
        let after = told.after(self.boot().as_ref());
        let mut batch = self.fetch(after, SLICE_WAIT).await?;
        if after > 0 && told.meets_another(&batch) {
            // What was asked for counts from another life: this one's first are not here.
            batch = self.fetch(0, Duration::ZERO).await?;
        }
        let empty = batch.slices.is_empty();
        told.keep_new(&mut batch);
        if batch.slices.is_empty() {
            if !empty {
                tokio::time::sleep(NOTHING_NEW).await;
            }
            return Ok(());
        }
        let now = clock::now();
        self.contact
            .send_modify(|contact| contact.slices_at = Some(now));
        for stamped in &batch.slices {
            let counted = Arc::new((batch.proxy.clone(), stamped.clone()));
            self.lately().add(Arc::clone(&counted), now);
            // Nobody listening is fine: a service without a release has no judge.
            let _ = self.slices.send(counted);
        }
        if to_store.try_send(batch).is_err() {
            self.behind.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// The life of the proxy that was heard last.
    fn boot(&self) -> Option<BootId> {
        let contact = self.contact.borrow();
        let (status, _) = contact.status.as_ref()?;
        Some(status.hello.boot.clone())
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what was told and acknowledges it. An acknowledgement covers everything
    /// before it: after a failure, all that the proxy still has is stored from its
    /// beginning, before anything newer.
    pub(super) async fn keep(self: Arc<Self>, store: Store, mut told: mpsc::Receiver<SliceBatch>) {
        while let Some(batch) = told.recv().await {
            let mut kept = if self.behind.swap(false, Ordering::SeqCst) {
                self.store_all(&store).await
            } else {
                self.store(&store, &batch).await
            };
            while let Err(error) = kept {
                self.in_trouble(error);
                tokio::time::sleep(HEARTBEAT).await;
                while told.try_recv().is_ok() {}
                self.behind.store(false, Ordering::SeqCst);
                kept = self.store_all(&store).await;
            }
        }
    }

    async fn store_all(&self, store: &Store) -> Result<(), PublishError> {
        let batch = self.fetch(0, Duration::ZERO).await?;
        self.store(store, &batch).await
    }

    async fn store(&self, store: &Store, batch: &SliceBatch) -> Result<(), PublishError> {
        for slices in batch.slices.chunks(STORED_AT_ONCE) {
            let part = SliceBatch {
                slices: slices.to_vec(),
                proxy: batch.proxy.clone(),
                ..*batch
            };
            let stored = store.put_slices(&part.proxy, &part, clock::now()).await;
            let stored = stored
                .map_err(|error| PublishError(format!("slices could not be stored: {error}")))?;
            self.contact
                .send_if_modified(|contact| contact.told_trouble.take().is_some());
            for ack in &stored.acks {
                limited(self.client()?.ack(ack)).await?;
                self.lately().stored(ack);
            }
        }
        Ok(())
    }

    async fn fetch(&self, after: u64, wait: Duration) -> Result<SliceBatch, PublishError> {
        let answer = self.client()?.slices(after, wait);
        tokio::time::timeout(wait + CALL_LIMIT, answer)
            .await
            .map_err(|_| PublishError("the proxy did not answer in time".into()))?
            .map_err(|error| PublishError(error.to_string()))
    }

    /// Notes what is wrong, and says so once for each thing.
    fn in_trouble(&self, error: PublishError) {
        self.contact.send_if_modified(|contact| {
            let news = contact.trouble.as_ref() != Some(&error.0);
            if news && contact.told_trouble.as_ref() != Some(&error.0) {
                tracing::warn!(reason = error.0, "Slices are not collected");
                contact.told_trouble = Some(error.0.clone());
            }
            contact.trouble = Some(error.0);
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::ProxyId;
    use esclusa_wire::StampedSlice;

    fn slice(boot: &str, sequence: u64) -> StampedSlice {
        let golden = include_str!("../../../wire/golden/slice-batch-v1.json");
        let batch: SliceBatch = serde_json::from_str(golden).expect("a batch");
        StampedSlice {
            boot: BootId::new(boot).expect("an id"),
            sequence,
            ..batch.slices[0].clone()
        }
    }

    fn batch(slices: &[(&str, u64)]) -> SliceBatch {
        SliceBatch {
            v: esclusa_wire::WIRE_VERSION,
            proxy: ProxyId::new("local").expect("an id"),
            slices: slices.iter().map(|(boot, n)| slice(boot, *n)).collect(),
            lost: 0,
        }
    }

    fn new_of(told: &mut Told, slices: &[(&str, u64)]) -> Vec<u64> {
        let mut batch = batch(slices);
        told.keep_new(&mut batch);
        batch
            .slices
            .iter()
            .map(|stamped| stamped.sequence)
            .collect()
    }

    // Counted twice, one failure would look like two.
    #[test]
    fn each_slice_is_told_once() {
        let mut told = Told::default();
        let boot = BootId::new("b").expect("an id");
        assert_eq!(
            new_of(&mut told, &[("a", 7), ("b", 1), ("b", 2)]),
            [7, 1, 2]
        );
        assert_eq!(told.after(Some(&boot)), 2);
        assert_eq!(new_of(&mut told, &[("a", 7), ("b", 2), ("b", 3)]), [3]);
        // A life that was not met yet counts from one.
        assert!(told.meets_another(&batch(&[("c", 4)])));
        assert!(!told.meets_another(&batch(&[("b", 4)])));
        assert_eq!(told.after(None), 0);
    }

    #[test]
    fn what_is_not_stored_is_remembered_however_old() {
        let mut lately = Lately::default();
        let counted =
            |n| -> Counted { Arc::new((ProxyId::new("p").expect("an id"), slice("b", n))) };
        let ack = |sequence| SliceAck {
            boot: BootId::new("b").expect("an id"),
            sequence,
        };
        lately.add(counted(1), Timestamp(0));
        lately.add(counted(2), Timestamp(0));
        lately.stored(&ack(1));
        lately.add(counted(3), Timestamp(2 * TOLD_FOR_US));
        let left: Vec<u64> = lately.told.iter().map(|(c, _)| c.1.sequence).collect();
        assert_eq!(left, [2, 3]);
        lately.stored(&ack(3));
        lately.add(counted(4), Timestamp(4 * TOLD_FOR_US));
        let left: Vec<u64> = lately.told.iter().map(|(c, _)| c.1.sequence).collect();
        assert_eq!(left, [4]);
    }
}
