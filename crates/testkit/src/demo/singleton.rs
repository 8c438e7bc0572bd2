//! How singletons count each other: a marker file for each active one, and a line for
//! each one that should not have been there. They take no lock, so that a fault of
//! the hand-over is seen and not prevented.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where violations are written, in the marker folder.
pub const VIOLATIONS_FILE: &str = "violations";

/// Says that this process acts; taken away when dropped.
#[derive(Debug)]
pub struct ActiveMarker {
    folder: PathBuf,
    pid: u32,
    seen: Vec<u32>,
}

impl ActiveMarker {
    /// Marks `pid` as active in `folder` (created where missing) and looks at once: of
    /// two that begin together at least one sees the other.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn take(folder: &Path, pid: u32) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(marker(folder, pid), [])?;
        let mut taken = Self {
            folder: folder.to_owned(),
            pid,
            seen: Vec::new(),
        };
        taken.look()?;
        Ok(taken)
    }

    /// Writes a line for each other live active process, once for each.
    ///
    /// # Errors
    /// When the folder cannot be read or the line not be written.
    pub fn look(&mut self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let other = name
                .to_str()
                .and_then(|name| name.strip_prefix("active-")?.parse().ok());
            let Some(other) = other.filter(|other| *other != self.pid) else {
                continue;
            };
            if !is_alive(other) {
                // It was killed with its marker up; it may be gone already.
                let _ = std::fs::remove_file(marker(&self.folder, other));
            } else if !self.seen.contains(&other) {
                self.seen.push(other);
                append(&self.folder.join(VIOLATIONS_FILE), &self.line(other))?;
            }
        }
        Ok(())
    }

    fn line(&self, other: u32) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_millis());
        format!("violation {} saw {other} at {now}\n", self.pid)
    }
}

impl Drop for ActiveMarker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(marker(&self.folder, self.pid));
    }
}

fn marker(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("active-{pid}"))
}

/// Running, not merely unburied.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // "pid (name) state ...": the name may hold anything, so from its last bracket on.
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.starts_with(['Z', 'X'])
}

/// One whole line in one write, so that lines of several processes do not mix.
pub(super) fn append(file: &Path, line: &str) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    #[test]
    fn two_live_ones_are_seen_and_dead_ones_are_not() {
        let folder = TempDir::new("singleton").expect("a folder");
        let violations = folder.join(VIOLATIONS_FILE);
        let me = std::process::id();
        // No process has this number: Linux ends at 2^22.
        std::fs::write(folder.join("active-4999999"), []).expect("written");
        let mut mine = ActiveMarker::take(folder.path(), me).expect("taken");
        assert!(!violations.exists());
        assert!(!folder.join("active-4999999").exists());

        let other = ActiveMarker::take(folder.path(), 1).expect("taken");
        mine.look().expect("looked");
        mine.look().expect("looked");
        let lines = std::fs::read_to_string(&violations).expect("written");
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with(&format!("violation 1 saw {me} at")));
        assert!(lines[1].starts_with(&format!("violation {me} saw 1 at")));

        drop(other);
        assert!(!folder.join("active-1").exists());
    }
}
