//! Opening and closing a data folder.

use crate::StoreError;
use crate::lock::{DataLock, create_private, sync_dir};
use crate::schema;
use crate::sqlite::{Database, Durability, Transaction};
use esclusa_model::{Epoch, Timestamp};
use sqlx::Row as _;
use std::path::Path;
use std::sync::Arc;

/// The event log's file in a data folder.
pub(crate) const LOG_FILE: &str = "esclusa.db";

/// An owned data folder. Clones share it; it is given free when the last one goes.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones of a store share. Fields are dropped in this order: the lock last.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) log: Database,
    pub(crate) slices: Database,
    epoch: Epoch,
    lock: DataLock,
}

impl Store {
    /// Takes the data folder (created where missing), brings its schema up to date and
    /// counts the controller's epoch up. `now` is recorded with both.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process owns it, [`StoreError::TooNew`] when
    /// a newer esclusa wrote it, and whatever keeps the disk from being written.
    pub async fn open(dir: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let lock = DataLock::take(dir)?;
        let log_path = dir.join(LOG_FILE);
        let slices_path = dir.join("slices.db");
        create_private(&log_path)?;
        create_private(&slices_path)?;
        sync_dir(dir)?;
        let log = Database::open(&log_path, Durability::PowerCut).await?;
        schema::migrate(&log, schema::LOG, now).await?;
        // The data plane writes its own copy without waiting for the disk either.
        let slices = Database::open(&slices_path, Durability::ProcessCrash).await?;
        schema::migrate(&slices, schema::SLICES, now).await?;
        let epoch = next_epoch(&log, now).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                log,
                slices,
                epoch,
                lock,
            }),
        })
    }

    /// The epoch that this opening got; higher than that of every opening before.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Closes the files and gives the folder free, when this is the last clone; else
    /// the last one to go does it, without waiting.
    pub async fn close(self) {
        if let Some(inner) = Arc::into_inner(self.inner) {
            inner.log.close().await;
            inner.slices.close().await;
            drop(inner.lock);
        }
    }

    /// Begins a write to the event log's file, unless a newer controller took over.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        let mut tx = self.inner.log.begin().await?;
        let current: i64 = sqlx::query_scalar("select epoch from controller where id = 1")
            .fetch_one(&mut *tx)
            .await?;
        let current = unsigned(current, "the controller's epoch")?;
        if current == self.inner.epoch.0 {
            Ok(tx)
        } else {
            Err(StoreError::Superseded {
                ours: self.inner.epoch.0,
                current,
            })
        }
    }
}

async fn next_epoch(log: &Database, now: Timestamp) -> Result<Epoch, StoreError> {
    let mut tx = log.begin().await?;
    let row = sqlx::query(
        "update controller set epoch = epoch + 1, pid = $1, opened = $2 where id = 1 returning epoch",
    )
    .bind(i64::from(std::process::id()))
    .bind(now.0)
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| StoreError::corrupt("the controller's row is missing"))?;
    let epoch = unsigned(row.try_get("epoch")?, "the controller's epoch")?;
    tx.commit().await?;
    Ok(Epoch(epoch))
}

/// A stored count; the database knows only signed numbers.
pub(crate) fn unsigned(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::corrupt(format!("{what} is negative")))
}

/// A count to be stored.
pub(crate) fn signed(value: u64, what: &str) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::refused(format!("{what} {value} is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppendError, NewEvent};
    use esclusa_model::{Actor, StreamId};

    fn event(size: usize) -> NewEvent {
        NewEvent {
            actor: Actor::new("test").expect("valid"),
            kind: "filler".into(),
            payload: "x".repeat(size).into(),
        }
    }

    /// A full disk is told apart, loses nothing acknowledged, and heals.
    #[tokio::test]
    async fn a_full_disk_is_a_kind_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let stream = StreamId::new("s").expect("valid");
        store.inner.log.limit_pages(60).await;
        let mut position = 0;
        let full = loop {
            match store
                .append(&stream, position, Timestamp(1), &[event(8_000)])
                .await
            {
                Ok(_) => position += 1,
                Err(error) => break error,
            }
            assert!(position < 1_000, "the limit must be reached");
        };
        assert!(
            matches!(full, AppendError::Store(StoreError::Full)),
            "{full:?}"
        );
        assert!(position > 0);
        let read = store.read(&stream, 0, 1_000).await.expect("read");
        assert_eq!(read.len() as u64, position);
        store.inner.log.limit_pages(1_000_000).await;
        store
            .append(&stream, position, Timestamp(1), &[event(8_000)])
            .await
            .expect("room again");
        assert_eq!(store.verify().await.expect("verified").broken, []);
    }

    /// An applied step is never edited, and a database that ran another one is refused.
    #[tokio::test]
    async fn an_edited_schema_step_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let edited = [schema::Step {
            number: 1,
            sql: "create table other (a text)",
        }];
        let refused = schema::migrate(&store.inner.log, &edited, Timestamp(1)).await;
        assert!(
            matches!(refused, Err(StoreError::Corrupt { .. })),
            "{refused:?}"
        );
    }

    /// Later steps are applied to old data, once.
    #[tokio::test]
    async fn later_steps_are_applied_forward() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let steps = [
            schema::LOG[0],
            schema::Step {
                number: 2,
                sql: "create table later (a text); insert into later values ('x')",
            },
        ];
        for _ in 0..2 {
            schema::migrate(&store.inner.log, &steps, Timestamp(2))
                .await
                .expect("applied");
        }
        let rows: i64 = sqlx::query_scalar("select count(*) from later")
            .fetch_one(store.inner.log.readers())
            .await
            .expect("read");
        assert_eq!(rows, 1);
    }
}
