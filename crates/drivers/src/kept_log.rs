//! What a step or a version has printed, read a part at a time.
//!
//! Secrets are hidden also while the writer still runs, and where the asked part cuts one
//! in two: the part is looked at together with what stands around it.

use crate::error::{DriverError, blocking};
use crate::mask::Mask;
use esclusa_shim::LogLimits;
use nix::fcntl::OFlag;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// An output that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLog {
    path: PathBuf,
    /// What the writer found in its environment, for its secrets.
    env: BTreeMap<String, String>,
}

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// Where it begins in the file.
    pub from: u64,
    /// Where the next part begins.
    pub next: u64,
    /// The file's size when it was looked at.
    pub size: u64,
    /// Without secrets; bytes that are no text are replaced.
    pub text: String,
}

impl KeptLog {
    pub(crate) const fn new(path: PathBuf, env: BTreeMap<String, String>) -> Self {
        Self { path, env }
    }

    /// The file itself and what was put aside of it, by how often that was done since;
    /// those that are there, with their sizes.
    pub async fn files(&self) -> Vec<(u32, u64)> {
        let log = self.clone();
        let found = blocking(move || {
            let size = |n: u32| Some((n, open(&log.file(n)).ok()??.metadata().ok()?.len()));
            (0..=LogLimits::default().keep).filter_map(size).collect()
        });
        found.await.unwrap_or_default()
    }

    /// At most `limit` bytes from `after` on. Of a file that was cut meanwhile, from its
    /// beginning. None when it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(
        &self,
        file: u32,
        after: u64,
        limit: u32,
    ) -> Result<Option<LogPart>, DriverError> {
        let path = self.file(file);
        let shown = path.display().to_string();
        let mask = Mask::of(&self.env);
        blocking(move || part(&path, &mask, after, limit))
            .await?
            .map_err(DriverError::io(shown))
    }

    fn file(&self, n: u32) -> PathBuf {
        if n == 0 {
            return self.path.clone();
        }
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }
}

/// Opens a plain file; what is none, such as a link that the writer laid, is not followed.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

fn part(path: &Path, mask: &Mask, after: u64, limit: u32) -> io::Result<Option<LogPart>> {
    let Some(mut file) = open(path)? else {
        return Ok(None);
    };
    let size = file.metadata()?.len();
    let from = if after > size { 0 } else { after };
    let around = mask.longest() as u64;
    let begin = from.saturating_sub(around);
    let most = (from - begin) + u64::from(limit) + around;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.take(most).read_to_end(&mut bytes)?;
    // The offset is at most `around`, the part at most `limit` long.
    let start = usize::try_from(from - begin)
        .unwrap_or_default()
        .min(bytes.len());
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut end = start.saturating_add(wanted).min(bytes.len());
    end -= half_a_character(&bytes[start..end]);
    let shown = mask.hide_part(&bytes, start..end);
    Ok(Some(LogPart {
        from,
        next: from + (end - start) as u64,
        size,
        text: String::from_utf8_lossy(&shown).into_owned(),
    }))
}

/// How many bytes at the end are the beginning of a character whose rest is missing; none
/// when there is nothing else.
fn half_a_character(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(4)..];
    let Some(back) = last.iter().rev().position(|byte| byte & 0xC0 != 0x80) else {
        return 0;
    };
    let half = back + 1;
    let rest = &last[last.len() - half..];
    match std::str::from_utf8(rest) {
        Err(error) if error.error_len().is_none() && half < bytes.len() => half,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(content: &[u8]) -> (tempfile::TempDir, KeptLog) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("output.log");
        std::fs::write(&path, content).expect("written");
        let secret = ("DB_PASSWORD".to_owned(), "correct-horse".to_owned());
        let log = KeptLog::new(path, BTreeMap::from([secret]));
        (dir, log)
    }

    async fn read(log: &KeptLog, after: u64, limit: u32) -> LogPart {
        log.read(0, after, limit)
            .await
            .expect("readable")
            .expect("there")
    }

    #[tokio::test]
    async fn parts_follow_each_other_to_the_end() {
        let text = "één ligne\nund noch eine\n".repeat(20);
        let (_dir, log) = log(text.as_bytes());
        for limit in [1, 2, 7, 64, 10_000] {
            let (mut at, mut whole) = (0, String::new());
            while at < text.len() as u64 {
                let part = read(&log, at, limit).await;
                assert!(part.next > at, "{part:?}");
                at = part.next;
                whole.push_str(&part.text);
            }
            // A limit below a character's length cuts it; all others do not.
            assert!(limit == 1 || whole == text, "{limit}: {whole}");
        }
        assert_eq!(read(&log, text.len() as u64, 10).await.text, "");
    }

    // LOG-06
    #[tokio::test]
    async fn no_cut_shows_half_a_secret() {
        let (_dir, log) = log(b"key correct-horse, http://app:hunter22@db/x end");
        for limit in 1..=40 {
            for after in 0..47 {
                let text = read(&log, after, limit).await.text;
                for part in ["corr", "rect", "hors", "orse", "hunt", "er22"] {
                    assert!(!text.contains(part), "{after}+{limit}: {text}");
                }
            }
        }
        let whole = read(&log, 0, 1_000).await.text;
        assert_eq!(whole, "key ***, http://app:***@db/x end");
    }

    #[tokio::test]
    async fn a_log_that_was_cut_is_read_from_its_beginning() {
        let (_dir, log) = log(b"new\n");
        let part = read(&log, 4_000, 100).await;
        assert_eq!((part.from, part.text.as_str()), (0, "new\n"));
    }

    #[tokio::test]
    async fn only_plain_files_are_read() {
        let (dir, log) = log(b"x");
        assert_eq!(log.files().await, [(0, 1)]);
        assert_eq!(log.read(1, 0, 10).await.expect("readable"), None);
        let secret = dir.path().join("elsewhere");
        std::fs::write(&secret, "not for you").expect("written");
        std::os::unix::fs::symlink(&secret, dir.path().join("output.log.1")).expect("linked");
        std::fs::create_dir(dir.path().join("output.log.2")).expect("made");
        assert_eq!(log.read(1, 0, 10).await.expect("readable"), None);
        assert_eq!(log.read(2, 0, 10).await.expect("readable"), None);
        assert_eq!(log.files().await, [(0, 1)]);
    }
}
