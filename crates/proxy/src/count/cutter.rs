//! Makes slices of the workers' counts, once a second.

use super::journal::Journal;
use super::shard::{CellKey, Counts, Faults, Shard, Tally};
use super::store::SliceStore;
use super::totals::Totals;
use crate::registry::{Key, Registry};
use crate::worker::Shared;
use esclusa_judge::{Cell, MAX_UNITS, SLICE_VERSION, Slice, UnitCount};
use esclusa_model::{GenerationId, ServiceName};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
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
}

/// The wall clock, as time since 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

impl Cutter {
    /// Cuts at each second of the wall clock, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let now = since_epoch();
            let into = Duration::from_nanos(u64::from(now.subsec_nanos()));
            tokio::time::sleep(Duration::from_secs(1).saturating_sub(into)).await;
            // The second that has just ended, even when the timer is a little early or late.
            let second = (since_epoch() + Duration::from_millis(500))
                .as_secs()
                .saturating_sub(1);
            self.cut(i64::try_from(second).unwrap_or(i64::MAX));
            // Stay clear of the border that was just passed.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Cuts now. `second` is the second's start on the wall clock.
    pub(crate) fn cut(&self, second: i64) {
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
        let stamped = self.store.push(slices);
        self.journal.append(stamped);
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
