//! Versions by content: a file, folder or tar archive becomes a folder named by its
//! digest, and that folder is what runs.
//!
//! Digest, version 1: SHA-256 over the text `esclusa-artifact-v1` and, for each entry
//! in byte order of its path, a kind byte (`d`, `f`, `x` for an executable file, `l`),
//! the path and then the content (of a link, its target; of a folder, nothing), both
//! preceded by their length as eight bytes, highest first. Owners, times and finer
//! modes do not count: they differ between machines that hold the same content.
//!
//! A link to an absolute path (an interpreter, say) is kept as it is; what it leads to
//! is not part of the version.

use esclusa_model::Digest;
use nix::unistd::syncfs;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

const FORMAT: &[u8] = b"esclusa-artifact-v1";
const TEMP: &str = ".tmp-";
/// Temporary folders of a controller that died are removed after this long.
const STALE: Duration = Duration::from_secs(86_400);
/// Copies of one version, the first and those made because an older one was changed.
const MAX_COPIES: u32 = 100;

/// Why an artifact could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The artifact itself cannot be used.
    #[error("artifact {path}: {why}")]
    Unusable {
        /// The file within it, or itself.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The folder of versions cannot be written.
    #[error("{path}: {source}")]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn unusable(path: &Path, why: impl Into<String>) -> ArtifactError {
    ArtifactError::Unusable {
        path: path.to_owned(),
        why: why.into(),
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
    let path = path.to_owned();
    move |e| unusable(&path, e.to_string())
}

fn store_error(path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
    let path = path.to_owned();
    move |source| ArtifactError::Store { path, source }
}

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it is.
    pub digest: Digest,
    /// The folder with its content.
    pub dir: PathBuf,
}

/// Copies an artifact below `versions` unless it is there already, unchanged. Several
/// may do this at once. A kept folder that was changed since is left to those that run
/// from it, and a new copy is made beside it.
///
/// # Errors
/// [`ArtifactError`]; nothing but a hidden temporary folder may then be left.
pub fn store_artifact(source: &Path, versions: &Path) -> Result<Stored, ArtifactError> {
    fs::create_dir_all(versions).map_err(store_error(versions))?;
    remove_stale(versions);
    let temp = tempfile::Builder::new()
        .prefix(TEMP)
        .tempdir_in(versions)
        .map_err(store_error(versions))?;
    fill(source, temp.path())?;
    let digest = digest_folder(temp.path())?;
    File::open(versions)
        .and_then(|folder| Ok(syncfs(folder)?))
        .map_err(store_error(versions))?;
    for copy in 1..=MAX_COPIES {
        let name = match copy {
            1 => digest.hex(),
            n => format!("{}-{n}", digest.hex()),
        };
        let dir = versions.join(name);
        match fs::rename(temp.path(), &dir) {
            Ok(()) => {
                // What the guard would remove has moved away.
                drop(temp.keep());
                protect(&dir).map_err(store_error(&dir))?;
                return Ok(Stored { digest, dir });
            }
            Err(_) if dir.exists() => {
                if digest_folder(&dir).is_ok_and(|found| found == digest) {
                    return Ok(Stored { digest, dir });
                }
            }
            Err(e) => return Err(store_error(&dir)(e)),
        }
    }
    Err(unusable(
        source,
        format!("all {MAX_COPIES} kept copies of {digest} were changed after they were kept"),
    ))
}

fn remove_stale(versions: &Path) {
    let Ok(entries) = fs::read_dir(versions) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        let ours = entry.file_name().as_bytes().starts_with(TEMP.as_bytes());
        if ours && age.is_some_and(|age| age > STALE) {
            // Only room is at stake.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn fill(source: &Path, into: &Path) -> Result<(), ArtifactError> {
    let meta = fs::metadata(source).map_err(unreadable(source))?;
    if meta.is_dir() {
        return copy_folder(source, source, into);
    }
    if !meta.is_file() {
        return Err(unusable(source, "neither file nor folder"));
    }
    let name = source
        .file_name()
        .ok_or_else(|| unusable(source, "no file name"))?;
    let text = name.to_string_lossy();
    let open = || File::open(source).map_err(unreadable(source));
    if text.ends_with(".tar") {
        unpack(source, io::BufReader::new(open()?), into)
    } else if text.ends_with(".tar.gz") || text.ends_with(".tgz") {
        let unzipped = flate2::read::GzDecoder::new(io::BufReader::new(open()?));
        unpack(source, unzipped, into)
    } else {
        copy_file(source, &into.join(name), is_executable(&meta))
    }
}

fn is_executable(meta: &fs::Metadata) -> bool {
    meta.permissions().mode() & 0o111 != 0
}

fn copy_folder(root: &Path, from: &Path, into: &Path) -> Result<(), ArtifactError> {
    for entry in fs::read_dir(from).map_err(unreadable(from))? {
        let entry = entry.map_err(unreadable(from))?;
        let (path, target) = (entry.path(), into.join(entry.file_name()));
        let meta = entry.metadata().map_err(unreadable(&path))?;
        if meta.is_dir() {
            fs::create_dir(&target).map_err(store_error(&target))?;
            copy_folder(root, &path, &target)?;
        } else if meta.is_file() {
            copy_file(&path, &target, is_executable(&meta))?;
        } else if meta.is_symlink() {
            let leads = fs::read_link(&path).map_err(unreadable(&path))?;
            let inside = path.strip_prefix(root).unwrap_or(&path);
            check_link(&path, inside, &leads, Some(root))?;
            symlink(&leads, &target).map_err(store_error(&target))?;
        } else {
            return Err(unusable(&path, "neither file, folder nor link"));
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, executable: bool) -> Result<(), ArtifactError> {
    let mut source = File::open(from).map_err(unreadable(from))?;
    write_file(&mut source, to, executable)
}

fn write_file(from: &mut impl Read, to: &Path, executable: bool) -> Result<(), ArtifactError> {
    let mut file = File::create_new(to).map_err(store_error(to))?;
    io::copy(from, &mut file).map_err(store_error(to))?;
    let mode = if executable { 0o555 } else { 0o444 };
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(store_error(to))
}

/// A relative link must stay within the version; an absolute one must not lead back
/// into the folder that the version was copied from, which may change.
fn check_link(
    shown: &Path,
    inside: &Path,
    leads: &Path,
    root: Option<&Path>,
) -> Result<(), ArtifactError> {
    if leads.is_absolute() {
        let back = root
            .and_then(|root| fs::canonicalize(root).ok())
            .is_some_and(|root| leads.starts_with(root));
        return if back {
            Err(unusable(
                shown,
                "an absolute link into the artifact; make it relative",
            ))
        } else {
            Ok(())
        };
    }
    let mut depth = inside.components().count().saturating_sub(1);
    for part in leads.components() {
        match part {
            Component::ParentDir if depth == 0 => {
                return Err(unusable(shown, "a link that leaves the artifact"));
            }
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    Ok(())
}

/// Unpacks what is harmless: files, folders and links within. Links come last, so that
/// nothing is ever written through one.
fn unpack(source: &Path, from: impl Read, into: &Path) -> Result<(), ArtifactError> {
    let mut links = BTreeMap::new();
    let mut archive = tar::Archive::new(from);
    let entries = archive.entries().map_err(unreadable(source))?;
    for entry in entries {
        let mut entry = entry.map_err(unreadable(source))?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map_err(unreadable(source))?.into_owned();
        let Some(inside) = harmless(&path) else {
            return Err(unusable(source, format!("{path:?} leads out of it")));
        };
        let target = into.join(&inside);
        let leads = || -> Result<PathBuf, ArtifactError> {
            let link = entry.link_name().map_err(unreadable(source))?;
            let link = link.ok_or_else(|| unusable(&path, "a link to nothing"))?;
            Ok(link.into_owned())
        };
        if kind.is_symlink() {
            let leads = leads()?;
            check_link(&path, &inside, &leads, None)?;
            links.insert(target, leads);
            continue;
        }
        let folder = if kind.is_dir() {
            Some(&*target)
        } else {
            target.parent()
        };
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(store_error(folder))?;
        }
        if kind.is_hard_link() {
            let leads = leads()?;
            let other = harmless(&leads)
                .ok_or_else(|| unusable(&path, "a link that leaves the archive"))?;
            fs::copy(into.join(other), &target).map_err(unreadable(&path))?;
        } else if kind.is_file() || kind.is_contiguous() {
            let mode = entry.header().mode().map_err(unreadable(&path))?;
            write_file(&mut entry, &target, mode & 0o111 != 0)?;
        } else if !kind.is_dir() {
            return Err(unusable(&path, "neither file, folder nor link"));
        }
    }
    for (target, leads) in links {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(store_error(folder))?;
        }
        symlink(&leads, &target).map_err(store_error(&target))?;
    }
    Ok(())
}

/// The path without `.`; `None` when it is absolute or climbs.
fn harmless(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// Folders may be written until they have their name; from then on nothing may.
fn protect(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            protect(&entry.path())?;
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(0o555))
}

/// The digest of a folder's content, by the rules of this module.
fn digest_folder(dir: &Path) -> Result<Digest, ArtifactError> {
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
        entries.insert(path.into_os_string().as_bytes().to_vec(), kind);
    }
    Ok(())
}
