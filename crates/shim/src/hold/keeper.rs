//! The holder itself: one thread, one loop.

use super::protocol::{Answer, Ask, HOLD_VERSION, MAX_LINE};
use super::{LOCK, MAX_SOCKETS, SOCKET};
use crate::entry::{lock, take_over_signals};
use crate::fdpass::{FDS_AT_ONCE, FdLines, send_all};
use crate::files;
use crate::record::ShimError;
use crate::supervise::complain;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Most connections at once.
const MAX_CLIENTS: usize = 32;
/// Longest name of a socket.
const MAX_NAME: usize = 100;
/// How long a client may leave an answer unread.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Runs until a signal ends it; the sockets close with it.
pub(crate) fn main(dir: &Path) -> ExitCode {
    match start(dir) {
        Ok(mut keeper) => {
            keeper.run();
            files::remove(Path::new(SOCKET)).ok();
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn start(dir: &Path) -> Result<Keeper, ShimError> {
    let name = dir.display().to_string();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(ShimError::io(name.clone()))?;
    // A socket's path may be short only; relative to its folder it always is.
    std::env::set_current_dir(dir).map_err(ShimError::io(name))?;
    let lock = lock(dir, LOCK)?;
    files::remove(Path::new(SOCKET)).map_err(ShimError::io(SOCKET))?;
    let listener = listen().map_err(ShimError::io(SOCKET))?;
    let signals = take_over_signals().map_err(ShimError::io("blocking signals"))?;
    Ok(Keeper {
        sockets: BTreeMap::new(),
        clients: Vec::new(),
        listener,
        signals,
        _lock: lock,
    })
}

fn listen() -> io::Result<UnixListener> {
    let listener = UnixListener::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Keeper {
    sockets: BTreeMap<String, OwnedFd>,
    clients: Vec<Client>,
    listener: UnixListener,
    signals: SignalFd,
    _lock: std::fs::File,
}

struct Client {
    stream: UnixStream,
    lines: FdLines,
}

enum Next {
    Go,
    End,
}

impl Keeper {
    fn run(&mut self) {
        while let Next::Go = self.take_signals() {
            self.accept();
            let clients = std::mem::take(&mut self.clients);
            for mut client in clients {
                if self.serve(&mut client).is_ok() {
                    self.clients.push(client);
                }
            }
            self.wait();
        }
    }

    fn wait(&self) {
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(
            self.clients
                .iter()
                .map(|c| PollFd::new(c.stream.as_fd(), PollFlags::POLLIN)),
        );
        // An interrupted or failed wait only means looking earlier.
        poll(&mut fds, PollTimeout::NONE).ok();
    }

    fn take_signals(&self) -> Next {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
            // A terminal that goes away is no reason to lose sockets.
            if signal != Signal::SIGCHLD as i32 && signal != Signal::SIGHUP as i32 {
                return Next::End;
            }
        }
        Next::Go
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let ready = stream
                .set_nonblocking(true)
                .and_then(|()| stream.set_write_timeout(Some(WRITE_LIMIT)));
            if self.clients.len() < MAX_CLIENTS && ready.is_ok() {
                self.clients.push(Client {
                    stream,
                    lines: FdLines::new(MAX_LINE),
                });
            }
        }
    }

    /// Answers all that has arrived; an error ends the connection.
    fn serve(&mut self, client: &mut Client) -> io::Result<()> {
        loop {
            match client.lines.read_from(&client.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            while let Some(line) = client.lines.next_line() {
                let ask: Ask = serde_json::from_slice(&line)?;
                // An answer is written whole; the bound is the socket's own.
                client.stream.set_nonblocking(false)?;
                self.answer(ask, client)?;
                client.stream.set_nonblocking(true)?;
            }
        }
    }

    fn answer(&mut self, ask: Ask, client: &mut Client) -> io::Result<()> {
        let stream = &client.stream;
        match ask {
            Ask::List => self.send_sockets(stream, Files::Stay),
            Ask::Take => self.send_sockets(stream, Files::Go),
            Ask::Keep { name } => {
                let fd = client.lines.take_fds(1)?.pop();
                let reply = match fd {
                    Some(fd) => self.keep(name, fd),
                    None => refused("no socket came with it"),
                };
                say(stream, &reply, &[])
            }
            Ask::GiveUp { name } => {
                self.sockets.remove(&name);
                say(stream, &Answer::Done, &[])
            }
        }
    }

    fn keep(&mut self, name: String, fd: OwnedFd) -> Answer {
        if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            return refused("that is no name for a socket");
        }
        if self.sockets.len() >= MAX_SOCKETS && !self.sockets.contains_key(&name) {
            return refused("too many sockets are held");
        }
        self.sockets.insert(name, fd);
        Answer::Done
    }

    fn send_sockets(&self, stream: &UnixStream, files: Files) -> io::Result<()> {
        let all: Vec<(&String, &OwnedFd)> = self.sockets.iter().collect();
        let mut pieces = all.chunks(FDS_AT_ONCE).peekable();
        loop {
            let piece = pieces.next().unwrap_or(&[]);
            let more = pieces.peek().is_some();
            let fds: Vec<BorrowedFd<'_>> = match files {
                Files::Go => piece.iter().map(|(_, fd)| fd.as_fd()).collect(),
                Files::Stay => Vec::new(),
            };
            let reply = Answer::Sockets {
                v: HOLD_VERSION,
                names: piece.iter().map(|(name, _)| (*name).clone()).collect(),
                more,
            };
            say(stream, &reply, &fds)?;
            if !more {
                return Ok(());
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Files {
    Go,
    Stay,
}

fn refused(reason: &str) -> Answer {
    Answer::Refused {
        reason: reason.to_owned(),
    }
}

fn say(stream: &UnixStream, answer: &Answer, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    send_all(stream, &line, fds)
}
