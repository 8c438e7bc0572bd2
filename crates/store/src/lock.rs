//! The exclusive lock on a data folder, which is the controller's lease.
//!
//! The kernel drops it when its holder dies, however it dies. The pid in the file is
//! for people only; whether the lock is held is never read from it. It does not hold
//! across hosts: a data folder on a network file system is not supported.

use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A held lock; dropping it gives the folder free.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Creates the folder where it is missing (for its owner only) and locks it.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| file_error("cannot create", dir, source))?;
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| file_error("cannot open", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    dir: dir.to_owned(),
                    pid: written_pid(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(file_error("cannot lock", &path, source));
            }
        }
        // A full disk must not keep a controller from starting to turn things back,
        // so a pid that cannot be written is only missing from a message.
        let _ = write_pid(&mut file);
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Creates `path` for its owner only where it is missing: it holds token hashes and keys.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| file_error("cannot open", path, source))?;
    Ok(())
}

/// Makes the folder's new entries survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| file_error("cannot sync", dir, source))
}

/// The kinds a caller acts on, before the rest.
pub(crate) fn file_error(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            StoreError::ReadOnly
        }
        _ => StoreError::File {
            doing,
            path: PathBuf::from(path),
            source,
        },
    }
}
