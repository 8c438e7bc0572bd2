//! Names that outlive a generation: small numbers for counting, counters for load.
//!
//! A number is never used twice, so a request that outlives its generation is still
//! counted under its own names.

use crate::count::routes::RouteNames;
use esclusa_model::{Digest, InstanceId, ServiceName, VersionName};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use tokio::sync::watch;

/// A number that stands for a name in the shards.
pub(crate) type Key = u32;

/// Work in flight to one version of one service.
#[derive(Debug, Default)]
pub(crate) struct VersionLoad {
    pub(crate) in_flight: AtomicU64,
    pub(crate) tunnels: AtomicU64,
    /// Whether its users were taken off it; ends its tunnels.
    pub(crate) recalled: watch::Sender<bool>,
}

/// One running copy, as long as anything knows it.
#[derive(Debug)]
pub(crate) struct InstanceLoad {
    /// Names the copy, its address and how to speak to it: what a pooled connection is for.
    pub(crate) pool_key: Key,
    pub(crate) in_flight: AtomicU64,
    born: Instant,
    /// Milliseconds since `born` until which it is tried last, after a failed connect.
    avoid_until: AtomicU64,
}

/// How long an instance that refused a connection is tried last.
const AVOID_MS: u64 = 1_000;

impl InstanceLoad {
    fn new(pool_key: Key) -> Self {
        Self {
            pool_key,
            in_flight: AtomicU64::new(0),
            born: Instant::now(),
            avoid_until: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn connect_failed(&self) {
        self.avoid_until
            .store(self.now().saturating_add(AVOID_MS), Ordering::Relaxed);
    }

    pub(crate) fn connect_worked(&self) {
        if self.avoid_until.load(Ordering::Relaxed) != 0 {
            self.avoid_until.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it should be tried after the others.
    pub(crate) fn avoided(&self) -> bool {
        let until = self.avoid_until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }
}

#[derive(Debug, Default)]
struct Names {
    services: Vec<ServiceName>,
    versions: Vec<Digest>,
    instances: Vec<InstanceId>,
    pools: Vec<String>,
    routes: BTreeMap<Key, Arc<RouteNames>>,
    loads: BTreeMap<(Key, Key), Arc<VersionLoad>>,
    /// People's names of versions, also of those that serve no more: a counter whose
    /// labels change is two counters.
    called: BTreeMap<(Key, Key), VersionName>,
    instance_loads: BTreeMap<Key, Arc<InstanceLoad>>,
}

/// All names this proxy has ever been given.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: Mutex<Names>,
    /// What was read of private authorities' files, as long as anything uses it.
    authorities: Mutex<BTreeMap<String, Vec<Weak<ClientConfig>>>>,
}

fn number<T: PartialEq + Clone>(list: &mut Vec<T>, item: &T) -> Key {
    let at = list
        .iter()
        .position(|known| known == item)
        .unwrap_or_else(|| {
            list.push(item.clone());
            list.len() - 1
        });
    // A generation has far fewer than 2^32 names, and one arrives at most every millisecond.
    Key::try_from(at).unwrap_or(Key::MAX)
}

impl Registry {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `read` gives for a private authority's file. When that fails, what is in use of
    /// the same file: one that is gone or being replaced must not keep a generation out that
    /// sends users elsewhere.
    pub(crate) fn authority(
        &self,
        path: &str,
        read: impl FnOnce(&str) -> Result<ClientConfig, String>,
    ) -> Result<Arc<ClientConfig>, String> {
        let mut known = self
            .authorities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for configs in known.values_mut() {
            configs.retain(|config| config.strong_count() > 0);
        }
        known.retain(|_, configs| !configs.is_empty());
        match read(path) {
            Ok(config) => {
                let config = Arc::new(config);
                let configs = known.entry(path.to_owned()).or_default();
                configs.push(Arc::downgrade(&config));
                Ok(config)
            }
            Err(why) => {
                let mut newest_first = known.get(path).into_iter().flatten().rev();
                let in_use = newest_first.find_map(Weak::upgrade);
                if in_use.is_some() {
                    tracing::warn!(why, "what was read of this file before stays in use");
                }
                in_use.ok_or(why)
            }
        }
    }

    pub(crate) fn service(&self, name: &ServiceName) -> (Key, Arc<RouteNames>) {
        let mut names = self.names();
        let key = number(&mut names.services, name);
        let routes = names.routes.entry(key).or_default();
        (key, Arc::clone(routes))
    }

    pub(crate) fn version(
        &self,
        service: Key,
        digest: &Digest,
        name: &VersionName,
    ) -> (Key, Arc<VersionLoad>) {
        let mut names = self.names();
        let key = number(&mut names.versions, digest);
        names.called.insert((service, key), name.clone());
        let load = names.loads.entry((service, key)).or_default();
        (key, Arc::clone(load))
    }

    pub(crate) fn instance(&self, id: &InstanceId, pool: &String) -> (Key, Arc<InstanceLoad>) {
        let mut names = self.names();
        let key = number(&mut names.instances, id);
        let pool_key = number(&mut names.pools, pool);
        let load = names
            .instance_loads
            .entry(pool_key)
            .or_insert_with(|| Arc::new(InstanceLoad::new(pool_key)));
        (key, Arc::clone(load))
    }

    /// What people call each version that was ever served.
    pub(crate) fn called(&self) -> BTreeMap<(ServiceName, Digest), VersionName> {
        let names = self.names();
        let called = names
            .called
            .iter()
            .filter_map(|((service, version), name)| {
                let service = names.services.get(*service as usize)?.clone();
                let version = *names.versions.get(*version as usize)?;
                Some(((service, version), name.clone()))
            });
        called.collect()
    }

    pub(crate) fn service_name(&self, key: Key) -> Option<ServiceName> {
        self.names().services.get(key as usize).cloned()
    }

    pub(crate) fn digest(&self, key: Key) -> Option<Digest> {
        self.names().versions.get(key as usize).copied()
    }

    pub(crate) fn instance_id(&self, key: Key) -> Option<InstanceId> {
        self.names().instances.get(key as usize).cloned()
    }

    pub(crate) fn routes(&self, service: Key) -> Option<Arc<RouteNames>> {
        self.names().routes.get(&service).cloned()
    }

    /// All versions with work in flight, and those that `keep` names without any.
    pub(crate) fn loads(
        &self,
        keep: impl Fn(&ServiceName, &Digest) -> bool,
    ) -> Vec<esclusa_wire::VersionLoad> {
        let names = self.names();
        let mut list = Vec::new();
        for ((service, version), load) in &names.loads {
            let (Some(service), Some(version)) = (
                names.services.get(*service as usize),
                names.versions.get(*version as usize),
            ) else {
                continue;
            };
            let in_flight = load.in_flight.load(Ordering::Relaxed);
            let tunnels = load.tunnels.load(Ordering::Relaxed);
            if in_flight > 0 || tunnels > 0 || keep(service, version) {
                list.push(esclusa_wire::VersionLoad {
                    service: service.clone(),
                    version: *version,
                    in_flight,
                    tunnels,
                });
            }
        }
        list
    }
}
