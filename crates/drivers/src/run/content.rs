//! What identifies a folder's content.
//!
//! Digest, version 1: SHA-256 over the text `esclusa-artifact-v1` and, for each entry
//! in byte order of its path, a kind byte (`d`, `f`, `x` for an executable file, `l`),
//! the path and then the content (of a link, its target; of a folder, nothing), both
//! preceded by their length as eight bytes, highest first. Owners, times and finer
//! modes do not count: they differ between machines that hold the same content.

use super::artifact::{ArtifactError, is_executable, unreadable, unusable};
use esclusa_model::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

const FORMAT: &[u8] = b"esclusa-artifact-v1";

/// The digest of a folder's content, by the rules of this module.
pub(super) fn digest_folder(dir: &Path) -> Result<Digest, ArtifactError> {
    digest_paths(dir, &paths(dir)?)
}

/// The same over these paths alone. It is the folder's first digest exactly when all
/// that was there then is there still, unchanged; what was added does not count.
pub(super) fn digest_paths(dir: &Path, paths: &Paths) -> Result<Digest, ArtifactError> {
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    for path in &paths.0 {
        let full = dir.join(OsStr::from_bytes(path));
        let meta = fs::symlink_metadata(&full).map_err(unreadable(&full))?;
        let kind = kind(&full, &meta)?;
        hash.update([kind]);
        counted(&mut hash, path);
        match kind {
            b'd' => counted(&mut hash, b""),
            b'l' => {
                let leads = fs::read_link(&full).map_err(unreadable(&full))?;
                counted(&mut hash, leads.as_os_str().as_bytes());
            }
            _ => {
                let mut file = File::open(&full).map_err(unreadable(&full))?;
                hash.update(meta.len().to_be_bytes());
                let read = io::copy(&mut file, &mut hash).map_err(unreadable(&full))?;
                if read != meta.len() {
                    return Err(unusable(&full, "it changed while it was read"));
                }
            }
        }
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// Paths of a folder's entries, in byte order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paths(BTreeSet<Vec<u8>>);

impl Paths {
    /// As a file: each path ended by a zero byte.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|path| [path, &b"\0"[..]].concat())
            .collect()
    }

    /// What [`Self::to_bytes`] wrote. Whether it is whole, the digest tells.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let paths = bytes.split(|b| *b == 0).filter(|path| !path.is_empty());
        Self(paths.map(<[u8]>::to_vec).collect())
    }
}

/// All entries below a folder.
pub(super) fn paths(dir: &Path) -> Result<Paths, ArtifactError> {
    let mut found = BTreeSet::new();
    list(dir, Path::new(""), &mut found)?;
    Ok(Paths(found))
}

fn kind(path: &Path, meta: &fs::Metadata) -> Result<u8, ArtifactError> {
    if meta.is_dir() {
        Ok(b'd')
    } else if meta.is_symlink() {
        Ok(b'l')
    } else if !meta.is_file() {
        Err(unusable(path, "neither file, folder nor link"))
    } else if is_executable(meta) {
        Ok(b'x')
    } else {
        Ok(b'f')
    }
}

fn counted(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn list(root: &Path, inside: &Path, found: &mut BTreeSet<Vec<u8>>) -> Result<(), ArtifactError> {
    let folder = root.join(inside);
    for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
        let entry = entry.map_err(unreadable(&folder))?;
        let path = inside.join(entry.file_name());
        if entry.file_type().map_err(unreadable(&path))?.is_dir() {
            list(root, &path, found)?;
        }
        found.insert(path.into_os_string().into_vec());
    }
    Ok(())
}
