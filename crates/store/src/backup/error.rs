//! How making and restoring a backup fail.

use crate::StoreError;
use std::path::{Path, PathBuf};

/// Why there is no backup, or why it was not put back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder has no event log.
    #[error("{} holds no state", dir.display())]
    NoState {
        /// The folder.
        dir: PathBuf,
    },
    /// A file of the backup's name is there.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The folder has a state of its own.
    #[error("the data folder holds state already: {}", path.display())]
    HasState {
        /// A file of that state.
        path: PathBuf,
    },
    /// The file is no backup, or not all of it is there as it was written.
    #[error("{} is not a whole backup: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A newer esclusa made it.
    #[error("{} is a backup of version {found}, this build reads {known}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        known: u64,
    },
    /// The file system failed.
    #[error("{} {}", doing, path.display())]
    File {
        /// What was tried, such as `cannot write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// The code under which `docs/errors` explains it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoState { .. } | Self::Exists { .. } | Self::File { .. } => "ESC-0521",
            Self::Damaged { .. } | Self::TooNew { .. } => "ESC-0522",
            Self::HasState { .. } => "ESC-0523",
            Self::Store(error) => error.code(),
        }
    }

    /// What the person who sees this does next.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoState { .. } => "name the data folder with --data".into(),
            Self::Exists { .. } => "choose another name, or replace the file with --force".into(),
            Self::HasState { .. } => "name an empty folder with --data, or move what is there \
                                      away first; nothing was changed"
                .into(),
            Self::Damaged { .. } => {
                "use another backup; nothing was put into the data folder".into()
            }
            Self::TooNew { .. } => "use the esclusa version that made it, or a newer one".into(),
            Self::File { .. } => "check the path, its rights and the room on its disk".into(),
            Self::Store(error) => error.next_step(),
        }
    }

    /// Whether what was asked for makes no sense, rather than that something failed.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::NoState { .. }
            | Self::Exists { .. }
            | Self::HasState { .. }
            | Self::Damaged { .. }
            | Self::TooNew { .. } => true,
            Self::File { .. } | Self::Store(_) => false,
        }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// An error of the file system at `path`.
pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File {
        doing,
        path,
        source,
    }
}
