//! One connection: it is served by the HTTP library until a stream begins on it.

use crate::hub::Joining;
use crate::io::{ClientIo, ConnState, Doing};
use crate::limits::Limits;
use crate::reply::Reply;
use crate::route::{self, Asked};
use crate::server::Server;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

/// A connection as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) server: Arc<Server>,
    pub(crate) peer: IpAddr,
    pub(crate) state: Arc<ConnState>,
    pub(crate) recognised: Mutex<Option<crate::access::Recognised>>,
    begins: Mutex<Option<Begins>>,
    begun: Notify,
}

/// What is needed of a stream before its socket.
#[derive(Debug)]
pub(crate) struct Begins {
    pub(crate) head: bytes::Bytes,
    pub(crate) subject: crate::table::Subject,
    pub(crate) environment: Box<str>,
    pub(crate) info: Arc<crate::hub::StreamInfo>,
    pub(crate) knows: Option<u64>,
}

impl Connection {
    /// The connection becomes a stream; its request is not answered by the library.
    pub(crate) fn become_stream(&self, begins: Begins) {
        *self.begins.lock().unwrap_or_else(PoisonError::into_inner) = Some(begins);
        self.begun.notify_one();
    }
}

/// How often a connection is looked after.
fn look_every(limits: &Limits) -> Duration {
    limits
        .head_timeout
        .min(limits.idle_timeout)
        .min(limits.write_timeout)
        .max(Duration::from_millis(50))
}

/// Serves a connection until it ends or is a stream.
pub(crate) async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    peer: IpAddr,
    mut leaving: watch::Receiver<bool>,
) {
    let state = Arc::new(ConnState::default());
    let io = ClientIo::new(stream, Arc::clone(&state));
    let connection = Arc::new(Connection {
        server: Arc::clone(&server),
        peer,
        state: Arc::clone(&state),
        recognised: Mutex::default(),
        begins: Mutex::default(),
        begun: Notify::new(),
    });
    let limits = &server.limits;
    let of_service = Arc::clone(&connection);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let connection = Arc::clone(&of_service);
        async move {
            connection.state.set(Doing::Answer);
            let reply = match route::answer(&connection, request).await {
                Asked::Answered(reply) => reply,
                // The driver takes the socket; this future is dropped with the connection.
                Asked::Stream => std::future::pending::<Reply>().await,
            };
            connection.state.set(Doing::Idle);
            Ok::<_, Infallible>(reply)
        }
    });
    let mut serving = http1::Builder::new()
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes.max(8_192))
        .header_read_timeout(None)
        .serve_connection(io, service);
    let alarm = tokio::time::sleep(look_every(limits));
    let mut alarm = std::pin::pin!(alarm);
    let mut still = Duration::ZERO;
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client's connection ended badly");
                }
                return;
            }
            () = connection.begun.notified() => break,
            () = alarm.as_mut() => {
                still = match state.take_moved() {
                    true => Duration::ZERO,
                    false => still + look_every(limits),
                };
                let most = match (state.is_clean(), state.doing()) {
                    (false, _) => limits.write_timeout,
                    (true, Doing::Idle) => limits.idle_timeout,
                    (true, Doing::Head) => limits.head_timeout,
                    // Bodies have a limit of their own.
                    (true, Doing::Answer) => Duration::MAX,
                };
                if still >= most {
                    return;
                }
                let next = tokio::time::Instant::now() + look_every(limits);
                alarm.as_mut().reset(next);
            }
            _ = leaving.wait_for(|leaving| *leaving), if !told => {
                told = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
        }
    }
    let begins = connection
        .begins
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(begins) = begins else { return };
    match serving.into_parts().io.into_inner().into_std() {
        Ok(socket) => server.shared.hub().join(Joining {
            socket,
            head: begins.head,
            subject: begins.subject,
            environment: begins.environment,
            info: begins.info,
            knows: begins.knows,
        }),
        Err(error) => tracing::warn!(%error, "an event stream cannot begin"),
    }
}
