//! Versions by content: a file, folder or tar archive becomes a folder named by its
//! digest, and that folder is what runs.
//!
//! A link to an absolute path (an interpreter, say) is kept as it is; what it leads to
//! is not part of the version.

use super::content::{Paths, digest_folder, digest_paths, paths};
use esclusa_model::Digest;
use esclusa_shim::write_atomic;
use nix::unistd::syncfs;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

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

pub(super) fn unusable(path: &Path, why: impl Into<String>) -> ArtifactError {
    ArtifactError::Unusable {
        path: path.to_owned(),
        why: why.into(),
    }
}

pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
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
    let content = paths(temp.path())?;
    let digest = digest_paths(temp.path(), &content)?;
    let listed = list_file(versions, &digest);
    write_atomic(&listed, &content.to_bytes()).map_err(store_error(&listed))?;
    File::open(versions)
        .and_then(|folder| Ok(syncfs(folder)?))
        .map_err(store_error(versions))?;
    for dir in copies(versions, &digest) {
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

/// Where copies of a version may be, in the order in which they are made.
fn copies(versions: &Path, digest: &Digest) -> impl Iterator<Item = PathBuf> {
    (1..=MAX_COPIES).map(move |copy| match copy {
        1 => versions.join(digest.hex()),
        n => versions.join(format!("{}-{n}", digest.hex())),
    })
}

/// Where the paths of a version's content are listed.
fn list_file(versions: &Path, digest: &Digest) -> PathBuf {
    versions.join(format!("{}.list", digest.hex()))
}

/// The first kept copy of the version of `dir` in which all that was kept is there and
/// unchanged; `dir` is a folder that [`store_artifact`] gave. What a program has added
/// to its folder since (a cache, say) does not keep it from starting again.
///
/// # Errors
/// When there is none: what is there is not what was kept.
pub fn unchanged_copy(dir: &Path) -> Result<PathBuf, ArtifactError> {
    let name = dir.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let hex = name.split_once('-').map_or(name, |(hex, _)| hex);
    let digest: Digest = format!("sha256:{hex}")
        .parse()
        .map_err(|_| unusable(dir, "not a kept version"))?;
    let versions = dir.parent().unwrap_or(dir);
    let list = fs::read(list_file(versions, &digest)).ok();
    let content = list.map(|bytes| Paths::from_bytes(&bytes));
    let found = |copy: &Path| match &content {
        Some(content) => digest_paths(copy, content),
        None => digest_folder(copy),
    };
    copies(versions, &digest)
        .take_while(|copy| copy.exists())
        .find(|copy| found(copy).is_ok_and(|found| found == digest))
        .ok_or_else(|| {
            unusable(
                dir,
                "it was changed or removed after it was kept, and no copy is left",
            )
        })
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

pub(super) fn is_executable(meta: &fs::Metadata) -> bool {
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
