//! Log lines on their way to a disk that may be full or hang.
//!
//! Whoever has something to say hands it over and goes on: a thread that carries users or
//! takes them back must never stand in a write to a log. What the disk does not take in
//! time is dropped, and how much that was is part of the log.

use nix::sys::signal::{SigSet, SigmaskHow};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the disk at most.
const WAITING: usize = 4_096;
/// Longest wait for the disk at the end of the program.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

static LOG: OnceLock<Behind> = OnceLock::new();

enum Note {
    Line(Vec<u8>),
    /// Everything before it is written.
    Reached(SyncSender<()>),
}

/// Hands lines to the thread that writes them.
#[derive(Clone)]
pub(crate) struct Behind {
    notes: SyncSender<Note>,
    lost: std::sync::Arc<AtomicU64>,
}

impl Behind {
    /// Starts the thread that writes to `to`.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(to: Box<dyn Write + Send>) -> io::Result<Self> {
        let (notes, inbox) = sync_channel(WAITING);
        let lost = std::sync::Arc::new(AtomicU64::new(0));
        let counted = std::sync::Arc::clone(&lost);
        // A thread starts with the mask of the one that starts it, and this one must not
        // take signals from those who wait for them: the first process of a container
        // would miss the end of a child, or that it was told to end.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write(&inbox, to, &counted));
        mask.thread_set_mask()?;
        started?;
        let behind = Self { notes, lost };
        // Only the first one is the program's log.
        let _ = LOG.set(behind.clone());
        Ok(behind)
    }

    fn flush_within(&self, limit: Duration) {
        let (reached, wait) = sync_channel(1);
        if self.notes.try_send(Note::Reached(reached)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }
}

/// Waits a moment for what was said last to be written.
pub(crate) fn finish() {
    if let Some(log) = LOG.get() {
        log.flush_within(LAST_PATIENCE);
    }
}

fn write(inbox: &Receiver<Note>, mut to: Box<dyn Write + Send>, lost: &AtomicU64) {
    for note in inbox {
        match note {
            Note::Line(line) => {
                let missing = lost.swap(0, Ordering::Relaxed);
                let told = match missing {
                    0 => Ok(()),
                    _ => to.write_all(
                        format!("({missing} lines of the log were lost here)\n").as_bytes(),
                    ),
                };
                if told.and_then(|()| to.write_all(&line)).is_err() {
                    lost.fetch_add(missing + 1, Ordering::Relaxed);
                }
            }
            Note::Reached(reached) => {
                let _ = to.flush();
                let _ = reached.send(());
            }
        }
    }
}

impl Write for Behind {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.notes.try_send(Note::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Behind {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Sender;
    use std::sync::{Arc, Mutex};

    /// A disk that takes one line for each permission.
    struct Slow(Receiver<bool>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.0.recv() {
                Ok(true) | Err(_) => {
                    self.1.lock().expect("a lock").extend_from_slice(line);
                    Ok(line.len())
                }
                Ok(false) => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Behind, Sender<bool>, Arc<Mutex<Vec<u8>>>) {
        let (allow, allowed) = std::sync::mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let behind = Behind::start(Box::new(Slow(allowed, Arc::clone(&written))));
        (behind.expect("a thread"), allow, written)
    }

    // A disk that hangs keeps nobody waiting who has something to say.
    #[test]
    fn nobody_waits_for_the_disk_and_what_is_lost_is_counted() {
        let (mut log, allow, written) = slow();
        for n in 0..2 * WAITING {
            log.write_all(format!("line {n}\n").as_bytes())
                .expect("taken");
        }
        drop(allow);
        log.flush_within(Duration::from_secs(30));
        // There may have been no room to ask for that.
        while written
            .lock()
            .expect("a lock")
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            < WAITING
        {
            std::thread::yield_now();
        }
        log.write_all(b"the last\n").expect("taken");
        log.flush_within(Duration::from_secs(30));
        let text = String::from_utf8(written.lock().expect("a lock").clone()).expect("text");
        assert!(
            text.contains("lines of the log were lost here"),
            "{}",
            text.len()
        );
        assert!(text.contains("the last"));
    }

    #[test]
    fn a_full_disk_is_survived_and_told() {
        let (mut log, allow, written) = slow();
        for taken in [true, false, true, true] {
            allow.send(taken).expect("sent");
        }
        for line in ["first\n", "second\n", "third\n"] {
            log.write_all(line.as_bytes()).expect("taken");
        }
        drop(allow);
        log.flush_within(Duration::from_secs(30));
        let text = String::from_utf8(written.lock().expect("a lock").clone()).expect("text");
        assert_eq!(text, "first\n(1 lines of the log were lost here)\nthird\n");
    }
}
