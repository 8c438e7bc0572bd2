//! Everything that only SQLite knows: opening, pragmas, transactions, error codes.
//!
//! A second engine gives the same types and functions from a module of its own.

use crate::StoreError;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, SqliteConnection, SqlitePool};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// One connection, inside or outside of a transaction.
pub(crate) type Connection = SqliteConnection;
/// A view of the database that nothing changes while it is held; given up when dropped.
pub(crate) type Snapshot<'c> = sqlx::Transaction<'c, sqlx::Sqlite>;
/// One row of an answer.
pub(crate) type Row = sqlx::sqlite::SqliteRow;

/// How long a statement waits for a lock that a foreign tool holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for its turn before it is told `Busy`.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// Readers beside the one writer; WAL lets them run without waiting for it.
const READERS: u32 = 4;

/// The index of the log lives in this process and not in a mapped file: a disk that turns
/// read-only would end the process at its next read (SIGBUS). The files are ours alone.
const OWN: &str = "unix-excl";

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The disk: survives a power cut.
    PowerCut,
    /// The operating system: survives a crash of this process.
    ProcessCrash,
}

/// One database file with one writer and several readers.
#[derive(Debug)]
pub(crate) struct Database {
    writer: Arc<Mutex<Writer>>,
    readers: SqlitePool,
    place: Place,
}

/// The file that was opened, as its path led to it then.
///
/// It is only ever looked at from outside: to open and close it once more would give up
/// the locks that SQLite holds on it.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Place {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let file = identity(path).ok_or_else(|| StoreError::Replaced {
            path: path.to_owned(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Whether the path still leads to the file. What is written into another one, or
    /// into one without a name, is lost when this process ends.
    fn check(&self) -> Result<(), StoreError> {
        if identity(&self.path) == Some(self.file) {
            return Ok(());
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
        })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The only connection that writes; its order is the order of commits.
#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    /// Whether a transaction may still be open.
    in_transaction: bool,
}

impl Writer {
    /// Leaves no transaction open. On some errors (a full disk among them) SQLite has
    /// rolled back by itself, and says so with an error of its own, which is no news.
    async fn roll_back(&mut self) {
        if self.in_transaction {
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.in_transaction = false;
        }
    }
}

/// A write transaction; undone when it is dropped without commit.
///
/// Not sqlx's own: after a full disk that one loses count of its nesting, and the
/// connection refuses every later transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    writer: Option<OwnedMutexGuard<Writer>>,
    place: Place,
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.commit_and(|| ()).await
    }

    /// Commits, and calls `then` before anybody else may write.
    pub(crate) async fn commit_and(mut self, then: impl FnOnce()) -> Result<(), StoreError> {
        self.place.check()?;
        if let Some(writer) = &mut self.writer {
            sqlx::query("COMMIT")
                .execute(&mut writer.connection)
                .await?;
            writer.in_transaction = false;
            then();
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = SqliteConnection;

    #[expect(clippy::expect_used, reason = "only drop takes the writer away")]
    fn deref(&self) -> &SqliteConnection {
        &self.writer.as_ref().expect("present until drop").connection
    }
}

impl DerefMut for Transaction {
    #[expect(clippy::expect_used, reason = "only drop takes the writer away")]
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.writer.as_mut().expect("present until drop").connection
    }
}

impl Drop for Transaction {
    /// Undoes at once, so that the write lock is free; where no runtime is left to do
    /// it, the next transaction or the connection's end does.
    fn drop(&mut self) {
        let open = self.writer.take().filter(|writer| writer.in_transaction);
        if let (Some(mut writer), Ok(runtime)) = (open, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { writer.roll_back().await });
        }
    }
}

/// Opens a database file that is only to be read: within its owner's process, or where
/// nobody owns it. What a crash left in the log beside the file is read too.
pub(crate) async fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .vfs(OWN)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .read_only(true)
        .connect()
        .await?)
}

/// Opens a database file that nobody else uses, for a single change.
pub(crate) async fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await?)
}

/// Bytes that a copy of the database takes at most.
pub(crate) async fn size(connection: &mut Connection) -> Result<u64, StoreError> {
    let mut product = 1_u64;
    for pragma in ["PRAGMA page_count", "PRAGMA page_size"] {
        let value: i64 = sqlx::query_scalar(pragma)
            .fetch_one(&mut *connection)
            .await?;
        product = product.saturating_mul(u64::try_from(value).unwrap_or(0));
    }
    Ok(product)
}

/// Writes what the database holds at this moment into `into`, which must be empty or not
/// exist. The database may be in use, and may be one that is only read.
pub(crate) async fn copy_into(connection: &mut Connection, into: &Path) -> Result<(), StoreError> {
    let Some(text) = into.to_str() else {
        return Err(StoreError::refused(format!(
            "{} is not UTF-8, which the database asks of a file's name",
            into.display()
        )));
    };
    sqlx::query("VACUUM INTO $1")
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

/// What the database holds now, however it grows meanwhile.
pub(crate) async fn snapshot(connection: &mut Connection) -> Result<Snapshot<'_>, StoreError> {
    // In WAL mode the first read of a transaction fixes what all of it sees.
    Ok(connection.begin().await?)
}

impl Database {
    /// Opens the file, which must exist (an empty one is a new database).
    pub(crate) async fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let shared = SqliteConnectOptions::new()
            .filename(path)
            .vfs(OWN)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        // Page layout and journal are the file's own; a reader may not set them.
        let connection = shared
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                Durability::PowerCut => SqliteSynchronous::Full,
                Durability::ProcessCrash => SqliteSynchronous::Normal,
            })
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .connect()
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(TURN_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(shared.read_only(true))
            .await?;
        Ok(Self {
            writer: Arc::new(Mutex::new(Writer {
                connection,
                in_transaction: false,
            })),
            readers,
            place: Place::of(path)?,
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Refuses when the file's path no longer leads to what was opened.
    pub(crate) fn check_in_place(&self) -> Result<(), StoreError> {
        self.place.check()
    }

    /// Begins a transaction that holds the write lock from its first statement on; a
    /// deferred one that upgrades would fail at once instead of waiting.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        let mut writer = self.turn().await?;
        self.place.check()?;
        // Set before it is so: a caller may go away while the statement runs.
        writer.in_transaction = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut writer.connection)
            .await?;
        Ok(Transaction {
            writer: Some(writer),
            place: self.place.clone(),
        })
    }

    async fn turn(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.writer).lock_owned());
        let mut writer = turn.await.map_err(|_| StoreError::Busy)?;
        writer.roll_back().await;
        Ok(writer)
    }

    /// For statements that only read.
    pub(crate) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Gives pages that deletions freed back to the file system.
    pub(crate) async fn shrink(&self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA incremental_vacuum")
            .execute(&mut self.turn().await?.connection)
            .await?;
        Ok(())
    }

    /// Waits until nothing runs and closes all files.
    pub(crate) async fn close(self) {
        self.readers.close().await;
        if let Some(writer) = Arc::into_inner(self.writer) {
            // What was committed is on the disk; the log is replayed at the next start.
            let _ = writer.into_inner().connection.close().await;
        }
    }

    /// Limits the file to `pages`, which makes it full without filling a disk.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, pages: u32) {
        let text = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(text))
            .execute(&mut self.turn().await.expect("our turn").connection)
            .await
            .expect("the limit is set");
    }
}

/// Sorts a database error into the kinds that callers act on, by SQLite's result code.
pub(crate) fn classify(error: sqlx::Error) -> StoreError {
    let code = match &error {
        sqlx::Error::Database(answer) => answer.code().and_then(|code| code.parse::<i32>().ok()),
        _ => None,
    };
    let Some(code) = code else {
        return StoreError::Database(error);
    };
    // SQLITE_IOERR_SHMSIZE: the shared index next to the log could not grow.
    const IOERR_SHMSIZE: i32 = 4874;
    match (code & 0xff, code) {
        (13, _) | (_, IOERR_SHMSIZE) => StoreError::Full,
        // READONLY, PERM and CANTOPEN: a file or folder that we may not write.
        (8 | 3 | 14, _) => StoreError::ReadOnly,
        (5 | 6, _) => StoreError::Busy,
        (11, _) => StoreError::corrupt("the database file is malformed"),
        (26, _) => StoreError::corrupt("the file is not a database"),
        (10, _) => StoreError::Disk(error),
        _ => StoreError::Database(error),
    }
}
