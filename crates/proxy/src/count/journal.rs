//! Slices on disk until they are acknowledged, so that a restart loses at most one second.
//!
//! Lines of JSON, appended each second without waiting for the disk. A thread of its own
//! writes them: a disk that hangs or is full stops neither requests nor the control
//! interface. Segments are short files that are deleted once all in them is acknowledged.

use super::cutter::since_epoch;
use super::left::{Found, Reader};
use crate::error::ProxyError;
use esclusa_model::BootId;
use esclusa_wire::{SliceAck, StampedSlice};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Seconds in one segment.
const SEGMENT_APPENDS: u32 = 300;
/// Seconds that may wait for the disk before some are kept in memory only.
const BACKLOG: usize = 600;

#[derive(Debug)]
enum Order {
    Append(Vec<StampedSlice>),
    Ack(SliceAck),
    Adopt(Vec<Segment>),
    Sync,
}

/// The writing thread.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: Mutex<Option<SyncSender<Order>>>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// Longest wait for the disk at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// What earlier boots left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) slices: Vec<StampedSlice>,
    pub(crate) unreadable: u64,
    /// Goes on to read what boots write that still drain; `live` says if there are any.
    pub(crate) reader: Reader,
    pub(crate) live: bool,
    segments: Vec<Segment>,
    acked: BTreeMap<BootId, u64>,
}

/// A file that nobody writes to any more.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// The highest sequence in it by boot.
    pub(crate) highest: BTreeMap<BootId, u64>,
}

impl Segment {
    fn is_done(&self, acked: &BTreeMap<BootId, u64>) -> bool {
        self.highest
            .iter()
            .all(|(boot, highest)| acked.get(boot).is_some_and(|a| a >= highest))
    }
}

/// Reads what other boots than `own` left in `folder`.
pub(crate) fn load(folder: &Path, own: &BootId) -> Result<Left, ProxyError> {
    let fail = |source| ProxyError::Path {
        path: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut reader = Reader::new(folder, own);
    let Found {
        mut slices,
        mut acked,
        unreadable,
        closed,
        live,
    } = reader.look().map_err(fail)?;
    slices.retain(|s| acked.get(&s.boot).is_none_or(|a| s.sequence > *a));
    let mut segments = Vec::new();
    for segment in closed {
        if segment.is_done(&acked) {
            remove(&segment.path);
        } else {
            segments.push(segment);
        }
    }
    acked.retain(|boot, _| live || segments.iter().any(|s| s.highest.contains_key(boot)));
    Ok(Left {
        slices,
        unreadable,
        reader,
        live,
        segments,
        acked,
    })
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "an acknowledged file of slices cannot be removed");
    }
}

impl Journal {
    /// Starts writing for `boot`, behind what `left` holds.
    pub(crate) fn start(folder: &Path, boot: &BootId, left: &Left) -> Result<Self, ProxyError> {
        let (orders, inbox) = sync_channel(BACKLOG);
        let mut writer = Writer {
            folder: folder.to_owned(),
            // Names in the order of starts, so that the oldest is read first.
            prefix: format!("{:020}-{boot}", since_epoch().as_micros()),
            segments: left.segments.clone(),
            acked: BTreeMap::new(),
            file: None,
            appends: 0,
            count: 0,
            failing: false,
        };
        let known: Vec<SliceAck> = left
            .acked
            .iter()
            .map(|(boot, sequence)| SliceAck {
                boot: boot.clone(),
                sequence: *sequence,
            })
            .collect();
        let (alive, ended) = sync_channel(0);
        std::thread::Builder::new()
            .name("slices".into())
            .spawn(move || {
                // The file that held these may be gone.
                for ack in known {
                    let done = writer.ack(&ack);
                    writer.note(done);
                }
                writer.run(&inbox);
                drop(alive);
            })
            .map_err(ProxyError::Worker)?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            ended: Mutex::new(ended),
        })
    }

    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(orders) = orders.as_ref() else {
            return;
        };
        match orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("the disk is behind: slices are kept in memory only");
            }
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("slices are no longer written to disk");
            }
        }
    }

    pub(crate) fn append(&self, slices: Vec<StampedSlice>) {
        self.order(Order::Append(slices));
    }

    pub(crate) fn ack(&self, ack: SliceAck) {
        self.order(Order::Ack(ack));
    }

    /// Sees to it that files of others are removed once all in them is acknowledged.
    pub(crate) fn adopt(&self, segments: Vec<Segment>) {
        if !segments.is_empty() {
            self.order(Order::Adopt(segments));
        }
    }

    /// Writes what is left and ends the thread; gives a disk that hangs up.
    pub(crate) fn finish(&self) {
        self.order(Order::Sync);
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the disk does not take the last slices");
        }
    }
}

/// A new file, locked before others can see it: the lock says that its writer lives.
fn open_locked(path: &Path) -> io::Result<File> {
    let unseen = path.with_extension("opening");
    let file = OpenOptions::new().create(true).append(true).open(&unseen)?;
    if let Err(error) = file.try_lock() {
        tracing::debug!(%error, "a file of slices cannot be locked");
    }
    std::fs::rename(&unseen, path)?;
    Ok(file)
}

struct Writer {
    folder: PathBuf,
    prefix: String,
    segments: Vec<Segment>,
    acked: BTreeMap<BootId, u64>,
    file: Option<File>,
    appends: u32,
    count: u32,
    failing: bool,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            let done = match order {
                Order::Append(slices) => self.append(&slices),
                Order::Ack(ack) => self.ack(&ack),
                Order::Adopt(segments) => {
                    self.adopt(segments);
                    Ok(())
                }
                Order::Sync => self.file.as_ref().map_or(Ok(()), File::sync_data),
            };
            self.note(done);
        }
    }

    /// Says once that the disk fails, and begins a new file after it did.
    fn note(&mut self, done: io::Result<()>) {
        match done {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "slices cannot be written; a restart would lose them");
                }
                self.file = None;
            }
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.appends >= SEGMENT_APPENDS {
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                self.count += 1;
                self.appends = 0;
                let path = self
                    .folder
                    .join(format!("{}-{:06}.jsonl", self.prefix, self.count));
                let file = open_locked(&path)?;
                self.segments.push(Segment {
                    path,
                    highest: BTreeMap::new(),
                });
                file
            }
        };
        Ok(self.file.insert(file))
    }

    fn adopt(&mut self, segments: Vec<Segment>) {
        for segment in segments {
            if segment.is_done(&self.acked) {
                remove(&segment.path);
            } else {
                // The last one is the one that is written to.
                self.segments.insert(0, segment);
            }
        }
    }

    fn append(&mut self, slices: &[StampedSlice]) -> io::Result<()> {
        let Some(last) = slices.last() else {
            return Ok(());
        };
        let mut lines = Vec::new();
        for slice in slices {
            serde_json::to_writer(&mut lines, slice)?;
            lines.push(b'\n');
        }
        self.file()?.write_all(&lines)?;
        self.appends += 1;
        if let Some(segment) = self.segments.last_mut() {
            segment.highest.insert(last.boot.clone(), last.sequence);
        }
        Ok(())
    }

    fn ack(&mut self, ack: &SliceAck) -> io::Result<()> {
        let top = self.acked.entry(ack.boot.clone()).or_default();
        if *top >= ack.sequence {
            return Ok(());
        }
        *top = ack.sequence;
        let mut line = serde_json::to_vec(ack)?;
        line.push(b'\n');
        self.file()?.write_all(&line)?;
        // The last segment is being written to; it stays.
        let open = self.segments.pop();
        let acked = &self.acked;
        self.segments.retain(|segment| {
            let done = segment.is_done(acked);
            if done {
                remove(&segment.path);
            }
            !done
        });
        self.segments.extend(open);
        Ok(())
    }
}
