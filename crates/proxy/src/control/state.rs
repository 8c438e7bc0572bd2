//! Which generation is in force, who says so, and what is remembered about it.

use super::holder::HolderLink;
use super::listeners::Listeners;
use super::persist::Persister;
use super::recall::recall;
use super::role::{Away, Role};
use super::withheld::Withheld;
use crate::compile::listen_address;
use crate::count::cutter::since_epoch;
use crate::count::journal::Journal;
use crate::count::store::SliceStore;
use crate::count::totals::Totals;
use crate::error::ProxyError;
use crate::hand_over::followers::Followers;
use crate::table::RouteTable;
use crate::worker::Shared;
use esclusa_model::{Epoch, GenerationId, Millis, Timestamp};
use esclusa_wire::{
    FlagsFile, Generation, Heartbeat, Hello, ProxyStatus, Published, Refusal, SliceAck, StateFile,
    WIRE_VERSION,
};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How long a publisher waits for proxies that drain: what they still serve must not be
/// older than what it was told.
pub(super) const FOLLOW_PATIENCE: Duration = Duration::from_secs(2);
/// How long whoever asks what goes on waits for a proxy that has just begun to drain to
/// say what is open there.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Why a generation was not published.
#[derive(Debug)]
pub(crate) enum Unpublished {
    /// It was not taken.
    Refused(Refusal),
    /// Another proxy is in charge.
    Away,
    /// It is in force here, and not yet on a connection of a proxy that drains.
    Behind,
}

impl From<Refusal> for Unpublished {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Away> for Unpublished {
    fn from(_: Away) -> Self {
        Self::Away
    }
}

/// The control side of one proxy.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hello: Hello,
    pub(crate) store: Arc<SliceStore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) totals: Arc<Mutex<Totals>>,
    pub(crate) followers: Arc<Followers>,
    pub(super) inner: tokio::sync::Mutex<Inner>,
    pub(super) role: watch::Sender<Role>,
    pub(super) wanted_back: Notify,
    /// The folder's, while this proxy is in charge.
    pub(super) lock: Mutex<Option<File>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) generation: Option<Generation>,
    pub(super) withheld: Withheld,
    /// The newest controller that was shown `withheld.returned` since that last grew.
    pub(super) told: Option<Epoch>,
    /// Silence before `heard`, from before a restart.
    pub(super) carried: Duration,
    pub(super) heard: Instant,
    pub(super) saved: Instant,
    pub(super) listeners: Listeners,
    /// The document, the kills, and what of it is withheld.
    pub(super) flags: Arc<FlagsFile>,
    /// Absent before this proxy is in charge, and after.
    pub(super) persister: Option<Persister<StateFile>>,
    pub(super) flags_persister: Option<Persister<Arc<FlagsFile>>>,
    pub(super) holder: Option<HolderLink>,
}

impl Inner {
    pub(super) fn silence(&self) -> Duration {
        self.carried + self.heard.elapsed()
    }

    pub(super) fn hear(&mut self) {
        self.carried = Duration::ZERO;
        self.heard = Instant::now();
    }

    pub(super) fn id(&self) -> GenerationId {
        self.generation.as_ref().map(|g| g.id).unwrap_or_default()
    }

    /// The newest controller that has published anything here.
    pub(super) fn epoch(&self) -> Epoch {
        let flags = self.flags.document.as_ref().map(|d| d.id.epoch);
        self.id().epoch.max(flags.unwrap_or_default())
    }

    /// Notes that the controller of an epoch is shown what this proxy returned.
    fn tell(&mut self, epoch: Epoch) {
        // One that was replaced decides nothing any more.
        if epoch >= self.epoch() {
            self.told = self.told.max(Some(epoch));
        }
    }

    pub(super) fn refuse(&self, reason: impl Into<String>) -> Refusal {
        Refusal {
            current: self.id(),
            reason: reason.into(),
        }
    }

    pub(super) fn state_file(&self) -> Option<StateFile> {
        let generation = self.generation.clone()?;
        Some(StateFile {
            generation,
            returned: self
                .withheld
                .returned
                .iter()
                .map(|(s, (r, _))| (s.clone(), r.clone()))
                .collect(),
            taken_back: self.withheld.taken_back.values().cloned().collect(),
            silent_for: Millis(u64::try_from(self.silence().as_millis()).unwrap_or(u64::MAX)),
            written_at: now(),
        })
    }

    pub(super) fn save(&mut self) -> Option<super::persist::Writing> {
        self.saved = Instant::now();
        let state = self.state_file()?;
        self.persister
            .as_mut()
            .map(|persister| persister.write(state))
    }

    /// What the disk does not have yet.
    pub(super) fn unwritten(&self) -> Option<super::persist::Writing> {
        let state = self.persister.as_ref().and_then(Persister::unwritten);
        let flags = || self.flags_persister.as_ref().and_then(Persister::unwritten);
        state.or_else(flags)
    }

    /// Opens and closes listeners as `generation` asks, once its table is in force.
    pub(super) fn listen(&mut self, prepared: super::listeners::Prepared, wanted: &[SocketAddr]) {
        self.listeners.commit(prepared, wanted);
        self.tell_holder();
    }

    fn tell_holder(&self) {
        let Some(holder) = &self.holder else { return };
        match self.listeners.own_copies() {
            Ok(copies) => holder.hold(copies.into_iter().collect()),
            Err(error) => tracing::error!(%error, "the listening sockets cannot be held"),
        }
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp(i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX))
}

/// All listen addresses of a generation that was compiled, each once.
pub(super) fn addresses(generation: &Generation) -> Vec<SocketAddr> {
    let mut list: Vec<SocketAddr> = generation
        .services
        .iter()
        .filter_map(|s| listen_address(&s.listen).ok())
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Who writes what survives a restart.
pub(crate) struct Persisters {
    pub(crate) state: Persister<StateFile>,
    pub(crate) flags: Persister<Arc<FlagsFile>>,
}

impl Persisters {
    pub(crate) fn start(folder: &Path) -> Result<Self, ProxyError> {
        Ok(Self {
            state: Persister::start(folder)?,
            flags: Persister::start(folder)?,
        })
    }
}

/// What a control side is made of.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hello: Hello,
    pub(crate) store: Arc<SliceStore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) totals: Arc<Mutex<Totals>>,
    pub(crate) listeners: Listeners,
}

impl Control {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            shared,
            hello,
            store,
            journal,
            totals,
            listeners,
        } = parts;
        let inner = tokio::sync::Mutex::new(Inner {
            generation: None,
            withheld: Withheld::default(),
            told: None,
            carried: Duration::ZERO,
            heard: Instant::now(),
            saved: Instant::now(),
            listeners,
            flags: Arc::default(),
            persister: None,
            flags_persister: None,
            holder: None,
        });
        Self {
            shared,
            hello,
            store,
            journal,
            totals,
            followers: Arc::default(),
            inner,
            role: watch::Sender::new(Role::Leads),
            wanted_back: Notify::new(),
            lock: Mutex::default(),
        }
    }

    /// Begins to write the state file and to have the sockets held.
    pub(crate) async fn take_charge(
        &self,
        lock: File,
        persisters: Persisters,
        holder: Option<HolderLink>,
    ) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        let mut inner = self.inner.lock().await;
        inner.persister = Some(persisters.state);
        inner.flags_persister = Some(persisters.flags);
        inner.holder = holder;
        if !inner.flags.is_empty() {
            self.followers.push_flags(Arc::clone(&inner.flags));
            inner.save_flags();
        }
        if let Some(state) = inner.state_file() {
            self.followers.push(state);
            inner.save();
            inner.tell_holder();
        }
    }

    /// Serves the newest of `files` that can be served, without asking anybody.
    pub(crate) async fn restore(&self, files: Vec<(PathBuf, StateFile)>) {
        let mut inner = self.inner.lock().await;
        for (path, state) in files {
            let withheld = Withheld::of(&state);
            let splits = withheld.splits();
            match RouteTable::compile(&state.generation, &splits, &self.shared.registry) {
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the saved generation cannot be served");
                }
                Ok(table) => {
                    let wanted = addresses(&state.generation);
                    let prepared = inner.listeners.prepare(&wanted);
                    tracing::info!(generation = %state.generation.id, path = %path.display(), "serving the saved generation");
                    self.in_force(table);
                    inner.listen(prepared, &wanted);
                    // The time that this proxy did not run was silent too.
                    inner.carried =
                        state.silent_for.as_std() + now().since(state.written_at).as_std();
                    inner.heard = Instant::now();
                    inner.withheld = withheld;
                    inner.generation = Some(state.generation);
                    self.flags_as_withheld(&mut inner);
                    return;
                }
            }
        }
    }

    /// Puts a generation in force. When this returns, no request that begins later is
    /// answered by an older one.
    pub(crate) async fn publish(&self, generation: Generation) -> Result<Published, Unpublished> {
        let (id, writing) = self.put_in_force(generation).await?;
        let persisted = self.persisted(writing).await;
        if !self.followers.confirmed(FOLLOW_PATIENCE).await {
            return Err(Unpublished::Behind);
        }
        Ok(Published {
            generation: id,
            persisted,
        })
    }

    async fn put_in_force(
        &self,
        generation: Generation,
    ) -> Result<(GenerationId, Option<super::persist::Writing>), Unpublished> {
        let mut inner = self.in_charge().await?;
        if generation.v != WIRE_VERSION {
            let why = format!(
                "the generation is written in version {}, this proxy reads version {WIRE_VERSION}",
                generation.v
            );
            return Err(inner.refuse(why).into());
        }
        let current = inner.id();
        if generation.id < current {
            let why = format!("generation {} is older than {current}", generation.id);
            return Err(inner.refuse(why).into());
        }
        let in_charge = inner.epoch();
        if generation.id.epoch < in_charge {
            let why = format!(
                "epoch {} is over, the controller of epoch {} is in charge",
                generation.id.epoch.0, in_charge.0
            );
            return Err(inner.refuse(why).into());
        }
        if generation.id == current {
            return match &inner.generation {
                Some(same) if *same == generation => {
                    inner.hear();
                    Ok((current, inner.save()))
                }
                _ => {
                    let why = format!("generation {current} is in force with other content");
                    Err(inner.refuse(why).into())
                }
            };
        }
        // What its sender does not know yet that this proxy took back stays so.
        let mut withheld = inner.withheld.kept_in(&generation);
        if inner.told == Some(generation.id.epoch) {
            withheld.returned.clear();
        }
        let table = RouteTable::compile(&generation, &withheld.splits(), &self.shared.registry)
            .map_err(|error| inner.refuse(error.to_string()))?;
        let wanted = addresses(&generation);
        let prepared = inner.listeners.prepare(&wanted);
        self.in_force(table);
        inner.listen(prepared, &wanted);
        let id = generation.id;
        inner.generation = Some(generation);
        inner.withheld = withheld;
        self.flags_as_withheld(&mut inner);
        inner.hear();
        tracing::info!(generation = %id, "in force");
        if let Some(state) = inner.state_file() {
            self.followers.push(state);
        }
        Ok((id, inner.save()))
    }

    /// Forgets slices that are stored elsewhere.
    pub(crate) fn acknowledge(&self, ack: SliceAck) {
        self.store.ack(&ack);
        self.journal.ack(ack);
    }

    /// Lets requests that begin from now on see `table`.
    pub(super) fn in_force(&self, table: RouteTable) {
        let table = Arc::new(table);
        let before = self.shared.table.swap(Arc::clone(&table));
        recall(&before, &table);
    }

    /// Notes that the controller lives.
    pub(crate) async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<ProxyStatus, Unpublished> {
        {
            let mut inner = self.in_charge().await?;
            let in_charge = inner.epoch();
            if heartbeat.generation.epoch < in_charge {
                let why = format!(
                    "epoch {} is over, the controller of epoch {} is in charge",
                    heartbeat.generation.epoch.0, in_charge.0
                );
                return Err(inner.refuse(why).into());
            }
            inner.hear();
            inner.tell(heartbeat.generation.epoch);
        }
        Ok(self.status_quietly().await)
    }

    /// What goes on, as shown to the controller of an epoch.
    pub(crate) async fn status_to(&self, epoch: Epoch) -> ProxyStatus {
        self.inner.lock().await.tell(epoch);
        self.status_quietly().await
    }

    /// The same, shown to somebody who decides nothing.
    pub(super) async fn status_quietly(&self) -> ProxyStatus {
        if !self.followers.have_said(FIRST_WORD).await {
            tracing::warn!("a proxy that drains does not say what is open there");
        }
        let inner = self.inner.lock().await;
        ProxyStatus {
            hello: self.hello.clone(),
            generation: inner.id(),
            load: self.all_loads(),
            returned: inner.withheld.returned.values().cloned().collect(),
            taken_back: inner.withheld.taken_back.values().cloned().collect(),
            last_sequence: self.store.last_sequence(),
            listen_errors: inner.listeners.errors(),
        }
    }

    /// The generation in force, whole.
    pub(crate) async fn generation(&self) -> Option<Generation> {
        self.inner.lock().await.generation.clone()
    }

    /// What is open here and at those that follow, by version.
    pub(crate) fn all_loads(&self) -> Vec<esclusa_wire::VersionLoad> {
        let mut load = self.loads();
        self.followers.add_loads(&mut load);
        load
    }

    /// What is open here, by version; versions that are served even without anything.
    fn loads(&self) -> Vec<esclusa_wire::VersionLoad> {
        let table = self.shared.table.load();
        self.shared.registry.loads(|service, version| {
            table
                .services()
                .any(|s| s.name == *service && s.version(version).is_some())
        })
    }

    /// For how long no controller was heard, restarts of this proxy included.
    pub(super) async fn silence(&self) -> Duration {
        self.inner.lock().await.silence()
    }

    /// Whether the disk has it, as far as a caller waits for that.
    pub(super) async fn persisted(&self, writing: Option<super::persist::Writing>) -> bool {
        match writing {
            Some(writing) => writing.done_within(self.shared.limits.disk_patience).await,
            None => false,
        }
    }
}
