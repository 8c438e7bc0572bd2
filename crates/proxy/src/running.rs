//! The control thread's life: everything is started, runs, and is ended in order.

use crate::config::ProxyConfig;
use crate::control::admin;
use crate::control::holder::HolderLink;
use crate::control::listeners::Listeners;
use crate::control::state::{Control, Parts, Persisters};
use crate::count::cutter::{Cutter, Others};
use crate::count::journal::{self, Journal};
use crate::count::store::SliceStore;
use crate::count::totals::Totals;
use crate::ending::Ending;
use crate::error::ProxyError;
use crate::hand_over::leader::{self, Belongings};
use crate::hand_over::newcomer::{self, InCharge};
use crate::hand_over::{FdStream, follower};
use crate::handle::Drained;
use crate::left::Left;
use crate::place::Place;
use crate::worker::{self, Shared, WorkerHandle};
use esclusa_model::BootId;
use esclusa_wire::{Hello, WIRE_VERSION};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long open connections of the flag server have to end.
const FLAGS_END: Duration = Duration::from_secs(5);

/// What a proxy is made of.
pub(crate) struct Setup {
    pub(crate) config: ProxyConfig,
    pub(crate) boot: BootId,
    pub(crate) shared: Arc<Shared>,
}

/// A proxy at work, as its control thread holds it.
pub(crate) struct Running {
    control: Arc<Control>,
    ending: Ending,
    /// End with being in charge.
    in_charge: Vec<JoinHandle<()>>,
    flag_server: Option<FlagServer>,
    exposures: Arc<esclusa_ofrep::Exposures>,
    handing_over: JoinHandle<Option<FdStream>>,
    /// End with the process.
    tasks: Vec<JoinHandle<()>>,
    folder: PathBuf,
    sockets: Vec<PathBuf>,
    hand_over_drain: Duration,
}

impl Running {
    pub(crate) async fn start(setup: Setup) -> Result<Self, ProxyError> {
        let Setup {
            mut config,
            boot,
            shared,
        } = setup;
        let started = Instant::now();
        let folder = config.data_dir.clone();
        let slices = folder.join("slices");
        let left = journal::load(&slices, &boot)?;
        let journal = Arc::new(Journal::start(&slices, &boot, &left)?);
        let store = Arc::new(SliceStore::new(
            boot.clone(),
            config.limits.slice_seconds,
            left.slices,
            left.unreadable,
        ));
        let totals = Arc::new(Mutex::new(Totals::default()));
        let workers = spawn_workers(config.workers, &shared)?;
        // Last, because whoever hands over stands still from here on.
        let mut place = Place::have(&mut config, &boot).await?;
        store.add_lost(place.lost);
        let control = Arc::new(Control::new(Parts {
            shared: Arc::clone(&shared),
            hello: Hello {
                v: WIRE_VERSION,
                proxy: config.id.clone(),
                boot,
                pid: std::process::id(),
            },
            store: Arc::clone(&store),
            journal: Arc::clone(&journal),
            totals: Arc::clone(&totals),
            listeners: Listeners::new(
                workers.iter().map(|w| w.commands.clone()).collect(),
                std::mem::take(&mut place.inherited),
            ),
        }));
        store.expect_others(left.live || place.predecessor.is_some());
        let cutter = Arc::new(Cutter {
            shared,
            shards: workers.iter().map(|w| Arc::clone(&w.shard)).collect(),
            store,
            journal: Arc::clone(&journal),
            totals,
            started,
            others: Others::new(left.reader, Arc::clone(&control.followers)),
            in_hand: Mutex::default(),
        });
        let ending = Ending {
            control: Arc::clone(&control),
            cutter,
            workers,
            journal,
        };
        Self::serve(config, place, control, ending).await
    }

    /// Begins to accept, then to be in charge.
    async fn serve(
        config: ProxyConfig,
        place: Place,
        control: Arc<Control>,
        ending: Ending,
    ) -> Result<Self, ProxyError> {
        let folder = config.data_dir;
        let exposures = crate::exposures::start(&folder, &control.shared.flags);
        let exposures = exposures.map_err(ProxyError::Worker)?;
        // Before anything is served: a guard must stand before its first request.
        control.restore_flags(place.flags).await;
        let mut left = Left::new(&folder);
        let states = control.begin_with_left(left.news(), place.states).await;
        control.restore(states).await;
        let mut tasks = Vec::new();
        let lock = match place.predecessor {
            None => place.lock,
            Some(stream) => match newcomer::conclude(&folder, stream, place.lock).await? {
                InCharge::Us(lock, led) => {
                    tasks.extend(led.map(|stream| lead(stream, &control)));
                    lock
                }
                InCharge::Other(why) => {
                    ending.give_back().await;
                    return Err(ProxyError::NotHandedOver(why));
                }
            },
        };
        let link = config.holder.map(HolderLink::start).transpose()?;
        control
            .take_charge(lock, Persisters::start(&folder)?, link)
            .await;
        let belongings = Belongings {
            control: place.control.try_clone().map_err(ProxyError::Worker)?,
            hand_over: place.hand_over.try_clone().map_err(ProxyError::Worker)?,
            metrics: copy(place.metrics.as_ref())?,
            flags: copy(place.flags_socket.as_ref())?,
        };
        let flag_server = place
            .flags_socket
            .map(|socket| FlagServer::start(socket, &control));
        let admin = tokio::net::UnixListener::from_std(place.control);
        let next = tokio::net::UnixListener::from_std(place.hand_over);
        let metrics = place.metrics.map(tokio::net::TcpListener::from_std);
        let mut in_charge = vec![serve_admin(
            admin.map_err(ProxyError::Worker)?,
            Arc::clone(&control),
        )];
        if let Some(listener) = metrics.transpose().map_err(ProxyError::Worker)? {
            in_charge.push(serve_metrics(listener, Arc::clone(&control)));
        }
        let handing_over = tokio::spawn(leader::serve(
            next.map_err(ProxyError::Worker)?,
            Arc::clone(&control),
            Arc::new(belongings),
        ));
        let (ticking, watching) = (Arc::clone(&ending.cutter), Arc::clone(&control));
        tasks.push(tokio::spawn(async move { ticking.run().await }));
        tasks.push(tokio::spawn(async move { watching.watch().await }));
        let reading = Arc::clone(&control);
        tasks.push(tokio::spawn(async move { reading.read_keys().await }));
        let looking = Arc::clone(&control);
        tasks.push(tokio::spawn(
            async move { looking.look_for_left(left).await },
        ));
        Ok(Self {
            control,
            ending,
            in_charge,
            flag_server,
            exposures,
            handing_over,
            tasks,
            sockets: vec![config.admin_socket, folder.join(crate::hand_over::SOCKET)],
            folder,
            hand_over_drain: config.hand_over_drain,
        })
    }

    /// Runs until asked to end, or until another has taken over, then ends.
    pub(crate) async fn until(self, asked: watch::Receiver<Option<Duration>>) -> Drained {
        let Self {
            control,
            ending,
            mut in_charge,
            flag_server,
            exposures,
            mut handing_over,
            mut tasks,
            folder,
            mut sockets,
            hand_over_drain,
        } = self;
        let mut told_to_end = asked.clone();
        let told_to_end = told(&mut told_to_end);
        let mut told_to_end = std::pin::pin!(told_to_end);
        let mut draining: Option<Pin<Box<dyn Future<Output = usize> + Send + '_>>> = None;
        let mut away = false;
        let cut_off = loop {
            tokio::select! {
                cut_off = drained(&mut draining) => break cut_off,
                deadline = &mut told_to_end, if draining.is_none() => {
                    draining = Some(Box::pin(ending.drain(deadline)));
                }
                given = &mut handing_over, if !away => {
                    away = true;
                    let (true, Ok(Some(stream))) = (control.is_away(), given) else {
                        tracing::error!("this proxy can no longer hand over");
                        continue;
                    };
                    // Not ours any more; who speaks to us there is sent on by what still runs.
                    in_charge.drain(..).for_each(|task| task.abort());
                    if let Some(server) = &flag_server {
                        server.end();
                    }
                    sockets.clear();
                    ending.cutter.leave_others();
                    tasks.push(follow(stream, &control, &folder));
                    if draining.is_none() {
                        let drain = ending.drain_shared(hand_over_drain, asked.clone());
                        draining = Some(Box::pin(drain));
                    }
                }
            }
        };
        drop(draining);
        handing_over.abort();
        if let Some(server) = flag_server {
            server.ended().await;
        }
        for task in in_charge.into_iter().chain(tasks) {
            task.abort();
            // It was told to end; how does not matter.
            let _ = task.await;
        }
        crate::exposures::finish(exposures).await;
        ending.last_words().await;
        for socket in sockets {
            // The next one removes it if this fails.
            let _ = std::fs::remove_file(socket);
        }
        Drained { cut_off }
    }
}

async fn drained(draining: &mut Option<Pin<Box<dyn Future<Output = usize> + Send + '_>>>) -> usize {
    match draining {
        Some(draining) => draining.await,
        None => std::future::pending().await,
    }
}

fn follow(stream: FdStream, control: &Arc<Control>, folder: &Path) -> JoinHandle<()> {
    let (control, folder) = (Arc::clone(control), folder.to_owned());
    tokio::spawn(async move { follower::follow(control, stream, &folder).await })
}

/// The time that the end may take, once it is asked for.
pub(crate) async fn told(asked: &mut watch::Receiver<Option<Duration>>) -> Duration {
    // An error means that the handle is gone, which asks for the same.
    match asked.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_default(),
        Err(_) => Duration::ZERO,
    }
}

fn spawn_workers(wanted: usize, shared: &Arc<Shared>) -> Result<Vec<WorkerHandle>, ProxyError> {
    let count = match wanted {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    };
    (0..count).map(|n| worker::spawn(n, shared)).collect()
}

fn lead(stream: FdStream, control: &Arc<Control>) -> JoinHandle<()> {
    // At once: no change may pass it by.
    // Whether it knows flags shows when it is told of them.
    let joined = control.followers.join(true);
    let control = Arc::clone(control);
    tokio::spawn(async move {
        if let Err(error) = leader::lead(stream, &control, joined).await {
            tracing::debug!(%error, "the predecessor is gone");
        }
    })
}

fn serve_admin(listener: tokio::net::UnixListener, control: Arc<Control>) -> JoinHandle<()> {
    let router = admin::router(control);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control interface ended");
        }
    })
}

fn copy(
    socket: Option<&std::net::TcpListener>,
) -> Result<Option<std::net::TcpListener>, ProxyError> {
    let copy = socket.map(std::net::TcpListener::try_clone);
    copy.transpose().map_err(ProxyError::Worker)
}

/// Answers flags, in threads of its own.
struct FlagServer {
    ending: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl FlagServer {
    fn start(socket: std::net::TcpListener, control: &Arc<Control>) -> Self {
        let flags = Arc::clone(&control.shared.flags);
        let (ending, ended) = watch::channel(false);
        let limits = esclusa_ofrep::Limits::default();
        let serving = tokio::spawn(async move {
            if let Err(error) = esclusa_ofrep::serve(socket, flags, limits, ended).await {
                tracing::error!(%error, "flags are no longer answered");
            }
        });
        Self { ending, serving }
    }

    /// Asks it to end; streams come back to whoever listens next.
    fn end(&self) {
        self.ending.send_replace(true);
    }

    async fn ended(self) {
        self.end();
        // It was told to end; how does not matter.
        let _ = tokio::time::timeout(FLAGS_END, self.serving).await;
    }
}

fn serve_metrics(listener: tokio::net::TcpListener, control: Arc<Control>) -> JoinHandle<()> {
    let router = admin::metrics_router(control);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics interface ended");
        }
    })
}
