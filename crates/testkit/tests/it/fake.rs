//! A server with faults that no honest server has, over HTTP/1.1 or HTTP/2.

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Gives each new person a cookie and a version that goes with it.
pub(crate) async fn sticky(h2: bool) -> SocketAddr {
    let (listener, address) = listener().await;
    let people = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let people = Arc::clone(&people);
            let service = service_fn(move |request| {
                let answer = assign(&request, &people);
                async move { Ok::<_, Infallible>(answer) }
            });
            let stream = TokioIo::new(stream);
            tokio::spawn(async move {
                use hyper::server::conn::{http1, http2};
                if h2 {
                    let builder = http2::Builder::new(TokioExecutor::new());
                    builder.serve_connection(stream, service).await
                } else {
                    let builder = http1::Builder::new();
                    builder.serve_connection(stream, service).await
                }
            });
        }
    });
    address
}

fn assign(request: &Request<Incoming>, people: &AtomicU64) -> Response<Full<Bytes>> {
    let known = request
        .headers()
        .get(COOKIE)
        .and_then(|line| line.to_str().ok()?.strip_prefix("esclusa=")?.parse().ok());
    let person: u64 = known.unwrap_or_else(|| people.fetch_add(1, Ordering::Relaxed));
    let mut answer = Response::builder().header("x-demo-version", format!("v{}", person % 2));
    if known.is_none() {
        answer = answer.header(SET_COOKIE, format!("esclusa={person}; Path=/; HttpOnly"));
    }
    answer.body(Full::default()).expect("a response")
}

/// Does `what` with each connection once the first bytes of a request are in.
pub(crate) async fn on_request<F>(what: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 16];
            if stream.read(&mut some).await.is_ok_and(|n| n > 0) {
                tokio::spawn(what(stream));
            }
        }
    });
    address
}
