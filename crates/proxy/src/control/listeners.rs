//! The sockets that clients connect to.

use crate::worker::Command;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::sync::mpsc::UnboundedSender;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// All sockets, open or wanted.
#[derive(Debug)]
pub(crate) struct Listeners {
    workers: Vec<UnboundedSender<Command>>,
    inherited: Vec<TcpListener>,
    open: BTreeMap<SocketAddr, TcpListener>,
    failed: BTreeMap<SocketAddr, String>,
}

/// Sockets that listen and that no worker accepts on yet: their clients wait.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Vec<(SocketAddr, TcpListener)>);

impl Listeners {
    pub(crate) fn new(workers: Vec<UnboundedSender<Command>>, inherited: Vec<TcpListener>) -> Self {
        Self {
            workers,
            inherited,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Opens what is missing. One that cannot be opened is said in the status and tried
    /// again: it must not stop other services' changes.
    pub(crate) fn prepare(&mut self, wanted: &[SocketAddr]) -> Prepared {
        let mut prepared = Vec::new();
        self.failed.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if self.open.contains_key(address) {
                continue;
            }
            match self.take_or_bind(*address) {
                Ok(socket) => {
                    self.failed.remove(address);
                    prepared.push((*address, socket));
                }
                Err(error) => {
                    tracing::error!(%address, %error, "cannot listen");
                    self.failed.insert(*address, error.to_string());
                }
            }
        }
        Prepared(prepared)
    }

    fn take_or_bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let at = self
            .inherited
            .iter()
            .position(|s| s.local_addr().is_ok_and(|a| a == address));
        let socket = match at {
            Some(at) => self.inherited.remove(at),
            None => bind(address)?,
        };
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Lets the workers accept on what was prepared, and stops what is no longer wanted.
    pub(crate) fn commit(&mut self, prepared: Prepared, wanted: &[SocketAddr]) {
        for (address, socket) in prepared.0 {
            for worker in &self.workers {
                match socket.try_clone() {
                    Ok(clone) => {
                        // A worker that is gone is one that was told to end.
                        let _ = worker.send(Command::Listen(address, clone));
                    }
                    Err(error) => {
                        tracing::error!(%address, %error, "a worker cannot listen");
                        self.failed.insert(address, error.to_string());
                    }
                }
            }
            self.open.insert(address, socket);
        }
        let gone: Vec<SocketAddr> = self
            .open
            .keys()
            .filter(|a| !wanted.contains(a))
            .copied()
            .collect();
        for address in gone {
            self.open.remove(&address);
            for worker in &self.workers {
                let _ = worker.send(Command::Unlisten(address));
            }
        }
    }

    /// Lets go of the sockets; the workers close theirs when they drain.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    pub(crate) fn errors(&self) -> Vec<(String, String)> {
        self.failed
            .iter()
            .map(|(address, why)| (address.to_string(), why.clone()))
            .collect()
    }
}

/// Needs a runtime with I/O, which the control thread is.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
