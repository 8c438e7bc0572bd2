//! The threads that accept and answer.

use crate::conn;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::rate::Limiter;
use crate::shared::Shared;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Limits,
    pub(crate) clients: Option<Limiter>,
    pub(crate) servers: Option<Limiter>,
    pub(crate) wrong_tokens: Limiter,
    connections: AtomicUsize,
}

/// Answers on `listener` until `shutdown` is true, then lets what is under way end and ends
/// all event streams; their clients come back to whoever listens next. Threads of its own do
/// the work, so that it may be awaited on any runtime.
///
/// # Errors
/// When a thread cannot be started or the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let streams = Hub::start(&shared, &limits)?;
    let server = Arc::new(Server {
        clients: limits.client_rate.map(Limiter::new),
        servers: limits.server_rate.map(Limiter::new),
        wrong_tokens: Limiter::new(limits.wrong_token_rate),
        connections: AtomicUsize::new(0),
        shared: Arc::clone(&shared),
        limits,
    });
    let mut workers = Vec::new();
    for index in 0..Limits::threads(server.limits.workers) {
        let listener = listener.try_clone()?;
        workers.push(worker(index, listener, &server, shutdown.clone())?);
    }
    drop(listener);
    // A sender that is gone asks for the end as well.
    let _ = shutdown.wait_for(|asked| *asked).await;
    shared.hub().end();
    let ended = tokio::task::spawn_blocking(move || {
        workers
            .into_iter()
            .chain(streams)
            .all(|thread| thread.join().is_ok())
    });
    match ended.await {
        Ok(true) => Ok(()),
        _ => Err(io::Error::other("a thread of the flag server panicked")),
    }
}

fn worker(
    index: usize,
    listener: TcpListener,
    server: &Arc<Server>,
    shutdown: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = Arc::clone(server);
    std::thread::Builder::new()
        .name(format!("flags-{index}"))
        .spawn(move || {
            let drain = server.limits.drain;
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => accept(server, listener, shutdown, drain).await,
                    Err(error) => tracing::error!(%error, "flags cannot be served"),
                }
            });
        })
}

async fn accept(
    server: Arc<Server>,
    listener: tokio::net::TcpListener,
    shutdown: watch::Receiver<bool>,
    drain: Duration,
) {
    let mut asked = shutdown.clone();
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = asked.wait_for(|asked| *asked) => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let before = server.connections.fetch_add(1, Ordering::Relaxed);
                let counted = Counted(Arc::clone(&server));
                if before >= server.limits.max_connections || stream.set_nodelay(true).is_err() {
                    continue;
                }
                let leaving = shutdown.clone();
                open.spawn(async move {
                    let server = Arc::clone(&counted.0);
                    conn::serve(server, stream, peer.ip(), leaving).await;
                    drop(counted);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come free.
                tracing::warn!(%error, "a connection for flags cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let end = tokio::time::Instant::now() + drain;
    while let Ok(Some(_)) = tokio::time::timeout_at(end, open.join_next()).await {}
}

/// A connection on the server's account, for as long as this lives.
struct Counted(Arc<Server>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// Whether somebody may ask now; else how long to wait.
    pub(crate) fn may_ask(&self, server: bool, peer: std::net::IpAddr) -> Result<(), Duration> {
        let limiter = if server { &self.servers } else { &self.clients };
        match limiter {
            Some(limiter) => limiter.take(peer, Instant::now()),
            None => Ok(()),
        }
    }
}
