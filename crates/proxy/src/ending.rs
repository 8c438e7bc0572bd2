//! The end of a proxy: everything that is open is brought to an end that its client can
//! understand, within a bound.

use crate::control::state::Control;
use crate::count::cutter::Cutter;
use crate::count::journal::Journal;
use crate::running::told;
use crate::worker::{Phase, Shared, WorkerHandle};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const LOOK: Duration = Duration::from_millis(5);
/// Of the time that an end may take, this much is kept for those who came last.
const LATE_TIME: Duration = Duration::from_secs(5);
/// How long tunnels have for their last words.
const CLOSING_TIME: Duration = Duration::from_millis(1_500);
/// How long clients have that were accepted in a hand-over which came to nothing.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

/// What has to be ended.
pub(crate) struct Ending {
    pub(crate) control: Arc<Control>,
    pub(crate) cutter: Arc<Cutter>,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) journal: Arc<Journal>,
}

impl Ending {
    fn shared(&self) -> &Arc<Shared> {
        &self.control.shared
    }

    fn open(&self) -> usize {
        let shared = self.shared();
        shared.connections.load(Ordering::Relaxed) + shared.tunnels.load(Ordering::Relaxed)
    }

    /// Drains for at most `deadline`; returns how many connections that cut off.
    ///
    /// When somebody keeps the sockets listening, new clients are served until the older
    /// ones have ended: whoever waits in the queue waits for the next process's start
    /// only, not for the slowest client of this one.
    pub(crate) async fn drain(&self, deadline: Duration) -> usize {
        let shared = self.shared();
        let until = Instant::now() + deadline;
        let mut cut_off = 0;
        if self.control.is_held().await {
            shared.shared_sockets.store(true, Ordering::Relaxed);
            shared.set_phase(Phase::Leaving);
            let late_from = until
                .checked_sub(LATE_TIME.min(deadline / 2))
                .unwrap_or(until);
            let late = || shared.late.load(Ordering::Relaxed);
            while self.open() > late() && Instant::now() < late_from {
                tokio::time::sleep(LOOK).await;
            }
            // While new clients still get answers: in the queue they would wait for it.
            cut_off = self.end_tunnels().await;
        }
        shared.set_phase(Phase::Draining);
        self.control.stop_listening().await;
        while self.open() > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        cut_off + self.cut_off().await
    }

    /// Drains while another process accepts on the same sockets, for at most `deadline`,
    /// or less once the end of the process is asked for.
    pub(crate) async fn drain_shared(
        &self,
        deadline: Duration,
        mut asked: watch::Receiver<Option<Duration>>,
    ) -> usize {
        let shared = self.shared();
        let mut until = Instant::now() + deadline;
        shared.shared_sockets.store(true, Ordering::Relaxed);
        shared.set_phase(Phase::Draining);
        let mut hurried = false;
        while self.open() > 0 && Instant::now() < until {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                left = told(&mut asked), if !hurried => {
                    hurried = true;
                    until = until.min(Instant::now() + left);
                }
            }
        }
        self.cut_off().await
    }

    async fn cut_off(&self) -> usize {
        let connections = self.shared().connections.load(Ordering::Relaxed);
        connections + self.end_tunnels().await
    }

    /// Lets tunnels say their last words; returns how many there were.
    async fn end_tunnels(&self) -> usize {
        let shared = self.shared();
        let open = || shared.tunnels.load(Ordering::Relaxed);
        let cut_off = open();
        shared.tunnels_end.send_replace(true);
        let until = Instant::now() + CLOSING_TIME;
        while open() > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        cut_off
    }

    /// Ends a proxy that began to accept and was then not in charge after all.
    pub(crate) async fn give_back(self) {
        let shared = self.shared();
        shared.shared_sockets.store(true, Ordering::Relaxed);
        shared.set_phase(Phase::Draining);
        self.control.stop_listening().await;
        let until = Instant::now() + GIVE_BACK_TIME;
        while self.open() > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        self.last_words().await;
    }

    /// Ends all threads and writes what is left.
    pub(crate) async fn last_words(self) {
        // First, so that what is cut off is counted as the proxy's doing.
        self.cutter.shards.iter().for_each(|shard| shard.end());
        self.shared().set_phase(Phase::Killed);
        let Self {
            control,
            cutter,
            workers,
            journal,
        } = self;
        let threads: Vec<_> = workers.into_iter().map(|w| w.thread).collect();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker ended badly");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the workers could not be waited for");
        }
        cutter.cut_everything();
        control.finish().await;
        journal.finish();
    }
}
