//! Whether this proxy is in charge of its folder, and how it stops being so.

use super::persist::Persister;
use super::state::{Control, Inner};
use esclusa_wire::{FlagsFile, StateFile};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use tokio::sync::{MutexGuard, Notify};

/// What this proxy is to its folder. Changes only while `Inner` is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes generations and writes the state file.
    Leads,
    /// It stands still for the moment in which another takes over.
    HandsOver,
    /// Another leads; this one drains and serves what that one serves.
    Follows,
}

/// Another proxy is in charge now; whoever asks reaches it with a new connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away;

/// Everything that a successor needs, while nothing of it can change.
#[derive(Debug)]
pub(crate) struct Still {
    pub(crate) state: Option<StateFile>,
    pub(crate) flags: Option<FlagsFile>,
    pub(crate) clients: Vec<(SocketAddr, TcpListener)>,
    pub(crate) activated: Vec<TcpListener>,
}

/// How long a change waits for a hand-over under way before it calls it off: lowering
/// must not wait for a newcomer that hangs.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a newcomer waits for the disk to have what is in force; one that takes nothing
/// is no reason to stay.
const DISK_PATIENCE: Duration = Duration::from_secs(3);

impl Control {
    /// Waits out a hand-over and gives access to what only the one in charge may change.
    pub(super) async fn in_charge(&self) -> Result<MutexGuard<'_, Inner>, Away> {
        let mut role = self.role.subscribe();
        loop {
            let inner = self.inner.lock().await;
            match *role.borrow_and_update() {
                Role::Leads => return Ok(inner),
                Role::Follows => return Err(Away),
                Role::HandsOver => drop(inner),
            }
            let settled = role.wait_for(|role| *role != Role::HandsOver);
            if tokio::time::timeout(PATIENCE, settled).await.is_err() {
                self.wanted_back.notify_waiters();
            }
        }
    }

    /// Told when somebody cannot wait for a hand-over any longer.
    pub(crate) fn wanted_back(&self) -> &Notify {
        &self.wanted_back
    }

    pub(crate) fn is_away(&self) -> bool {
        *self.role.borrow() == Role::Follows
    }

    /// Waits until another proxy is in charge.
    pub(crate) async fn away(&self) {
        // The sender is ours and lives as long as we do.
        let _ = self
            .role
            .subscribe()
            .wait_for(|role| *role == Role::Follows)
            .await;
    }

    /// Waits until the disk has all that was decided. Without that, a successor that dies
    /// before its own first write would take decisions with it. Nothing else waits
    /// meanwhile: this proxy goes on to take new ones.
    async fn on_disk(&self) -> MutexGuard<'_, Inner> {
        let until = Instant::now() + DISK_PATIENCE;
        loop {
            let inner = self.inner.lock().await;
            let Some(writing) = inner.unwritten() else {
                return inner;
            };
            drop(inner);
            let left = until.saturating_duration_since(Instant::now());
            if !writing.done_within(left).await {
                tracing::warn!("handing over before the disk has what is in force");
                return self.inner.lock().await;
            }
        }
    }

    /// Stops taking decisions, so that another can begin to.
    pub(crate) async fn stand_still(&self) -> Result<Still, String> {
        let inner = self.on_disk().await;
        match *self.role.borrow() {
            Role::Leads => {}
            Role::HandsOver => return Err("it is being handed over already".into()),
            Role::Follows => return Err("it was handed over already".into()),
        }
        let (clients, activated) = inner
            .listeners
            .copies()
            .map_err(|error| format!("the sockets cannot be handed over: {error}"))?;
        let state = inner.state_file();
        let flags = (!inner.flags.is_empty()).then(|| FlagsFile::clone(&inner.flags));
        self.role.send_replace(Role::HandsOver);
        Ok(Still {
            state,
            flags,
            clients,
            activated,
        })
    }

    /// Takes decisions again: the other did not begin to.
    pub(crate) async fn go_on(&self) {
        let _inner = self.inner.lock().await;
        self.role.send_replace(Role::Leads);
    }

    /// Lets go of everything that only one may have. The workers go on to accept until
    /// the drain begins.
    pub(crate) async fn step_back(&self) {
        let mut inner = self.inner.lock().await;
        inner.listeners.close();
        inner.holder = None;
        let (state, flags) = (inner.persister.take(), inner.flags_persister.take());
        // A disk that hangs must not keep the other waiting.
        let state = tokio::task::spawn_blocking(move || state.map(Persister::retire));
        let flags = tokio::task::spawn_blocking(move || flags.map(Persister::retire));
        if state.await.is_err() || flags.await.is_err() {
            tracing::error!("the writer of a saved file ended badly");
        }
        self.role.send_replace(Role::Follows);
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A copy of the folder's lock.
    pub(crate) fn lock_copy(&self) -> io::Result<File> {
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .ok_or_else(|| io::Error::other("this proxy is not in charge"))?
            .try_clone()
    }
}
