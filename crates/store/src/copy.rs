//! Whole copies of a database: beside it before a schema step changes it, and for backups.
//!
//! A copy has its name only once it is complete and on the disk.

use crate::StoreError;
use crate::lock::{create_private, file_error, sync_dir};
use crate::sqlite::{copy_into, open_to_read, size};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What is to stay free beside a copy: the step itself writes too.
const SPARE_BYTES: u64 = 1 << 20;

/// Says how many bytes are free in a folder.
pub(crate) type Room = fn(&Path) -> Result<u64, StoreError>;

/// What this user may still write on the disk of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let found = nix::sys::statvfs::statvfs(dir)
        .map_err(|errno| file_error("cannot ask for the room in", dir, errno.into()))?;
    Ok(found
        .blocks_available()
        .saturating_mul(found.fragment_size()))
}

/// Keeps a copy of the database `path` beside it as `<name>.before-step-<step>`, in place
/// of an older one of that name.
pub(crate) async fn keep_before(path: &Path, step: i64, room: Room) -> Result<PathBuf, StoreError> {
    let mut connection = open_to_read(path).await?;
    let needs = size(&mut connection).await?.saturating_add(SPARE_BYTES);
    drop(connection);
    let dir = path.parent().unwrap_or(Path::new("."));
    let no_room = |free| StoreError::NoRoom {
        path: path.to_owned(),
        step,
        needs,
        free,
    };
    let free = room(dir)?;
    if free < needs {
        return Err(no_room(free));
    }
    let kept = beside(path, &format!(".before-step-{step}"));
    match copy(path, &beside(&kept, ".partial")).await {
        // Somebody else was faster than our look at the room.
        Err(StoreError::Full) => return Err(no_room(room(dir)?)),
        copied => copied?,
    }
    let partial = beside(&kept, ".partial");
    std::fs::rename(&partial, &kept).map_err(|e| file_error("cannot name", &kept, e))?;
    sync_dir(dir)?;
    Ok(kept)
}

/// Writes the database at `path` as it is now into the new file `into`, for its owner
/// only and down to the disk. What was there under this name is given up.
pub(crate) async fn copy(path: &Path, into: &Path) -> Result<(), StoreError> {
    remove(into)?;
    create_private(into)?;
    let copied = fill(path, into).await;
    if copied.is_err() {
        // Only room is at stake, and the first error says more.
        let _ = remove(into);
    }
    copied
}

async fn fill(path: &Path, into: &Path) -> Result<(), StoreError> {
    let into = std::path::absolute(into).map_err(|e| file_error("cannot find", into, e))?;
    let mut connection = open_to_read(path).await?;
    copy_into(&mut connection, &into).await?;
    File::open(&into)
        .and_then(|file| file.sync_all())
        .map_err(|e| file_error("cannot sync", &into, e))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_error("cannot remove", path, error))
        }
        _ => Ok(()),
    }
}

/// `path` with more at the end of its name.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    name.into()
}
