//! Clients that never send anything twice, and what became of what they sent.

use super::pieces::Pieces;
use super::versions::{PIECE, PIECES};
use crate::Random;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longest wait for anything; only what hangs takes so long.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest pause of a client that keeps its connection.
const IDLE_MS: u64 = 400;

/// What a client does, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Requests on one kept connection, with pauses.
    KeepAlive,
    /// The same over HTTP/2.
    Http2,
    /// Each request on a connection of its own.
    Fresh,
    /// Bodies sent over seconds.
    Upload,
    /// Answers read over seconds.
    Download,
    /// Frames to and fro on a WebSocket.
    WebSocket,
}

/// All kinds.
pub const KINDS: [Kind; 6] = [
    Kind::KeepAlive,
    Kind::Http2,
    Kind::Fresh,
    Kind::Upload,
    Kind::Download,
    Kind::WebSocket,
];

/// What clients of one kind saw.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// Answers that were complete and 200, or frames that came back.
    pub good: u64,
    /// Everything else that was asked for.
    pub failed: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections whose end was announced in the words of the protocol.
    pub sent_away: u64,
    /// Connections that ended while nothing was asked on them. No failure, but each was a
    /// request away from one.
    pub closed_idle: u64,
    /// The first failures, in words.
    pub examples: Vec<String>,
}

/// What all clients saw, by kind.
#[derive(Debug, Clone, Default)]
pub struct Tally(pub BTreeMap<Kind, Sum>);

impl Tally {
    /// Failures and refusals of all kinds.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.values().map(|sum| sum.failed + sum.refused).sum()
    }

    /// Good answers of all kinds.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.0.values().map(|sum| sum.good).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>9} {:>7} {:>8} {:>10} {:>12}",
            "client", "good", "failed", "refused", "sent away", "closed idle"
        )?;
        for (kind, sum) in &self.0 {
            writeln!(
                f,
                "{:<10} {:>9} {:>7} {:>8} {:>10} {:>12}",
                format!("{kind:?}"),
                sum.good,
                sum.failed,
                sum.refused,
                sum.sent_away,
                sum.closed_idle
            )?;
            for example in &sum.examples {
                writeln!(f, "    {example}")?;
            }
        }
        Ok(())
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Clients {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts `each` clients of every kind in `kinds` against `address`.
    #[must_use]
    pub fn start(address: SocketAddr, kinds: &[Kind], each: u64) -> Self {
        let (tally, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for kind in kinds {
            for seed in 0..each {
                let client = Client {
                    address,
                    kind: *kind,
                    tally: Arc::clone(&tally),
                    stop: Arc::clone(&stop),
                    random: Random::new(seed + 1),
                };
                tasks.push(tokio::spawn(client.run()));
            }
        }
        Self { tally, stop, tasks }
    }

    /// What they saw up to now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets each finish what it has begun; what all of them saw.
    pub async fn finish(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            // A client that panics is a bug of the harness; its counts remain.
            let _ = task.await;
        }
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }
}

type Body = Either<Full<Bytes>, Pieces>;

fn empty() -> Body {
    Either::Left(Full::new(Bytes::new()))
}

/// What ended a connection.
enum Gone {
    Announced,
    Idle,
    Failed(String),
}

struct Client {
    address: SocketAddr,
    kind: Kind,
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    random: Random,
}

impl Client {
    fn note(&self, change: impl FnOnce(&mut Sum)) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        change(tally.0.entry(self.kind).or_default());
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn run(mut self) {
        while !self.stopped() {
            let stream = match TcpStream::connect(self.address).await {
                Ok(stream) => stream,
                Err(error) => {
                    self.note(|sum| {
                        sum.refused += 1;
                        example(sum, format!("connect: {error}"));
                    });
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            // Slower when it fails, but never wrong.
            let _ = stream.set_nodelay(true);
            let used = async {
                match self.kind {
                    Kind::WebSocket => self.frames(stream).await,
                    Kind::Http2 => self.http2(stream).await,
                    _ => self.http1(stream).await,
                }
            };
            let gone = match tokio::time::timeout(LIMIT, used).await {
                Ok(gone) => gone,
                Err(_) => Gone::Failed(format!("nothing for {LIMIT:?}")),
            };
            self.note(|sum| match gone {
                Gone::Announced => sum.sent_away += 1,
                Gone::Idle => sum.closed_idle += 1,
                Gone::Failed(why) => {
                    sum.failed += 1;
                    example(sum, why);
                }
            });
        }
    }

    async fn pause(&mut self) {
        let pause = self.random.below(IDLE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Uses one connection for half the limit at most, so that the limit means a hang.
    async fn http1(&mut self, stream: TcpStream) -> Gone {
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else {
            return Gone::Failed("handshake".into());
        };
        tokio::spawn(connection);
        let until = tokio::time::Instant::now() + LIMIT / 2;
        loop {
            if sender.ready().await.is_err() {
                return Gone::Idle;
            }
            if self.stopped() || tokio::time::Instant::now() > until {
                return Gone::Announced;
            }
            let mut request = self.request();
            request
                .headers_mut()
                .insert("host", http::HeaderValue::from_static("shop.example"));
            let closes = match self.judge(sender.send_request(request).await).await {
                Ok(closes) => closes,
                Err(why) => return Gone::Failed(why),
            };
            if closes || self.kind == Kind::Fresh {
                return Gone::Announced;
            }
            self.pause().await;
        }
    }

    async fn http2(&mut self, stream: TcpStream) -> Gone {
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let Ok((mut sender, connection)) = shaken else {
            return Gone::Failed("handshake".into());
        };
        let ended = tokio::spawn(connection);
        let until = tokio::time::Instant::now() + LIMIT / 2;
        loop {
            // A connection that is being ended in order (GOAWAY) takes no new request.
            if sender.ready().await.is_err() {
                return match ended.await {
                    Ok(Ok(())) => Gone::Announced,
                    _ => Gone::Idle,
                };
            }
            if self.stopped() || tokio::time::Instant::now() > until {
                return Gone::Announced;
            }
            let mut request = self.request();
            let path = request.uri().path().to_owned();
            let Ok(uri) = format!("http://shop.example{path}").parse() else {
                return Gone::Failed("the address is no address".into());
            };
            *request.uri_mut() = uri;
            let answer = match sender.try_send_request(request).await {
                Ok(response) => Ok(response),
                Err(mut error) => {
                    if error.take_message().is_some() || is_announced_end(error.error()) {
                        return Gone::Announced;
                    }
                    Err(error.into_error())
                }
            };
            if let Err(why) = self.judge(answer).await {
                return Gone::Failed(why);
            }
            self.pause().await;
        }
    }

    fn request(&self) -> Request<Body> {
        let (method, path, body) = match self.kind {
            Kind::Upload => (Method::POST, "/upload", slow_body()),
            Kind::Download => (Method::GET, "/download", empty()),
            _ => (Method::GET, "/", empty()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static(path);
        request
    }

    /// Reads an answer to its end; whether it was the last on its connection.
    async fn judge(
        &self,
        answer: Result<Response<Incoming>, hyper::Error>,
    ) -> Result<bool, String> {
        let response = answer.map_err(|error| format!("{:?}: {error:?}", self.kind))?;
        let status = response.status();
        let closes = response
            .headers()
            .get("connection")
            .is_some_and(|value| value == "close");
        let body = response.into_body().collect().await;
        let body = body
            .map_err(|error| format!("the answer broke off: {error:?}"))?
            .to_bytes();
        let wanted = match self.kind {
            Kind::Upload => body == format!("{}", PIECE * PIECES).as_bytes(),
            Kind::Download => body.len() == PIECE * PIECES,
            _ => body == b"ok".as_slice(),
        };
        if status != 200 || !wanted {
            let body = String::from_utf8_lossy(&body)
                .chars()
                .take(80)
                .collect::<String>();
            return Err(format!("{status}: {body}"));
        }
        self.note(|sum| sum.good += 1);
        Ok(closes)
    }

    /// Sends frames and wants each back, until it is sent away with a close frame.
    async fn frames(&mut self, mut stream: TcpStream) -> Gone {
        let head = "GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        if let Err(error) = stream.write_all(head.as_bytes()).await {
            return Gone::Failed(format!("the upgrade: {error}"));
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(error) => return Gone::Failed(format!("the upgrade's answer: {error}")),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            return Gone::Failed(String::from_utf8_lossy(&answer).chars().take(80).collect());
        }
        let until = tokio::time::Instant::now() + LIMIT / 2;
        while !self.stopped() && tokio::time::Instant::now() < until {
            // A text frame of four bytes under a mask of zeros.
            let frame = [&[0x81, 0x84, 0, 0, 0, 0], b"ping".as_slice()].concat();
            // What is sent after a close frame is nobody's to answer; the read tells.
            let sent = stream.write_all(&frame).await;
            let mut head = [0; 2];
            if let Err(error) = stream.read_exact(&mut head).await {
                return Gone::Failed(format!("no frame came back: {error} {sent:?}"));
            }
            let mut payload = vec![0; usize::from(head[1] & 0x7f)];
            if let Err(error) = stream.read_exact(&mut payload).await {
                return Gone::Failed(format!("half a frame came back: {error}"));
            }
            match (head[0], payload.as_slice()) {
                (0x81, b"ping") => self.note(|sum| sum.good += 1),
                (0x88, [0x03, 0xe9, ..]) => return Gone::Announced,
                other => return Gone::Failed(format!("an unexpected frame: {other:?}")),
            }
            self.pause().await;
        }
        Gone::Announced
    }
}

/// Whether a request was not sent, or not looked at, because the connection was ended in
/// order: GOAWAY without an error. The protocol promises that nobody acted on it, and the
/// library tells a request that it had not sent yet in the same way.
fn is_announced_end(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
}

fn example(sum: &mut Sum, text: String) {
    if sum.examples.len() < 3 {
        sum.examples.push(text);
    }
}

fn slow_body() -> Body {
    let pause = Duration::from_millis(20);
    Either::Right(Pieces::slowly(&[b'u'; PIECE], PIECES, pause))
}
