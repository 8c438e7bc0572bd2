//! What lies below a folder, in an order in which it can be made again.

use super::error::{BackupError, file};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Names of what is not finished in the folder of versions begin with this.
const UNFINISHED: &str = ".tmp-";

/// A file, folder or link below the folder that was walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder and its mode.
    Folder(u32),
    /// A file, its mode and its size.
    File(u32, u64),
    /// A link and where it leads.
    Link(PathBuf),
    /// A socket, a pipe or a device.
    Other,
}

/// All entries below `root` with their paths from there, each folder before what is in
/// it. What was never finished is passed over.
pub(super) fn walk(root: &Path) -> Result<Vec<(PathBuf, Found)>, BackupError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let mut names = names(&root.join(&folder))?;
        if folder.as_os_str().is_empty() {
            names.retain(|name| !name.to_string_lossy().starts_with(UNFINISHED));
        }
        for name in names {
            let inside = folder.join(name);
            let path = root.join(&inside);
            let meta = fs::symlink_metadata(&path).map_err(file("cannot read", &path))?;
            let mode = meta.permissions().mode() & 0o777;
            let entry = if meta.is_dir() {
                open.push(inside.clone());
                Found::Folder(mode)
            } else if meta.is_file() {
                Found::File(mode, meta.len())
            } else if meta.is_symlink() {
                Found::Link(fs::read_link(&path).map_err(file("cannot read", &path))?)
            } else {
                Found::Other
            };
            found.push((inside, entry));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Names in a folder, in order; none when it is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file("cannot list", folder)(error)),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
        .collect::<io::Result<Vec<_>>>()
        .map_err(file("cannot list", folder))?;
    names.sort();
    Ok(names)
}

/// Gives a file or folder its mode.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), BackupError> {
    fs::set_permissions(path, Permissions::from_mode(mode & 0o777))
        .map_err(file("cannot change", path))
}

/// Whether a top-level name in the folder of versions is a kept version, rather than the
/// list of what belongs to one.
pub(super) fn is_version(inside: &Path, found: &Found) -> bool {
    matches!(found, Found::Folder(_)) && inside.components().count() == 1
}
