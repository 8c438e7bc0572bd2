//! Starts a proxy, and ends it in order.

use crate::config::ProxyConfig;
use crate::control::admin;
use crate::control::listeners::Listeners;
use crate::control::persist::{self, Persister};
use crate::control::state::{Control, Parts};
use crate::count::cutter::{Cutter, since_epoch};
use crate::count::journal::{self, Journal};
use crate::count::store::SliceStore;
use crate::count::totals::Totals;
use crate::error::ProxyError;
use crate::worker::{self, Phase, Shared, WorkerHandle};
use esclusa_model::BootId;
use esclusa_wire::{Hello, WIRE_VERSION};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};

/// Starts proxies.
#[derive(Debug)]
pub struct Proxy;

/// A running proxy. Dropping it ends the proxy at once.
#[derive(Debug)]
pub struct ProxyHandle {
    admin_socket: PathBuf,
    boot: BootId,
    shared: Arc<Shared>,
    ending: watch::Sender<Option<Duration>>,
    ended: Option<oneshot::Receiver<Drained>>,
    thread: Option<JoinHandle<()>>,
}

/// How an orderly end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that the deadline cut off: those of requests still running, and of
    /// clients that kept an unused connection open.
    pub cut_off: usize,
}

/// Runs a proxy until `shutdown`, then drains it for at most `deadline`.
///
/// # Errors
/// [`ProxyError`] when it cannot start.
pub async fn run(
    config: ProxyConfig,
    shutdown: impl Future<Output = ()>,
    deadline: Duration,
) -> Result<Drained, ProxyError> {
    let handle = Proxy::start(config)?;
    shutdown.await;
    Ok(handle.drain(deadline).await)
}

impl Proxy {
    /// Starts a proxy in threads of its own. When this returns, a saved generation is
    /// served and the control socket answers.
    ///
    /// # Errors
    /// [`ProxyError`] when a file, socket or thread cannot be had.
    pub fn start(config: ProxyConfig) -> Result<ProxyHandle, ProxyError> {
        check(&config)?;
        std::fs::create_dir_all(&config.data_dir).map_err(|source| ProxyError::Path {
            path: config.data_dir.clone(),
            source,
        })?;
        let (ending, asked) = watch::channel(None);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let (done, ended) = oneshot::channel();
        let boot = new_boot();
        let shared = Shared::new(config.limits.clone());
        let admin_socket = config.admin_socket.clone();
        let setup = Setup {
            config,
            boot: boot.clone(),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || control_thread(setup, &ready, asked, done))
            .map_err(ProxyError::Worker)?;
        let handle = ProxyHandle {
            admin_socket,
            boot,
            shared,
            ending,
            ended: Some(ended),
            thread: Some(thread),
        };
        match started.recv() {
            Ok(Ok(())) => Ok(handle),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ProxyError::Worker(std::io::Error::other(
                "the control thread ended",
            ))),
        }
    }
}

fn check(config: &ProxyConfig) -> Result<(), ProxyError> {
    // The HTTP library's own smallest buffer.
    for (name, value, least) in [
        ("max_head_bytes", config.limits.max_head_bytes, 8_192),
        ("max_headers", config.limits.max_headers, 1),
    ] {
        if value < least {
            return Err(ProxyError::Limit { name, value, least });
        }
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "32 hex digits are a valid id")]
fn new_boot() -> BootId {
    BootId::new(format!("{:032x}", rand::random::<u128>())).expect("hex digits")
}

impl ProxyHandle {
    /// The control socket.
    #[must_use]
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// This life of the proxy.
    #[must_use]
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Ends in order: accepts nothing new, answers what comes on open connections and
    /// tells those clients to close, and ends when all have, or after `deadline`. A
    /// connection is never closed while its client could be about to use it.
    pub async fn drain(mut self, deadline: Duration) -> Drained {
        self.ending.send_replace(Some(deadline));
        let drained = match self.ended.take() {
            Some(ended) => ended.await.unwrap_or(Drained { cut_off: 0 }),
            None => Drained { cut_off: 0 },
        };
        self.join().await;
        drained
    }

    /// Ends now. What was counted is saved; requests under way are cut off.
    pub async fn shutdown(self) {
        self.drain(Duration::ZERO).await;
    }

    async fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread's own end has been waited for; this only collects it.
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the control thread ended badly");
            }
        }
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        self.ending.send_replace(Some(Duration::ZERO));
    }
}

struct Setup {
    config: ProxyConfig,
    boot: BootId,
    shared: Arc<Shared>,
}

type Ready = std::sync::mpsc::SyncSender<Result<(), ProxyError>>;

fn control_thread(
    setup: Setup,
    ready: &Ready,
    asked: watch::Receiver<Option<Duration>>,
    done: oneshot::Sender<Drained>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nobody waits any more when this fails.
            let _ = ready.send(Err(ProxyError::Worker(error)));
            return;
        }
    };
    runtime.block_on(async {
        match Running::start(setup).await {
            Ok(running) => {
                let _ = ready.send(Ok(()));
                let drained = running.until(asked).await;
                let _ = done.send(drained);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

struct Running {
    control: Arc<Control>,
    cutter: Arc<Cutter>,
    workers: Vec<WorkerHandle>,
    journal: Arc<Journal>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    socket: PathBuf,
}

impl Running {
    async fn start(setup: Setup) -> Result<Self, ProxyError> {
        let Setup {
            config,
            boot,
            shared,
        } = setup;
        let started = Instant::now();
        let admin = bind_admin(&config.admin_socket).await?;
        let metrics = match config.metrics_listen {
            None => None,
            Some(address) => Some(
                tokio::net::TcpListener::bind(address)
                    .await
                    .map_err(|source| ProxyError::Metrics { address, source })?,
            ),
        };
        let folder = config.data_dir.join("slices");
        let left = journal::load(&folder)?;
        let journal = Arc::new(Journal::start(&folder, &boot, &left)?);
        let store = Arc::new(SliceStore::new(
            boot.clone(),
            config.limits.slice_seconds,
            left.slices,
            left.unreadable,
        ));
        let totals = Arc::new(Mutex::new(Totals::default()));
        let count = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let workers = (0..count)
            .map(|n| worker::spawn(n, &shared))
            .collect::<Result<Vec<_>, _>>()?;
        let listeners = Listeners::new(
            workers.iter().map(|w| w.commands.clone()).collect(),
            config.inherited,
        );
        let control = Arc::new(Control::new(Parts {
            shared: Arc::clone(&shared),
            hello: Hello {
                v: WIRE_VERSION,
                proxy: config.id,
                boot,
                pid: std::process::id(),
            },
            store: Arc::clone(&store),
            journal: Arc::clone(&journal),
            totals: Arc::clone(&totals),
            listeners,
            persister: Persister::start(&config.data_dir)?,
        }));
        control.restore(persist::load(&config.data_dir)).await;
        let shards = workers.iter().map(|w| Arc::clone(&w.shard)).collect();
        let cutter = Arc::new(Cutter {
            shared,
            shards,
            store,
            journal: Arc::clone(&journal),
            totals,
            started,
        });
        let mut tasks = vec![serve_admin(admin, Arc::clone(&control))];
        if let Some(listener) = metrics {
            tasks.push(serve_metrics(listener, Arc::clone(&control)));
        }
        let (ticking, watching) = (Arc::clone(&cutter), Arc::clone(&control));
        tasks.push(tokio::spawn(async move { ticking.run().await }));
        tasks.push(tokio::spawn(async move { watching.watch().await }));
        Ok(Self {
            control,
            cutter,
            workers,
            journal,
            tasks,
            socket: config.admin_socket,
        })
    }

    /// Runs until asked to end, then ends.
    async fn until(self, mut asked: watch::Receiver<Option<Duration>>) -> Drained {
        // An error means that the handle is gone, which asks for the same.
        let deadline = match asked.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.unwrap_or_default(),
            Err(_) => Duration::ZERO,
        };
        let shared = Arc::clone(&self.control.shared);
        let until = Instant::now() + deadline;
        shared.set_phase(Phase::Draining);
        self.control.stop_listening().await;
        while shared.connections.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let cut_off = shared.connections.load(Ordering::Relaxed);
        shared.set_phase(Phase::Killed);
        let Self {
            control,
            cutter,
            workers,
            journal,
            tasks,
            socket,
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
        for task in tasks {
            task.abort();
            // It was told to end; how does not matter.
            let _ = task.await;
        }
        cutter.cut(i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX));
        control.finish().await;
        drop((control, cutter));
        if let Some(journal) = Arc::into_inner(journal) {
            journal.finish();
        }
        // The next one removes it if this fails.
        let _ = std::fs::remove_file(socket);
        Drained { cut_off }
    }
}

/// Opens the control socket; one that nobody answers on is left over from a crash.
async fn bind_admin(path: &Path) -> Result<UnixListener, ProxyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |source| ProxyError::Path {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            return Err(ProxyError::AlreadyRunning {
                path: path.to_owned(),
            });
        }
        std::fs::remove_file(path).map_err(fail)?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

fn serve_admin(listener: UnixListener, control: Arc<Control>) -> tokio::task::JoinHandle<()> {
    let router = admin::router(control);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control interface ended");
        }
    })
}

fn serve_metrics(
    listener: tokio::net::TcpListener,
    control: Arc<Control>,
) -> tokio::task::JoinHandle<()> {
    let router = admin::metrics_router(control);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics interface ended");
        }
    })
}
