//! Logs that do not fill the disk, cut while their writer goes on writing.
//!
//! The process writes straight into the file, so that its output outlives its shim.
//! The file is therefore copied and cut to nothing instead of renamed; what is
//! written between the last copied byte and the cut (microseconds) is lost.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Moves the content of `path` to `path.1`, older content to `path.2` and so on up
/// to `keep`, when it is larger than `max_bytes`. Whoever appends to `path` goes on.
///
/// # Errors
/// What the system said; the log then simply goes on growing.
pub fn rotate_if_larger(path: &Path, max_bytes: u64, keep: u32) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > max_bytes => {}
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    }
    let mut source = File::options().read(true).write(true).open(path)?;
    if keep > 0 {
        for n in (1..keep).rev() {
            let from = numbered(path, n);
            if from.exists() {
                fs::rename(&from, numbered(path, n + 1))?;
            }
        }
        let mut copy = File::create(numbered(path, 1))?;
        // Bounded rounds: a writer faster than we are must not keep us here.
        for _ in 0..3 {
            let left = source.metadata()?.len() - source.stream_position()?;
            if left == 0 {
                break;
            }
            io::copy(&mut source.by_ref().take(left), &mut copy)?;
        }
    }
    source.set_len(0)?;
    Ok(true)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// The last `max_bytes` of a file from the start of a line, unreadable bytes
/// replaced; empty when there is no such file.
///
/// # Errors
/// What the system said while reading.
pub fn tail(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        other => other?,
    };
    let from = file.metadata()?.len().saturating_sub(max_bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = match text.split_once('\n') {
        Some((_, rest)) if from > 0 && !rest.is_empty() => rest,
        _ => &text,
    };
    Ok(whole.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_large_log_is_moved_aside_under_its_writer() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("output.log");
        let mut writer = crate::files::append(&path).expect("opens");
        for round in 1..=4 {
            writeln!(writer, "round {round}").expect("writes");
            assert!(rotate_if_larger(&path, 3, 2).expect("rotates"));
        }
        writeln!(writer, "x").expect("writes");
        assert!(!rotate_if_larger(&path, 3, 2).expect("small enough"));
        let read = |n: &str| fs::read_to_string(dir.path().join(n)).unwrap_or_default();
        assert_eq!(read("output.log"), "x\n");
        assert_eq!(read("output.log.1"), "round 4\n");
        assert_eq!(read("output.log.2"), "round 3\n");
        assert!(!dir.path().join("output.log.3").exists());
    }

    #[test]
    fn the_tail_begins_with_a_whole_line() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("log");
        assert_eq!(tail(&path, 10).expect("none"), "");
        fs::write(&path, "first line\nsecond\nthird\n").expect("writes");
        assert_eq!(tail(&path, 15).expect("reads"), "second\nthird\n");
        assert_eq!(
            tail(&path, 1000).expect("reads"),
            "first line\nsecond\nthird\n"
        );
        fs::write(&path, "one very long line").expect("writes");
        assert_eq!(tail(&path, 4).expect("reads"), "line");
    }
}
