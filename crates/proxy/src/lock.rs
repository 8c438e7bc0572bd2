//! One proxy at a time is in charge of a folder.
//!
//! The lock belongs to the open file, not to the process: a copy that is handed over
//! keeps it, and the kernel lets go of it when the last copy is closed.

use crate::error::ProxyError;
use std::fs::{File, TryLockError};
use std::path::Path;

const NAME: &str = "lock";

/// Locks the folder; nothing when another proxy has it.
pub(crate) fn acquire(folder: &Path) -> Result<Option<File>, ProxyError> {
    let path = folder.join(NAME);
    let fail = |source| ProxyError::Path {
        path: path.clone(),
        source,
    };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_the_lock() {
        let folder = tempfile::tempdir().expect("folder");
        let first = acquire(folder.path()).expect("works").expect("free");
        assert!(acquire(folder.path()).expect("works").is_none());
        let copy = first.try_clone().expect("copy");
        drop(first);
        assert!(acquire(folder.path()).expect("works").is_none());
        drop(copy);
        assert!(acquire(folder.path()).expect("works").is_some());
    }
}
