//! The sockets that clients connect to.

use crate::worker::Command;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::sync::mpsc::UnboundedSender;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Sockets that listen already, by where they come from.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// Given to this process for good: used once.
    pub(crate) given: Vec<TcpListener>,
    /// From a holder or a predecessor: those that the generation in force does not name
    /// are given up.
    pub(crate) held: Vec<TcpListener>,
    /// From a supervisor that keeps them open whatever happens: always at hand.
    pub(crate) activated: Vec<TcpListener>,
}

#[derive(Debug)]
struct Open {
    socket: TcpListener,
    activated: bool,
}

/// All sockets, open or wanted.
#[derive(Debug)]
pub(crate) struct Listeners {
    workers: Vec<UnboundedSender<Command>>,
    inherited: Inherited,
    open: BTreeMap<SocketAddr, Open>,
    failed: BTreeMap<SocketAddr, String>,
}

/// Sockets that listen and that no worker accepts on yet: their clients wait.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Vec<(SocketAddr, Open)>);

/// Copies of the sockets that clients connect to.
pub(crate) type Copies = Vec<(SocketAddr, TcpListener)>;

impl Listeners {
    pub(crate) fn new(workers: Vec<UnboundedSender<Command>>, inherited: Inherited) -> Self {
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
                Ok(open) => {
                    self.failed.remove(address);
                    prepared.push((*address, open));
                }
                Err(error) => {
                    tracing::error!(%address, %error, "cannot listen");
                    self.failed.insert(*address, error.to_string());
                }
            }
        }
        Prepared(prepared)
    }

    fn take_or_bind(&mut self, address: SocketAddr) -> io::Result<Open> {
        let is_it = |s: &TcpListener| s.local_addr().is_ok_and(|a| a == address);
        let take = |list: &mut Vec<TcpListener>| {
            let at = list.iter().position(is_it)?;
            Some(list.remove(at))
        };
        let Inherited {
            given,
            held,
            activated,
        } = &mut self.inherited;
        let open = if let Some(socket) = activated.iter().find(|s| is_it(s)) {
            Open {
                socket: socket.try_clone()?,
                activated: true,
            }
        } else {
            let socket = match take(given).or_else(|| take(held)) {
                Some(socket) => socket,
                None => bind(address)?,
            };
            Open {
                socket,
                activated: false,
            }
        };
        open.socket.set_nonblocking(true)?;
        Ok(open)
    }

    /// Lets the workers accept on what was prepared, and stops what is no longer wanted.
    pub(crate) fn commit(&mut self, prepared: Prepared, wanted: &[SocketAddr]) {
        self.inherited.held.clear();
        for (address, open) in prepared.0 {
            for worker in &self.workers {
                match open.socket.try_clone() {
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
            self.open.insert(address, open);
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
        self.inherited = Inherited::default();
    }

    /// Copies of those that only this process keeps open, and those of a supervisor.
    pub(crate) fn copies(&self) -> io::Result<(Copies, Vec<TcpListener>)> {
        let clients = self.own_copies()?;
        let activated = self.inherited.activated.iter();
        Ok((
            clients,
            activated
                .map(TcpListener::try_clone)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// Copies of the open ones that no supervisor keeps open.
    pub(crate) fn own_copies(&self) -> io::Result<Copies> {
        self.open
            .iter()
            .filter(|(_, open)| !open.activated)
            .map(|(address, open)| Ok((*address, open.socket.try_clone()?)))
            .collect()
    }

    /// Whether somebody keeps every open one listening when this process lets go.
    pub(crate) fn all_activated(&self) -> bool {
        self.open.values().all(|open| open.activated)
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
