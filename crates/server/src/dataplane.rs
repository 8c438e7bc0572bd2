//! The control plane's side of the proxies: publish, stay in touch, collect slices.
//!
//! One generation holds all services. It is published whole; a proxy that was away
//! gets it again as soon as it is back.

mod counting;

use crate::clock;
use crate::proxy_keeper::ProxyCare;
use esclusa_model::{
    BasisPoints, BootId, Digest, Epoch, GenerationId, ProxyId, ReleaseId, ServiceName, Timestamp,
};
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_store::Store;
use esclusa_wire::{
    Generation, Heartbeat, JournalEntry, ProxyStatus, RouteMatch, ServiceRoute, StampedSlice,
    TakenBack, WIRE_VERSION,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, broadcast, mpsc, watch};

/// How often a proxy hears from us.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Longest wait for any answer of a proxy but slices.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Batches of slices that wait for the store.
const WAITING_BATCHES: usize = 64;
/// How long a service may leave the others waiting when the control plane begins.
const FIRST_ROUTES: Duration = Duration::from_secs(5);

/// A slice and the proxy that counted it.
pub(crate) type Counted = Arc<(ProxyId, StampedSlice)>;

/// Why a generation is not in force everywhere.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PublishError(pub String);

/// Why a generation was not put in force.
#[derive(Debug, thiserror::Error)]
enum Unpublished {
    /// The proxy cannot serve it and keeps what it has.
    #[error("{0}")]
    Refused(String),
    /// It may be in force or not.
    #[error(transparent)]
    Unknown(#[from] PublishError),
}

impl From<Unpublished> for PublishError {
    fn from(error: Unpublished) -> Self {
        Self(error.to_string())
    }
}

/// What is known of the proxy right now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contact {
    /// Its newest answer and when it came.
    pub status: Option<(ProxyStatus, Timestamp)>,
    /// Releases whose share it took back by itself, until each has been taken back here
    /// too. Kept beside the proxy's own list, which it may forget once it has told us.
    pub returned: BTreeSet<ReleaseId>,
    /// What somebody took back at the proxy, until it is told that nobody is exposed.
    pub taken_back: Vec<TakenBack>,
    /// When slices arrived last.
    pub slices_at: Option<Timestamp>,
    /// What went wrong last, if it still does.
    pub trouble: Option<String>,
    /// What was said of slices last, until some are stored again.
    pub told_trouble: Option<String>,
    /// How it is kept running.
    pub care: ProxyCare,
}

/// The data plane as the control plane sees it. First cut: one local proxy.
pub(crate) struct DataPlane {
    client: ControlClient,
    epoch: Epoch,
    plan: Mutex<Desired>,
    contact: watch::Sender<Contact>,
    slices: broadcast::Sender<Counted>,
    lately: std::sync::Mutex<counting::Lately>,
    /// Whether slices were told that the store was not given.
    behind: AtomicBool,
    /// Decisions in force that the store does not have yet, by service.
    journal: std::sync::Mutex<BTreeMap<ServiceName, Vec<JournalEntry>>>,
    /// Those of an earlier controller.
    inherited: Vec<JournalEntry>,
    /// Why nothing is said to what answers, if it is not our proxy.
    refused: std::sync::Mutex<Option<String>>,
}

struct Desired {
    routes: BTreeMap<ServiceName, ServiceRoute>,
    /// What an earlier controller asked for, of services that have not said yet what they
    /// ask for now.
    before: BTreeMap<ServiceName, ServiceRoute>,
    /// Whether what an earlier controller asked for was lowered since.
    unwatched: bool,
    /// The decisions that were published last.
    carried: Vec<JournalEntry>,
    /// Whether some were not yet, the last time that was looked.
    uncarried: bool,
    /// Services that have not said yet what they ask for, and until when they are waited
    /// for. A generation is whole: one that knows only some services would take the
    /// others from their users.
    awaited: BTreeSet<ServiceName>,
    awaited_until: Instant,
    number: u64,
    /// What was acknowledged last, by which life of the proxy.
    acknowledged: Option<(GenerationId, BootId)>,
}

impl Desired {
    /// Notes what a service asks for now; gives what it asked for until then.
    fn put(&mut self, service: &ServiceName, route: Option<ServiceRoute>) -> Option<ServiceRoute> {
        if route.is_none() {
            self.before.remove(service);
        }
        self.put_back(service, route)
    }

    /// The same for what cannot be had: what an earlier controller asked for stays, where
    /// nothing else is known.
    fn put_back(
        &mut self,
        service: &ServiceName,
        route: Option<ServiceRoute>,
    ) -> Option<ServiceRoute> {
        match route {
            Some(route) => self.routes.insert(service.clone(), route),
            None => self.routes.remove(service),
        }
    }

    /// What each service asks for, or asked for before.
    fn all(&self) -> Vec<ServiceRoute> {
        let before = self.before.iter();
        let before = before.filter(|(service, _)| !self.routes.contains_key(*service));
        let mut all: Vec<ServiceRoute> = before.map(|(_, route)| route.clone()).collect();
        all.extend(self.routes.values().cloned());
        all
    }
}

impl DataPlane {
    /// Stays in touch with the proxy behind `client` until the program ends. `inherited` is
    /// what an earlier controller put in force there.
    pub(crate) fn start(
        client: ControlClient,
        store: Store,
        inherited: Option<Generation>,
    ) -> Arc<Self> {
        let inherited = inherited.unwrap_or_else(|| Generation {
            v: WIRE_VERSION,
            id: GenerationId::default(),
            services: Vec::new(),
            journal: Vec::new(),
        });
        let routes = inherited.services.into_iter();
        let plane = Arc::new(Self {
            client,
            epoch: store.epoch(),
            plan: Mutex::new(Desired {
                routes: BTreeMap::new(),
                before: routes.map(|route| (route.service.clone(), route)).collect(),
                unwatched: false,
                carried: Vec::new(),
                uncarried: false,
                awaited: BTreeSet::new(),
                awaited_until: Instant::now(),
                number: 0,
                acknowledged: None,
            }),
            contact: watch::channel(Contact::default()).0,
            slices: broadcast::channel(4_096).0,
            lately: std::sync::Mutex::default(),
            behind: AtomicBool::new(false),
            journal: std::sync::Mutex::default(),
            inherited: inherited.journal,
            refused: std::sync::Mutex::new(None),
        });
        tokio::spawn(Arc::clone(&plane).keep_touch());
        let (told, to_store) = mpsc::channel(WAITING_BATCHES);
        tokio::spawn(Arc::clone(&plane).collect(told));
        tokio::spawn(Arc::clone(&plane).keep(store, to_store));
        plane
    }

    /// Publishes nothing before each of these services has said what it asks for. One that
    /// takes too long keeps what it had.
    pub(crate) async fn wait_for(&self, services: impl IntoIterator<Item = ServiceName>) {
        let mut plan = self.plan.lock().await;
        plan.awaited.extend(services);
        plan.awaited_until = Instant::now() + FIRST_ROUTES;
        let Desired {
            before, awaited, ..
        } = &mut *plan;
        before.retain(|service, _| awaited.contains(service));
    }

    /// A service has no route.
    pub(crate) async fn asks_nothing(&self, service: &ServiceName) {
        let mut plan = self.plan.lock().await;
        plan.awaited.remove(service);
        plan.before.remove(service);
    }

    /// A service whose state cannot be read has nobody who watches its canary: users are
    /// sent to its stable version, and else keep what they have.
    pub(crate) async fn cannot_be_taken_up(&self, service: &ServiceName) {
        let mut plan = self.plan.lock().await;
        plan.awaited.remove(service);
        if let Some(route) = plan.before.get_mut(service) {
            expose_nobody(route);
            plan.unwatched = true;
        }
    }

    /// Decisions of a service that are in force and not stored: whoever comes after this
    /// program finds them with what it published. None once they are stored.
    pub(crate) fn journal(&self, service: &ServiceName, entries: Vec<JournalEntry>) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() {
            journal.remove(service);
        } else {
            journal.insert(service.clone(), entries);
        }
    }

    fn journalled(&self) -> Vec<JournalEntry> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.values().flatten().cloned().collect()
    }

    /// What an earlier controller decided of this release and may not have stored.
    pub(crate) fn inherited(&self, release: &ReleaseId) -> Vec<JournalEntry> {
        let inherited = self.inherited.iter();
        inherited
            .filter(|entry| entry.release == *release)
            .cloned()
            .collect()
    }

    /// Who took this release back at the proxy, and why.
    pub(crate) fn taken_back(&self, release: &ReleaseId) -> Option<TakenBack> {
        let contact = self.contact.borrow();
        let mut taken = contact.taken_back.iter();
        taken.find(|taken| taken.release == *release).cloned()
    }

    /// Whether what answers is our proxy. Nothing is said to it otherwise.
    pub(crate) fn admit(&self, outcome: Result<(), String>) {
        *self
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = outcome.err();
    }

    /// How the proxy is kept, for people.
    pub(crate) fn note(&self, care: &ProxyCare) {
        self.contact.send_if_modified(|contact| {
            let changed = contact.care != *care;
            contact.care.clone_from(care);
            changed
        });
    }

    /// The proxy, if it is ours.
    pub(crate) fn client(&self) -> Result<&ControlClient, PublishError> {
        let refused = self
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*refused {
            Some(why) => Err(PublishError(format!("not our proxy: {why}"))),
            None => Ok(&self.client),
        }
    }

    /// Slices as they arrive, each once, whether or not it could be stored.
    pub(crate) fn slices(&self) -> broadcast::Receiver<Counted> {
        self.slices.subscribe()
    }

    /// What is known of the proxy, and its changes.
    pub(crate) fn contact(&self) -> watch::Receiver<Contact> {
        self.contact.subscribe()
    }

    /// Whether a proxy has taken this release's share back by itself.
    pub(crate) fn returned(&self, release: &ReleaseId) -> bool {
        self.contact.borrow().returned.contains(release)
    }

    /// What a proxy says of itself. The plan is held meanwhile: what it took back is
    /// known before anything else is published, or that would expose users again.
    fn heard(&self, _plan: &mut Desired, status: &ProxyStatus) {
        self.contact.send_modify(|contact| {
            let returned = status.returned.iter().map(|(release, _)| release.clone());
            contact.returned.extend(returned);
            contact.taken_back.clone_from(&status.taken_back);
            contact.status = Some((status.clone(), clock::now()));
            contact.trouble = None;
        });
    }

    /// How many requests to a version are on their way, as the proxy says right now.
    pub(crate) async fn in_flight(
        &self,
        service: &ServiceName,
        version: &Digest,
    ) -> Result<u64, PublishError> {
        let mut plan = self.plan.lock().await;
        let status = self.status().await?;
        self.heard(&mut plan, &status);
        let load = status.load.iter();
        let ours = load.filter(|load| load.service == *service && load.version == *version);
        Ok(ours.map(|load| load.in_flight).sum())
    }

    /// Puts a service's route in force. Returns once no request that begins later can
    /// see an older one; publishing what is in force already is a read-back.
    pub(crate) async fn publish(
        &self,
        service: &ServiceName,
        route: Option<ServiceRoute>,
    ) -> Result<GenerationId, PublishError> {
        let mut plan = self.plan.lock().await;
        let unchanged = plan.routes.get(service) == route.as_ref();
        if unchanged && let Some((id, boot)) = &plan.acknowledged {
            let (id, boot) = (*id, boot.clone());
            let status = self.status().await?;
            self.heard(&mut plan, &status);
            if status.generation == id && status.hello.boot == boot {
                return Ok(id);
            }
        }
        let replaced = plan.put(service, route);
        plan.awaited.remove(service);
        if !plan.awaited.is_empty() && Instant::now() < plan.awaited_until {
            return Err(PublishError(
                "other services have not said yet what they ask for".into(),
            ));
        }
        let outcome = self.push(&mut plan).await;
        if let Err(Unpublished::Refused(_)) = &outcome {
            // A generation is whole: what the proxy cannot serve must not keep the other
            // services from being turned.
            plan.put_back(service, replaced);
        }
        Ok(outcome?)
    }

    /// Why nobody can reach this address, if the proxy says so.
    pub(crate) fn listen_error(&self, address: &str) -> Option<String> {
        let contact = self.contact.borrow();
        let (status, _) = contact.status.as_ref()?;
        let mut errors = status.listen_errors.iter();
        let (_, why) = errors.find(|(listener, _)| listener == address)?;
        Some(why.clone())
    }

    /// The other service that takes the same requests as `route` would.
    pub(crate) async fn takes_the_same(
        &self,
        service: &ServiceName,
        listen: &str,
        matches: &RouteMatch,
    ) -> Option<ServiceName> {
        let plan = self.plan.lock().await;
        let mut others = plan.routes.values();
        others
            .find(|other| {
                other.service != *service && other.listen == listen && other.matches == *matches
            })
            .map(|other| other.service.clone())
    }

    async fn push(&self, plan: &mut Desired) -> Result<GenerationId, Unpublished> {
        if plan.number == 0 {
            // An earlier controller may have been told of a return and died.
            let status = self.status().await?;
            self.heard(plan, &status);
        }
        plan.number += 1;
        plan.acknowledged = None;
        let journal = self.journalled();
        let id = GenerationId {
            epoch: self.epoch,
            number: plan.number,
        };
        let generation = Generation {
            v: WIRE_VERSION,
            id,
            services: allowed(plan.all(), &self.contact.borrow().returned),
            journal: journal.clone(),
        };
        let published = tokio::time::timeout(CALL_LIMIT, self.client()?.publish(&generation))
            .await
            .map_err(|_| PublishError("the proxy did not answer in time".into()))?;
        let published = published.map_err(|error| match error {
            ControlError::Refused(_) => Unpublished::Refused(error.to_string()),
            other => Unpublished::Unknown(PublishError(other.to_string())),
        })?;
        plan.carried = journal;
        self.contact.send_modify(|contact| {
            contact.returned.retain(|release| {
                let all = plan.all();
                all.iter().any(|route| exposes(route, release))
            });
        });
        // Which listeners it could open is part of the answer.
        let status = self.status().await?;
        self.heard(plan, &status);
        plan.acknowledged = Some((published.generation, status.hello.boot));
        Ok(published.generation)
    }

    async fn status(&self) -> Result<ProxyStatus, PublishError> {
        limited(self.client()?.status_as(self.epoch)).await
    }

    /// Heartbeats, and the generation again for a proxy that came back without it.
    async fn keep_touch(self: Arc<Self>) {
        let mut pulse = tokio::time::interval(HEARTBEAT);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            if let Err(error) = self.pulse().await {
                self.contact
                    .send_modify(|contact| contact.trouble = Some(error.0));
            }
        }
    }

    async fn pulse(&self) -> Result<(), PublishError> {
        let mut plan = self.plan.lock().await;
        let heartbeat = Heartbeat {
            generation: GenerationId {
                epoch: self.epoch,
                number: plan.number,
            },
        };
        let status = limited(self.client()?.heartbeat(&heartbeat)).await?;
        self.heard(&mut plan, &status);
        let in_force = plan
            .acknowledged
            .as_ref()
            .is_some_and(|(id, boot)| *id == status.generation && *boot == status.hello.boot);
        let untouched = plan.number == 0 && plan.routes.is_empty() && !plan.unwatched;
        let waiting = !plan.awaited.is_empty() && Instant::now() < plan.awaited_until;
        let is_carried = |entry| plan.carried.contains(entry);
        let carried = self.journalled().iter().all(is_carried);
        // What lowers a share is on its way with that; only what stays behind is sent after.
        let left_behind = std::mem::replace(&mut plan.uncarried, !carried) && !carried;
        if (!in_force || left_behind) && !untouched && !waiting {
            self.push(&mut plan).await?;
        }
        Ok(())
    }
}

/// The routes as they may be published: what a proxy took back by itself stays taken back
/// until its release has been told, whoever else has something to publish.
fn allowed(mut all: Vec<ServiceRoute>, returned: &BTreeSet<ReleaseId>) -> Vec<ServiceRoute> {
    for route in &mut all {
        let split = route.split.as_ref();
        if split.is_some_and(|split| returned.contains(&split.release)) {
            expose_nobody(route);
        }
    }
    all
}

fn expose_nobody(route: &mut ServiceRoute) {
    if let Some(split) = &mut route.split {
        split.share = BasisPoints::ZERO;
        split.segments.clear();
    }
}

/// Whether the route shows this release to anybody.
fn exposes(route: &ServiceRoute, release: &ReleaseId) -> bool {
    route.split.as_ref().is_some_and(|split| {
        split.release == *release && (split.share > BasisPoints::ZERO || !split.segments.is_empty())
    })
}

pub(crate) async fn limited<T, E: std::fmt::Display>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, PublishError> {
    tokio::time::timeout(CALL_LIMIT, call)
        .await
        .map_err(|_| PublishError("the proxy did not answer in time".into()))?
        .map_err(|error| PublishError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Vec<ServiceRoute> {
        let golden = include_str!("../../wire/golden/generation-v1.json");
        let generation: Generation = serde_json::from_str(golden).expect("a generation");
        generation.services
    }

    /// A proxy that refuses a service's first route after a restart goes on to serve the
    /// one before it, also with the next generation of a neighbour.
    #[test]
    fn a_refused_route_leaves_what_was_before_it() {
        let route = routes().remove(0);
        let service = route.service.clone();
        let mut plan = Desired {
            routes: BTreeMap::new(),
            before: BTreeMap::from([(service.clone(), route.clone())]),
            unwatched: false,
            carried: Vec::new(),
            uncarried: false,
            awaited: BTreeSet::new(),
            awaited_until: Instant::now(),
            number: 0,
            acknowledged: None,
        };
        let refused = ServiceRoute {
            max_body_bytes: route.max_body_bytes + 1,
            ..route.clone()
        };
        let replaced = plan.put(&service, Some(refused.clone()));
        assert_eq!(plan.all(), [refused]);
        plan.put_back(&service, replaced);
        assert_eq!(plan.all(), [route]);
        // Whoever asks for nothing has nothing.
        plan.put(&service, None);
        assert_eq!(plan.all(), []);
    }

    /// A neighbour that publishes must not expose whom the proxy has taken back.
    #[test]
    fn what_a_proxy_took_back_is_published_by_nobody() {
        let routes = routes();
        let split = routes.iter().find_map(|route| route.split.clone());
        let release = split.expect("one with a split").release;
        let exposed = |routes: &[ServiceRoute]| routes.iter().any(|r| exposes(r, &release));
        assert!(exposed(&allowed(routes.clone(), &BTreeSet::new())));
        let returned = BTreeSet::from([release.clone()]);
        let published = allowed(routes.clone(), &returned);
        assert!(!exposed(&published));
        // Everything else is as it was asked for.
        assert_eq!(published.len(), routes.len());
        let other = BTreeSet::from([ReleaseId::new("another").expect("an id")]);
        assert!(exposed(&allowed(routes, &other)));
    }
}
