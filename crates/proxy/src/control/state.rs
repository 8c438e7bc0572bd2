//! Which generation is in force, who says so, and what is remembered about it.

use super::listeners::Listeners;
use super::persist::Persister;
use crate::compile::{Returned, listen_address};
use crate::count::cutter::since_epoch;
use crate::count::journal::Journal;
use crate::count::store::SliceStore;
use crate::count::totals::Totals;
use crate::table::RouteTable;
use crate::worker::Shared;
use esclusa_model::{GenerationId, Millis, ReleaseId, ServiceName, Timestamp};
use esclusa_wire::{
    Generation, Heartbeat, Hello, ProxyStatus, Published, Refusal, StateFile, WIRE_VERSION,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a publisher is kept to tell it whether the disk has the generation, which
/// is in force by then.
const DISK_PATIENCE: Duration = Duration::from_millis(50);

/// The control side of one proxy.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hello: Hello,
    pub(crate) store: Arc<SliceStore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) totals: Arc<Mutex<Totals>>,
    inner: tokio::sync::Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    generation: Option<Generation>,
    returned: Returned,
    /// Whether a controller was shown `returned` since it last grew.
    told: bool,
    /// Silence before `heard`, from before a restart.
    carried: Duration,
    heard: Instant,
    saved: Instant,
    listeners: Listeners,
    persister: Persister,
}

impl Inner {
    fn silence(&self) -> Duration {
        self.carried + self.heard.elapsed()
    }

    fn hear(&mut self) {
        self.carried = Duration::ZERO;
        self.heard = Instant::now();
    }

    fn id(&self) -> GenerationId {
        self.generation.as_ref().map(|g| g.id).unwrap_or_default()
    }

    fn refuse(&self, reason: impl Into<String>) -> Refusal {
        Refusal {
            current: self.id(),
            reason: reason.into(),
        }
    }

    fn state_file(&self) -> Option<StateFile> {
        let generation = self.generation.clone()?;
        Some(StateFile {
            generation,
            returned: self
                .returned
                .iter()
                .map(|(s, (r, _))| (s.clone(), r.clone()))
                .collect(),
            silent_for: Millis(u64::try_from(self.silence().as_millis()).unwrap_or(u64::MAX)),
            written_at: now(),
        })
    }

    fn save(&mut self) -> Option<super::persist::Writing> {
        self.saved = Instant::now();
        self.state_file().map(|state| self.persister.write(state))
    }
}

fn now() -> Timestamp {
    Timestamp(i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX))
}

/// All listen addresses of a generation that was compiled, each once.
fn addresses(generation: &Generation) -> Vec<SocketAddr> {
    let mut list: Vec<SocketAddr> = generation
        .services
        .iter()
        .filter_map(|s| listen_address(&s.listen).ok())
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

fn has_split_of(generation: &Generation, service: &ServiceName, release: &ReleaseId) -> bool {
    generation.services.iter().any(|s| {
        s.service == *service
            && s.split
                .as_ref()
                .is_some_and(|split| split.release == *release)
    })
}

/// What a control side is made of.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hello: Hello,
    pub(crate) store: Arc<SliceStore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) totals: Arc<Mutex<Totals>>,
    pub(crate) listeners: Listeners,
    pub(crate) persister: Persister,
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
            persister,
        } = parts;
        let inner = tokio::sync::Mutex::new(Inner {
            generation: None,
            returned: Returned::new(),
            told: false,
            carried: Duration::ZERO,
            heard: Instant::now(),
            saved: Instant::now(),
            listeners,
            persister,
        });
        Self {
            shared,
            hello,
            store,
            journal,
            totals,
            inner,
        }
    }

    /// Serves the newest of `files` that can be served, without asking anybody.
    pub(crate) async fn restore(&self, files: Vec<(PathBuf, StateFile)>) {
        let mut inner = self.inner.lock().await;
        for (path, state) in files {
            let mut returned = Returned::new();
            for (service, release) in &state.returned {
                let split = state
                    .generation
                    .services
                    .iter()
                    .find(|s| s.service == *service)
                    .and_then(|s| s.split.as_ref())
                    .filter(|split| split.release == *release);
                if let Some(split) = split {
                    returned.insert(service.clone(), (release.clone(), split.share));
                }
            }
            match RouteTable::compile(&state.generation, &returned, &self.shared.registry) {
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the saved generation cannot be served");
                }
                Ok(table) => {
                    let wanted = addresses(&state.generation);
                    let prepared = inner.listeners.prepare(&wanted);
                    tracing::info!(generation = %state.generation.id, path = %path.display(), "serving the saved generation");
                    self.shared.table.store(Arc::new(table));
                    inner.listeners.commit(prepared, &wanted);
                    // The time that this proxy did not run was silent too.
                    inner.carried =
                        state.silent_for.as_std() + now().since(state.written_at).as_std();
                    inner.heard = Instant::now();
                    inner.returned = returned;
                    inner.generation = Some(state.generation);
                    return;
                }
            }
        }
    }

    /// Puts a generation in force. When this returns, no request that begins later is
    /// answered by an older one.
    pub(crate) async fn publish(&self, generation: Generation) -> Result<Published, Refusal> {
        let mut inner = self.inner.lock().await;
        if generation.v != WIRE_VERSION {
            return Err(inner.refuse(format!(
                "the generation is written in version {}, this proxy reads version {WIRE_VERSION}",
                generation.v
            )));
        }
        let current = inner.id();
        if generation.id < current {
            return Err(inner.refuse(format!(
                "generation {} is older than {current}",
                generation.id
            )));
        }
        if generation.id == current {
            return match &inner.generation {
                Some(same) if *same == generation => {
                    inner.hear();
                    let writing = inner.save();
                    drop(inner);
                    Ok(Published {
                        generation: current,
                        persisted: persisted(writing).await,
                    })
                }
                _ => Err(inner.refuse(format!(
                    "generation {current} is in force with other content"
                ))),
            };
        }
        let returned = if inner.told {
            Returned::new()
        } else {
            // Its sender does not know yet what this proxy took back; that stays so.
            let kept = inner
                .returned
                .iter()
                .filter(|(s, (r, _))| has_split_of(&generation, s, r));
            kept.map(|(s, r)| (s.clone(), r.clone())).collect()
        };
        let table = RouteTable::compile(&generation, &returned, &self.shared.registry)
            .map_err(|error| inner.refuse(error.to_string()))?;
        let wanted = addresses(&generation);
        let prepared = inner.listeners.prepare(&wanted);
        self.shared.table.store(Arc::new(table));
        inner.listeners.commit(prepared, &wanted);
        let id = generation.id;
        inner.generation = Some(generation);
        inner.returned = returned;
        inner.hear();
        tracing::info!(generation = %id, "in force");
        let writing = inner.save();
        drop(inner);
        Ok(Published {
            generation: id,
            persisted: persisted(writing).await,
        })
    }

    /// Notes that the controller lives.
    pub(crate) async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<ProxyStatus, Refusal> {
        {
            let mut inner = self.inner.lock().await;
            let current = inner.id();
            if heartbeat.generation.epoch < current.epoch {
                return Err(inner.refuse(format!(
                    "epoch {} is over, the controller of epoch {} is in charge",
                    heartbeat.generation.epoch.0, current.epoch.0
                )));
            }
            inner.hear();
        }
        Ok(self.status().await)
    }

    /// What goes on, as shown to a controller.
    pub(crate) async fn status(&self) -> ProxyStatus {
        self.inner.lock().await.told = true;
        self.status_quietly().await
    }

    /// The same, shown to somebody who decides nothing.
    pub(super) async fn status_quietly(&self) -> ProxyStatus {
        let inner = self.inner.lock().await;
        let table = self.shared.table.load();
        let serves = |service: &ServiceName, version: &esclusa_model::Digest| {
            table
                .services()
                .any(|s| s.name == *service && s.version(version).is_some())
        };
        ProxyStatus {
            hello: self.hello.clone(),
            generation: inner.id(),
            load: self.shared.registry.loads(serves),
            returned: inner.returned.values().cloned().collect(),
            last_sequence: self.store.last_sequence(),
            listen_errors: inner.listeners.errors(),
        }
    }

    /// Silence long enough to act on: takes back what its plan says to take back.
    pub(super) async fn check_silence(&self, save_every: Duration) {
        let mut inner = self.inner.lock().await;
        let silence = inner.silence();
        let table = self.shared.table.load_full();
        let mut returned = inner.returned.clone();
        let mut watched = false;
        for service in table.services().filter(|s| s.is_partial()) {
            let Some(split) = &service.split else {
                continue;
            };
            watched = true;
            if service
                .must_return_after()
                .is_some_and(|after| silence >= after)
            {
                tracing::warn!(service = %service.name, release = %split.release, share = %split.share,
                    "nobody controls this release: everybody is sent to the stable version");
                returned.insert(service.name.clone(), (split.release.clone(), split.share));
            }
        }
        if returned != inner.returned {
            let compiled = inner.generation.as_ref().map(|generation| {
                RouteTable::compile(generation, &returned, &self.shared.registry)
            });
            match compiled {
                Some(Ok(table)) => {
                    self.shared.table.store(Arc::new(table));
                    inner.returned = returned;
                    inner.told = false;
                    inner.save();
                }
                // It compiled before; only a certificate file can have gone since.
                Some(Err(error)) => tracing::error!(%error, "a split cannot be taken back"),
                None => {}
            }
        } else if watched && inner.saved.elapsed() >= save_every {
            inner.save();
        }
        if inner.listeners.has_failed()
            && let Some(wanted) = inner.generation.as_ref().map(addresses)
        {
            let prepared = inner.listeners.prepare(&wanted);
            inner.listeners.commit(prepared, &wanted);
        }
    }

    /// For how long no controller was heard, restarts of this proxy included.
    pub(super) async fn silence(&self) -> Duration {
        self.inner.lock().await.silence()
    }

    /// Lets go of the listening sockets.
    pub(crate) async fn stop_listening(&self) {
        self.inner.lock().await.listeners.close();
    }

    /// Writes the state a last time and waits for the disk.
    pub(crate) async fn finish(&self) {
        let mut inner = self.inner.lock().await;
        inner.save();
        inner.persister.finish();
    }
}

async fn persisted(writing: Option<super::persist::Writing>) -> bool {
    match writing {
        Some(writing) => writing.done_within(DISK_PATIENCE).await,
        None => false,
    }
}
