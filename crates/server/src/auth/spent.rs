//! What may happen once only: links that were used, sessions that were ended.
//!
//! Known in memory, so that it is looked up without the store, and kept in the store, so
//! that a restart does not forget it. What raises exposure is spent in the store before it
//! happens; what lowers is spent in memory, happens, and is kept when the store takes it.

use crate::backoff::Backoff;
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_model::Timestamp;
use esclusa_store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the store may take to keep it before something that raises is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is spent.
pub(crate) struct Spent {
    store: Store,
    /// Until when each is worth remembering.
    known: Mutex<BTreeMap<String, Timestamp>>,
}

impl Spent {
    /// As the store knows it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn of(store: &Store) -> Result<Arc<Self>, ApiError> {
        let known = store.spent(clock::now()).await?;
        Ok(Arc::new(Self {
            store: store.clone(),
            known: Mutex::new(known.into_iter().collect()),
        }))
    }

    /// Whether it is.
    pub(crate) fn is(&self, id: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(id)
    }

    /// Spends it in memory; false when it was before.
    fn claim(&self, id: &str, until: Timestamp) -> bool {
        let now = clock::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until >= now);
        let new = !known.contains_key(id);
        known.insert(id.to_owned(), until);
        new
    }

    fn unclaim(&self, id: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(id);
    }

    /// Spends it durably; false when it was before.
    ///
    /// # Errors
    /// When the store does not keep it. It may be spent by then.
    pub(crate) async fn first(&self, id: &str, until: Timestamp) -> Result<bool, ApiError> {
        if !self.claim(id, until) {
            return Ok(false);
        }
        let kept = self.store.spend(id, until, clock::now());
        match tokio::time::timeout(PATIENCE, kept).await {
            Ok(Ok(first)) => Ok(first),
            Ok(Err(error)) => {
                self.unclaim(id);
                Err(error.into())
            }
            Err(_) => Err(ApiError::new(
                ErrorKind::Unavailable,
                "ESC-0902",
                "the store does not answer, so nothing was done",
                "look at the disk of the data folder; an abort does not wait for it",
            )),
        }
    }

    /// Spends it at once and keeps it in the store when that takes it; false when it was
    /// spent before.
    pub(crate) fn at_once(self: &Arc<Self>, id: &str, until: Timestamp) -> bool {
        let new = self.claim(id, until);
        if new {
            tokio::spawn(Arc::clone(self).keep(id.to_owned(), until));
        }
        new
    }

    async fn keep(self: Arc<Self>, id: String, until: Timestamp) {
        let mut backoff = Backoff::default();
        while clock::now() < until && self.is(&id) {
            match self.store.spend(&id, until, clock::now()).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, "What was used up is not recorded yet"),
            }
            let pause = backoff.pause_after(Duration::ZERO);
            tokio::time::sleep(pause).await;
        }
    }

    /// What it was spent for was refused: it can be used still.
    pub(crate) async fn give_back(&self, id: &str) {
        let given = tokio::time::timeout(PATIENCE, self.store.give_back(id)).await;
        match given {
            Ok(Ok(())) => self.unclaim(id),
            // It stays used up: better than twice.
            Ok(Err(error)) => tracing::warn!(%error, "What was refused stays used up"),
            Err(_) => tracing::warn!("What was refused stays used up: the store does not answer"),
        }
    }
}
