//! Exposures in files: one thread writes them, whoever wants to know reads them.
//!
//! Users never wait for this disk. What it does not take is lost, and counted.

mod files;
mod read;

pub use read::{ExposureQuery, ExposuresFound, VariantExposures, read_exposures};

use esclusa_ofrep::{ExposureNote, Exposures, Shared};
use esclusa_wire::ExposureRecord;
use files::Files;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// The folder within a proxy's.
pub const EXPOSURES: &str = "exposures";
/// How often old files are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Records that are written together at most.
const TOGETHER: usize = 512;
/// How long a disk that failed is left alone.
const REST: Duration = Duration::from_secs(1);
/// Longest wait for the disk at the end.
const LAST: Duration = Duration::from_secs(1);

/// Begins to record what flag documents ask for, in a proxy's folder.
///
/// # Errors
/// When no thread can be had.
pub(crate) fn start(folder: &Path, shared: &Arc<Shared>) -> io::Result<Arc<Exposures>> {
    let (exposures, inbox) = Exposures::new();
    let exposures = Arc::new(exposures);
    let writer = Writer {
        files: Files::new(folder.join(EXPOSURES)),
        inbox,
        shared: Arc::downgrade(shared),
        exposures: Arc::downgrade(&exposures),
        failed: None,
    };
    std::thread::Builder::new()
        .name("exposures".into())
        .spawn(move || writer.run())?;
    shared.record_exposures(Arc::clone(&exposures));
    Ok(exposures)
}

/// Lets the writer finish, but does not wait long.
pub(crate) async fn finish(exposures: Arc<Exposures>) {
    // How it ends does not matter: what was not written is lost.
    let _ = tokio::task::spawn_blocking(move || exposures.flush(LAST)).await;
}

struct Writer {
    files: Files,
    inbox: Receiver<ExposureNote>,
    /// Weak: the thread ends with whom it writes for.
    shared: Weak<Shared>,
    exposures: Weak<Exposures>,
    failed: Option<(Instant, String)>,
}

impl Writer {
    fn run(mut self) {
        let mut swept: Option<Instant> = None;
        loop {
            let first = match self.inbox.recv_timeout(SWEEP) {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(first) = first {
                self.take(first);
            }
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                let Some(shared) = self.shared.upgrade() else {
                    return;
                };
                let days = shared.current().keep_exposures_days();
                if let Err(error) = self.files.sweep(days, SystemTime::now()) {
                    tracing::error!(%error, "old exposures cannot be removed");
                }
            }
        }
    }

    fn take(&mut self, first: ExposureNote) {
        let (mut records, mut reached) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(note) = next {
            match note {
                ExposureNote::Record(record) => records.push(record),
                ExposureNote::Reached(sender) => reached.push(sender),
            }
            next = match records.len() < TOGETHER {
                true => self.inbox.try_recv().ok(),
                false => None,
            };
        }
        if let Some(exposures) = self.exposures.upgrade().filter(|_| !records.is_empty()) {
            let count = records.len() as u64;
            match self.write(&records) {
                Ok(()) => exposures.wrote(count),
                Err(why) => exposures.lost(count, why),
            }
        }
        for sender in reached {
            // Nobody waits any more: as good.
            let _ = sender.send(());
        }
    }

    fn write(&mut self, records: &[Box<ExposureRecord>]) -> Result<(), String> {
        if let Some((at, why)) = &self.failed
            && at.elapsed() < REST
        {
            return Err(why.clone());
        }
        let written = self.files.append(records, SystemTime::now());
        match written {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("exposures can be written again");
                }
                Ok(())
            }
            Err(error) => {
                if self.failed.is_none() {
                    tracing::error!(%error, "exposures cannot be written; they are lost");
                }
                let why = error.to_string();
                self.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }
}
