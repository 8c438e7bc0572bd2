//! Makes a backup.

use super::archive::{HEAD, Hashed, TAIL, head, tail};
use super::error::{BackupError, file};
use super::tree::{Found, is_version, walk};
use super::{Content, Doing, Existing, Made, Manifest, Progress, Tell, VERSIONS, Wanted};
use crate::StoreError;
use crate::copy::copy;
use crate::lock::sync_dir;
use crate::restored::HALF;
use crate::schema::{LOG, SLICES, Step, known_steps};
use crate::sqlite::{Connection, open_to_read};
use crate::store::{LOG_FILE, SLICES_FILE, unsigned};
use crate::verify::verify_all;
use esclusa_model::{Epoch, Timestamp};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Mode of what holds secrets.
const OWNER_ONLY: u32 = 0o600;

/// Writes the state of the data folder `dir` into `into`, which appears once it is whole
/// and on the disk. A controller may run on the folder meanwhile: what is written is its
/// state at one moment.
///
/// # Errors
/// [`BackupError`]; a file that was there is then as it was. Broken chains are no error:
/// they are named in the manifest.
pub async fn make(
    dir: &Path,
    into: &Path,
    content: Content,
    existing: Existing,
    made_at: Timestamp,
    tell: Tell,
) -> Result<Made, BackupError> {
    if existing == Existing::Keep && into.symlink_metadata().is_ok() {
        return Err(BackupError::Exists {
            path: into.to_owned(),
        });
    }
    if dir.join(HALF).exists() {
        return Err(StoreError::HalfRestored {
            dir: dir.to_owned(),
        }
        .into());
    }
    let log = dir.join(LOG_FILE);
    if !log.exists() {
        return Err(BackupError::NoState {
            dir: dir.to_owned(),
        });
    }
    let folder = match into.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let scratch = tempfile::Builder::new()
        .prefix(".esclusa-backup-")
        .tempdir_in(&folder)
        .map_err(file("cannot write in", &folder))?;
    let mut parts = Vec::new();
    // The log first: whatever it speaks of is in what is copied after it.
    let log_copy = scratch.path().join(LOG_FILE);
    snapshot(&log, LOG, &log_copy, &tell).await?;
    let mut manifest = describe(&log_copy, made_at, &tell).await?;
    parts.push((LOG_FILE, log_copy));
    let slices = dir.join(SLICES_FILE);
    if content.slices == Wanted::With && slices.exists() {
        let slices_copy = scratch.path().join(SLICES_FILE);
        snapshot(&slices, SLICES, &slices_copy, &tell).await?;
        manifest.slices = true;
        parts.push((SLICES_FILE, slices_copy));
    }
    let versions = (content.artifacts == Wanted::With).then(|| dir.join(VERSIONS));
    let (into, tell) = (into.to_owned(), Tell::clone(&tell));
    let packed = tokio::task::spawn_blocking(move || {
        let packing = Packing {
            folder,
            into,
            existing,
            parts,
            versions,
            tell,
        };
        let made = packing.pack(manifest);
        drop(scratch);
        made
    });
    packed.await.map_err(|error| BackupError::File {
        doing: "cannot write",
        path: dir.to_owned(),
        source: io::Error::other(error),
    })?
}

async fn snapshot(
    from: &Path,
    steps: &[Step],
    into: &Path,
    tell: &Tell,
) -> Result<(), BackupError> {
    tell(Progress {
        doing: Doing::Copying,
        bytes: 0,
    });
    copy(from, into).await?;
    let mut copied = open_to_read(into).await?;
    known_steps(&mut copied, steps).await?;
    Ok(())
}

async fn describe(log: &Path, made_at: Timestamp, tell: &Tell) -> Result<Manifest, BackupError> {
    tell(Progress {
        doing: Doing::Checking,
        bytes: 0,
    });
    let mut connection = open_to_read(log).await?;
    let found = verify_all(&mut connection).await?;
    Ok(Manifest {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        epoch: epoch(&mut connection).await?,
        streams: found.streams,
        events: found.events,
        broken: found.broken.iter().map(ToString::to_string).collect(),
        slices: false,
        artifacts: None,
        left_out: 0,
        bytes: 0,
    })
}

async fn epoch(connection: &mut Connection) -> Result<Epoch, StoreError> {
    let epoch: i64 = sqlx::query_scalar("select epoch from controller where id = 1")
        .fetch_one(connection)
        .await?;
    Ok(Epoch(unsigned(epoch, "the controller's epoch")?))
}

/// What is put together into one file.
struct Packing {
    folder: PathBuf,
    into: PathBuf,
    existing: Existing,
    parts: Vec<(&'static str, PathBuf)>,
    versions: Option<PathBuf>,
    tell: Tell,
}

type Archive = tar::Builder<Hashed<BufWriter<NamedTempFile>>>;

impl Packing {
    fn pack(self, mut manifest: Manifest) -> Result<Made, BackupError> {
        let failed = || file("cannot write", &self.into);
        // For its owner alone from its first byte on: it holds keys and hashes of tokens.
        let temporary = tempfile::Builder::new()
            .prefix(".esclusa-backup-")
            .tempfile_in(&self.folder)
            .map_err(failed())?;
        let hashed = Hashed::new(BufWriter::new(temporary), Tell::clone(&self.tell));
        let mut archive = tar::Builder::new(hashed);
        let at = u64::try_from(manifest.made_at.0 / 1_000_000).unwrap_or(0);
        let add = |archive: &mut Archive, name: &Path, mode, size, data: &mut dyn Read| {
            append(archive, name, mode, at, size, data)
        };
        let head = head();
        add(
            &mut archive,
            Path::new(HEAD),
            OWNER_ONLY,
            head.len() as u64,
            &mut head.as_bytes(),
        )
        .map_err(failed())?;
        for (name, path) in &self.parts {
            let mut opened = File::open(path).map_err(file("cannot read", path))?;
            let size = opened.metadata().map_err(file("cannot read", path))?.len();
            add(&mut archive, Path::new(name), OWNER_ONLY, size, &mut opened).map_err(failed())?;
            manifest.bytes += size;
        }
        if let Some(versions) = &self.versions {
            self.add_versions(&mut archive, versions, at, &mut manifest)?;
        }
        let text = tail(archive.get_ref().digest(), &manifest)
            .map_err(|error| failed()(io::Error::other(error)))?;
        add(
            &mut archive,
            Path::new(TAIL),
            OWNER_ONLY,
            text.len() as u64,
            &mut text.as_bytes(),
        )
        .map_err(failed())?;
        let hashed = archive.into_inner().map_err(failed())?;
        let temporary = hashed
            .into_inner()
            .into_inner()
            .map_err(|error| failed()(error.into_error()))?;
        self.place(temporary, manifest)
    }

    fn add_versions(
        &self,
        archive: &mut Archive,
        versions: &Path,
        at: u64,
        manifest: &mut Manifest,
    ) -> Result<(), BackupError> {
        let failed = || file("cannot write", &self.into);
        let mut kept = 0;
        for (inside, found) in walk(versions)? {
            kept += u64::from(is_version(&inside, &found));
            let (name, path) = (Path::new(VERSIONS).join(&inside), versions.join(&inside));
            match found {
                Found::Folder(mode) => {
                    let mut header = header(mode, at, 0);
                    header.set_entry_type(tar::EntryType::Directory);
                    archive
                        .append_data(&mut header, &name, io::empty())
                        .map_err(failed())?;
                }
                Found::File(mode, size) => {
                    let mut opened = File::open(&path).map_err(file("cannot read", &path))?;
                    append(archive, &name, mode, at, size, &mut opened)
                        .map_err(file("cannot copy", &path))?;
                    manifest.bytes += size;
                }
                Found::Link(goal) => {
                    let mut header = header(0o777, at, 0);
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive
                        .append_link(&mut header, &name, &goal)
                        .map_err(failed())?;
                }
                Found::Other => manifest.left_out += 1,
            }
        }
        manifest.artifacts = Some(kept);
        Ok(())
    }

    /// Gives the file its name, once all of it is on the disk.
    fn place(self, temporary: NamedTempFile, manifest: Manifest) -> Result<Made, BackupError> {
        let failed = || file("cannot write", &self.into);
        temporary.as_file().sync_all().map_err(failed())?;
        let size = temporary.as_file().metadata().map_err(failed())?.len();
        let placed = match self.existing {
            Existing::Keep => temporary.persist_noclobber(&self.into),
            Existing::Replace => temporary.persist(&self.into),
        };
        placed.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists {
                path: self.into.clone(),
            },
            _ => failed()(error.error),
        })?;
        sync_dir(&self.folder)?;
        Ok(Made {
            file: self.into,
            size,
            manifest,
        })
    }
}

fn header(mode: u32, at: u64, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_mtime(at);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Puts exactly `size` bytes of `data` into the archive: a file that grows meanwhile is
/// cut, one that shrinks is an error.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &Path,
    mode: u32,
    at: u64,
    size: u64,
    data: &mut dyn Read,
) -> io::Result<()> {
    let mut exact = data.take(size);
    archive.append_data(&mut header(mode, at, size), name, &mut exact)?;
    if exact.limit() == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "it became shorter while it was read",
    ))
}
