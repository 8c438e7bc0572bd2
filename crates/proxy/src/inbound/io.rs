//! A client's socket as the HTTP library sees it: scanned, held back, timed.
//!
//! It hands out the client's bytes unchanged, or withholds them. What it writes is the
//! library's, and what [`super::early`] has for the client in between.

use super::early::Early;
use super::framing::{Scan, Scanner, Verdict};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How much is read and thrown away before a socket with unread bytes is closed, so that
/// the client can read its answer first.
const LINGER_BYTES: usize = 256 * 1024;
/// And for how long.
const LINGER_FOR: Duration = Duration::from_millis(500);

/// How the bytes after an upgrade request are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// As HTTP.
    Http,
    /// Not known yet: held back.
    Held,
    /// As whatever was upgraded to.
    Tunnel,
}

#[derive(Debug)]
struct Turnstile {
    verdicts: VecDeque<Verdict>,
    gate: Gate,
    waker: Option<Waker>,
}

/// What a connection's socket, its service and its clock tell each other.
#[derive(Debug)]
pub(crate) struct ConnState {
    turnstile: Mutex<Turnstile>,
    born: Instant,
    /// Requests whose response is not complete.
    active: AtomicUsize,
    /// Milliseconds since `born` at the end of the last request or byte of a head; the
    /// other marks likewise, 0 for "not now".
    quiet_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    tunnelled: AtomicBool,
    pub(crate) early: Early,
    /// Told once a request of a connection that has to end was answered.
    pub(crate) used: Notify,
}

/// Which bound a connection has passed, or when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    LookAgain(Duration),
    Expired,
}

impl ConnState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            turnstile: Mutex::new(Turnstile {
                verdicts: VecDeque::new(),
                gate: Gate::Http,
                waker: None,
            }),
            born: Instant::now(),
            active: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            tunnelled: AtomicBool::new(false),
            early: Early::default(),
            used: Notify::new(),
        })
    }

    fn turnstile(&self) -> MutexGuard<'_, Turnstile> {
        self.turnstile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict on the request that the service is called with; they come in order.
    pub(crate) fn take_verdict(&self) -> Option<Verdict> {
        self.turnstile().verdicts.pop_front()
    }

    /// Lets the bytes behind an upgrade request through.
    pub(crate) fn open_gate(&self, tunnel: bool) {
        let mut turnstile = self.turnstile();
        turnstile.gate = if tunnel { Gate::Tunnel } else { Gate::Http };
        self.tunnelled.fetch_or(tunnel, Ordering::Relaxed);
        if let Some(waker) = turnstile.waker.take() {
            waker.wake();
        }
    }

    fn now(&self) -> u64 {
        // One is added so that 0 always means "not now".
        u64::try_from(self.born.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// A request has begun.
    pub(crate) fn enter(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// A request's response is complete, or given up.
    pub(crate) fn leave(&self) {
        self.quiet_since.store(self.now(), Ordering::Relaxed);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a request is being answered.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// Compares the marks with the limits.
    pub(crate) fn clock(&self, limits: &crate::Limits) -> Clock {
        let now = self.now();
        // What is left of a bound that began at a mark.
        let left = |mark: u64, bound: Duration| {
            bound.saturating_sub(Duration::from_millis(now.saturating_sub(mark)))
        };
        let mut next = limits.write_timeout;
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        if blocked > 0 {
            next = next.min(left(blocked, limits.write_timeout));
        }
        if !self.is_active() && !self.tunnelled.load(Ordering::Relaxed) {
            let head = self.head_since.load(Ordering::Relaxed);
            next = next.min(if head > 0 {
                left(head, limits.head_timeout)
            } else {
                // A head could begin right after this look.
                left(
                    self.quiet_since.load(Ordering::Relaxed),
                    limits.idle_timeout,
                )
                .min(limits.head_timeout)
            });
        }
        let expired = next.is_zero();
        if expired {
            Clock::Expired
        } else {
            Clock::LookAgain(next.max(Duration::from_millis(5)))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Scan,
    Pass,
    /// Nothing more is handed out.
    Stopped,
    /// The next read fails: the coding of a body is broken.
    Broken,
}

/// The socket.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TcpStream,
    state: Arc<ConnState>,
    scanner: Scanner,
    mode: Mode,
    /// Bytes read from the socket and not handed out yet.
    held: BytesMut,
    /// The rest of an early answer that has begun to be written.
    begun: Bytes,
    linger: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    left: usize,
    until: Pin<Box<tokio::time::Sleep>>,
}

impl ClientIo {
    /// A socket that carries HTTP/1.
    pub(crate) fn scanned(stream: TcpStream, state: Arc<ConnState>, first: BytesMut) -> Self {
        Self {
            stream,
            state,
            scanner: Scanner::new(),
            mode: Mode::Scan,
            held: first,
            begun: Bytes::new(),
            linger: None,
        }
    }

    /// A socket whose protocol marks its own borders, such as HTTP/2.
    pub(crate) fn plain(stream: TcpStream, state: Arc<ConnState>, first: BytesMut) -> Self {
        Self {
            stream,
            state,
            scanner: Scanner::new(),
            mode: Mode::Pass,
            held: first,
            begun: Bytes::new(),
            linger: None,
        }
    }

    /// Scans what was just put into `buf` behind `before` and cuts off what must wait.
    fn scan(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let state = &self.state;
        let fresh = &buf.filled()[before..];
        let scan = self.scanner.scan(fresh, |verdict| {
            let mut turnstile = state.turnstile();
            if verdict == Verdict::Upgrade {
                turnstile.gate = Gate::Held;
            }
            turnstile.verdicts.push_back(verdict);
        });
        let keep = match scan {
            Scan::All => fresh.len(),
            Scan::HoldAfter(n) => n,
            Scan::StopAfter(n) => {
                self.mode = Mode::Stopped;
                n
            }
            Scan::FailAfter(n) => {
                self.mode = Mode::Broken;
                n
            }
        };
        if scan == Scan::HoldAfter(keep) && keep < fresh.len() {
            let mut rest = BytesMut::from(&fresh[keep..]);
            rest.unsplit(std::mem::take(&mut self.held));
            self.held = rest;
        }
        buf.set_filled(before + keep);
        let head = if self.scanner.inside_head() {
            match state.head_since.load(Ordering::Relaxed) {
                0 => state.now(),
                since => since,
            }
        } else {
            0
        };
        state.head_since.store(head, Ordering::Relaxed);
    }

    /// While the gate is shut: notices that the client leaves, keeps what it sends.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let gate = {
            let mut turnstile = self.state.turnstile();
            if turnstile.gate == Gate::Held {
                turnstile.waker = Some(cx.waker().clone());
            }
            turnstile.gate
        };
        match gate {
            Gate::Http => return Poll::Ready(Ok(true)),
            Gate::Tunnel => {
                self.mode = Mode::Pass;
                return Poll::Ready(Ok(true));
            }
            Gate::Held => {}
        }
        if !self.held.is_empty() {
            return Poll::Pending;
        }
        let mut space = [0; 4096];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(false));
        }
        self.held.extend_from_slice(buf.filled());
        Poll::Pending
    }

    /// Writes what is left of an early answer.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.begun))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn note_write<T>(&self, result: Poll<T>) -> Poll<T> {
        match &result {
            Poll::Ready(_) => self.state.blocked_since.store(0, Ordering::Relaxed),
            Poll::Pending => {
                if self.state.blocked_since.load(Ordering::Relaxed) == 0 {
                    self.state
                        .blocked_since
                        .store(self.state.now(), Ordering::Relaxed);
                }
            }
        }
        result
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.mode {
            // Whoever reads now only waits for the answer to be written.
            Mode::Stopped => return Poll::Pending,
            Mode::Broken => {
                this.mode = Mode::Stopped;
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "broken body coding",
                )));
            }
            Mode::Scan => {
                if !ready!(this.poll_held(cx))? {
                    return Poll::Ready(Ok(()));
                }
            }
            Mode::Pass => {}
        }
        let before = buf.filled().len();
        if this.held.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        } else {
            let n = this.held.len().min(buf.remaining());
            buf.put_slice(&this.held[..n]);
            this.held.advance(n);
        }
        if this.mode == Mode::Scan && buf.filled().len() > before {
            this.scan(buf, before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_begun(cx))?;
        let result = Pin::new(&mut this.stream).poll_write(cx, data);
        this.note_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_begun(cx))?;
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, data);
        this.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The library flushes only when all that it had to write was written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.mode == Mode::Scan {
            if this.begun.is_empty() {
                this.begun = this.state.early.take();
            }
            ready!(this.poll_begun(cx))?;
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Ends our side, then reads away what the client still sends: closing a socket with
    /// unread bytes resets it, and the reset can overtake the answer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if this.mode == Mode::Pass || (this.mode == Mode::Scan && this.scanner.at_border()) {
                return Poll::Ready(Ok(()));
            }
            this.linger = Some(Linger {
                left: LINGER_BYTES,
                until: Box::pin(tokio::time::sleep(LINGER_FOR)),
            });
        }
        let Some(linger) = &mut this.linger else {
            return Poll::Ready(Ok(()));
        };
        let mut space = [0; 4096];
        while linger.left > 0 {
            if linger.until.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buf = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    linger.left = linger.left.saturating_sub(buf.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
