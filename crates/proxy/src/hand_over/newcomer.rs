//! The side that asks for everything.

use super::{FdStream, SOCKET, STEP_LIMIT};
use crate::error::ProxyError;
use crate::lock;
use esclusa_model::{BootId, ProxyId};
use esclusa_wire::{
    FlagsFile, FromLeader, HAND_OVER_VERSION, HandedFile, StateFile, ToLeader, Yours,
};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use tokio::net::UnixStream;

/// What was handed over. Its giver stands still until it is told that we accept.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) stream: FdStream,
    pub(crate) lock: File,
    pub(crate) control: UnixListener,
    pub(crate) hand_over: UnixListener,
    pub(crate) metrics: Option<TcpListener>,
    pub(crate) flags_socket: Option<TcpListener>,
    pub(crate) clients: Vec<TcpListener>,
    pub(crate) activated: Vec<TcpListener>,
    pub(crate) state: Option<StateFile>,
    pub(crate) flags: Option<FlagsFile>,
    pub(crate) lost: u64,
}

/// Who is in charge after the last word.
#[derive(Debug)]
pub(crate) enum InCharge {
    /// We are; the other drains and is led on this connection, if it still lives.
    Us(File, Option<FdStream>),
    /// The other went on.
    Other(String),
}

/// Asks the proxy in charge of `folder` for everything; nothing when none runs.
pub(crate) async fn ask(
    folder: &Path,
    proxy: &ProxyId,
    boot: &BootId,
) -> Result<Option<Taken>, ProxyError> {
    let fail = |error: io::Error| ProxyError::NotHandedOver(error.to_string());
    let stream = match UnixStream::connect(folder.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(fail(e)),
    };
    let mut stream = FdStream::new(stream);
    let call = ToLeader::TakeOver {
        v: HAND_OVER_VERSION,
        proxy: proxy.clone(),
        boot: boot.clone(),
    };
    stream.say(&call, &[]).await.map_err(fail)?;
    let answer = tokio::time::timeout(STEP_LIMIT, stream.hear()).await;
    let answer = match answer {
        Ok(answer) => answer.map_err(fail)?,
        Err(_) => return Err(fail(io::ErrorKind::TimedOut.into())),
    };
    match answer {
        Some(FromLeader::Yours(yours)) => unpack(stream, *yours).map(Some).map_err(fail),
        Some(FromLeader::Refused { reason }) => Err(ProxyError::NotHandedOver(reason)),
        Some(_) => Err(ProxyError::NotHandedOver(
            "the proxy in charge answers out of order".into(),
        )),
        None => Err(ProxyError::NotHandedOver(
            "the proxy in charge ended the conversation".into(),
        )),
    }
}

fn unpack(mut stream: FdStream, yours: Yours) -> io::Result<Taken> {
    if yours.v != HAND_OVER_VERSION {
        return Err(io::Error::other(format!(
            "the hand-over has version {} there and {HAND_OVER_VERSION} here",
            yours.v
        )));
    }
    let fds = stream.take_fds(yours.files.len())?;
    let (mut lock, mut control, mut hand_over, mut metrics) = (None, None, None, None);
    let (mut clients, mut activated) = (Vec::new(), Vec::new());
    let mut flags_socket = None;
    for (file, fd) in yours.files.into_iter().zip(fds) {
        match file {
            HandedFile::Lock {} => lock = Some(File::from(fd)),
            HandedFile::Control {} => control = Some(UnixListener::from(fd)),
            HandedFile::HandOver {} => hand_over = Some(UnixListener::from(fd)),
            HandedFile::Metrics { address } => metrics = Some(tcp(&address, fd)?),
            HandedFile::Flags { address } => flags_socket = Some(tcp(&address, fd)?),
            HandedFile::Clients { address } => clients.push(tcp(&address, fd)?),
            HandedFile::Activated { address } => activated.push(tcp(&address, fd)?),
        }
    }
    let missing = || io::Error::other("something is missing from the hand-over");
    Ok(Taken {
        stream,
        lock: lock.ok_or_else(missing)?,
        control: control.ok_or_else(missing)?,
        hand_over: hand_over.ok_or_else(missing)?,
        metrics,
        flags_socket,
        clients,
        activated,
        state: yours.state,
        flags: yours.flags,
        lost: yours.lost,
    })
}

/// A file that was named a socket, if it is the one that was named.
fn tcp(address: &str, fd: OwnedFd) -> io::Result<TcpListener> {
    let socket = TcpListener::from(fd);
    let named: Result<SocketAddr, _> = address.parse();
    if named.is_ok_and(|named| socket.local_addr().is_ok_and(|a| a == named)) {
        Ok(socket)
    } else {
        Err(io::Error::other(format!(
            "what was handed over for {address} is not that socket"
        )))
    }
}

/// Says that we accept, and finds out who is in charge from now on.
pub(crate) async fn conclude(
    folder: &Path,
    mut stream: FdStream,
    copy: File,
) -> Result<InCharge, ProxyError> {
    let last = async {
        stream.say(&ToLeader::Accepting {}, &[]).await?;
        stream.hear::<FromLeader>().await
    };
    let why = match tokio::time::timeout(STEP_LIMIT, last).await {
        Ok(Ok(Some(FromLeader::Committed {}))) => {
            return Ok(InCharge::Us(copy, Some(stream)));
        }
        Ok(Ok(Some(FromLeader::Refused { reason }))) => reason,
        Ok(Ok(Some(_))) => "it answers out of order".into(),
        Ok(Ok(None)) => "it went on by itself, or died".into(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it gave no answer".into(),
    };
    // It may have died before its last word, or let go of the lock and then died. Our
    // copy would keep the lock for us: only a lock of our own proves that it is free.
    drop(copy);
    drop(stream);
    Ok(match lock::acquire(folder)? {
        Some(lock) => InCharge::Us(lock, None),
        None => InCharge::Other(why),
    })
}
