//! Last known values on the disk, for a start without the server.
//!
//! One file, replaced whole. It names neither flags nor contexts, only their hashes, and it
//! counts only for the server and headers it was written for: values of another
//! environment must never be taken for this one's.

use crate::answer::Answer;
use crate::cache::Key;
use crate::config::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

const VERSION: u32 = 1;
/// Largest file that is read.
const LARGEST: u64 = 256 * 1024 * 1024;

/// An answer and when it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) answer: Answer,
    pub(crate) at: SystemTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    v: u32,
    /// The server and headers that it is for.
    of: String,
    entries: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    /// Seconds since 1970.
    at: u64,
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    reason: String,
}

/// Why a file is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("{0}")]
    Io(String),
    #[error("it cannot be read: {0}")]
    Format(String),
    #[error("it is of version {0}")]
    Version(u32),
    #[error("it is of another server or token")]
    Stranger,
}

/// Reads the file; none is as good as an empty one.
pub(crate) fn read(path: &Path, config: &Config) -> Result<HashMap<Key, Kept>, DiskError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(DiskError::Io(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| DiskError::Io(error.to_string()))?;
    let file: File =
        serde_json::from_slice(&bytes).map_err(|error| DiskError::Format(error.to_string()))?;
    if file.v != VERSION {
        return Err(DiskError::Version(file.v));
    }
    if file.of != mark(config) {
        return Err(DiskError::Stranger);
    }
    let lines = file.entries.into_iter().filter_map(|line| {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(line.at))?;
        let answer = Answer {
            value: Some(line.value),
            variant: line.variant,
            reason: line.reason,
            metadata: serde_json::Map::new(),
        };
        Some((unhex(&line.key)?, Kept { answer, at }))
    });
    Ok(lines.collect())
}

/// Replaces the file. Only its owner may read it.
pub(crate) fn write(
    path: &Path,
    config: &Config,
    kept: impl Iterator<Item = (Key, Kept)>,
) -> Result<(), DiskError> {
    let lines = kept.filter_map(|(key, kept)| {
        let at = kept.at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Line {
            key: hex(&key),
            at: at.as_secs(),
            value: kept.answer.value?,
            variant: kept.answer.variant,
            reason: kept.answer.reason,
        })
    });
    let file = File {
        v: VERSION,
        of: mark(config),
        entries: lines.collect(),
    };
    let io = |error: &dyn std::fmt::Display| DiskError::Io(error.to_string());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| io(&e))?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|e| io(&e))?;
    let bytes = serde_json::to_vec(&file).map_err(|e| io(&e))?;
    temporary.write_all(&bytes).map_err(|e| io(&e))?;
    temporary.as_file().sync_all().map_err(|e| io(&e))?;
    temporary.persist(path).map_err(|e| io(&e.error))?;
    Ok(())
}

fn mark(config: &Config) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(config.endpoint.as_str().as_bytes());
    let mut headers: Vec<_> = config.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        add(name.as_str().as_bytes());
        add(value.as_bytes());
    }
    hex(&hash.finalize().into())
}

fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Key> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        Config::new("http://127.0.0.1:8016").expect("an address")
    }

    fn kept() -> (Key, Kept) {
        let answer = Answer {
            value: Some(json!(true)),
            variant: Some("on".into()),
            reason: "SPLIT".into(),
            metadata: serde_json::Map::new(),
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        ([0xa7; 32], Kept { answer, at })
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/flags.json");
        assert_eq!(read(&path, &config()), Ok(HashMap::new()));
        write(&path, &config(), [kept()].into_iter()).expect("written");
        assert_eq!(read(&path, &config()), Ok([kept()].into()));
        let others = config().token("other").expect("a token");
        assert_eq!(read(&path, &others), Err(DiskError::Stranger));
    }

    #[test]
    fn a_broken_file_is_an_error_and_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flags.json");
        write(&path, &config(), [kept()].into_iter()).expect("written");
        let good = std::fs::read(&path).expect("there");
        for cut in 0..good.len() {
            std::fs::write(&path, &good[..cut]).expect("written");
            assert!(matches!(read(&path, &config()), Err(DiskError::Format(_))));
        }
        let text = String::from_utf8(good).expect("text");
        std::fs::write(&path, text.replace("\"v\":1", "\"v\":2")).expect("written");
        assert_eq!(read(&path, &config()), Err(DiskError::Version(2)));
        let short = text.replace(&"a7".repeat(32), "é");
        std::fs::write(&path, short).expect("written");
        assert_eq!(read(&path, &config()), Ok(HashMap::new()));
        assert!(matches!(
            read(folder.path(), &config()),
            Err(DiskError::Io(_))
        ));
    }
}
