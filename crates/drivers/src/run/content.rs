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
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

const FORMAT: &[u8] = b"esclusa-artifact-v1";

/// The digest of a folder's content, by the rules of this module.
pub(super) fn digest_folder(dir: &Path) -> Result<Digest, ArtifactError> {
    let mut entries = BTreeMap::new();
    list(dir, Path::new(""), &mut entries)?;
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    for (path, kind) in entries {
        let full = dir.join(OsStr::from_bytes(&path));
        hash.update([kind]);
        counted(&mut hash, &path);
        match kind {
            b'd' => counted(&mut hash, b""),
            b'l' => {
                let leads = fs::read_link(&full).map_err(unreadable(&full))?;
                counted(&mut hash, leads.as_os_str().as_bytes());
            }
            _ => {
                let mut file = File::open(&full).map_err(unreadable(&full))?;
                let length = file.metadata().map_err(unreadable(&full))?.len();
                hash.update(length.to_be_bytes());
                let read = io::copy(&mut file, &mut hash).map_err(unreadable(&full))?;
                if read != length {
                    return Err(unusable(&full, "it changed while it was read"));
                }
            }
        }
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

fn counted(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn list(
    root: &Path,
    inside: &Path,
    entries: &mut BTreeMap<Vec<u8>, u8>,
) -> Result<(), ArtifactError> {
    let folder = root.join(inside);
    for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
        let entry = entry.map_err(unreadable(&folder))?;
        let path = inside.join(entry.file_name());
        let meta = entry.metadata().map_err(unreadable(&path))?;
        let kind = if meta.is_dir() {
            list(root, &path, entries)?;
            b'd'
        } else if meta.is_symlink() {
            b'l'
        } else if !meta.is_file() {
            return Err(unusable(&path, "neither file, folder nor link"));
        } else if is_executable(&meta) {
            b'x'
        } else {
            b'f'
        };
        entries.insert(path.into_os_string().into_vec(), kind);
    }
    Ok(())
}
