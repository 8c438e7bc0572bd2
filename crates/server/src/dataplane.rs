//! The control plane's side of the proxies: publish, stay in touch, collect slices.
//!
//! One generation holds all services. It is published whole; a proxy that was away
//! gets it again as soon as it is back.

use crate::clock;
use crate::proxy_keeper::ProxyCare;
use esclusa_model::{
    BasisPoints, BootId, Digest, Epoch, GenerationId, ProxyId, ReleaseId, ServiceName, Timestamp,
};
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_store::Store;
use esclusa_wire::{
    Generation, Heartbeat, ProxyStatus, RouteMatch, ServiceRoute, SliceAck, StampedSlice,
    WIRE_VERSION,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, broadcast, watch};

/// How often a proxy hears from us.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Longest wait for any answer of a proxy but slices.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How long a proxy may keep a question for slices open.
const SLICE_WAIT: Duration = Duration::from_millis(1_500);
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
    /// When slices were fetched and stored last.
    pub slices_at: Option<Timestamp>,
    /// What went wrong last, if it still does.
    pub trouble: Option<String>,
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
    /// Why nothing is said to what answers, if it is not our proxy.
    refused: std::sync::Mutex<Option<String>>,
}

struct Desired {
    routes: BTreeMap<ServiceName, ServiceRoute>,
    /// Services that have not said yet what they ask for, and until when they are waited
    /// for. A generation is whole: one that knows only some services would take the
    /// others from their users.
    awaited: BTreeSet<ServiceName>,
    awaited_until: Instant,
    number: u64,
    /// What was acknowledged last, by which life of the proxy.
    acknowledged: Option<(GenerationId, BootId)>,
}

impl DataPlane {
    /// Stays in touch with the proxy behind `client` until the program ends.
    pub(crate) fn start(client: ControlClient, store: Store) -> Arc<Self> {
        let plane = Arc::new(Self {
            client,
            epoch: store.epoch(),
            plan: Mutex::new(Desired {
                routes: BTreeMap::new(),
                awaited: BTreeSet::new(),
                awaited_until: Instant::now(),
                number: 0,
                acknowledged: None,
            }),
            contact: watch::channel(Contact::default()).0,
            slices: broadcast::channel(4_096).0,
            refused: std::sync::Mutex::new(None),
        });
        tokio::spawn(Arc::clone(&plane).keep_touch());
        tokio::spawn(Arc::clone(&plane).collect(store));
        plane
    }

    /// Publishes nothing before each of these services has said what it asks for.
    pub(crate) async fn wait_for(&self, services: impl IntoIterator<Item = ServiceName>) {
        let mut plan = self.plan.lock().await;
        plan.awaited.extend(services);
        plan.awaited_until = Instant::now() + FIRST_ROUTES;
    }

    /// A service has no route.
    pub(crate) async fn asks_nothing(&self, service: &ServiceName) {
        self.plan.lock().await.awaited.remove(service);
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
    fn client(&self) -> Result<&ControlClient, PublishError> {
        let refused = self
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*refused {
            Some(why) => Err(PublishError(format!("not our proxy: {why}"))),
            None => Ok(&self.client),
        }
    }

    /// Slices as they arrive, each after it was stored.
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
        let before = match route {
            Some(route) => plan.routes.insert(service.clone(), route),
            None => plan.routes.remove(service),
        };
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
            match before {
                Some(before) => plan.routes.insert(service.clone(), before),
                None => plan.routes.remove(service),
            };
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
        let id = GenerationId {
            epoch: self.epoch,
            number: plan.number,
        };
        let generation = Generation {
            v: WIRE_VERSION,
            id,
            services: allowed(&plan.routes, &self.contact.borrow().returned),
            journal: Vec::new(),
        };
        let published = tokio::time::timeout(CALL_LIMIT, self.client()?.publish(&generation))
            .await
            .map_err(|_| PublishError("the proxy did not answer in time".into()))?;
        let published = published.map_err(|error| match error {
            ControlError::Refused(_) => Unpublished::Refused(error.to_string()),
            other => Unpublished::Unknown(PublishError(other.to_string())),
        })?;
        self.contact.send_modify(|contact| {
            contact.returned.retain(|release| {
                let mut routes = plan.routes.values();
                routes.any(|route| exposes(route, release))
            });
        });
        // Which listeners it could open is part of the answer.
        let status = self.status().await?;
        self.heard(plan, &status);
        plan.acknowledged = Some((published.generation, status.hello.boot));
        Ok(published.generation)
    }

    async fn status(&self) -> Result<ProxyStatus, PublishError> {
        limited(self.client()?.status()).await
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
        let untouched = plan.number == 0 && plan.routes.is_empty();
        let waiting = !plan.awaited.is_empty() && Instant::now() < plan.awaited_until;
        if !in_force && !untouched && !waiting {
            self.push(&mut plan).await?;
        }
        Ok(())
    }

    /// Fetches slices, stores them, acknowledges them, tells everybody: in this order.
    async fn collect(self: Arc<Self>, store: Store) {
        loop {
            if let Err(error) = self.collect_once(&store).await {
                tracing::warn!(%error, "Slices could not be collected");
                self.contact
                    .send_modify(|contact| contact.trouble = Some(error.0));
                tokio::time::sleep(HEARTBEAT).await;
            }
        }
    }

    async fn collect_once(&self, store: &Store) -> Result<(), PublishError> {
        // What is acknowledged is gone from the proxy, so everything left is news.
        let client = self.client()?;
        let answer = client.slices(0, SLICE_WAIT);
        let batch = tokio::time::timeout(SLICE_WAIT + CALL_LIMIT, answer)
            .await
            .map_err(|_| PublishError("the proxy did not answer in time".into()))?
            .map_err(|error| PublishError(error.to_string()))?;
        if batch.slices.is_empty() {
            return Ok(());
        }
        store
            .put_slices(&batch.proxy, &batch, clock::now())
            .await
            .map_err(|error| PublishError(format!("slices could not be stored: {error}")))?;
        let mut newest: BTreeMap<BootId, u64> = BTreeMap::new();
        for stamped in &batch.slices {
            let slot = newest.entry(stamped.boot.clone()).or_default();
            *slot = (*slot).max(stamped.sequence);
        }
        for (boot, sequence) in newest {
            limited(client.ack(&SliceAck { boot, sequence })).await?;
        }
        self.contact
            .send_modify(|contact| contact.slices_at = Some(clock::now()));
        for stamped in batch.slices {
            // Nobody listening is fine: a service without a release has no judge.
            let _ = self.slices.send(Arc::new((batch.proxy.clone(), stamped)));
        }
        Ok(())
    }
}

/// The routes as they may be published: what a proxy took back by itself stays taken back
/// until its release has been told, whoever else has something to publish.
fn allowed(
    routes: &BTreeMap<ServiceName, ServiceRoute>,
    returned: &BTreeSet<ReleaseId>,
) -> Vec<ServiceRoute> {
    let mut all: Vec<ServiceRoute> = routes.values().cloned().collect();
    for route in &mut all {
        if let Some(split) = &mut route.split
            && returned.contains(&split.release)
        {
            split.share = BasisPoints::ZERO;
            split.segments.clear();
        }
    }
    all
}

/// Whether the route shows this release to anybody.
fn exposes(route: &ServiceRoute, release: &ReleaseId) -> bool {
    route.split.as_ref().is_some_and(|split| {
        split.release == *release && (split.share > BasisPoints::ZERO || !split.segments.is_empty())
    })
}

async fn limited<T, E: std::fmt::Display>(
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

    fn routes() -> BTreeMap<ServiceName, ServiceRoute> {
        let golden = include_str!("../../wire/golden/generation-v1.json");
        let generation: Generation = serde_json::from_str(golden).expect("a generation");
        let services = generation.services.into_iter();
        services
            .map(|route| (route.service.clone(), route))
            .collect()
    }

    /// A neighbour that publishes must not expose whom the proxy has taken back.
    #[test]
    fn what_a_proxy_took_back_is_published_by_nobody() {
        let routes = routes();
        let split = routes.values().find_map(|route| route.split.clone());
        let release = split.expect("one with a split").release;
        let exposed = |routes: &[ServiceRoute]| routes.iter().any(|r| exposes(r, &release));
        assert!(exposed(&allowed(&routes, &BTreeSet::new())));
        let returned = BTreeSet::from([release.clone()]);
        let published = allowed(&routes, &returned);
        assert!(!exposed(&published));
        // Everything else is as it was asked for.
        assert_eq!(published.len(), routes.len());
        let other = BTreeSet::from([ReleaseId::new("another").expect("an id")]);
        assert!(exposed(&allowed(&routes, &other)));
    }
}
