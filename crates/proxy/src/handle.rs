//! Starts a proxy, and ends it in order.

use crate::config::ProxyConfig;
use crate::error::ProxyError;
use crate::running::{Running, Setup};
use crate::worker::Shared;
use esclusa_model::BootId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
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
    /// How it ended by itself.
    drained: Option<Drained>,
    thread: Option<JoinHandle<()>>,
}

/// How an orderly end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that the deadline cut off: those of requests still running, and of
    /// clients that kept an unused connection open.
    pub cut_off: usize,
}

/// Runs a proxy until `shutdown`, then drains it for at most `deadline`. Returns by itself
/// when another process has taken over and what was open here has ended.
///
/// # Errors
/// [`ProxyError`] when it cannot start.
pub async fn run(
    config: ProxyConfig,
    shutdown: impl Future<Output = ()>,
    deadline: Duration,
) -> Result<Drained, ProxyError> {
    let mut handle = Proxy::start(config)?;
    tokio::select! {
        () = shutdown => {}
        () = handle.gone() => {}
    }
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
            drained: None,
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
        self.gone().await;
        self.join().await;
        self.drained.unwrap_or(Drained { cut_off: 0 })
    }

    /// Waits until it has ended by itself, after another process has taken over. Nothing
    /// is lost when this is dropped before it is done.
    pub async fn gone(&mut self) {
        if let Some(ended) = &mut self.ended {
            self.drained = ended.await.ok();
            self.ended = None;
        }
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
