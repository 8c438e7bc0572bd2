//! One thread that carries requests: its own runtime, pool and counts.

use crate::config::Limits;
use crate::count::shard::Shard;
use crate::error::ProxyError;
use crate::flags::counts::GuardCounts;
use crate::inbound::conn;
use crate::registry::Registry;
use crate::table::RouteTable;
use crate::upstream::pool::Pool;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// What the process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// New connections are still taken, for as long as older ones take to end; all are
    /// told to close with their next answer.
    Leaving,
    /// No new connections; those that are open get their answers, and are then told to close.
    Draining,
    /// Everything ends now.
    Killed,
}

impl Phase {
    pub(crate) fn is_killed(self) -> bool {
        self == Self::Killed
    }

    /// Whether connections may still be accepted.
    fn accepts(self) -> bool {
        matches!(self, Self::Serving | Self::Leaving)
    }
}

/// What all workers and the control side share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: ArcSwap<RouteTable>,
    /// The flags in force, and the event streams that follow them.
    pub(crate) flags: Arc<esclusa_ofrep::Shared>,
    pub(crate) guard_counts: GuardCounts,
    pub(crate) registry: Registry,
    pub(crate) limits: Limits,
    pub(crate) phase: watch::Sender<Phase>,
    /// Whether the phase is past serving; read for every response.
    draining: AtomicBool,
    /// Open client connections that speak HTTP.
    pub(crate) connections: AtomicUsize,
    /// Those of them that were accepted while this process was leaving already.
    pub(crate) late: AtomicUsize,
    /// Open connections that have left HTTP.
    pub(crate) tunnels: AtomicUsize,
    /// Whether those have to end now, with a last word.
    pub(crate) tunnels_end: watch::Sender<bool>,
    /// Whether somebody else accepts, or will, on the same sockets.
    pub(crate) shared_sockets: AtomicBool,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::from_pointee(RouteTable::empty()),
            flags: Arc::default(),
            guard_counts: GuardCounts::default(),
            registry: Registry::default(),
            limits,
            phase: watch::Sender::new(Phase::Serving),
            draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            tunnels_end: watch::Sender::new(false),
            shared_sockets: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.draining
            .store(phase != Phase::Serving, Ordering::Relaxed);
        self.phase.send_replace(phase);
    }
}

/// A worker as its requests see it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) pool: Arc<Pool>,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on this socket too.
    Listen(SocketAddr, std::net::TcpListener),
    /// Accept there no longer.
    Unlisten(SocketAddr),
}

/// A worker as the control side sees it.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts a worker's thread.
pub(crate) fn spawn(index: usize, shared: &Arc<Shared>) -> Result<WorkerHandle, ProxyError> {
    let shard = Arc::new(Shard::default());
    let limits = &shared.limits;
    let worker = Arc::new(Worker {
        shared: Arc::clone(shared),
        shard: Arc::clone(&shard),
        pool: Pool::new(limits.pool_idle, limits.pool_max_idle),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProxyError::Worker)?;
    let (commands, inbox) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new()
        .name(format!("proxy-{index}"))
        .spawn(move || runtime.block_on(run(worker, inbox)))
        .map_err(ProxyError::Worker)?;
    Ok(WorkerHandle {
        commands,
        shard,
        thread,
    })
}

/// Follows commands until the process is killed.
async fn run(worker: Arc<Worker>, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let mut listeners: HashMap<SocketAddr, watch::Sender<bool>> = HashMap::new();
    let mut phase = worker.shared.phase.subscribe();
    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Listen(address, socket)) => {
                    let (stop, stopped) = watch::channel(false);
                    match TcpListener::from_std(socket) {
                        Ok(listener) => {
                            tokio::spawn(accept(Arc::clone(&worker), listener, address, stopped));
                            listeners.insert(address, stop);
                        }
                        Err(error) => tracing::error!(%address, %error, "cannot accept"),
                    }
                }
                Some(Command::Unlisten(address)) => {
                    // Dropping the sender stops the loop.
                    listeners.remove(&address);
                }
                None => break,
            },
            _ = phase.wait_for(|phase| phase.is_killed()) => break,
            _ = sweep.tick() => worker.pool.sweep(),
        }
    }
    // What is still open is dropped with the runtime, and counted as it is dropped.
    worker.pool.clear();
}

/// Accepts until told to stop, and then once more what already waits: those clients are
/// connected and would be reset. On a socket that others accept on, what waits is theirs.
async fn accept(
    worker: Arc<Worker>,
    listener: TcpListener,
    address: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) {
    let mut phase = worker.shared.phase.subscribe();
    let mut stopping = false;
    loop {
        let accepted = tokio::select! {
            biased;
            // First, or a crowd of clients would keep the loop from ever seeing it.
            _ = phase.wait_for(|phase| !phase.accepts()), if !stopping => {
                if worker.shared.shared_sockets.load(Ordering::Relaxed) {
                    return;
                }
                stopping = true;
                continue;
            }
            accepted = listener.accept() => accepted,
            () = std::future::ready(()), if stopping => return,
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a client's socket cannot be set up");
                    continue;
                }
                let worker = Arc::clone(&worker);
                let counted = Counted::new(&worker.shared);
                tokio::spawn(async move {
                    conn::serve(&worker, stream, peer.ip(), address).await;
                    drop(counted);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come free.
                tracing::warn!(%address, %error, "cannot accept a connection");
                if stopping {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A connection on the process's account, for as long as this lives.
struct Counted {
    shared: Arc<Shared>,
    late: bool,
}

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        let late = shared.is_draining();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if late {
            shared.late.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            shared: Arc::clone(shared),
            late,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.late {
            self.shared.late.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
