//! The state file and the file of flags, written beside everything else.
//!
//! A thread of its own for each writes the newest value it was given, and tries again when
//! that fails. Nobody waits for it, except a publisher for a few milliseconds to be able to
//! say whether the disk has it.

use super::kills::apply;
use crate::error::ProxyError;
use crate::left::Left;
use esclusa_flags::Kills;
use esclusa_model::ReleaseId;
use esclusa_wire::{FlagsFile, StateFile, StateFileError, TakenBack};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const RETRY: Duration = Duration::from_secs(1);

/// What is kept in a file of its own, with the one before it.
pub(crate) trait Kept: Send + Sized + 'static {
    /// The file's name; the one before has `.previous` behind it.
    const NAME: &'static str;
    /// What both copies must have once one has it: what was lowered stays so, even where
    /// the newer copy cannot be read.
    type Lowered: Default + PartialEq + Send;

    fn lowered(&self) -> Self::Lowered;
    fn to_text(&self) -> Result<String, serde_json::Error>;
    fn from_text(text: &str) -> Result<Self, StateFileError>;
}

impl Kept for StateFile {
    const NAME: &'static str = "state";
    type Lowered = Vec<TakenBack>;

    fn lowered(&self) -> Vec<TakenBack> {
        self.taken_back.clone()
    }

    fn to_text(&self) -> Result<String, serde_json::Error> {
        self.encode()
    }

    fn from_text(text: &str) -> Result<Self, StateFileError> {
        Self::decode(text)
    }
}

impl Kept for FlagsFile {
    const NAME: &'static str = "flags";
    type Lowered = (Kills, Vec<ReleaseId>);

    fn lowered(&self) -> Self::Lowered {
        (self.kills.clone(), self.withheld.clone())
    }

    fn to_text(&self) -> Result<String, serde_json::Error> {
        self.encode()
    }

    fn from_text(text: &str) -> Result<Self, StateFileError> {
        Self::decode(text)
    }
}

/// Shared with whoever else is told of it.
impl Kept for Arc<FlagsFile> {
    const NAME: &'static str = FlagsFile::NAME;
    type Lowered = <FlagsFile as Kept>::Lowered;

    fn lowered(&self) -> Self::Lowered {
        FlagsFile::lowered(self)
    }

    fn to_text(&self) -> Result<String, serde_json::Error> {
        self.encode()
    }

    fn from_text(text: &str) -> Result<Self, StateFileError> {
        FlagsFile::decode(text).map(Self::new)
    }
}

/// The writing thread of one file.
#[derive(Debug)]
pub(crate) struct Persister<T> {
    orders: Option<Sender<(u64, T)>>,
    next: u64,
    written: watch::Receiver<u64>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
    /// Whether another process writes the file from now on.
    retired: Arc<AtomicBool>,
}

/// Longest wait for the disk at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a proxy that hands over: its successor is kept waiting meanwhile.
const RETIRE_PATIENCE: Duration = Duration::from_millis(300);

/// Promises that a state will be on disk.
#[derive(Debug)]
pub(crate) struct Writing {
    number: u64,
    written: watch::Receiver<u64>,
}

impl Writing {
    /// Whether it is on disk within `limit`.
    pub(crate) async fn done_within(mut self, limit: Duration) -> bool {
        let number = self.number;
        let written = tokio::time::timeout(limit, self.written.wait_for(|n| *n >= number)).await;
        matches!(written, Ok(Ok(_)))
    }
}

impl<T: Kept> Persister<T> {
    pub(crate) fn start(folder: &Path) -> Result<Self, ProxyError> {
        let (orders, inbox) = channel();
        let (done, written) = watch::channel(0);
        let folder = folder.to_owned();
        let (alive, ended) = channel();
        let retired = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&retired);
        std::thread::Builder::new()
            .name(T::NAME.into())
            .spawn(move || {
                run(&folder, &inbox, &done, &told);
                drop::<Sender<()>>(alive);
            })
            .map_err(ProxyError::Worker)?;
        Ok(Self {
            orders: Some(orders),
            next: 0,
            written,
            ended: Mutex::new(ended),
            retired,
        })
    }

    /// Hands a state over; a newer one replaces it if it is not written yet.
    pub(crate) fn write(&mut self, state: T) -> Writing {
        self.next += 1;
        if let Some(orders) = &self.orders
            && orders.send((self.next, state)).is_err()
        {
            tracing::error!(file = T::NAME, "it is no longer written");
        }
        Writing {
            number: self.next,
            written: self.written.clone(),
        }
    }

    /// The newest value that was handed over and is not on disk yet.
    pub(crate) fn unwritten(&self) -> Option<Writing> {
        (*self.written.borrow() < self.next).then(|| Writing {
            number: self.next,
            written: self.written.clone(),
        })
    }

    /// Writes what is left, once, and ends the thread.
    pub(crate) fn finish(self) {
        self.end(LAST_PATIENCE);
    }

    /// Ends the thread without another write: the file is somebody else's now. A write
    /// that a disk holds up does not replace the other's file later.
    pub(crate) fn retire(self) {
        self.retired.store(true, Ordering::SeqCst);
        self.end(RETIRE_PATIENCE);
    }

    fn end(mut self, patience: Duration) {
        self.orders = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(file = T::NAME, "the disk does not take it");
        }
    }
}

fn run<T: Kept>(
    folder: &Path,
    inbox: &Receiver<(u64, T)>,
    done: &watch::Sender<u64>,
    retired: &AtomicBool,
) {
    let mut failed: Option<(u64, T)> = None;
    let mut kept = T::Lowered::default();
    loop {
        let received = if failed.is_some() {
            inbox.recv_timeout(RETRY)
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let ended = matches!(received, Err(RecvTimeoutError::Disconnected));
        let mut newest = received.ok().or(failed.take());
        while let Ok(newer) = inbox.try_recv() {
            newest = Some(newer);
        }
        if retired.load(Ordering::SeqCst) {
            return;
        }
        if let Some((number, state)) = newest {
            match save_as_kept(folder, &state, retired, &mut kept, || {
                done.send_replace(number);
            }) {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(file = T::NAME, %error, "it cannot be written");
                    failed = Some((number, state));
                }
            }
        }
        if ended {
            return;
        }
    }
}

/// Saves a state; one in which something was lowered twice, so that the previous copy
/// cannot expose again whom somebody took back, or turn on again what was killed.
fn save_as_kept<T: Kept>(
    folder: &Path,
    state: &T,
    retired: &AtomicBool,
    kept: &mut T::Lowered,
    saved: impl FnOnce(),
) -> io::Result<()> {
    save(folder, state, retired)?;
    saved();
    let lowered = state.lowered();
    if lowered != T::Lowered::default() && lowered != *kept {
        save(folder, state, retired)?;
    }
    *kept = lowered;
    Ok(())
}

/// Temporary name, synced, the old one kept aside, renamed, folder synced.
fn save<T: Kept>(folder: &Path, state: &T, retired: &AtomicBool) -> io::Result<()> {
    let text = state.to_text()?;
    let temporary = folder.join(format!("{}.new", T::NAME));
    // A new file each time: an earlier process may still hang in a write to its own.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if retired.load(Ordering::SeqCst) {
        return Ok(());
    }
    let current = folder.join(T::NAME);
    let previous = folder.join(previous_name::<T>());
    match fs::remove_file(&previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A link, not a rename: at no moment is there no state file.
    match fs::hard_link(&current, &previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&temporary, &current)?;
    File::open(folder)?.sync_all()
}

fn previous_name<T: Kept>() -> String {
    format!("{}.previous", T::NAME)
}

/// The copies that can be read, newest first; why others cannot is logged.
pub(crate) fn load<T: Kept>(folder: &Path) -> Vec<(PathBuf, T)> {
    let mut found = Vec::new();
    for name in [T::NAME.to_owned(), previous_name::<T>()] {
        let path = folder.join(name);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a saved file cannot be read");
            }
            Ok(text) => match T::from_text(&text) {
                Ok(state) => found.push((path, state)),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a saved file cannot be used");
                }
            },
        }
    }
    found
}

/// The newest saved state of a proxy's folder that can be read, whether that proxy runs or
/// not; nothing when there is none. Why a copy cannot be read is logged.
#[must_use]
pub fn saved_state(folder: &Path) -> Option<StateFile> {
    load(folder).into_iter().next().map(|(_, state)| state)
}

/// The same of flags, with the kills that wait in the folder for the next proxy.
#[must_use]
pub fn saved_flags(folder: &Path) -> Option<FlagsFile> {
    let (_, mut file): (_, FlagsFile) = load(folder).into_iter().next()?;
    let left = Left::new(folder).news().into_iter();
    for kill in left.filter_map(|left| left.flags) {
        let kill = apply(&mut file, kill);
        file.killed_here.extend(kill);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::{Epoch, GenerationId, Millis, Timestamp};
    use esclusa_wire::Generation;

    fn state(number: u64) -> StateFile {
        StateFile {
            generation: Generation {
                v: esclusa_wire::WIRE_VERSION,
                id: GenerationId {
                    epoch: Epoch(1),
                    number,
                },
                services: Vec::new(),
                journal: Vec::new(),
            },
            returned: Vec::new(),
            taken_back: Vec::new(),
            silent_for: Millis(7),
            written_at: Timestamp(1),
        }
    }

    fn numbers(folder: &Path) -> Vec<u64> {
        load::<StateFile>(folder)
            .iter()
            .map(|(_, s)| s.generation.id.number)
            .collect()
    }

    #[test]
    fn the_newest_readable_copy_comes_first() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(load::<StateFile>(folder.path()).is_empty());
        for number in 1..=3 {
            save(folder.path(), &state(number), &AtomicBool::new(false)).expect("saved");
        }
        assert_eq!(numbers(folder.path()), [3, 2]);
        fs::write(
            folder.path().join("state"),
            "esclusa-state 1 sha256:00\n{}\n",
        )
        .expect("written");
        assert_eq!(numbers(folder.path()), [2]);
    }

    #[test]
    fn what_was_taken_back_is_in_both_copies() {
        let folder = tempfile::tempdir().expect("folder");
        let mut newer = state(2);
        newer.taken_back.push(TakenBack {
            service: "shop".parse().expect("name"),
            release: "r1".parse().expect("id"),
            share: esclusa_model::BasisPoints::FULL,
            by: "ana".parse().expect("name"),
            reason: String::new(),
            at: Timestamp(1),
        });
        let retired = AtomicBool::new(false);
        let mut kept = Vec::new();
        let mut save =
            |state: &StateFile| save_as_kept(folder.path(), state, &retired, &mut kept, || ());
        save(&state(1)).expect("saved");
        save(&newer).expect("saved");
        assert_eq!(numbers(folder.path()), [2, 2]);
        assert_eq!(saved_state(folder.path()), Some(newer.clone()));
        fs::write(folder.path().join("state"), "nonsense").expect("written");
        assert_eq!(saved_state(folder.path()), Some(newer));
        assert_eq!(saved_state(&folder.path().join("missing")), None);
    }

    // EMG-04
    #[test]
    fn a_kill_is_in_both_copies_of_the_flags() {
        let folder = tempfile::tempdir().expect("folder");
        let mut newer = FlagsFile::default();
        newer.kills.kill(Some("reports"));
        let retired = AtomicBool::new(false);
        let mut kept = <FlagsFile as Kept>::Lowered::default();
        let mut save =
            |file: &FlagsFile| save_as_kept(folder.path(), file, &retired, &mut kept, || ());
        save(&FlagsFile::default()).expect("saved");
        save(&newer).expect("saved");
        let copies: Vec<FlagsFile> = load(folder.path()).into_iter().map(|(_, f)| f).collect();
        assert_eq!(copies, [newer.clone(), newer.clone()]);
        fs::write(folder.path().join("flags"), "nonsense").expect("written");
        assert_eq!(load::<FlagsFile>(folder.path())[0].1, newer);
        assert!(load::<StateFile>(folder.path()).is_empty());
    }

    #[test]
    fn a_retired_writer_replaces_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        save(folder.path(), &state(2), &AtomicBool::new(false)).expect("saved");
        save(folder.path(), &state(1), &AtomicBool::new(true)).expect("not an error");
        assert_eq!(numbers(folder.path()), [2]);
    }

    #[tokio::test]
    async fn a_disk_that_comes_back_gets_the_newest_state() {
        let folder = tempfile::tempdir().expect("folder");
        let missing = folder.path().join("later");
        let mut persister = Persister::start(&missing).expect("thread");
        let first = persister.write(state(1));
        assert!(persister.unwritten().is_some());
        assert!(!first.done_within(Duration::from_millis(50)).await);
        fs::create_dir(&missing).expect("folder");
        let second = persister.write(state(2));
        assert!(second.done_within(Duration::from_secs(10)).await);
        assert!(persister.unwritten().is_none());
        assert_eq!(numbers(&missing)[0], 2);
        persister.finish();
    }
}
