//! The shape of a backup: a tar archive whose first member says what it is and whose last
//! one holds a digest of everything before it.
//!
//! The last member has two lines: `esclusa-backup 1 sha256:… sha256:…`, the digests of all
//! bytes before this member and of the second line; then the manifest as JSON. A file
//! that was cut off has no last member, and one that was changed has other digests.

use super::error::{BackupError, file};
use super::{Doing, Manifest, Progress, Tell};
use esclusa_model::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Write};
use std::path::Path;

/// The version of this shape.
const VERSION: u64 = 1;
const WORD: &str = "esclusa-backup";
/// Name of the first member.
pub(super) const HEAD: &str = "esclusa-backup.txt";
/// Name of the last member.
pub(super) const TAIL: &str = "manifest";
/// Longest first or last member that is read.
const MAX_TEXT_BYTES: u64 = 16 << 20;
/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;

/// What the first member says, for whoever opens the archive with another tool.
pub(super) fn head() -> String {
    format!(
        "{WORD} {VERSION}\nMade by `esclusa backup-state`; put back by `esclusa restore-state`.\n"
    )
}

/// What the last member says.
pub(super) fn tail(before: Digest, manifest: &Manifest) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(manifest)?;
    let own = Digest::of(text.as_bytes());
    Ok(format!("{WORD} {VERSION} {before} {own}\n{text}\n"))
}

/// Counts and hashes what passes through.
pub(super) struct Hashed<W> {
    inner: W,
    hash: Sha256,
    count: u64,
    tell: Tell,
}

impl<W> Hashed<W> {
    pub(super) fn new(inner: W, tell: Tell) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            count: 0,
            tell,
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        (self.tell)(Progress {
            doing: Doing::Packing,
            bytes: self.count,
        });
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a backup's manifest and compares the whole file with its digests.
pub(super) fn check(path: &Path, tell: &Tell) -> Result<Manifest, BackupError> {
    let damaged = |what: String| BackupError::damaged(path, what);
    let mut opened = File::open(path).map_err(file("cannot open", path))?;
    let (ends_at, text) = last_member(path, &mut opened)?;
    let (line, rest) = text
        .split_once('\n')
        .ok_or_else(|| damaged("its manifest has no digests".into()))?;
    let mut words = line.split(' ');
    read_version(path, &mut words)?;
    let mut digest = || -> Result<Digest, BackupError> {
        let word = words.next().unwrap_or_default();
        word.parse()
            .map_err(|_| damaged("its manifest has no digests".into()))
    };
    let (before, own) = (digest()?, digest()?);
    let text = rest.strip_suffix('\n').unwrap_or(rest);
    if Digest::of(text.as_bytes()) != own {
        return Err(damaged("its manifest is not what was written".into()));
    }
    let manifest = serde_json::from_str(text)
        .map_err(|error| damaged(format!("its manifest is not understood: {error}")))?;
    opened.rewind().map_err(file("cannot read", path))?;
    if digest_of(path, opened.take(ends_at), tell)? != before {
        return Err(damaged("its content is not what was written".into()));
    }
    Ok(manifest)
}

/// The last member's text, and at which byte it begins. All members are passed, none is
/// believed.
fn last_member(path: &Path, opened: &mut File) -> Result<(u64, String), BackupError> {
    let damaged = |what: &str| BackupError::damaged(path, what);
    let unreadable = |error: io::Error| BackupError::damaged(path, error.to_string());
    let mut archive = tar::Archive::new(BufReader::new(opened));
    let mut members = archive.entries_with_seek().map_err(unreadable)?;
    let mut first = members
        .next()
        .ok_or_else(|| damaged("it is empty"))?
        .map_err(|_| damaged("it is not an archive"))?;
    if &*first.path_bytes() != HEAD.as_bytes() {
        return Err(damaged("it was not made by `esclusa backup-state`"));
    }
    let text = read_text(&mut first).map_err(unreadable)?;
    let line = text.lines().next().unwrap_or_default();
    read_version(path, &mut line.split(' '))?;
    for member in members {
        let mut member = member.map_err(unreadable)?;
        if &*member.path_bytes() == TAIL.as_bytes() {
            let begins = member.raw_header_position();
            return Ok((begins, read_text(&mut member).map_err(unreadable)?));
        }
    }
    Err(damaged("its end is missing"))
}

fn read_text(from: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_TEXT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn read_version<'a>(
    path: &Path,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<(), BackupError> {
    let version = match (words.next(), words.next().map(str::parse::<u64>)) {
        (Some(WORD), Some(Ok(version))) => version,
        _ => return Err(BackupError::damaged(path, "it does not say what it is")),
    };
    if version == VERSION {
        return Ok(());
    }
    Err(BackupError::TooNew {
        path: path.to_owned(),
        found: version,
        known: VERSION,
    })
}

fn digest_of(path: &Path, mut from: impl Read, tell: &Tell) -> Result<Digest, BackupError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut buffer).map_err(file("cannot read", path))?;
        if read == 0 {
            return Ok(Digest::from_bytes(hash.finalize().into()));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
        tell(Progress {
            doing: Doing::Comparing,
            bytes,
        });
    }
}
