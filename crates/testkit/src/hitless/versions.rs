//! Versions for clients of all kinds.

use super::pieces::Pieces;
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Pieces of a long download, and the pause before each.
pub const PIECES: usize = 40;
/// Bytes of one piece.
pub const PIECE: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(25);

type Body = Either<Full<Bytes>, Pieces>;

/// Starts a version that names itself in `x-version`; it ends with the program.
///
/// `/upload` answers with the number of bytes that it got, `/download` with
/// [`PIECES`]·[`PIECE`] bytes over seconds, `/ws` echoes frames, everything else is `ok`.
///
/// # Errors
/// When no port can be had.
pub async fn start(name: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(name, stream));
        }
    });
    Ok(address)
}

async fn serve(name: &'static str, stream: TcpStream) {
    // Slower when it fails, but never wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| async move {
        let mut response = answer(request).await;
        let headers = response.headers_mut();
        headers.insert("x-version", HeaderValue::from_static(name));
        Ok::<_, Infallible>(response)
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // Whoever lets go of a connection is no news.
    let _ = serving.await;
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/upload" => {
            let body = request.into_body().collect().await;
            match body.map(|body| body.to_bytes().len()) {
                Ok(length) => whole(StatusCode::OK, length.to_string()),
                Err(_) => whole(StatusCode::BAD_REQUEST, String::new()),
            }
        }
        "/download" => {
            let body = Pieces::slowly(&[b'd'; PIECE], PIECES, PAUSE);
            Response::new(Either::Right(body))
        }
        "/ws" => upgrade(request),
        _ => whole(StatusCode::OK, "ok".to_owned()),
    }
}

fn whole(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
}

fn upgrade(mut request: Request<Incoming>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            // How it ends is the client's to judge.
            let _ = echo(TokioIo::new(stream)).await;
        }
    });
    let mut response = whole(StatusCode::SWITCHING_PROTOCOLS, String::new());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// Echoes short frames, and answers a close frame with one.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let [first, second] = head;
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::from(second & 0x7f)];
        stream.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let mut frame = vec![first, second & 0x7f];
        frame.extend(payload);
        stream.write_all(&frame).await?;
        if first & 0x0f == 8 {
            return stream.shutdown().await;
        }
    }
}
