//! Opening and closing a data folder.

use crate::StoreError;
use crate::lock::{DataLock, create_private, sync_dir};
use crate::restored::HALF;
use crate::schema::{self, Schema};
use crate::sqlite::{Database, Durability, Transaction};
use crate::verify::Verification;
use esclusa_model::{Epoch, Timestamp};
use sqlx::Row as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The event log's file in a data folder.
pub(crate) const LOG_FILE: &str = "esclusa.db";
/// The slices' file in a data folder.
pub(crate) const SLICES_FILE: &str = "slices.db";

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
    /// Raised once at most, when a restored store finds that its proxies are ahead.
    epoch: AtomicU64,
    /// Copies that were made before schema steps.
    kept: Vec<PathBuf>,
    /// What the newest look at all chains found.
    proved: Mutex<Option<Verification>>,
    lock: DataLock,
}

impl Store {
    /// Takes the data folder (created where missing), brings its schema up to date and
    /// counts the controller's epoch up. `now` is recorded with both.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process owns it, [`StoreError::TooNew`] when
    /// a newer esclusa wrote it, [`StoreError::NoRoom`] when an older one did and there
    /// is no room for a copy, [`StoreError::HalfRestored`] when a restore was
    /// interrupted, and whatever keeps the disk from being written.
    pub async fn open(dir: &Path, now: Timestamp) -> Result<Self, StoreError> {
        Self::open_as(dir, now, schema::PRESENT).await
    }

    pub(crate) async fn open_as(
        dir: &Path,
        now: Timestamp,
        schema: Schema,
    ) -> Result<Self, StoreError> {
        let lock = DataLock::take(dir)?;
        if dir.join(HALF).exists() {
            return Err(StoreError::HalfRestored {
                dir: dir.to_owned(),
            });
        }
        let log_path = dir.join(LOG_FILE);
        let slices_path = dir.join(SLICES_FILE);
        create_private(&log_path)?;
        create_private(&slices_path)?;
        sync_dir(dir)?;
        let log = Database::open(&log_path, Durability::PowerCut).await?;
        let log_copy = schema::migrate(&log, schema.log, now, schema.room).await?;
        // The data plane writes its own copy without waiting for the disk either.
        let slices = Database::open(&slices_path, Durability::ProcessCrash).await?;
        let slices_copy = schema::migrate(&slices, schema.slices, now, schema.room).await?;
        let epoch = next_epoch(&log, now).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                log,
                slices,
                epoch: AtomicU64::new(epoch.0),
                kept: log_copy.into_iter().chain(slices_copy).collect(),
                proved: Mutex::new(None),
                lock,
            }),
        })
    }

    /// The epoch that this opening got, higher than that of every opening before; or the
    /// one to which it was raised since.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.inner.epoch.load(Ordering::SeqCst))
    }

    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        self.inner.epoch.store(epoch.0, Ordering::SeqCst);
    }

    /// Copies that this opening made of databases before it took a schema step on them.
    #[must_use]
    pub fn kept_copies(&self) -> &[PathBuf] {
        &self.inner.kept
    }

    /// Refuses when a database file was removed, moved or replaced since it was opened.
    /// Every write asks this itself.
    ///
    /// # Errors
    /// [`StoreError::Replaced`].
    pub fn check_in_place(&self) -> Result<(), StoreError> {
        self.inner.log.check_in_place()?;
        self.inner.slices.check_in_place()
    }

    /// What the newest [`Store::verify`] found; nothing before the first has ended.
    #[must_use]
    pub fn last_verification(&self) -> Option<Verification> {
        let proved = self.inner.proved.lock();
        proved.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note_verification(&self, found: &Verification) {
        let proved = self.inner.proved.lock();
        *proved.unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
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
        let ours = self.epoch().0;
        if current == ours {
            Ok(tx)
        } else {
            Err(StoreError::Superseded { ours, current })
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
        let room = schema::PRESENT.room;
        let refused = schema::migrate(&store.inner.log, &edited, Timestamp(1), room).await;
        assert!(
            matches!(refused, Err(StoreError::Corrupt { .. })),
            "{refused:?}"
        );
    }

    /// As the first build had it.
    const FIRST: Schema = Schema {
        log: &[schema::LOG[0]],
        ..schema::PRESENT
    };

    const NEXT: Schema = Schema {
        log: &[
            schema::LOG[0],
            schema::Step {
                number: 2,
                sql: "create table later (a text); insert into later values ('x')",
            },
        ],
        ..schema::PRESENT
    };

    /// What a reader of the file at `path` finds.
    async fn ask(path: &Path, sql: &'static str) -> Result<i64, StoreError> {
        let mut connection = crate::sqlite::open_to_read(path).await?;
        Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
    }

    async fn one_event(dir: &Path) {
        let store = Store::open_as(dir, Timestamp(1), FIRST).await;
        let store = store.expect("opens");
        let stream = StreamId::new("s").expect("valid");
        let appended = store.append(&stream, 0, Timestamp(1), &[event(10)]).await;
        appended.expect("appended");
        assert_eq!(store.kept_copies(), <[PathBuf; 0]>::default());
        store.close().await;
    }

    // Later steps are applied to old data, once, and the data before them is kept.
    #[tokio::test]
    async fn before_a_later_step_the_database_is_copied() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        one_event(dir.path()).await;
        // What a copy that was cut off leaves behind is no obstacle.
        let copy = dir.path().join("esclusa.db.before-step-2");
        let partial = dir.path().join("esclusa.db.before-step-2.partial");
        std::fs::write(&partial, "half").expect("written");
        for round in 0..2 {
            let store = Store::open_as(dir.path(), Timestamp(2), NEXT).await;
            let store = store.expect("migrated");
            let kept = if round == 0 {
                vec![copy.clone()]
            } else {
                Vec::new()
            };
            assert_eq!(store.kept_copies(), kept);
            store.close().await;
        }
        let log = dir.path().join(LOG_FILE);
        assert_eq!(
            ask(&log, "select count(*) from later").await.expect("read"),
            1
        );
        assert!(!partial.exists());
        let mode = std::fs::metadata(&copy).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let tables = "select count(*) from sqlite_master where name = 'later'";
        assert_eq!(ask(&copy, tables).await.expect("read"), 0);
        // The version that ran before starts on the copy, with all that was recorded.
        let before = dir.path().join("before");
        std::fs::create_dir(&before).expect("a folder");
        std::fs::rename(&copy, before.join(LOG_FILE)).expect("moved");
        let old = Store::open_as(&before, Timestamp(3), FIRST).await;
        let old = old.expect("opens");
        let found = old.verify().await.expect("verified");
        assert_eq!((found.events, found.broken), (1, Vec::new()));
    }

    // Without room for the copy nothing is changed, and the next step is said.
    #[tokio::test]
    async fn without_room_for_a_copy_no_step_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        one_event(dir.path()).await;
        let cramped = Schema {
            room: |_| Ok(2_000),
            ..NEXT
        };
        let refused = Store::open_as(dir.path(), Timestamp(2), cramped).await;
        let refused = refused.expect_err("no room");
        assert!(
            matches!(&refused, StoreError::NoRoom { step: 2, free: 2_000, needs, .. } if *needs > 2_000),
            "{refused:?}"
        );
        assert_eq!(refused.code(), "ESC-0905");
        assert!(
            refused.next_step().contains("free"),
            "{}",
            refused.next_step()
        );
        assert!(!dir.path().join("esclusa.db.before-step-2").exists());
        let log = dir.path().join(LOG_FILE);
        assert!(ask(&log, "select count(*) from later").await.is_err());
        // The version before still runs on it.
        let old = Store::open_as(dir.path(), Timestamp(3), FIRST).await;
        let old = old.expect("opens");
        assert_eq!(old.verify().await.expect("verified").events, 1);
    }

    // The disk that fills up while the copy is written.
    #[tokio::test]
    async fn a_copy_onto_a_full_disk_is_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        one_event(dir.path()).await;
        let log = dir.path().join(LOG_FILE);
        let mut connection = crate::sqlite::open_to_read(&log).await.expect("opens");
        let full = crate::sqlite::copy_into(&mut connection, Path::new("/dev/full")).await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    }

    // A folder that is not writable any more: the copy fails, and so does the step.
    #[tokio::test]
    async fn a_copy_that_cannot_be_named_keeps_the_step_from_being_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        one_event(dir.path()).await;
        std::fs::create_dir(dir.path().join("esclusa.db.before-step-2")).expect("in the way");
        let refused = Store::open_as(dir.path(), Timestamp(2), NEXT).await;
        assert!(
            matches!(&refused, Err(StoreError::File { .. })),
            "{refused:?}"
        );
        let log = dir.path().join(LOG_FILE);
        assert!(ask(&log, "select count(*) from later").await.is_err());
    }

    /// What stands at the file's path is looked at before each write and each commit.
    #[tokio::test]
    async fn a_file_that_goes_away_during_a_write_takes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let tx = store.begin().await.expect("begun");
        let (log, aside) = (dir.path().join(LOG_FILE), dir.path().join("aside"));
        std::fs::rename(&log, &aside).expect("moved");
        let refused = tx.commit().await;
        assert!(
            matches!(&refused, Err(StoreError::Replaced { path }) if *path == log),
            "{refused:?}"
        );
    }
}
