//! Real connections, kept alive, opened when none is free.
//!
//! A connection that turns out closed before the request's first byte left is replaced:
//! the request was never sent, so this is no retry. After that, whatever happens counts.

use super::Protocol;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;

type Body = Full<Bytes>;

/// HTTP/2 connections that all requests share.
const H2_CONNECTIONS: usize = 4;
/// Closed connections that one request may come across before it counts as failed.
const MAX_UNSENT: usize = 20;

/// What kept a reply from coming or being complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In one word: connect, reset, body, timeout.
    pub(crate) kind: &'static str,
    /// In many.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, error: &dyn std::error::Error) -> Self {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        Self { kind, detail }
    }
}

/// A complete reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

#[derive(Debug)]
pub(crate) struct Connections {
    target: SocketAddr,
    protocol: Protocol,
    idle: Mutex<Vec<http1::SendRequest<Body>>>,
    shared: [tokio::sync::Mutex<Option<http2::SendRequest<Body>>>; H2_CONNECTIONS],
    turn: AtomicUsize,
    opened: AtomicU64,
}

impl Connections {
    pub(crate) fn new(target: SocketAddr, protocol: Protocol) -> Self {
        Self {
            target,
            protocol,
            idle: Mutex::default(),
            shared: Default::default(),
            turn: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// Connections opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends once and reads the reply to its end.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Result<Reply, Failure> {
        for _ in 0..MAX_UNSENT {
            let sent = match self.protocol {
                Protocol::H1 => self.send_h1(request).await,
                Protocol::H2c => self.send_h2(request).await,
            };
            match sent {
                Sent::Answered(answer) => return answer,
                Sent::Never(back) => request = *back,
            }
        }
        Err(Failure {
            kind: "connect",
            detail: format!("{MAX_UNSENT} connections were closed before anything was sent"),
        })
    }

    async fn send_h1(&self, request: Request<Body>) -> Sent {
        let mut sender = match self.idle_or_new().await {
            Ok(sender) => sender,
            Err(failure) => return Sent::Answered(Err(failure)),
        };
        let reply = match sender.try_send_request(request).await {
            Ok(response) => finish(response).await,
            Err(error) => return Sent::after(error),
        };
        if !sender.is_closed() {
            self.idle().push(sender);
        }
        Sent::Answered(reply)
    }

    async fn send_h2(&self, request: Request<Body>) -> Sent {
        let slot = self.turn.fetch_add(1, Ordering::Relaxed) % H2_CONNECTIONS;
        let mut sender = {
            let mut slot = self.shared[slot].lock().await;
            match slot.as_ref().filter(|sender| !sender.is_closed()) {
                Some(sender) => sender.clone(),
                None => match self.open_h2().await {
                    Ok(sender) => slot.insert(sender).clone(),
                    Err(failure) => return Sent::Answered(Err(failure)),
                },
            }
        };
        if sender.ready().await.is_err() {
            return Sent::Never(Box::new(request));
        }
        match sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(finish(response).await),
            Err(error) => Sent::after(error),
        }
    }

    async fn idle_or_new(&self) -> Result<http1::SendRequest<Body>, Failure> {
        loop {
            let Some(mut sender) = self.idle().pop() else {
                return self.open_h1().await;
            };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<http1::SendRequest<Body>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open_h1(&self) -> Result<http1::SendRequest<Body>, Failure> {
        let stream = self.open().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new("connect", &error))?;
        // Its end is seen by the requests on it.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn open_h2(&self) -> Result<http2::SendRequest<Body>, Failure> {
        let stream = self.open().await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new("connect", &error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn open(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.target)
            .await
            .map_err(|error| Failure::new("connect", &error))?;
        // Slower when it fails, but never wrong.
        let _ = stream.set_nodelay(true);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }
}

enum Sent {
    /// It left, and this came of it; or no connection could be made.
    Answered(Result<Reply, Failure>),
    /// It never left.
    Never(Box<Request<Body>>),
}

impl Sent {
    fn after(mut error: TrySendError<Request<Body>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Never(Box::new(request)),
            None => Self::Answered(Err(broken(&error.into_error()))),
        }
    }
}

async fn finish(response: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = response.into_parts();
    body.collect()
        .await
        .map_err(|error| Failure::new("body", &error))?;
    Ok(Reply {
        status: head.status,
        headers: head.headers,
    })
}

fn broken(error: &hyper::Error) -> Failure {
    let refused = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| cause.kind() == ErrorKind::ConnectionRefused);
    Failure::new(if refused { "connect" } else { "reset" }, error)
}
