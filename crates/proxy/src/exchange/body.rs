//! Bodies on their way through, watched for who breaks them off.

use super::ticket::Ticket;
use crate::inbound::io::ConnState;
use crate::upstream::pool::Lease;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// What went wrong with a client's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadFault {
    /// Broken coding, or the client went away in the middle.
    Broken,
    /// More than the service takes.
    TooLarge,
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All sent on, since then.
    Complete(Instant),
    /// Waits for the client, since then.
    Client(Instant),
    /// Waits for the version to take more, since then.
    Version(Instant),
}

#[derive(Debug)]
struct UploadInner {
    progress: Progress,
    fault: Option<UploadFault>,
}

/// What a request's body tells the request.
#[derive(Debug)]
pub(crate) struct Upload(Mutex<UploadInner>);

impl Upload {
    fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(UploadInner {
            progress: Progress::Version(now),
            fault: None,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, UploadInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault(&self) -> Option<UploadFault> {
        self.inner().fault
    }

    pub(crate) fn progress(&self) -> Progress {
        self.inner().progress
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.progress(), Progress::Complete(_))
    }
}

/// Ends the sending of a request whose body cannot be completed.
#[derive(Debug, thiserror::Error)]
#[error("the client's body is broken or too large")]
pub(crate) struct UploadError;

/// A request's body on its way to a version.
#[derive(Debug)]
pub(crate) struct RequestBody(Option<Uploading>);

#[derive(Debug)]
struct Uploading {
    inner: Incoming,
    upload: Arc<Upload>,
    left: u64,
}

impl RequestBody {
    pub(crate) const fn empty() -> Self {
        Self(None)
    }

    /// A body of at most `limit` bytes.
    pub(crate) fn new(inner: Incoming, limit: u64) -> (Self, Option<Arc<Upload>>) {
        if inner.is_end_stream() {
            return (Self::empty(), None);
        }
        let upload = Upload::new(Instant::now());
        (
            Self(Some(Uploading {
                inner,
                upload: Arc::clone(&upload),
                left: limit,
            })),
            Some(upload),
        )
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut body.inner).poll_frame(cx);
        let mut state = body.upload.inner();
        let Poll::Ready(frame) = polled else {
            if !matches!(state.progress, Progress::Client(_)) {
                state.progress = Progress::Client(Instant::now());
            }
            return Poll::Pending;
        };
        match frame {
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                if size > body.left {
                    state.fault = Some(UploadFault::TooLarge);
                    return Poll::Ready(Some(Err(UploadError)));
                }
                body.left -= size;
                state.progress = if body.inner.is_end_stream() {
                    Progress::Complete(Instant::now())
                } else {
                    Progress::Version(Instant::now())
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => {
                state.fault = Some(UploadFault::Broken);
                Poll::Ready(Some(Err(UploadError)))
            }
            None => {
                state.progress = Progress::Complete(Instant::now());
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|body| body.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |body| body.inner.size_hint())
    }
}

/// Marks its connection busy for as long as it lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<ConnState>);

impl Busy {
    pub(crate) fn new(state: Arc<ConnState>) -> Self {
        state.enter();
        Self(state)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    kind: Kind,
    _busy: Busy,
}

#[derive(Debug)]
enum Kind {
    /// Said by the proxy. Keeps the account open until it is sent.
    Own {
        text: Option<Bytes>,
        _ticket: Option<Box<Ticket>>,
    },
    Version(Box<Download>),
}

#[derive(Debug)]
struct Download {
    inner: Incoming,
    ticket: Option<Ticket>,
    lease: Option<Lease>,
    grpc: bool,
}

impl ResponseBody {
    pub(crate) fn own(text: Bytes, ticket: Option<Ticket>, busy: Busy) -> Self {
        let text = (!text.is_empty()).then_some(text);
        Self {
            kind: Kind::Own {
                text,
                _ticket: ticket.map(Box::new),
            },
            _busy: busy,
        }
    }

    pub(crate) fn version(
        inner: Incoming,
        ticket: Ticket,
        lease: Lease,
        grpc: bool,
        busy: Busy,
    ) -> Self {
        let download = Download {
            inner,
            ticket: Some(ticket),
            lease: Some(lease),
            grpc,
        };
        Self {
            kind: Kind::Version(Box::new(download)),
            _busy: busy,
        }
    }
}

impl Download {
    /// All is received: the connection can be used again.
    fn complete(&mut self) {
        self.ticket = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.complete(),
            Some(Ok(frame)) => {
                if let (true, Some(trailers), Some(ticket)) =
                    (self.grpc, frame.trailers_ref(), &mut self.ticket)
                    && let Some(ok) = grpc_status(trailers)
                {
                    ticket.grpc_ended(ok);
                }
            }
            Some(Err(_)) => {
                if let Some(mut ticket) = self.ticket.take() {
                    ticket.cut_off();
                }
                self.lease = None;
            }
        }
        Poll::Ready(frame)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // The library does not ask for more once it knows that the body has ended.
        if self.inner.is_end_stream() {
            self.complete();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.kind {
            Kind::Own { text, .. } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Version(download) => download.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own { text, .. } => text.is_none(),
            Kind::Version(download) => download.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own { text, .. } => {
                SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64)
            }
            Kind::Version(download) => download.inner.size_hint(),
        }
    }
}

/// Whether a gRPC call ended well, where the lines say how it ended.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<bool> {
    headers
        .get("grpc-status")
        .map(|status| status.as_bytes() == b"0")
}
