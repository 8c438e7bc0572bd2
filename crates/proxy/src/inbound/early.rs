//! Answers before the answer (1xx), on their way to an HTTP/1 client.
//!
//! The HTTP library has no way to send them, so they are written between its own writes:
//! only when all that it had to write is written, and only for the request that is being
//! answered. Once the final answer is there, what was not sent is dropped: it is advice.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most of them for one request.
const MOST: usize = 16;
/// Most bytes of one.
const LONGEST: usize = 16 * 1024;

#[derive(Debug, Default)]
struct Inner {
    /// Which request they are for; grows with each, and with each end of one.
    turn: u64,
    open: bool,
    count: usize,
    waiting: BytesMut,
}

/// What waits to be written on one connection.
#[derive(Debug, Default)]
pub(crate) struct Early {
    inner: Mutex<Inner>,
    arrived: Notify,
}

impl Early {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take some for the request that is answered next.
    pub(crate) fn open(&self) -> u64 {
        let mut inner = self.inner();
        inner.turn += 1;
        inner.open = true;
        inner.count = 0;
        inner.turn
    }

    /// Takes none any more: the final answer comes.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.turn += 1;
        inner.open = false;
        inner.waiting.clear();
    }

    /// Adds one for the request of that turn. Too many, too long ones, and those of
    /// another request are dropped.
    pub(crate) fn add(&self, turn: u64, status: StatusCode, headers: &HeaderMap) {
        let mut inner = self.inner();
        if !inner.open || inner.turn != turn || inner.count >= MOST {
            return;
        }
        let text = encode(status, headers);
        if text.len() <= LONGEST {
            inner.count += 1;
            inner.waiting.extend_from_slice(&text);
            self.arrived.notify_one();
        }
    }

    /// Resolves when one may have arrived.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// All that waits, to be written now.
    pub(super) fn take(&self) -> Bytes {
        self.inner().waiting.split().freeze()
    }
}

fn encode(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Informational");
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::LINK, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn only_the_request_that_is_answered_gets_some() {
        let early = Early::default();
        let status = StatusCode::EARLY_HINTS;
        early.add(0, status, &hints("</a>"));
        assert!(early.take().is_empty(), "nobody asked");
        let first = early.open();
        early.add(first, status, &hints("</a>"));
        assert_eq!(
            early.take(),
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".as_bytes()
        );
        early.add(first, status, &hints("</b>"));
        early.close();
        assert!(early.take().is_empty(), "the answer came first");
        let second = early.open();
        early.add(first, status, &hints("</late>"));
        assert!(early.take().is_empty(), "it was for the one before");
        for _ in 0..100 {
            early.add(second, status, &hints("</c>"));
        }
        assert!(early.take().len() < 1_000);
    }
}
