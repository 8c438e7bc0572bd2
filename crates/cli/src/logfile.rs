//! The program's own log in a file that does not fill the disk.
//!
//! A file is put aside when it has grown too large or too old: `name.1` is the newest of
//! those. Too many and too old ones are removed. A log that cannot be cut goes on
//! growing rather than losing lines, and says so in itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How large and how old things may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Size in bytes at which a file is put aside.
    pub size: u64,
    /// Age at which it is put aside whatever its size.
    pub turn: Duration,
    /// How many that were put aside are kept.
    pub files: u32,
    /// Age at which one that was put aside is removed.
    pub age: Duration,
}

/// A log file that is written to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    limits: Limits,
    file: File,
    size: u64,
    begun: SystemTime,
}

impl LogFile {
    /// Opens it, going on with what is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let meta = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            limits,
            size: meta.len(),
            // Without a time of birth its age counts from now: it is cut by size then.
            begun: meta.created().unwrap_or_else(|_| SystemTime::now()),
            file,
        })
    }

    fn cut_if_due(&mut self, more: u64, now: SystemTime) -> io::Result<()> {
        let old = now
            .duration_since(self.begun)
            .is_ok_and(|age| age >= self.limits.turn);
        let large = self.size > 0 && self.size.saturating_add(more) > self.limits.size;
        if self.size == 0 || !(old || large) {
            return Ok(());
        }
        for n in (1..self.limits.files).rev() {
            rename_if_there(&numbered(&self.path, n), &numbered(&self.path, n + 1))?;
        }
        if self.limits.files == 0 {
            self.file.set_len(0)?;
        } else {
            rename_if_there(&self.path, &numbered(&self.path, 1))?;
            self.file = append(&self.path)?;
        }
        (self.size, self.begun) = (0, now);
        self.remove_old(now)
    }

    fn remove_old(&self, now: SystemTime) -> io::Result<()> {
        for n in 1..=self.limits.files {
            let path = numbered(&self.path, n);
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            let written = meta.modified()?;
            if now
                .duration_since(written)
                .is_ok_and(|age| age > self.limits.age)
            {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn write_at(&mut self, line: &[u8], now: SystemTime) -> io::Result<()> {
        if let Err(error) = self.cut_if_due(line.len() as u64, now) {
            writeln!(self.file, "this log cannot be cut: {error}")?;
        }
        self.file.write_all(line)?;
        self.size = self.size.saturating_add(line.len() as u64);
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_at(line, SystemTime::now()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn limits() -> Limits {
        Limits {
            size: 10,
            turn: 7 * DAY,
            files: 2,
            age: 30 * DAY,
        }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    // LOG-01: by size, with a limit to their number.
    #[test]
    fn a_full_file_is_put_aside_and_few_are_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("logs/own.log");
        let mut log = LogFile::open(&path, limits()).expect("opens");
        for n in 1..=5 {
            writeln!(log, "line {n}").expect("writes");
        }
        assert_eq!(read(&path), "line 5\n");
        assert_eq!(read(&numbered(&path, 1)), "line 4\n");
        assert_eq!(read(&numbered(&path, 2)), "line 3\n");
        assert!(!numbered(&path, 3).exists());
        // Another life goes on where this one stopped.
        let mut log = LogFile::open(&path, limits()).expect("opens");
        write!(log, "ab").expect("writes");
        assert_eq!(read(&path), "line 5\nab");
        write!(log, "cd").expect("writes");
        assert_eq!(
            (read(&path).as_str(), read(&numbered(&path, 1)).as_str()),
            ("cd", "line 5\nab")
        );
        // One line larger than the limit is whole all the same.
        writeln!(log, "a line that is longer than a file").expect("writes");
        assert_eq!(read(&path), "a line that is longer than a file\n");
    }

    // LOG-01: by age, whatever the size.
    #[test]
    fn an_old_file_is_put_aside_and_older_ones_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("own.log");
        let mut log = LogFile::open(&path, limits()).expect("opens");
        let now = SystemTime::now();
        log.write_at(b"a\n", now).expect("writes");
        log.write_at(b"b\n", now + 6 * DAY).expect("writes");
        assert_eq!(read(&path), "a\nb\n");
        log.write_at(b"c\n", now + 8 * DAY).expect("writes");
        assert_eq!(
            (read(&path).as_str(), read(&numbered(&path, 1)).as_str()),
            ("c\n", "a\nb\n")
        );
        log.write_at(b"d\n", now + 50 * DAY).expect("writes");
        assert_eq!(read(&path), "d\n");
        assert!(!numbered(&path, 1).exists() && !numbered(&path, 2).exists());
    }

    #[test]
    fn what_cannot_be_put_aside_is_not_lost() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("own.log");
        fs::create_dir_all(numbered(&path, 1).join("in the way")).expect("made");
        let none = Limits {
            files: 1,
            ..limits()
        };
        let mut log = LogFile::open(&path, none).expect("opens");
        writeln!(log, "first line").expect("writes");
        writeln!(log, "second").expect("writes");
        let text = read(&path);
        assert!(
            text.starts_with("first line\nthis log cannot be cut"),
            "{text}"
        );
        assert!(text.ends_with("second\n"), "{text}");
    }
}
