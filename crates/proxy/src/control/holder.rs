//! Keeps the holder's sockets the same as ours, so that they outlive this process.
//!
//! A thread of its own compares again and again: a holder that was restarted gets all
//! sockets anew, one that missed a change is told again. Nobody waits for it.

use crate::error::ProxyError;
use esclusa_shim::hold::HoldClient;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often both are compared when nothing changes.
const COMPARE: Duration = Duration::from_secs(1);

type Sockets = BTreeMap<SocketAddr, TcpListener>;

/// The comparing thread. Dropping it leaves the holder as it is.
#[derive(Debug)]
pub(crate) struct HolderLink {
    wanted: Sender<Sockets>,
    complete: Arc<AtomicBool>,
}

impl HolderLink {
    pub(crate) fn start(folder: PathBuf) -> Result<Self, ProxyError> {
        let (wanted, inbox) = channel();
        let complete = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&complete);
        std::thread::Builder::new()
            .name("holder".into())
            .spawn(move || run(&folder, &inbox, &told))
            .map_err(ProxyError::Worker)?;
        Ok(Self { wanted, complete })
    }

    /// These and no others shall be held.
    pub(crate) fn hold(&self, sockets: Sockets) {
        self.complete.store(false, Ordering::Release);
        // A thread that is gone shows in `is_complete`.
        let _ = self.wanted.send(sockets);
    }

    /// Whether all that shall be held is.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
}

/// The sockets of a holder, if one answers.
pub(crate) fn take(folder: &Path) -> Vec<TcpListener> {
    let taken = HoldClient::connect(folder).and_then(|mut holder| holder.take());
    match taken {
        Ok(sockets) => sockets.into_iter().map(|(_, fd)| fd.into()).collect(),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error,
                "no holder of sockets answers: until one does, a crash refuses connections");
            Vec::new()
        }
    }
}

fn run(folder: &Path, inbox: &Receiver<Sockets>, complete: &AtomicBool) {
    let mut wanted: Option<Sockets> = None;
    let mut holder: Option<HoldClient> = None;
    let mut failing = false;
    loop {
        match inbox.recv_timeout(COMPARE) {
            Ok(sockets) => wanted = Some(sockets),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Ok(newer) = inbox.try_recv() {
            wanted = Some(newer);
        }
        let Some(wanted) = &wanted else { continue };
        let done = compare(folder, &mut holder, wanted);
        complete.store(done.is_ok(), Ordering::Release);
        match done {
            Ok(()) => failing = false,
            Err(error) => {
                holder = None;
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(folder = %folder.display(), %error,
                        "the listening sockets are not held: a crash would refuse connections");
                }
            }
        }
    }
}

fn compare(folder: &Path, holder: &mut Option<HoldClient>, wanted: &Sockets) -> io::Result<()> {
    let holder = match holder {
        Some(holder) => holder,
        None => holder.insert(HoldClient::connect(folder)?),
    };
    let held = holder.list()?;
    let named: BTreeMap<String, &TcpListener> =
        wanted.iter().map(|(a, s)| (a.to_string(), s)).collect();
    for (name, socket) in &named {
        if !held.contains(name) {
            holder.keep(name, socket.as_fd())?;
        }
    }
    for name in held.iter().filter(|name| !named.contains_key(*name)) {
        holder.give_up(name)?;
    }
    Ok(())
}
