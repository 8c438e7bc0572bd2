//! Slices that other lives of this proxy have written: of those that ended, and of those
//! that have handed over and still drain.
//!
//! A writer locks the file that it writes to, so the kernel knows whether it lives. What
//! it wrote is read up to its last whole line, again and again until it is gone; only
//! then may the file be removed.

use super::journal::Segment;
use esclusa_model::BootId;
use esclusa_wire::{SliceAck, StampedSlice};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) slices: Vec<StampedSlice>,
    /// The highest acknowledged sequence by boot.
    pub(crate) acked: BTreeMap<BootId, u64>,
    /// Lines that cannot be read. A file's last line is not counted: a crash cuts it.
    pub(crate) unreadable: u64,
    /// Files whose writer is gone; all in them has been read.
    pub(crate) closed: Vec<Segment>,
    /// Whether some writer still lives.
    pub(crate) live: bool,
}

impl Found {
    fn line(&mut self, line: &[u8], highest: &mut BTreeMap<BootId, u64>) -> Line {
        if let Ok(stamped) = serde_json::from_slice::<StampedSlice>(line) {
            let top = highest.entry(stamped.boot.clone()).or_default();
            *top = (*top).max(stamped.sequence);
            self.slices.push(stamped);
        } else if let Ok(ack) = serde_json::from_slice::<SliceAck>(line) {
            let top = self.acked.entry(ack.boot).or_default();
            *top = (*top).max(ack.sequence);
        } else {
            return Line::Broken;
        }
        Line::Read
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Read,
    Broken,
}

#[derive(Debug, Default)]
struct Tail {
    offset: u64,
    highest: BTreeMap<BootId, u64>,
}

/// Reads the files of all other lives.
#[derive(Debug)]
pub(crate) struct Reader {
    folder: PathBuf,
    own: BootId,
    tails: BTreeMap<PathBuf, Tail>,
    done: BTreeSet<PathBuf>,
}

impl Reader {
    /// Reads in `folder` what others than `own` wrote.
    pub(crate) fn new(folder: &Path, own: &BootId) -> Self {
        Self {
            folder: folder.to_owned(),
            own: own.clone(),
            tails: BTreeMap::new(),
            done: BTreeSet::new(),
        }
    }

    /// Everything new since the last look.
    ///
    /// # Errors
    /// When the folder cannot be read. A file that cannot is named in the log.
    pub(crate) fn look(&mut self) -> io::Result<Found> {
        let own = format!("-{}-", self.own);
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            if path.extension().is_some_and(|e| e == "jsonl") && !name.contains(&own) {
                paths.push(path);
            }
        }
        paths.sort();
        self.done.retain(|path| paths.contains(path));
        let mut found = Found::default();
        for path in paths {
            if self.done.contains(&path) {
                continue;
            }
            let mut tail = self.tails.remove(&path).unwrap_or_default();
            match read(&path, &mut tail, &mut found) {
                Ok(Writer::Lives) => {
                    found.live = true;
                    self.tails.insert(path, tail);
                }
                Ok(Writer::Gone) => {
                    found.closed.push(Segment {
                        path: path.clone(),
                        highest: tail.highest,
                    });
                    self.done.insert(path);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "slices of another start cannot be read");
                    self.done.insert(path);
                }
            }
        }
        Ok(found)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Lives,
    Gone,
}

fn read(path: &Path, tail: &mut Tail, found: &mut Found) -> io::Result<Writer> {
    let mut file = File::open(path)?;
    // Asked before reading: who is gone now writes nothing that is missed below.
    let writer = match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Writer::Lives,
        Ok(()) | Err(TryLockError::Error(_)) => Writer::Gone,
    };
    file.seek(SeekFrom::Start(tail.offset))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut last = Line::Read;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if line.pop_if(|b| *b == b'\n').is_none() {
            // The rest of it may still come; from a writer that is gone it does not.
            break;
        }
        tail.offset += read as u64;
        last = found.line(&line, &mut tail.highest);
        found.unreadable += u64::from(last == Line::Broken);
    }
    if writer == Writer::Gone && last == Line::Broken && line.is_empty() {
        found.unreadable -= 1;
    }
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_judge::{SLICE_VERSION, Slice};
    use esclusa_model::{GenerationId, ServiceName};
    use std::io::Write as _;

    fn boot(name: &str) -> BootId {
        BootId::new(name).expect("boot")
    }

    fn line(sequence: u64) -> String {
        let stamped = StampedSlice {
            boot: boot("old"),
            sequence,
            slice: Slice {
                v: SLICE_VERSION,
                service: ServiceName::new("shop").expect("name"),
                second: 1,
                uptime_s: 1,
                generation: GenerationId::default(),
                cells: Vec::new(),
                client_faults: 0,
                proxy_faults: 0,
            },
        };
        format!("{}\n", serde_json::to_string(&stamped).expect("JSON"))
    }

    #[test]
    fn a_file_is_followed_until_its_writer_is_gone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("1-old-000001.jsonl");
        let own = folder.path().join("2-new-000001.jsonl");
        std::fs::write(own, line(9)).expect("written");
        let mut writer = File::create(&path).expect("file");
        writer.try_lock().expect("lock");
        let text = line(2);
        let (whole, half) = (line(1), &text[..20]);
        write!(writer, "{whole}{half}").expect("written");
        let mut reader = Reader::new(folder.path(), &boot("new"));
        let sequences = |found: &Found| found.slices.iter().map(|s| s.sequence).collect::<Vec<_>>();
        let found = reader.look().expect("read");
        assert_eq!((sequences(&found), found.live), (vec![1], true));
        assert!(found.closed.is_empty());
        write!(writer, "{}", &text[20..]).expect("written");
        let found = reader.look().expect("read");
        assert_eq!((sequences(&found), found.live), (vec![2], true));
        write!(writer, "{}cut o", line(3)).expect("written");
        drop(writer);
        let found = reader.look().expect("read");
        assert_eq!((sequences(&found), found.live), (vec![3], false));
        assert_eq!(found.unreadable, 0);
        assert_eq!(found.closed[0].highest.get(&boot("old")), Some(&3));
        assert!(reader.look().expect("read").closed.is_empty());
    }
}
