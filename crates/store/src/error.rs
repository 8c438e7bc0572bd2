//! How storing fails, in kinds a caller can act on, each with the next step.
//!
//! No error carries a stored value: payloads, settings and hashes stay out of logs.

use crate::sqlite;
use esclusa_model::StreamId;
use std::path::PathBuf;

/// Why the data folder did not give or take what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process owns the data folder.
    #[error("the data folder {} is in use by {}", dir.display(), holder(*pid))]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The holder's process id; absent when its lock file does not say.
        pid: Option<u32>,
    },
    /// A newer controller has opened the same data; this one must stop writing.
    #[error("another controller took over: our epoch is {ours}, the data's is {current}")]
    Superseded {
        /// The epoch this store got when it opened.
        ours: u64,
        /// The epoch in the data now.
        current: u64,
    },
    /// A proxy heard a controller with a higher epoch, and this folder was not restored
    /// from a backup: somebody else is in charge.
    #[error(
        "another controller is or was in charge, or this is an older copy of the data \
         folder: epoch {known} is known, ours is {ours}"
    )]
    NotRestored {
        /// The epoch of this store.
        ours: u64,
        /// The lowest epoch that would be heard.
        known: u64,
    },
    /// A file was removed, moved or replaced while we have it open; nothing is written
    /// into what has no name any more.
    #[error("{} is no longer the file that was opened", path.display())]
    Replaced {
        /// Where it was.
        path: PathBuf,
    },
    /// A backup was being put into this folder, and that did not come to its end.
    #[error("a restore into {} did not come to its end", dir.display())]
    HalfRestored {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no room for the copy that is kept before a schema step.
    #[error(
        "there is no room for a copy of {} before schema step {step}: it takes up to {needs} \
         bytes, {free} are free",
        path.display()
    )]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// The step that was not taken.
        step: i64,
        /// Bytes that the copy may take.
        needs: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// No room left on the disk, in the quota, or within the file's own limit.
    #[error("the disk of the data folder is full")]
    Full,
    /// The folder, a file in it or the file system refuses writes.
    #[error("the data folder cannot be written")]
    ReadOnly,
    /// Someone else holds the database for longer than we wait.
    #[error("the database stayed busy")]
    Busy,
    /// What is stored cannot be read as what it should be.
    #[error("stored data is damaged: {what}")]
    Corrupt {
        /// What does not fit, without the stored value.
        what: String,
    },
    /// The data was written by a newer esclusa.
    #[error("the data folder has {what} {found}, this build knows up to {known}")]
    TooNew {
        /// What is newer: a schema or an envelope.
        what: &'static str,
        /// The version found.
        found: i64,
        /// The newest version this build reads.
        known: i64,
    },
    /// The request breaks a limit or contradicts itself; nothing was stored.
    #[error("{what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// The file system failed in another way.
    #[error("{} {}", doing, path.display())]
    File {
        /// What was tried, such as `cannot create`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The disk failed below the database.
    #[error("the disk failed below the database")]
    Disk(#[source] sqlx::Error),
    /// The database failed in a way not foreseen here.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl StoreError {
    /// The code under which `docs/errors` explains it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "ESC-0905",
            Self::NotRestored { .. } => "ESC-0906",
            Self::Replaced { .. } => "ESC-0907",
            Self::HalfRestored { .. } => "ESC-0908",
            Self::Locked { .. }
            | Self::Superseded { .. }
            | Self::Full
            | Self::ReadOnly
            | Self::Busy
            | Self::Corrupt { .. }
            | Self::TooNew { .. }
            | Self::Refused { .. }
            | Self::File { .. }
            | Self::Disk(_)
            | Self::Database(_) => "ESC-0902",
        }
    }

    /// What the person who sees this does next.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Locked { pid: Some(pid), .. } => {
                format!("stop process {pid} first, or give this one another folder with --data")
            }
            Self::Locked { pid: None, dir } => format!(
                "find the holder with `fuser {}/lock`, or use another folder with --data",
                dir.display()
            ),
            Self::Superseded { .. } => {
                "stop this process: the newer one is in charge of all releases".into()
            }
            Self::NotRestored { .. } => {
                "find the other `esclusa serve` and stop one of the two; a folder that comes \
                 from a copy is put back with `esclusa restore-state`"
                    .into()
            }
            Self::Replaced { path } => format!(
                "move the file back to {} if it was moved, and writing goes on; else stop this \
                 process and restore a backup",
                path.display()
            ),
            Self::HalfRestored { .. } => {
                "run `esclusa restore-state` once more: it begins anew".into()
            }
            Self::NoRoom { needs, .. } => format!(
                "free {needs} bytes on the disk of the data folder and start again, or start \
                 the version that ran before: nothing was changed"
            ),
            Self::Full => "free some space; running releases are held and can still be \
                           turned back, nothing acknowledged is lost"
                .into(),
            Self::ReadOnly => {
                "check the owner and mode of the data folder and how its disk is mounted".into()
            }
            Self::Busy => "close tools that hold the database open, such as a sqlite shell".into(),
            Self::Corrupt { .. } => {
                "run `esclusa audit verify`; keep a copy of the folder, then restore a backup"
                    .into()
            }
            Self::TooNew { .. } => "start the esclusa version that wrote it, or a newer one".into(),
            Self::Refused { .. } => "send a request within the limit that is named".into(),
            Self::File { .. } | Self::Disk(_) => {
                "check the disk (dmesg, SMART) and the data folder's permissions".into()
            }
            Self::Database(_) => "report this with the log lines around it".into(),
        }
    }

    /// Whether the same call may succeed later without anybody changing the request.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Full | Self::Busy | Self::Disk(_))
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::Refused { what: what.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::ColumnDecode { ref index, .. } => {
                Self::corrupt(format!("column {index} has another type than it should"))
            }
            other => sqlite::classify(other),
        }
    }
}

/// Why events were not appended; none of them was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first, or the caller's picture is stale.
    #[error("stream {stream} stands at {actual}, not at {expected}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// Where the caller thought it stands.
        expected: u64,
        /// Where it stands.
        actual: u64,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Why a token was not stored.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A live token has this name; revoke it first.
    #[error("a token named {0} exists")]
    NameTaken(String),
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TokenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
