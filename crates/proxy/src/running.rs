//! The control thread's life: everything is started, runs, and is ended in order.

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
use crate::handle::Drained;
use crate::worker::{self, Phase, Shared, WorkerHandle};
use esclusa_model::BootId;
use esclusa_wire::{Hello, WIRE_VERSION};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::watch;

/// What a proxy is made of.
pub(crate) struct Setup {
    pub(crate) config: ProxyConfig,
    pub(crate) boot: BootId,
    pub(crate) shared: Arc<Shared>,
}

/// A proxy at work, as its control thread holds it.
pub(crate) struct Running {
    control: Arc<Control>,
    cutter: Arc<Cutter>,
    workers: Vec<WorkerHandle>,
    journal: Arc<Journal>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    socket: PathBuf,
}

impl Running {
    pub(crate) async fn start(setup: Setup) -> Result<Self, ProxyError> {
        let Setup {
            config,
            boot,
            shared,
        } = setup;
        let started = Instant::now();
        let admin = bind_admin(&config.admin_socket).await?;
        let metrics = bind_metrics(config.metrics_listen).await?;
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
    pub(crate) async fn until(self, mut asked: watch::Receiver<Option<Duration>>) -> Drained {
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
        // First, so that what is cut off is counted as the proxy's doing.
        self.cutter.shards.iter().for_each(|shard| shard.end());
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
        journal.finish();
        // The next one removes it if this fails.
        let _ = std::fs::remove_file(socket);
        Drained { cut_off }
    }
}

async fn bind_metrics(
    address: Option<std::net::SocketAddr>,
) -> Result<Option<tokio::net::TcpListener>, ProxyError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = tokio::net::TcpListener::bind(address).await;
    bound
        .map(Some)
        .map_err(|source| ProxyError::Metrics { address, source })
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
