//! Answers that somebody was given, on their way to whoever writes them down.
//!
//! Nothing here waits: an exposure goes into a bounded queue, and is dropped and counted
//! when that is full. Whom it is of is hashed before, with a key that is derived from the
//! document's own, so that no id waits in memory and none can be tried out.

mod recent;

use crate::shared::unix_second;
use crate::table::FlagTable;
use esclusa_flags::{Answer, Context, Guarded, Snapshot, Units};
use esclusa_model::Timestamp;
use esclusa_wire::{EXPOSURE_VERSION, ExposureRecord, ExposureSource, ExposureStatus};
use hmac::{Hmac, Mac};
use recent::Recent;
use sha2::Sha256;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Exposures that wait to be written at most.
pub const WAITING: usize = 4_096;
/// Seconds in which the same exposure is recorded once.
const WINDOW: u64 = 3_600;
/// Bytes of a unit's hash that are kept.
const UNIT_BYTES: usize = 16;

/// What the writer is handed.
#[derive(Debug)]
pub enum ExposureNote {
    /// To be written.
    Record(Box<ExposureRecord>),
    /// Everything before it was written, or could not be.
    Reached(SyncSender<()>),
}

/// Hashes units.
#[derive(Clone)]
pub(crate) struct UnitHasher(Hmac<Sha256>);

impl std::fmt::Debug for UnitHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnitHasher(..)")
    }
}

impl UnitHasher {
    /// `None` when the key is not 32 bytes as hex.
    pub(crate) fn new(key_hex: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(key_hex, &mut key).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(b"esclusa-exposure-units:");
        Some(Self(mac))
    }

    fn hash(&self, unit: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(unit.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..UNIT_BYTES])
    }
}

/// The way of exposures to their writer.
#[derive(Debug)]
pub struct Exposures {
    queue: SyncSender<ExposureNote>,
    recent: Recent,
    repeated: AtomicU64,
    dropped: AtomicU64,
    recorded: AtomicU64,
    unwritten: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Exposures {
    /// A way, and where it ends.
    #[must_use]
    pub fn new() -> (Self, Receiver<ExposureNote>) {
        let (queue, inbox) = sync_channel(WAITING);
        let exposures = Self {
            queue,
            recent: Recent::default(),
            repeated: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            trouble: Mutex::default(),
        };
        (exposures, inbox)
    }

    /// So many were written.
    pub fn wrote(&self, count: u64) {
        self.recorded.fetch_add(count, Ordering::Relaxed);
        self.trouble().take();
    }

    /// So many could not be written.
    pub fn lost(&self, count: u64, why: String) {
        self.unwritten.fetch_add(count, Ordering::Relaxed);
        *self.trouble() = Some(why);
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of them, once there were any or are to be.
    pub(crate) fn status(&self, table: &FlagTable) -> Option<ExposureStatus> {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let status = ExposureStatus {
            environments: table.recorded_environments(),
            recorded: count(&self.recorded),
            repeated: count(&self.repeated),
            dropped: count(&self.dropped),
            unwritten: count(&self.unwritten),
            trouble: self.trouble().clone(),
        };
        (status != ExposureStatus::default()).then_some(status)
    }

    /// Waits for the writer, but no longer than `limit`.
    pub fn flush(&self, limit: std::time::Duration) {
        let (reached, wait) = sync_channel(1);
        if self.queue.try_send(ExposureNote::Reached(reached)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    /// An answer that a client was given. It is known to be sampled.
    fn take(&self, what: &Exposed<'_>, unit: &str) {
        let Some(variant) = what
            .answer
            .variant
            .filter(|_| what.answer.error().is_none())
        else {
            // The application's own default counts, which nobody here knows.
            return;
        };
        let snapshot = what.snapshot;
        let window = unix_second() / WINDOW;
        let mark = Recent::mark(
            window,
            snapshot.revision(),
            [snapshot.environment(), what.flag, variant, unit],
        );
        if !self.recent.is_new(mark) {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(hasher) = &what.table.units else {
            return;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let record = ExposureRecord {
            v: EXPOSURE_VERSION,
            // Fits until the year 294,000.
            at: Timestamp(now.map_or(0, |since| since.as_micros() as i64)),
            environment: snapshot.environment().to_owned(),
            flag: what.flag.to_owned(),
            variant: variant.to_owned(),
            reason: what.answer.reason,
            revision: snapshot.revision(),
            unit: hasher.hash(unit),
            source: what.source,
        };
        let sent = self.queue.try_send(ExposureNote::Record(Box::new(record)));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            // The next time counts.
            self.recent.forget(mark);
        }
    }
}

/// An answer, and where it was given.
struct Exposed<'a> {
    table: &'a FlagTable,
    snapshot: &'a Snapshot,
    flag: &'a str,
    answer: &'a Answer<'a>,
    source: ExposureSource,
}

impl crate::Shared {
    /// Records the answers of a context, where they are sampled. Off, it is one check.
    #[inline]
    pub(crate) fn exposed(
        &self,
        table: &FlagTable,
        context: &Context<'_>,
        source: ExposureSource,
        each: impl FnOnce(&mut dyn FnMut(&str, &Answer<'_>)),
    ) {
        let Some(sampling) = context.snapshot().sampling() else {
            return;
        };
        let Some(exposures) = self.exposures.get() else {
            return;
        };
        if source == ExposureSource::OfrepBulk && !sampling.takes_bulk() {
            return;
        }
        let snapshot = context.snapshot();
        context.with_unit(|unit| {
            if sampling.takes_unit(unit) {
                each(&mut |flag, answer| {
                    if snapshot.samples_flag(flag) {
                        let what = Exposed {
                            table,
                            snapshot,
                            flag,
                            answer,
                            source,
                        };
                        exposures.take(&what, unit);
                    }
                });
            }
        });
    }

    /// Records what a guard's flag said to whoever a request belongs to, where that is
    /// sampled. Off, it is one check.
    #[inline]
    pub fn guarded(
        &self,
        table: &FlagTable,
        guarded: &Guarded<'_>,
        units: &Units<'_>,
        source: ExposureSource,
    ) {
        let snapshot = table.environment(guarded.guard.environment());
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.sampling().is_some()) else {
            return;
        };
        let Some(exposures) = self.exposures.get() else {
            return;
        };
        let unit = units.user.as_deref().or(units.tenant.as_deref());
        if let Some((unit, answer)) = unit.zip(guarded.exposed(snapshot, units)) {
            let what = Exposed {
                table,
                snapshot,
                flag: &guarded.route.flag,
                answer: &answer,
                source,
            };
            exposures.take(&what, unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_one_hash_for_each_key() {
        let one = UnitHasher::new(&"ab".repeat(32)).expect("a key");
        let other = UnitHasher::new(&"cd".repeat(32)).expect("a key");
        assert_eq!(one.hash("ana"), one.hash("ana"));
        assert_ne!(one.hash("ana"), one.hash("ben"));
        assert_ne!(
            one.hash("ana"),
            other.hash("ana"),
            "without the key it cannot be tried out"
        );
        assert_eq!(one.hash("ana").len(), 2 * UNIT_BYTES);
        assert!(UnitHasher::new("ab").is_none());
        assert_eq!(format!("{one:?}"), "UnitHasher(..)");
    }
}
