//! Puts a backup into a data folder.
//!
//! Everything is unpacked and checked beside the places where it will stand. Putting it
//! there is a handful of renames behind a mark ([`HALF`]): where that is cut short, no
//! controller starts on the folder, and the next restore begins anew.

use super::archive::{HEAD, TAIL, check};
use super::error::{BackupError, file};
use super::tree::{names, set_mode};
use super::{Doing, Manifest, Progress, Put, Tell, VERSIONS};
use crate::StoreError;
use crate::copy::beside;
use crate::lock::{DataLock, create_private, sync_dir};
use crate::restored::{HALF, Restored, write};
use crate::schema::{LOG, SLICES, known_steps};
use crate::sqlite::{Connection, open_to_read, open_to_write};
use crate::store::{LOG_FILE, SLICES_FILE};
use crate::verify::verify_all;
use esclusa_model::Timestamp;
use sqlx::Connection as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use tempfile::TempDir;

/// Folders in which a backup is unpacked begin with this.
const STAGING: &str = ".restore-";
/// Bytes that are copied at once.
const CHUNK: usize = 128 << 10;

/// Puts the backup `from` into the data folder `dir`, which may hold a proxy's state and
/// running versions, but none of its own. The store is marked: see
/// [`Store::raise_epoch_to`](crate::Store::raise_epoch_to).
///
/// # Errors
/// [`BackupError`]; nothing is then in its place.
pub async fn restore(
    from: &Path,
    dir: &Path,
    now: Timestamp,
    tell: Tell,
) -> Result<Put, BackupError> {
    // Before the folder is made: a wrong file leaves nothing behind.
    let manifest = blocking(from, {
        let (from, tell) = (from.to_owned(), Tell::clone(&tell));
        move || check(&from, &tell)
    })
    .await?;
    let _lock = DataLock::take(dir)?;
    give_up_interrupted(dir)?;
    for name in [LOG_FILE, SLICES_FILE] {
        for path in with_journals(&dir.join(name)) {
            if path.symlink_metadata().is_ok() {
                return Err(BackupError::HasState { path });
            }
        }
    }
    let staged = blocking(from, {
        let (from, dir, tell) = (from.to_owned(), dir.to_owned(), Tell::clone(&tell));
        move || Staged::unpack(&from, &dir, &tell)
    })
    .await?;
    staged.prove(from, &manifest, &tell).await?;
    let mark = Restored {
        at: now,
        made_at: manifest.made_at,
        epoch: manifest.epoch,
        settled: None,
    };
    staged.mark(&mark, now).await?;
    let (artifacts, artifacts_there) = blocking(from, {
        let dir = dir.to_owned();
        move || staged.place(&dir)
    })
    .await?;
    Ok(Put {
        dir: dir.to_owned(),
        artifacts,
        artifacts_there,
        manifest,
    })
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| file("cannot read", path)(io::Error::other(error)))?
}

/// A database and what may stand beside it.
fn with_journals(path: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", "-journal"].map(|more| beside(path, more))
}

/// Removes what an interrupted restore has left. Nobody can have used it: no controller
/// starts while the mark is there.
fn give_up_interrupted(dir: &Path) -> Result<(), BackupError> {
    for name in names(dir)? {
        if name.to_string_lossy().starts_with(STAGING) {
            let path = dir.join(name);
            fs::remove_dir_all(&path).map_err(file("cannot remove", &path))?;
        }
    }
    let half = dir.join(HALF);
    if !half.exists() {
        return Ok(());
    }
    for name in [LOG_FILE, SLICES_FILE] {
        for path in with_journals(&dir.join(name)) {
            remove(&path)?;
        }
    }
    sync_dir(dir)?;
    remove(&half)?;
    Ok(sync_dir(dir)?)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file("cannot remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// A backup's content beside the places where it will stand.
struct Staged {
    folder: TempDir,
    /// Folders of versions and the modes that they get at the end.
    folders: Vec<(PathBuf, u32)>,
}

impl Staged {
    fn unpack(from: &Path, dir: &Path, tell: &Tell) -> Result<Self, BackupError> {
        let folder = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(dir)
            .map_err(file("cannot write in", dir))?;
        let mut staged = Self {
            folder,
            folders: Vec::new(),
        };
        let opened = File::open(from).map_err(file("cannot open", from))?;
        let mut archive = tar::Archive::new(BufReader::with_capacity(CHUNK, opened));
        let unreadable = |error: io::Error| BackupError::damaged(from, error.to_string());
        let mut links = Vec::new();
        let mut bytes = 0;
        for member in archive.entries().map_err(unreadable)? {
            let mut member = member.map_err(unreadable)?;
            let name = member.path().map_err(unreadable)?.into_owned();
            if name == Path::new(TAIL) {
                break;
            }
            if name == Path::new(HEAD) {
                continue;
            }
            let inside = known_place(&name)
                .ok_or_else(|| BackupError::damaged(from, format!("{name:?} has no place")))?;
            bytes += member.size();
            tell(Progress {
                doing: Doing::Unpacking,
                bytes,
            });
            let goal = member.link_name().map_err(unreadable)?;
            if let (tar::EntryType::Symlink, Some(goal)) = (
                member.header().entry_type(),
                goal.map(|goal| goal.into_owned()),
            ) {
                links.push((inside, goal));
                continue;
            }
            staged.unpack_one(from, &inside, &mut member)?;
        }
        // Last, so that nothing was written through one.
        for (inside, goal) in links {
            let path = staged.folder.path().join(inside);
            symlink(goal, &path).map_err(file("cannot write", &path))?;
        }
        Ok(staged)
    }

    fn unpack_one(
        &mut self,
        from: &Path,
        inside: &Path,
        member: &mut tar::Entry<'_, impl Read>,
    ) -> Result<(), BackupError> {
        let unreadable = |error: io::Error| BackupError::damaged(from, error.to_string());
        let mode = member.header().mode().map_err(unreadable)?;
        let path = self.folder.path().join(inside);
        match member.header().entry_type() {
            tar::EntryType::Directory => {
                fs::create_dir_all(&path).map_err(file("cannot make", &path))?;
                self.folders.push((inside.to_owned(), mode));
            }
            tar::EntryType::Regular => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(file("cannot make", parent))?;
                }
                let mut written = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(file("cannot write", &path))?;
                io::copy(member, &mut written).map_err(file("cannot write", &path))?;
                set_mode(&path, mode)?;
            }
            other => {
                let what = format!("{inside:?} is {other:?}, which no backup holds");
                return Err(BackupError::damaged(from, what));
            }
        }
        Ok(())
    }

    /// Whether the databases can be used, and the chains are as the manifest says.
    async fn prove(
        &self,
        from: &Path,
        manifest: &Manifest,
        tell: &Tell,
    ) -> Result<(), BackupError> {
        tell(Progress {
            doing: Doing::Checking,
            bytes: 0,
        });
        let log = self.folder.path().join(LOG_FILE);
        if !log.exists() {
            return Err(BackupError::damaged(from, "it holds no event log"));
        }
        let mut connection = open_to_read(&log).await?;
        known_steps(&mut connection, LOG).await?;
        let found = verify_all(&mut connection).await?;
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        if (found.streams, found.events, &broken)
            != (manifest.streams, manifest.events, &manifest.broken)
        {
            let what = "its event log is not the one that its manifest tells of";
            return Err(BackupError::damaged(from, what));
        }
        connection.close().await.map_err(StoreError::from)?;
        let slices = self.folder.path().join(SLICES_FILE);
        if slices.exists() != manifest.slices {
            return Err(BackupError::damaged(from, "its slices are missing"));
        }
        if manifest.slices {
            let mut connection = open_to_read(&slices).await?;
            known_steps(&mut connection, SLICES).await?;
            connection.close().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    async fn mark(&self, mark: &Restored, now: Timestamp) -> Result<(), BackupError> {
        let log = self.folder.path().join(LOG_FILE);
        let mut connection: Connection = open_to_write(&log).await?;
        write(&mut connection, mark, now).await?;
        connection.close().await.map_err(StoreError::from)?;
        match with_journals(&log)[1..].iter().find(|path| path.exists()) {
            None => Ok(()),
            // Without it, the mark would be missing from what is put in place.
            Some(journal) => Err(file("cannot finish", journal)(io::Error::other(
                "the database is still in use",
            ))),
        }
    }

    /// Puts everything where it belongs; gives how many versions were put there, and how
    /// many were there.
    fn place(self, dir: &Path) -> Result<(u64, u64), BackupError> {
        let staging = self.folder.path();
        File::open(staging)
            .and_then(|folder| Ok(nix::unistd::syncfs(folder)?))
            .map_err(file("cannot sync", staging))?;
        let half = dir.join(HALF);
        create_private(&half)?;
        OpenOptions::new()
            .write(true)
            .open(&half)
            .and_then(|mut half| {
                half.write_all(b"`esclusa restore-state` puts a backup here\n")?;
                half.sync_all()
            })
            .map_err(file("cannot write", &half))?;
        sync_dir(dir)?;
        let counts = self.place_versions(dir)?;
        for name in [SLICES_FILE, LOG_FILE] {
            let (staged, place) = (staging.join(name), dir.join(name));
            if staged.exists() {
                fs::rename(&staged, &place).map_err(file("cannot place", &place))?;
            }
        }
        sync_dir(dir)?;
        remove(&half)?;
        sync_dir(dir)?;
        Ok(counts)
    }

    fn place_versions(&self, dir: &Path) -> Result<(u64, u64), BackupError> {
        let (mut placed, mut there) = (0, 0);
        let staged = self.folder.path().join(VERSIONS);
        let names = names(&staged)?;
        if names.is_empty() {
            return Ok((0, 0));
        }
        let versions = dir.join(VERSIONS);
        fs::create_dir_all(&versions).map_err(file("cannot make", &versions))?;
        for name in names {
            let (from, to) = (staged.join(&name), versions.join(&name));
            let one = u64::from(from.is_dir());
            // By digest: what is there is the same, or was changed since and is looked
            // at before anything runs from it.
            if to.symlink_metadata().is_ok() {
                there += one;
                continue;
            }
            fs::rename(&from, &to).map_err(file("cannot place", &to))?;
            placed += one;
            // What is in a folder cannot be moved once its mode forbids it.
            let ours = self.folders.iter().rev();
            for (inside, mode) in
                ours.filter(|(inside, _)| inside.starts_with(Path::new(VERSIONS).join(&name)))
            {
                set_mode(&dir.join(inside), *mode)?;
            }
        }
        sync_dir(&versions)?;
        Ok((placed, there))
    }
}

/// The place of a member in a data folder; nothing for a path that leads elsewhere.
fn known_place(name: &Path) -> Option<PathBuf> {
    let mut parts = name.components();
    let clean = parts.all(|part| matches!(part, Component::Normal(_)));
    let database = name == Path::new(LOG_FILE) || name == Path::new(SLICES_FILE);
    let version = name.starts_with(VERSIONS) && name != Path::new(VERSIONS);
    (clean && (database || version)).then(|| name.to_owned())
}
