//! The files of exposures: a new one each hour or so, old ones removed, never too many.

use esclusa_wire::ExposureRecord;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Size at which a new file is begun, and age. The second bounds how long a record outlives
/// its days: files are removed whole.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
const TURN: Duration = Duration::from_secs(3_600);
/// Size of all files together; the oldest go first.
const ALL_BYTES: u64 = 256 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(86_400);

const HEAD: &str = "exposures-";
const TAIL: &str = ".jsonl";

/// The folder and the file that is written to.
pub(super) struct Files {
    folder: PathBuf,
    create: fn(&Path) -> io::Result<File>,
    open: Option<Open>,
    most: u64,
}

struct Open {
    file: File,
    size: u64,
    begun: SystemTime,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            create,
            open: None,
            most: ALL_BYTES,
        }
    }

    /// Writes records as lines. After a failure the next one begins another file, because
    /// the last line of this one may be cut off.
    pub(super) fn append(
        &mut self,
        records: &[Box<ExposureRecord>],
        now: SystemTime,
    ) -> io::Result<()> {
        let mut lines = Vec::with_capacity(records.len() * 256);
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let more = lines.len() as u64;
        let mut open = match self.open.take().filter(|open| open.lasts(more, now)) {
            Some(open) => open,
            None => self.begin(more, now)?,
        };
        open.file.write_all(&lines)?;
        open.size += more;
        self.open = Some(open);
        Ok(())
    }

    fn begin(&self, more: u64, now: SystemTime) -> io::Result<Open> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room(more.max(FILE_BYTES))?;
        let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!(
            "{HEAD}{:020}-{}{TAIL}",
            micros.as_micros(),
            std::process::id()
        );
        Ok(Open {
            file: (self.create)(&self.folder.join(name))?,
            size: 0,
            begun: now,
        })
    }

    /// Removes the oldest files until so much more fits.
    fn make_room(&self, more: u64) -> io::Result<()> {
        let files = files(&self.folder)?;
        let sizes = files.iter().map(|(_, path)| fs::metadata(path));
        let mut sizes: Vec<u64> = sizes.map(|meta| meta.map_or(0, |m| m.len())).collect();
        for (at, (_, path)) in files.iter().enumerate() {
            if sizes.iter().sum::<u64>() + more <= self.most {
                break;
            }
            remove(path)?;
            sizes[at] = 0;
        }
        Ok(())
    }

    /// Removes what is older than so many days, also when nothing is written any more.
    pub(super) fn sweep(&mut self, days: u16, now: SystemTime) -> io::Result<()> {
        self.open = self.open.take().filter(|open| open.lasts(0, now));
        let keep = DAY * u32::from(days);
        for (begun, path) in files(&self.folder)? {
            if now.duration_since(begun).is_ok_and(|age| age >= keep) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn lasts(&self, more: u64, now: SystemTime) -> bool {
        let young = now.duration_since(self.begun).is_ok_and(|age| age < TURN);
        young && (self.size == 0 || self.size + more <= FILE_BYTES)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).append(true).mode(0o600).open(path)
}

/// Another process may have removed it: as good.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All files with when they were begun, oldest first. No folder has none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let begun = name.and_then(|name| {
            let rest = name.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
            let (micros, _) = rest.split_once('-')?;
            UNIX_EPOCH.checked_add(Duration::from_micros(micros.parse().ok()?))
        });
        files.extend(begun.map(|begun| (begun, path)));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use esclusa_flags::FlagReason;
    use esclusa_model::Timestamp;
    use esclusa_wire::{EXPOSURE_VERSION, ExposureSource};

    pub(crate) fn record(at: i64, flag: &str, variant: &str, unit: u8) -> Box<ExposureRecord> {
        Box::new(ExposureRecord {
            v: EXPOSURE_VERSION,
            at: Timestamp(at),
            environment: "production".into(),
            flag: flag.into(),
            variant: variant.into(),
            reason: FlagReason::Split,
            revision: 3,
            unit: hex::encode([unit; 16]),
            source: ExposureSource::Ofrep,
        })
    }

    fn later(hours: u64) -> SystemTime {
        UNIX_EPOCH + DAY * 20_000 + TURN * u32::try_from(hours).expect("few")
    }

    fn count(folder: &Path) -> usize {
        files(folder).expect("read").len()
    }

    #[test]
    fn each_hour_has_a_file_and_old_ones_go_whoever_writes() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("exposures");
        let mut files = Files::new(folder.clone());
        files.sweep(7, later(0)).expect("no folder is no fault");
        for hour in [0, 0, 1, 24] {
            let one = record(hour, "mail", "on", 1);
            files.append(&[one], later(hour as u64)).expect("written");
        }
        assert_eq!(count(&folder), 3);
        let mode = std::os::unix::fs::PermissionsExt::mode;
        let of = |path: &Path| mode(&fs::metadata(path).expect("there").permissions()) & 0o777;
        assert_eq!(of(&folder), 0o700);
        for (_, path) in super::files(&folder).expect("read") {
            assert_eq!(of(&path), 0o600);
        }
        fs::write(folder.join("notes.txt"), "not ours").expect("written");
        files.sweep(1, later(24)).expect("swept");
        assert_eq!(count(&folder), 2, "a day old is gone");
        // Another one, who writes nothing.
        Files::new(folder.clone())
            .sweep(1, later(25))
            .expect("swept");
        assert_eq!(count(&folder), 1);
        Files::new(folder.clone())
            .sweep(1, later(24 * 3))
            .expect("swept");
        assert_eq!(count(&folder), 0);
        assert!(folder.join("notes.txt").exists());
        // Its file is gone: it begins another.
        files
            .append(&[record(9, "mail", "on", 1)], later(73))
            .expect("written");
        assert_eq!(count(&folder), 1);
    }

    #[test]
    fn all_files_together_have_a_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut files = Files::new(dir.path().to_owned());
        files.most = FILE_BYTES + 1_000;
        for hour in 0..20 {
            let some: Vec<_> = (0..3).map(|n| record(hour, "mail", "on", n)).collect();
            files.append(&some, later(hour as u64)).expect("written");
        }
        let kept = super::files(dir.path()).expect("read");
        let size: u64 = kept
            .iter()
            .map(|(_, p)| fs::metadata(p).expect("there").len())
            .sum();
        assert!(size <= 2_000, "{size}");
        assert_eq!(kept.last().expect("the newest").0, later(19));
        assert!((1..5).contains(&kept.len()));
    }

    #[test]
    fn a_full_disk_fails_and_the_next_file_is_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut files = Files::new(dir.path().to_owned());
        files.create = |_| OpenOptions::new().write(true).open("/dev/full");
        let full = files.append(&[record(1, "mail", "on", 1)], later(0));
        assert_eq!(full.expect_err("full").kind(), io::ErrorKind::StorageFull);
        files.create = create;
        files
            .append(&[record(2, "mail", "on", 1)], later(0))
            .expect("written");
        let (_, path) = super::files(dir.path()).expect("read").remove(0);
        let text = fs::read_to_string(path).expect("text");
        let read: ExposureRecord = serde_json::from_str(text.trim_end()).expect("one line");
        assert_eq!(read, *record(2, "mail", "on", 1));
    }
}
