//! Lines of text and open files over one Unix socket.
//!
//! Files travel as ancillary data (`SCM_RIGHTS`) beside the bytes of a line, in the order
//! in which the line names them. Reading is done with the files closed on `exec`, so
//! that no child inherits a socket by accident.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most files in one message; the kernel's own limit is 253.
pub const FDS_AT_ONCE: usize = 64;

/// Sends as much of `bytes` as the socket takes, with at most [`FDS_AT_ONCE`] files on
/// its first byte. Returns how many bytes were taken; the files went with them.
///
/// # Errors
/// What the system said. Never raises `SIGPIPE`.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many files for one message"));
    }
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

/// How much of a line goes with how many of its files: each batch of files needs a byte
/// of its own to ride on.
#[must_use]
pub fn next_piece<'a, 'fd>(
    bytes: &'a [u8],
    fds: &'a [BorrowedFd<'fd>],
) -> (&'a [u8], &'a [BorrowedFd<'fd>]) {
    if fds.len() <= FDS_AT_ONCE {
        (bytes, fds)
    } else {
        (
            bytes.get(..1).unwrap_or(bytes),
            fds.get(..FDS_AT_ONCE).unwrap_or(fds),
        )
    }
}

/// Sends a whole line on a socket that blocks.
///
/// # Errors
/// What the system said.
pub fn send_all(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let (mut bytes, mut fds) = (bytes, fds);
    while !bytes.is_empty() {
        let (piece, with) = next_piece(bytes, fds);
        let sent = match send(&socket, piece, with) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => sent,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        bytes = bytes.get(sent..).unwrap_or(&[]);
        fds = fds.get(with.len()..).unwrap_or(&[]);
    }
    Ok(())
}

/// What has arrived on one socket and is not used yet.
#[derive(Debug)]
pub struct FdLines {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    longest: usize,
}

/// Most files that may wait to be named by a line.
const FDS_WAITING: usize = 4_096;

impl FdLines {
    /// Nothing yet; a line may have `longest` bytes.
    #[must_use]
    pub const fn new(longest: usize) -> Self {
        Self {
            bytes: Vec::new(),
            fds: VecDeque::new(),
            longest,
        }
    }

    /// Reads once. 0 means that the other side has ended.
    ///
    /// # Errors
    /// What the system said, or that the other side sends more than is allowed.
    pub fn read_from(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut chunk)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                self.fds.extend(fds);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > FDS_WAITING {
            return Err(io::Error::other("more files arrive than are allowed"));
        }
        self.bytes
            .extend_from_slice(chunk.get(..message.bytes).unwrap_or(&[]));
        if self.bytes.len() > self.longest && !self.bytes.contains(&b'\n') {
            return Err(io::Error::other("a line is longer than is allowed"));
        }
        Ok(message.bytes)
    }

    /// The oldest whole line, without its end.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes.iter().position(|b| *b == b'\n')?;
        let rest = self.bytes.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        line.pop();
        Some(line)
    }

    /// The oldest `count` files.
    ///
    /// # Errors
    /// When fewer have arrived: the line that names them lied.
    pub fn take_fds(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        if count > self.fds.len() {
            return Err(io::Error::other("fewer files arrived than were named"));
        }
        Ok(self.fds.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

    #[test]
    fn more_files_than_one_message_holds_arrive_in_order() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let sockets: Vec<TcpListener> = (0..150)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
            .collect();
        let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        send_all(&ours, b"all of them\nnext\n", &fds).expect("sent");
        drop(ours);
        let mut lines = FdLines::new(100);
        while lines.read_from(&theirs).expect("read") > 0 {}
        assert_eq!(
            lines.next_line().as_deref(),
            Some(b"all of them".as_slice())
        );
        assert_eq!(lines.next_line().as_deref(), Some(b"next".as_slice()));
        assert_eq!(lines.next_line(), None);
        let got = lines.take_fds(150).expect("all");
        for (sent, got) in sockets.iter().zip(got) {
            let got = TcpListener::from(got);
            assert_eq!(
                sent.local_addr().expect("address"),
                got.local_addr().expect("address")
            );
        }
        assert!(lines.take_fds(1).is_err());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        send_all(&ours, &[b'x'; 200], &[]).expect("sent");
        assert!(FdLines::new(100).read_from(&theirs).is_err());
    }
}
