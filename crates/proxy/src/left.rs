//! Kills that are left in the folder of a proxy while none answers there.
//!
//! Whoever cannot reach the proxy writes one file for each kill, whole or not at all. The
//! proxy takes each once in its life and removes it when its own files have what came of it.

use crate::count::cutter::since_epoch;
use esclusa_model::Timestamp;
use esclusa_wire::LeftKill;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

const PREFIX: &str = "kill-";
/// What a file is called before it is whole.
const UNFINISHED: &str = "new-kill-";
/// Most files that are read at once; the others follow with the next look.
const MOST: usize = 1_000;

/// Leaves a kill for the proxy of a folder: the next one that starts has it before it serves
/// anybody, one that runs within a moment. When this returns, the disk has it.
///
/// # Errors
/// When the disk does not take it.
pub fn leave_kill(folder: &Path, kill: &LeftKill) -> io::Result<PathBuf> {
    let now = since_epoch();
    let mut kill = kill.clone();
    if let Some(flags) = kill.flags.as_mut().filter(|f| f.at == Timestamp::default()) {
        flags.at = Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
    }
    let text = kill.encode()?;
    // Sorted as they were left.
    let name = format!("{:020}-{}", now.as_nanos(), std::process::id());
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let path = folder.join(format!("{PREFIX}{name}"));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        // An administrator may leave it; the proxy has to read it.
        let (mine, folders) = (file.metadata()?, fs::metadata(folder)?);
        if (mine.uid(), mine.gid()) != (folders.uid(), folders.gid()) {
            fchown(&file, Some(folders.uid()), Some(folders.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&unfinished); // it is nobody's, and what failed is told
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    Ok(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is left in one folder, as the life of one proxy sees it.
#[derive(Debug)]
pub(crate) struct Left {
    folder: PathBuf,
    /// Files that were looked at; each acts once.
    seen: BTreeSet<PathBuf>,
    /// Of these, the ones that our own files may not cover yet.
    open: Vec<PathBuf>,
}

impl Left {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            seen: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    /// What was left since the last look, oldest first. What cannot be read is logged, once.
    pub(crate) fn news(&mut self) -> Vec<LeftKill> {
        let mut kills = Vec::new();
        for path in self.paths() {
            if !self.seen.insert(path.clone()) {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| error.to_string());
            let kill = text.and_then(|text| LeftKill::decode(&text).map_err(|e| e.to_string()));
            match kill {
                Ok(kill) => {
                    self.open.push(path);
                    kills.push(kill);
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), error, "a kill that was left here cannot be read");
                }
            }
        }
        kills
    }

    fn paths(&self) -> Vec<PathBuf> {
        let found = match fs::read_dir(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(path = %self.folder.display(), %error, "it cannot be seen what was left here");
                return Vec::new();
            }
        };
        let is_one = |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.starts_with(PREFIX));
        let ours = found.flatten().filter(|entry| is_one(&entry.file_name()));
        let mut paths: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
        paths.sort();
        paths.truncate(MOST);
        paths
    }

    /// Whether something was taken that is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Removes what was taken, now that it is kept elsewhere.
    pub(crate) fn remove(&mut self) {
        self.open.retain(|path| match remove(path) {
            Ok(()) => false,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a kill that was taken cannot be removed");
                true
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_wire::FlagKill;

    fn kill(flag: &str) -> LeftKill {
        LeftKill {
            flags: Some(FlagKill {
                flags: Some(vec![flag.into()]),
                killed: true,
                epoch: 0,
                by: "ana".parse().expect("a name"),
                reason: "it hurts".into(),
                at: Timestamp::default(),
            }),
            take_back: None,
        }
    }

    // EMG-04
    #[test]
    fn what_is_left_acts_once_in_its_order_and_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = leave_kill(folder.path(), &kill("a")).expect("left");
        leave_kill(folder.path(), &kill("b")).expect("left");
        std::fs::write(folder.path().join("kill-damaged"), "nonsense").expect("written");
        std::fs::write(folder.path().join("new-kill-half"), "esc").expect("written");
        let mut left = Left::new(folder.path());
        let flags: Vec<_> = left.news().into_iter().filter_map(|k| k.flags).collect();
        let names: Vec<_> = flags.iter().filter_map(|f| f.flags.clone()).collect();
        assert_eq!(names, [["a"], ["b"]]);
        assert!(flags.iter().all(|flags| flags.at > Timestamp(0)));
        assert!(left.news().is_empty() && left.is_open() && first.exists());
        left.remove();
        assert!(!left.is_open() && !first.exists());
        remove(&first).expect("as good");
        leave_kill(folder.path(), &kill("c")).expect("left");
        assert_eq!(left.news().len(), 1);
        assert!(leave_kill(&folder.path().join("none"), &kill("d")).is_err());
    }
}
