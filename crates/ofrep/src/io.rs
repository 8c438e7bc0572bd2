//! A client's socket, and what can be told of a connection by its bytes.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing: the next request may come.
    Idle,
    /// The head of a request has begun.
    Head,
    /// A request is answered.
    Answer,
}

/// What socket, service and driver of one connection share.
#[derive(Debug, Default)]
pub(crate) struct ConnState {
    doing: AtomicU8,
    /// Whether bytes wait that the socket did not take.
    unwritten: AtomicBool,
    /// Whether anything happened since the driver looked last.
    moved: AtomicBool,
}

impl ConnState {
    pub(crate) fn set(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
        self.moved.store(true, Ordering::Relaxed);
    }

    pub(crate) fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Idle,
            1 => Doing::Head,
            _ => Doing::Answer,
        }
    }

    /// Whether all that was written is with the kernel.
    pub(crate) fn is_clean(&self) -> bool {
        !self.unwritten.load(Ordering::Relaxed)
    }

    /// Whether anything happened since this was asked last.
    pub(crate) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }
}

/// The socket.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TokioIo<TcpStream>,
    state: Arc<ConnState>,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, state: Arc<ConnState>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            state,
        }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream.into_inner()
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>, offered: usize) {
        let unwritten = match result {
            Poll::Ready(Ok(sent)) => {
                self.state.moved.store(true, Ordering::Relaxed);
                *sent < offered
            }
            Poll::Ready(Err(_)) | Poll::Pending => true,
        };
        self.state.unwritten.store(unwritten, Ordering::Relaxed);
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() && self.state.doing() == Doing::Idle {
            self.state.set(Doing::Head);
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&result, bytes.len());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(&result, bytes.iter().map(|slice| slice.len()).sum());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
