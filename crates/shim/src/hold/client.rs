//! A proxy's side of its holder.

use super::protocol::{Answer, Ask, HOLD_VERSION, MAX_LINE};
use super::{MAX_SOCKETS, SOCKET};
use crate::fdpass::{FdLines, send_all};
use crate::socket;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A connection to a holder. It blocks, for seconds at most.
#[derive(Debug)]
pub struct HoldClient {
    stream: UnixStream,
    lines: FdLines,
}

impl HoldClient {
    /// Connects to the holder of a folder.
    ///
    /// # Errors
    /// What the system said; `NotFound` and `ConnectionRefused` mean that none runs.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        let stream = socket::connect_to(dir, SOCKET)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(Self {
            stream,
            lines: FdLines::new(MAX_LINE),
        })
    }

    /// The names of all sockets held.
    ///
    /// # Errors
    /// When the holder does not answer, or speaks another version.
    pub fn list(&mut self) -> io::Result<Vec<String>> {
        self.ask(&Ask::List, &[])?;
        let mut all = Vec::new();
        self.sockets(|_, names| {
            all.extend(names);
            Ok(())
        })?;
        Ok(all)
    }

    /// Copies of all sockets held, by name.
    ///
    /// # Errors
    /// When the holder does not answer, or speaks another version.
    pub fn take(&mut self) -> io::Result<Vec<(String, OwnedFd)>> {
        self.ask(&Ask::Take, &[])?;
        let mut all = Vec::new();
        self.sockets(|lines, names| {
            let fds = lines.take_fds(names.len())?;
            all.extend(names.into_iter().zip(fds));
            Ok(())
        })?;
        Ok(all)
    }

    /// Has a socket held under a name.
    ///
    /// # Errors
    /// When the holder does not answer or refuses.
    pub fn keep(&mut self, name: &str, socket: BorrowedFd<'_>) -> io::Result<()> {
        let name = name.to_owned();
        self.ask(&Ask::Keep { name }, &[socket])?;
        self.done()
    }

    /// Has a socket closed.
    ///
    /// # Errors
    /// When the holder does not answer.
    pub fn give_up(&mut self, name: &str) -> io::Result<()> {
        let name = name.to_owned();
        self.ask(&Ask::GiveUp { name }, &[])?;
        self.done()
    }

    fn ask(&self, ask: &Ask, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        send_all(&self.stream, &line, fds)
    }

    fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(serde_json::from_slice(&line)?);
            }
            match self.lines.read_from(&self.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn done(&mut self) -> io::Result<()> {
        match self.answer()? {
            Answer::Done => Ok(()),
            Answer::Refused { reason } => Err(io::Error::other(reason)),
            Answer::Sockets { .. } => Err(io::Error::other("the holder answers out of order")),
        }
    }

    fn sockets(
        &mut self,
        mut each: impl FnMut(&mut FdLines, Vec<String>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut count = 0;
        loop {
            match self.answer()? {
                Answer::Sockets { v, names, more } => {
                    if v != HOLD_VERSION {
                        return Err(io::Error::other(format!(
                            "the holder speaks version {v}, this is version {HOLD_VERSION}"
                        )));
                    }
                    count += names.len();
                    each(&mut self.lines, names)?;
                    if !more {
                        return Ok(());
                    }
                    if count > MAX_SOCKETS {
                        return Err(io::Error::other("the holder does not end"));
                    }
                }
                Answer::Refused { reason } => return Err(io::Error::other(reason)),
                Answer::Done => return Err(io::Error::other("the holder answers out of order")),
            }
        }
    }
}
