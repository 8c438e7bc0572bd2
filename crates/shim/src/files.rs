//! Names within a shim's folder, and files that are either old or new, never half.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const LOCK: &str = "lock";
pub(crate) const SOCKET: &str = "control.sock";
pub(crate) const STATUS: &str = "status.json";
pub(crate) const EXIT: &str = "exit.json";
pub(crate) const OUTPUT: &str = "output.log";
pub(crate) const OWN_LOG: &str = "shim.log";

/// Writes `bytes` under `path` by way of a temporary file beside it: readers see the
/// old content or the new, also after a crash. Readable by the owner alone.
///
/// # Errors
/// What the system said; `path` is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("a file path without a name"))?;
    let mut temp_name = std::ffi::OsString::from(".");
    temp_name.push(name);
    // Two threads may write one file at once: each its own temporary file.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    temp_name.push(format!(".{}-{number}", std::process::id()));
    let temp = path.with_file_name(temp_name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temp)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temp, path));
    if written.is_err() {
        // The first error is the one to tell; a stray temporary file harms nobody.
        fs::remove_file(&temp).ok();
    }
    written
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// The value in a file, `None` when there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Opens a file for appending, readable by its owner and group.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}
