//! One client connection: which protocol it speaks, and how long it may take.

use super::io::{ClientIo, Clock, ConnState};
use crate::count::cutter::this_second;
use crate::exchange::{Connection, Protocol, handle};
use crate::worker::{Phase, Worker};
use bytes::BytesMut;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What an HTTP/2 client with prior knowledge says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection until its end.
pub(crate) async fn serve(
    worker: &Arc<Worker>,
    mut stream: TcpStream,
    peer: IpAddr,
    listener: SocketAddr,
) {
    let mut phase = worker.shared.phase.subscribe();
    let first = tokio::select! {
        first = tokio::time::timeout(worker.shared.limits.idle_timeout, first_bytes(&mut stream)) => first,
        _ = phase.wait_for(|phase| phase.is_killed()) => return,
    };
    let Ok(Some((protocol, first))) = first else {
        return;
    };
    let state = ConnState::new();
    let connection = Arc::new(Connection {
        worker: Arc::clone(worker),
        listener,
        peer,
        state: Arc::clone(&state),
        protocol,
    });
    match protocol {
        Protocol::Http1 => {
            let io = ClientIo::scanned(stream, Arc::clone(&state), first);
            http_1(worker, connection, io, &state).await;
        }
        Protocol::Http2 => {
            let io = ClientIo::plain(stream, Arc::clone(&state), first);
            http_2(worker, connection, io, &state).await;
        }
    }
}

/// Reads until it is clear which protocol is spoken; nothing when the client leaves.
async fn first_bytes(stream: &mut TcpStream) -> Option<(Protocol, BytesMut)> {
    let mut first = BytesMut::with_capacity(1024);
    loop {
        match stream.read_buf(&mut first).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let common = first.len().min(PREFACE.len());
        if first[..common] != PREFACE[..common] {
            return Some((Protocol::Http1, first));
        }
        if common == PREFACE.len() {
            return Some((Protocol::Http2, first));
        }
    }
}

async fn http_1(
    worker: &Arc<Worker>,
    connection: Arc<Connection>,
    io: ClientIo,
    state: &Arc<ConnState>,
) {
    let limits = &worker.shared.limits;
    let listener = connection.listener;
    let service = service_fn(move |request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(handle(connection, request).await) }
    });
    let serving = http1::Builder::new()
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let serving = std::pin::pin!(serving);
    if let Some(Err(error)) = timed(worker, state, serving, |_| Notice::None).await {
        tracing::debug!(%error, "a client's connection ended badly");
        if error.is_parse() {
            let table = worker.shared.table.load();
            let service = table.only(listener).map(|service| service.key);
            worker.shard.client_fault(this_second(), service);
        }
    }
}

async fn http_2(
    worker: &Arc<Worker>,
    connection: Arc<Connection>,
    io: ClientIo,
    state: &Arc<ConnState>,
) {
    let limits = &worker.shared.limits;
    let service = service_fn(move |request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(handle(connection, request).await) }
    });
    let head_bytes = u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX);
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_max_streams)
        .max_header_list_size(head_bytes)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .serve_connection(TokioIo::new(io), service);
    let serving = std::pin::pin!(serving);
    // The library sends GOAWAY, answers what is under way, and then ends.
    let ended = timed(worker, state, serving, |serving| {
        serving.graceful_shutdown();
        Notice::Given
    })
    .await;
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "a client's connection ended badly");
    }
}

/// Whether a client can be told that its connection ends. In HTTP/1 only an answer can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    Given,
    None,
}

/// How long a client that was told may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Drives a connection within the limits; nothing when it was ended by them.
async fn timed<C: Future>(
    worker: &Worker,
    state: &ConnState,
    mut serving: Pin<&mut C>,
    notify: impl Fn(Pin<&mut C>) -> Notice,
) -> Option<C::Output> {
    let limits = &worker.shared.limits;
    let mut phase = worker.shared.phase.subscribe();
    // Who comes when everybody has to go is served once before it is told.
    let late = *phase.borrow() != Phase::Serving;
    let has_to_go = |phase: Phase| match phase {
        Phase::Serving => false,
        Phase::Leaving => !late,
        Phase::Draining | Phase::Killed => true,
    };
    let mut notified = false;
    let mut alarm = std::pin::pin!(tokio::time::sleep(
        limits.head_timeout.min(limits.idle_timeout)
    ));
    loop {
        tokio::select! {
            biased;
            ended = serving.as_mut() => return Some(ended),
            () = alarm.as_mut() => match state.clock(limits) {
                Clock::Expired if notified || notify(serving.as_mut()) == Notice::None => return None,
                Clock::Expired => {
                    notified = true;
                    alarm.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                Clock::LookAgain(after) => alarm.as_mut().reset(tokio::time::Instant::now() + after),
            },
            () = state.used.notified(), if !notified => {
                notified = true;
                notify(serving.as_mut());
            }
            _ = phase.wait_for(|phase| phase.is_killed() || (has_to_go(*phase) && !notified)) => {
                if worker.shared.phase.borrow().is_killed() {
                    return None;
                }
                notified = true;
                notify(serving.as_mut());
            }
        }
    }
}
