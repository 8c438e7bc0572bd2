//! Lines and files over one Unix socket, without blocking a thread.

use esclusa_shim::fdpass::{FdLines, next_piece, send};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Longest line: a generation with a known population is the largest.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// One side of a connection between two proxies.
#[derive(Debug)]
pub(crate) struct FdStream {
    stream: UnixStream,
    lines: FdLines,
}

impl FdStream {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            lines: FdLines::new(MAX_LINE),
        }
    }

    /// Says something, with files.
    pub(crate) async fn say<T: Serialize + Sync>(
        &self,
        message: &T,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let (mut bytes, mut fds) = (line.as_slice(), fds);
        while !bytes.is_empty() {
            let (piece, with) = next_piece(bytes, fds);
            let sent = self
                .stream
                .async_io(Interest::WRITABLE, || send(&self.stream, piece, with))
                .await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(sent..).unwrap_or(&[]);
            fds = fds.get(with.len()..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// What the other side says next; nothing when it has ended. Nothing is lost when
    /// this is dropped before it is done.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let (stream, lines) = (&self.stream, &mut self.lines);
            let read = stream
                .async_io(Interest::READABLE, || lines.read_from(stream))
                .await?;
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// The files that came with what was heard last.
    pub(crate) fn take_fds(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        self.lines.take_fds(count)
    }
}
