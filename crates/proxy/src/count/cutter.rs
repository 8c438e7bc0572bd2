//! Makes slices of the workers' counts, once a second.

use super::journal::Journal;
use super::left::{Found, Reader};
use super::shard::{CellKey, Counts, Faults, Shard, Tally};
use super::store::SliceStore;
use super::totals::Totals;
use crate::hand_over::followers::Followers;
use crate::registry::{Key, Registry};
use crate::worker::Shared;
use esclusa_judge::{Cell, MAX_UNITS, SLICE_VERSION, Slice, UnitCount};
use esclusa_model::{GenerationId, ServiceName};
use esclusa_wire::SliceAck;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the cutter works with.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) store: Arc<SliceStore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) totals: Arc<Mutex<Totals>>,
    pub(crate) started: Instant,
    pub(crate) others: Others,
}

/// Other lives of this proxy that may still count: those that have handed over and drain.
#[derive(Debug)]
pub(crate) struct Others {
    reader: Arc<Mutex<Reader>>,
    followers: Arc<Followers>,
    active: AtomicBool,
}

impl Others {
    pub(crate) fn new(reader: Reader, followers: Arc<Followers>, live: bool) -> Self {
        Self {
            reader: Arc::new(Mutex::new(reader)),
            followers,
            active: AtomicBool::new(live),
        }
    }

    /// They are somebody else's now.
    pub(crate) fn leave(&self) {
        self.active.store(false, Ordering::Relaxed);
    }
}

/// How long those that drain have to write the second that has just ended.
const WRITE_TIME: Duration = Duration::from_millis(50);
/// How long the own second waits for the disk to give theirs.
const READ_TIME: Duration = Duration::from_millis(300);

/// The wall clock, as time since 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

impl Cutter {
    /// Cuts at each second of the wall clock, for ever.
    pub(crate) async fn run(&self) {
        let mut look = None;
        loop {
            let now = since_epoch();
            let into = Duration::from_nanos(u64::from(now.subsec_nanos()));
            tokio::time::sleep(Duration::from_secs(1).saturating_sub(into)).await;
            // The second that has just ended, even when the timer is a little early or late.
            let second = (since_epoch() + Duration::from_millis(500))
                .as_secs()
                .saturating_sub(1);
            let slices = self.count(i64::try_from(second).unwrap_or(i64::MAX));
            self.gather(&mut look).await;
            self.hand_out(slices);
            // Stay clear of the border that was just passed.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Cuts now. `second` is the second's start on the wall clock.
    pub(crate) fn cut(&self, second: i64) {
        let slices = self.count(second);
        self.hand_out(slices);
    }

    /// Takes in what those that drain have counted. A look that a disk holds up goes on.
    async fn gather(&self, look: &mut Option<tokio::task::JoinHandle<Found>>) {
        if !self.others.active.load(Ordering::Relaxed) && look.is_none() {
            return;
        }
        tokio::time::sleep(WRITE_TIME).await;
        let looking = look.get_or_insert_with(|| {
            let reader = Arc::clone(&self.others.reader);
            tokio::task::spawn_blocking(move || {
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                reader.look().unwrap_or_else(|error| {
                    tracing::warn!(%error, "slices of those that drain cannot be read");
                    Found {
                        live: true,
                        ..Found::default()
                    }
                })
            })
        });
        let Ok(found) = tokio::time::timeout(READ_TIME, looking).await else {
            return;
        };
        *look = None;
        let Ok(found) = found else { return };
        if !found.live && self.others.followers.is_empty() {
            self.others.active.store(false, Ordering::Relaxed);
        }
        let slices: Vec<Slice> = found.slices.iter().map(|s| s.slice.clone()).collect();
        let uptime_s = self.started.elapsed().as_secs();
        self.totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(&slices, Faults::default(), uptime_s);
        self.store.push_earlier(found.slices, found.unreadable);
        for (boot, sequence) in found.acked {
            let ack = SliceAck { boot, sequence };
            self.store.ack(&ack);
            self.journal.ack(ack);
        }
        self.journal.adopt(found.closed);
    }

    fn hand_out(&self, slices: Vec<Slice>) {
        let stamped = self.store.push(slices);
        self.journal.append(stamped);
    }

    fn count(&self, second: i64) -> Vec<Slice> {
        let now = Instant::now();
        let mut all = Counts::default();
        for shard in &self.shards {
            merge(&mut all, shard.cut(now));
        }
        let uptime_s = now.saturating_duration_since(self.started).as_secs();
        let table = self.shared.table.load();
        let mut services: BTreeMap<ServiceName, (Key, Vec<Cell>, Faults)> = BTreeMap::new();
        for service in table.services() {
            service.route_names.tick(uptime_s);
            services.insert(
                service.name.clone(),
                (service.key, Vec::new(), Faults::default()),
            );
        }
        let registry = &self.shared.registry;
        // Services that are gone may still have requests to count.
        let counted: BTreeSet<Key> = all
            .cells
            .keys()
            .map(|k| k.service)
            .chain(all.faults.keys().copied())
            .collect();
        for key in counted {
            if let Some(name) = registry.service_name(key) {
                services
                    .entry(name)
                    .or_insert((key, Vec::new(), Faults::default()));
            }
        }
        let cells = named(registry, std::mem::take(&mut all.cells));
        for (service, cell) in cells {
            if let Some((_, cells, _)) = services.get_mut(&service) {
                cells.push(cell);
            }
        }
        for (key, _, faults) in services.values_mut() {
            *faults = all.faults.remove(key).unwrap_or_default();
        }
        let generation = table.id;
        let slices: Vec<Slice> = services
            .into_iter()
            .map(|(service, (_, cells, faults))| {
                slice(service, second, uptime_s, generation, cells, faults)
            })
            .collect();
        self.totals
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .add(&slices, all.unrouted, uptime_s);
        slices
    }
}

fn slice(
    service: ServiceName,
    second: i64,
    uptime_s: u64,
    generation: GenerationId,
    cells: Vec<Cell>,
    faults: Faults,
) -> Slice {
    Slice {
        v: SLICE_VERSION,
        service,
        second,
        uptime_s,
        generation,
        cells,
        client_faults: faults.client,
        proxy_faults: faults.proxy,
    }
}

fn merge(all: &mut Counts, more: Counts) {
    for (key, tally) in more.cells {
        all.cells.entry(key).or_default().merge(&tally);
    }
    for (key, faults) in more.faults {
        let sum = all.faults.entry(key).or_default();
        sum.client += faults.client;
        sum.proxy += faults.proxy;
    }
    all.unrouted.client += more.unrouted.client;
    all.unrouted.proxy += more.unrouted.proxy;
}

/// Looks the names up, in a fixed order.
fn named(registry: &Registry, cells: HashMap<CellKey, Tally>) -> Vec<(ServiceName, Cell)> {
    let mut cells: Vec<_> = cells.into_iter().collect();
    cells.sort_by_key(|(key, _)| *key);
    cells
        .into_iter()
        .filter_map(|(key, tally)| cell(registry, key, tally))
        .collect()
}

fn cell(registry: &Registry, key: CellKey, tally: Tally) -> Option<(ServiceName, Cell)> {
    let service = registry.service_name(key.service)?;
    let mut units: Vec<UnitCount> = tally
        .units
        .into_iter()
        .map(|(unit, (requests, failures))| UnitCount {
            unit,
            requests,
            failures,
        })
        .collect();
    units.sort_by_key(|u| (std::cmp::Reverse(u.requests), u.unit));
    units.truncate(MAX_UNITS);
    let cell = Cell {
        intended: registry.digest(key.intended)?,
        served: key.served.and_then(|served| registry.digest(served)),
        route: registry.routes(key.service)?.name(key.route),
        instance: key
            .instance
            .and_then(|instance| registry.instance_id(instance)),
        synthetic: key.synthetic,
        requests: tally.requests,
        events: tally.events.into_iter().collect(),
        latency: tally.latency,
        pending: tally.pending,
        units,
    };
    Some((service, cell))
}
