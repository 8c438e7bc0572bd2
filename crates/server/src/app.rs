//! The control plane as one value: what the API, the command line and tests speak to.

use crate::actor::{ActorHandle, AskedCommand, Message, ServiceActor, fold, queue_key, read_all};
use crate::auth::{Keys, Spent};
use crate::clock;
use crate::dataplane::DataPlane;
use crate::error::{ApiError, ErrorKind};
use crate::flags::Flags;
use crate::links::Links;
use crate::notify::Notifier;
use crate::rollouts::FlagPlane;
use crate::view::{ReleaseView, ServiceView};
use crate::world::Drivers;
use esclusa_engine::Command;
use esclusa_model::{
    Actor, Digest, Envelope, ReleaseId, ServiceName, StreamId, Timestamp, VersionName,
};
use esclusa_plan::{Capability, Catalog, FlagTurns, OnConflict, Parsed, Plan, SourceFile};
use esclusa_release::{ItemDone, Release, Service, Source};
use esclusa_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast, oneshot};

/// Longest wait for an actor's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The code of a stream that cannot be read.
const DAMAGED: &str = "ESC-0901";

/// What all actors share.
pub(crate) struct Shared {
    pub store: Store,
    pub dataplane: Arc<DataPlane>,
    /// The flags that releases turn.
    pub flag_plane: Arc<dyn FlagPlane>,
    pub flags: Arc<Flags>,
    pub catalog: Catalog,
    pub data_dir: PathBuf,
    pub drivers: Drivers,
    /// Signs sessions and links.
    pub keys: Keys,
    /// What may happen once only, and did.
    pub spent: Arc<Spent>,
    /// Gives and reads links.
    pub links: Links,
    notices: broadcast::Sender<ServiceName>,
}

impl Shared {
    /// Says that something about a service changed.
    pub(crate) fn tell(&self, service: &ServiceName) {
        // Nobody listening is fine.
        let _ = self.notices.send(service.clone());
    }

    /// Whether anybody counts a release's requests by version, or by the flag that it turns.
    pub(crate) fn observes_release(&self, plan: &Plan, service: &Service) -> bool {
        if plan.flags_alone().is_none() {
            return self.observes(plan);
        }
        let stable = service.stable.as_ref().map(|stable| &stable.plan);
        stable.is_some_and(|plan| plan.route.is_some() && plan.traffic.driver == "proxy")
    }

    /// Whether the plan's traffic driver counts requests by version.
    fn observes(&self, plan: &Plan) -> bool {
        self.catalog
            .traffic_driver(&plan.traffic.driver)
            .is_some_and(|driver| driver.can(Capability::Observes))
    }

    /// The key that signs a service's cookies, made at the first call.
    pub(crate) async fn cookie_key(&self, service: &ServiceName) -> Result<String, ApiError> {
        let name = format!("cookie-key/{service}");
        if let Some(key) = self.store.setting(&name).await? {
            return Ok(key);
        }
        let key = clock::new_secret();
        self.store.put_setting(&name, &key, clock::now()).await?;
        Ok(key)
    }
}

/// A release as it is asked for, its plan already checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRequest {
    pub plan: Plan,
    pub plan_digest: Digest,
    pub version: VersionName,
    pub base_dir: String,
    pub actor: Actor,
    pub on_conflict: Option<OnConflict>,
    /// When it was asked for; zero in a line that an earlier program left.
    #[serde(default)]
    pub asked_at: Timestamp,
    /// The person behind who asked, where that is known.
    #[serde(default)]
    pub person: Option<String>,
    /// Where the version comes from, where that is known.
    #[serde(default)]
    pub source: Option<Source>,
}

/// What is needed to ask for a release.
#[derive(Debug, Clone)]
pub struct AskStart {
    /// The plan's file name, for messages.
    pub plan_name: String,
    /// The plan's text.
    pub plan_text: String,
    /// People's name for the version; a plan of flags alone may do without.
    pub version: Option<VersionName>,
    /// Folder that the plan's relative paths start from.
    pub base_dir: String,
    /// What to do when a release of the service is under way, in place of the plan's word.
    pub on_conflict: Option<OnConflict>,
    /// Who asks.
    pub actor: Actor,
    /// The person behind who asks, where that is known.
    pub person: Option<String>,
    /// Where the version comes from, where that is known.
    pub source: Option<Source>,
}

/// What may be asked of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Stop advancing.
    Pause {
        /// Why, possibly empty.
        reason: String,
    },
    /// Advance again.
    Resume {
        /// Why, possibly empty.
        reason: String,
    },
    /// Pass the present stage's gate.
    Skip {
        /// Why, possibly empty.
        reason: String,
    },
    /// Go to 100 % now.
    Promote {
        /// Why, possibly empty.
        reason: String,
    },
    /// Return everything.
    Abort {
        /// Why, possibly empty.
        reason: String,
    },
    /// Return everything, also after 100 %.
    Rollback {
        /// Why, possibly empty.
        reason: String,
    },
    /// Agree in a role.
    SignOff {
        /// The role.
        role: String,
        /// Words, possibly empty.
        comment: String,
        /// The items of the plan's checklist that are done.
        items: Vec<ItemDone>,
        /// Everybody who has a hand in it, by name.
        hands: Vec<String>,
    },
}

/// The control plane.
pub struct App {
    pub(crate) shared: Arc<Shared>,
    pub(crate) notifier: Arc<Notifier>,
    actors: std::sync::Mutex<BTreeMap<ServiceName, ActorHandle>>,
    damaged: std::sync::Mutex<BTreeSet<ServiceName>>,
    /// Held while a service's actor begins.
    beginning: Mutex<()>,
}

impl App {
    /// Takes up every service that the store knows.
    ///
    /// # Errors
    /// When the store cannot be read or a stream is damaged.
    pub(crate) async fn start(
        store: Store,
        dataplane: Arc<DataPlane>,
        data_dir: PathBuf,
        drivers: Drivers,
    ) -> Result<Arc<Self>, ApiError> {
        Self::start_with(store, dataplane, None, data_dir, drivers).await
    }

    /// The same with other flags for releases to turn than the recorded ones.
    pub(crate) async fn start_with(
        store: Store,
        dataplane: Arc<DataPlane>,
        flag_plane: Option<Arc<dyn FlagPlane>>,
        data_dir: PathBuf,
        drivers: Drivers,
    ) -> Result<Arc<Self>, ApiError> {
        let keys = Keys::of(&store).await?;
        let spent = Spent::of(&store).await?;
        let mut names = Vec::new();
        for (stream, _) in store.streams("service/").await? {
            let name = stream.as_str().trim_start_matches("service/");
            match ServiceName::new(name) {
                Ok(name) => names.push(name),
                Err(error) => return Err(ApiError::damaged(&stream, 0, &error)),
            }
        }
        let flags = Flags::start(store.clone(), Arc::clone(&dataplane), names.clone()).await?;
        let shared = Arc::new(Shared {
            links: Links::new(keys.clone()),
            keys,
            spent,
            store,
            dataplane,
            flag_plane: flag_plane.unwrap_or_else(|| flags.clone()),
            flags,
            catalog: esclusa_drivers::catalog(),
            data_dir,
            drivers,
            notices: broadcast::channel(1_024).0,
        });
        let notifier = Notifier::new(shared.store.clone());
        notifier.make_links_with(shared.clone());
        let app = Arc::new(Self {
            notifier,
            shared,
            actors: std::sync::Mutex::default(),
            damaged: std::sync::Mutex::default(),
            beginning: Mutex::default(),
        });
        app.shared.dataplane.wait_for(names.clone()).await;
        for name in names {
            match app.actor(&name).await {
                Err(error) if error.code == DAMAGED => {
                    tracing::error!(%error, service = %name,
                        "A service cannot be taken up: its users are sent to its stable version");
                    app.shared.dataplane.cannot_be_taken_up(&name).await;
                    app.damaged().insert(name);
                }
                begun => drop(begun?),
            }
        }
        Ok(app)
    }

    /// Waits until each instance that has to run does or has been tried, at most for
    /// `limit`; whether all have.
    pub(crate) async fn settled(&self, limit: Duration) -> bool {
        let handles: Vec<ActorHandle> = self.actors().values().cloned().collect();
        let all = async {
            for mut handle in handles {
                // An error means that the program is ending.
                let _ = handle.settled.wait_for(|settled| *settled).await;
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    async fn actor(&self, service: &ServiceName) -> Result<ActorHandle, ApiError> {
        let known = || self.actors().get(service).cloned();
        if let Some(handle) = known() {
            return Ok(handle);
        }
        // The store may hang: nobody who asks for another service waits here.
        let _alone = self.beginning.lock().await;
        if let Some(handle) = known() {
            return Ok(handle);
        }
        if self.damaged().contains(service) {
            return Err(ApiError::new(
                ErrorKind::Unavailable,
                "ESC-0909",
                format!("the records of service {service} cannot be read, so nothing is begun"),
                "its users are at its stable version; run `esclusa audit verify`, then restore \
                 the state from a backup",
            ));
        }
        let spawned = ServiceActor::spawn(Arc::clone(&self.shared), service.clone());
        let handle = Box::pin(spawned).await?;
        self.actors().insert(service.clone(), handle.clone());
        Ok(handle)
    }

    /// Services whose records could not be read when this program began.
    pub(crate) fn damaged(&self) -> MutexGuard<'_, BTreeSet<ServiceName>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn actors(&self) -> MutexGuard<'_, BTreeMap<ServiceName, ActorHandle>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drivers that plans may name.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// Checks a plan.
    ///
    /// # Errors
    /// All diagnostics at once, as details.
    pub fn check_plan(&self, name: &str, text: &str) -> Result<Parsed, ApiError> {
        let source = SourceFile::new(name, text);
        esclusa_plan::parse(&source, &self.shared.catalog).map_err(|diagnostics| {
            let mut error = ApiError::new(
                ErrorKind::BadInput,
                "ESC-0100",
                format!("{name} has {}", esclusa_plan::to_mend(&diagnostics)),
                "each detail names its line and the next step",
            );
            error.details = diagnostics
                .iter()
                .map(|diagnostic| serde_json::to_value(diagnostic).unwrap_or_default())
                .collect();
            error
        })
    }

    /// Starts a release, or puts it in line as its plan says.
    ///
    /// # Errors
    /// When the plan is wrong, another release is under way, or nothing can be recorded.
    pub async fn start_release(&self, ask: AskStart) -> Result<ReleaseId, ApiError> {
        let parsed = self.check_plan(&ask.plan_name, &ask.plan_text)?;
        let named = || parsed.plan.flags_alone().and_then(FlagTurns::version_name);
        let version = ask.version.or_else(named).ok_or_else(|| {
            ApiError::new(
                ErrorKind::BadInput,
                "ESC-0408",
                "the version has no name",
                "name it: `--version 2.4.1`; only a plan of flags alone may do without",
            )
        })?;
        let request = StartRequest {
            plan_digest: Digest::of(ask.plan_text.as_bytes()),
            plan: parsed.plan,
            version,
            base_dir: ask.base_dir,
            actor: ask.actor,
            person: ask.person,
            source: ask.source,
            on_conflict: ask.on_conflict,
            asked_at: clock::now(),
        };
        let actor = self.actor(&request.plan.service).await?;
        let (reply, answer) = oneshot::channel();
        send(&actor, Message::Start(Box::new(request), reply)).await?;
        in_time(answer).await
    }

    /// Asks something of a release.
    ///
    /// # Errors
    /// When it is not known, is over, or cannot do that now.
    pub async fn ask(&self, id: &ReleaseId, ask: Ask, by: &Actor) -> Result<(), ApiError> {
        let actor = self.actor(&self.service_of(id).await?).await?;
        let because = |command, reason| AskedCommand::Because { command, reason };
        let asked = match ask {
            Ask::Pause { reason } => because(Command::Pause, reason),
            Ask::Resume { reason } => because(Command::Resume, reason),
            Ask::Skip { reason } => because(Command::Skip, reason),
            Ask::Promote { reason } => because(Command::Promote, reason),
            Ask::Abort { reason } => AskedCommand::Plain(Command::Abort { reason }),
            Ask::SignOff {
                role,
                comment,
                items,
                hands,
            } => AskedCommand::Plain(Command::SignOff {
                role,
                comment,
                items,
                hands,
            }),
            Ask::Rollback { reason } => AskedCommand::Rollback { reason },
        };
        let (reply, answer) = oneshot::channel();
        send(
            &actor,
            Message::Command(id.clone(), asked, by.clone(), reply),
        )
        .await?;
        in_time(answer).await
    }

    /// Whose release this is. One in line has no stream yet, only its request.
    async fn service_of(&self, id: &ReleaseId) -> Result<ServiceName, ApiError> {
        if let Some(service) = self.carried_by(id) {
            return Ok(service);
        }
        let unknown = match self.release(id).await {
            Ok(release) => return Ok(release.requested.service),
            Err(error) if error.kind == ErrorKind::NotFound => error,
            Err(error) => return Err(error),
        };
        let waiting: Option<StartRequest> = self.shared.store.setting(&queue_key(id)).await?;
        waiting.map(|request| request.plan.service).ok_or(unknown)
    }

    /// The service whose present release this is, or in whose line it waits: known without
    /// the store.
    fn carried_by(&self, id: &ReleaseId) -> Option<ServiceName> {
        let actors = self.actors();
        let mut found = actors.iter().filter(|(_, handle)| {
            let view = handle.view.borrow();
            let present = view.release.as_ref();
            present.is_some_and(|release| release.release == id.as_str())
                || view.queue.iter().any(|waiting| waiting == id.as_str())
        });
        found.next().map(|(name, _)| name.clone())
    }

    /// All services now.
    pub async fn services(&self) -> Vec<ServiceView> {
        let actors = self.actors();
        actors
            .values()
            .map(|handle| ServiceView::clone(&handle.view.borrow()))
            .collect()
    }

    /// The names of all services, those with damaged records among them.
    pub(crate) fn service_names(&self) -> BTreeSet<ServiceName> {
        let mut names = self.damaged().clone();
        names.extend(self.actors().keys().cloned());
        names
    }

    /// One service now.
    ///
    /// # Errors
    /// When nobody has heard of it.
    pub async fn service(&self, name: &ServiceName) -> Result<ServiceView, ApiError> {
        let actors = self.actors();
        let handle = actors.get(name).ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotFound,
                "ESC-0405",
                format!("no service {name} is known"),
                "a service becomes known with its first release",
            )
        })?;
        Ok(ServiceView::clone(&handle.view.borrow()))
    }

    /// A release from its stream.
    ///
    /// # Errors
    /// When it is not known or its stream is damaged.
    pub async fn release(&self, id: &ReleaseId) -> Result<Release, ApiError> {
        let events = read_all(&self.shared.store, &StreamId::release(id)).await?;
        fold(&events)?.ok_or_else(|| ApiError::release_not_found(id.as_str()))
    }

    /// A release as people see it, also one that still waits in line.
    ///
    /// # Errors
    /// When it is not known or its stream is damaged.
    pub async fn release_view(&self, id: &ReleaseId) -> Result<ReleaseView, ApiError> {
        // What is in force may not be recorded yet.
        let carried = self.actors().values().find_map(|handle| {
            let view = handle.view.borrow();
            let release = view.release.as_ref();
            release
                .filter(|release| release.release == id.as_str())
                .cloned()
        });
        if let Some(view) = carried {
            return Ok(view);
        }
        let unknown = match self.release(id).await {
            Ok(release) => return Ok(ReleaseView::new(&release)),
            Err(error) if error.kind == ErrorKind::NotFound => error,
            Err(error) => return Err(error),
        };
        let waiting: Option<StartRequest> = self.shared.store.setting(&queue_key(id)).await?;
        let request = waiting.ok_or(unknown)?;
        let service = self.service(&request.plan.service).await?;
        let place = service.queue.iter().position(|waits| waits == id.as_str());
        if let Some(place) = place {
            return Ok(ReleaseView::waiting(id, &request, place + 1));
        }
        // It may have begun since we looked; otherwise somebody took it out of the line.
        match self.release(id).await {
            Ok(release) => Ok(ReleaseView::new(&release)),
            Err(error) if error.kind == ErrorKind::NotFound => {
                Ok(ReleaseView::taken_out(id, &request))
            }
            Err(error) => Err(error),
        }
    }

    /// The plan of a release that waits in line; nothing once it does not.
    pub(crate) async fn asked_for(&self, id: &ReleaseId) -> Result<Option<Plan>, ApiError> {
        let waiting: Option<StartRequest> = self.shared.store.setting(&queue_key(id)).await?;
        Ok(waiting.map(|request| request.plan))
    }

    /// Releases that wait in line, of one service or of all.
    async fn waiting(&self, service: Option<&ServiceName>) -> Result<Vec<ReleaseView>, ApiError> {
        let mut found = Vec::new();
        for view in self.services().await {
            if service.is_some_and(|name| name.as_str() != view.service) {
                continue;
            }
            for (place, id) in view.queue.iter().enumerate() {
                let Ok(id) = ReleaseId::new(id.as_str()) else {
                    continue;
                };
                let request: Option<StartRequest> =
                    self.shared.store.setting(&queue_key(&id)).await?;
                if let Some(request) = request {
                    found.push(ReleaseView::waiting(&id, &request, place + 1));
                }
            }
        }
        Ok(found)
    }

    /// A release's events after a position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, id: &ReleaseId, after: u64) -> Result<Vec<Envelope>, ApiError> {
        Ok(self
            .shared
            .store
            .read(&StreamId::release(id), after, 1_000)
            .await?)
    }

    /// Releases, newest first, of one service or of all; those that wait in line too.
    ///
    /// # Errors
    /// When the store cannot be read or a stream is damaged.
    pub async fn history(
        &self,
        service: Option<&ServiceName>,
        limit: usize,
    ) -> Result<Vec<ReleaseView>, ApiError> {
        let mut streams = self.shared.store.streams("release/").await?;
        // Ids sort by time.
        streams.sort_by(|a, b| b.0.cmp(&a.0));
        let mut found = self.waiting(service).await?;
        let waiting = found.len();
        for (stream, _) in streams {
            let events = read_all(&self.shared.store, &stream).await?;
            let Some(release) = fold(&events)? else {
                continue;
            };
            if service.is_none_or(|name| *name == release.requested.service) {
                found.push(ReleaseView::new(&release));
            }
            if found.len() - waiting == limit {
                break;
            }
        }
        found.sort_by(|a, b| b.release.cmp(&a.release));
        // One that began meanwhile was found twice.
        found.dedup_by(|a, b| a.release == b.release);
        found.truncate(limit);
        Ok(found)
    }

    /// Names of services about which something changed, as it does.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<ServiceName> {
        self.shared.notices.subscribe()
    }
}

/// The actor's answer. What takes users back is answered soon, whatever the store does;
/// all else waits for it, and is dropped when nobody waits for the answer any more.
pub(crate) async fn in_time<T>(
    answer: oneshot::Receiver<Result<T, ApiError>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(answered) => answered.map_err(|_| gone())?,
        Err(_) => Err(ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0903",
            format!(
                "the store has not answered for {} s",
                ANSWER_LIMIT.as_secs()
            ),
            "look at the disk of the data folder, then at `esclusa release status`, and ask \
             again; an abort and a rollback do not wait for the store",
        )),
    }
}

async fn send(actor: &ActorHandle, message: Message) -> Result<(), ApiError> {
    actor.inbox.send(message).await.map_err(|_| gone())
}

pub(crate) fn gone() -> ApiError {
    ApiError::new(
        ErrorKind::Internal,
        "ESC-0904",
        "the service's actor is gone",
        "restart `esclusa serve`: every release goes on from its last event",
    )
}
