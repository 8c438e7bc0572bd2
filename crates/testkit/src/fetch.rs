//! One request on a connection of its own, for looking at a single answer.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Fetched {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Sends `request` to `target` over HTTP/1.1 and reads the whole answer. `Host` is the
/// target where the request has none. Sets no time limit.
///
/// # Errors
/// When no complete answer comes.
pub async fn fetch(target: SocketAddr, request: Request<&'static str>) -> io::Result<Fetched> {
    let stream = TcpStream::connect(target).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its faults are those of the request on it.
    tokio::spawn(connection);
    let mut request = request.map(Full::<Bytes>::from);
    if !request.headers().contains_key(header::HOST) {
        let host = target.to_string().try_into().map_err(io::Error::other)?;
        request.headers_mut().insert(header::HOST, host);
    }
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Fetched {
        status: head.status,
        headers: head.headers,
        body,
    })
}
