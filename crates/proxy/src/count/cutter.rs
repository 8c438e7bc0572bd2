//! Makes slices of the workers' counts, once a second.
//!
//! A cutter that comes late, because the machine is busy or the process was halted, cuts
//! each second that is over on its own. What was cut and not yet handed out stays in
//! hand, so that an end in between loses nothing.

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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    pub(crate) in_hand: Mutex<InHand>,
}

/// What was cut last.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    /// Not yet handed out.
    slices: Vec<Slice>,
    /// The end of the newest second that was cut; time on it does not go back.
    until: Option<Instant>,
}

/// Which seconds to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that are over.
    Over,
    /// The running one too.
    All,
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    now: Instant,
    wall: Duration,
}

impl Clocks {
    fn read() -> Self {
        let wall = since_epoch();
        Self {
            now: Instant::now(),
            wall,
        }
    }

    fn second(self) -> i64 {
        whole_seconds(self.wall)
    }

    /// When a second ended; now for one that has not.
    fn end_of(self, second: i64) -> Instant {
        let end = Duration::from_secs(u64::try_from(second + 1).unwrap_or_default());
        let ago = self.wall.saturating_sub(end);
        self.now.checked_sub(ago).unwrap_or(self.now)
    }
}

/// Other lives of this proxy that may still count: those that have handed over and drain.
#[derive(Debug)]
pub(crate) struct Others {
    reader: Arc<Mutex<Reader>>,
    followers: Arc<Followers>,
}

impl Others {
    pub(crate) fn new(reader: Reader, followers: Arc<Followers>) -> Self {
        Self {
            reader: Arc::new(Mutex::new(reader)),
            followers,
        }
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

fn whole_seconds(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

/// The running second's start on the wall clock, in seconds since 1970.
pub(crate) fn this_second() -> i64 {
    whole_seconds(since_epoch())
}

impl Cutter {
    /// Cuts at each second of the wall clock, for ever.
    pub(crate) async fn run(&self) {
        let mut look = None;
        let mut running = this_second();
        loop {
            end_of(running).await;
            let clocks = Clocks::read();
            running = clocks.second();
            self.count(Which::Over, clocks);
            self.gather(&mut look).await;
            self.hand_out();
        }
    }

    /// Cuts everything now, the running second too.
    pub(crate) fn cut_everything(&self) {
        self.count(Which::All, Clocks::read());
        self.hand_out();
    }

    /// Those that drain are somebody else's now.
    pub(crate) fn leave_others(&self) {
        self.store.expect_others(false);
    }

    /// Takes in what those that drain have counted. A look that a disk holds up goes on.
    async fn gather(&self, look: &mut Option<tokio::task::JoinHandle<Found>>) {
        if !self.store.expects_others() && look.is_none() {
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
        let nobody = !found.live && self.others.followers.is_empty();
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
        if nobody {
            self.store.expect_others(false);
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self) {
        let slices = std::mem::take(&mut self.in_hand().slices);
        let stamped = self.store.push(slices);
        self.journal.append(stamped);
    }

    /// Takes counts in hand. Only a second that ended just now has slices without counts:
    /// after a long halt there would be too many.
    fn count(&self, which: Which, clocks: Clocks) {
        let running = clocks.second();
        let mut seconds: BTreeSet<i64> = self.shards.iter().flat_map(|s| s.seconds()).collect();
        match which {
            Which::Over => {
                seconds.remove(&running);
                seconds.insert(running.saturating_sub(1));
            }
            Which::All => {
                seconds.insert(running);
            }
        }
        let mut in_hand = self.in_hand();
        for second in seconds {
            let end = clocks.end_of(second);
            let end = in_hand.until.map_or(end, |until| until.max(end));
            in_hand.until = Some(end);
            in_hand.slices.extend(self.slices_of(second, end));
        }
    }

    /// One second's slices of all services. `end` is when it ended.
    fn slices_of(&self, second: i64, end: Instant) -> Vec<Slice> {
        let mut all = Counts::default();
        for shard in &self.shards {
            merge(&mut all, shard.cut(second, end));
        }
        let uptime_s = end.saturating_duration_since(self.started).as_secs();
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
            .unwrap_or_else(PoisonError::into_inner)
            .add(&slices, all.unrouted, uptime_s);
        slices
    }
}

/// Waits until the wall clock shows another second. The timer follows another clock and
/// may be early on this one.
async fn end_of(running: i64) {
    loop {
        let wall = since_epoch();
        if whole_seconds(wall) != running {
            return;
        }
        let into = Duration::from_nanos(u64::from(wall.subsec_nanos()));
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(into)).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::count::journal;
    use crate::count::routes::OTHER;
    use crate::count::shard::Finished;
    use esclusa_model::{BootId, Digest, VersionName};

    fn cutter(folder: &std::path::Path) -> Cutter {
        let boot = BootId::new("b").expect("boot");
        let left = journal::load(folder, &boot).expect("nothing is left");
        let journal = Journal::start(folder, &boot, &left).expect("a journal");
        Cutter {
            shared: Shared::new(Limits::default()),
            shards: vec![Arc::default(), Arc::default()],
            store: Arc::new(SliceStore::new(boot, 10_000, Vec::new(), 0)),
            journal: Arc::new(journal),
            totals: Arc::default(),
            started: Instant::now(),
            others: Others::new(left.reader, Arc::default()),
            in_hand: Mutex::default(),
        }
    }

    fn finish(cutter: &Cutter, shard: usize, second: i64) {
        let registry = &cutter.shared.registry;
        let (service, _) = registry.service(&ServiceName::new("shop").expect("name"));
        let version = VersionName::new("v1").expect("name");
        let (intended, _) = registry.version(service, &Digest::of(b"v1"), &version);
        let key = CellKey {
            service,
            intended,
            served: Some(intended),
            route: OTHER,
            instance: None,
            synthetic: false,
        };
        let done = Finished {
            key,
            class: None,
            latency_us: 5,
            unit: None,
        };
        cutter.shards[shard].finish(second, done);
    }

    /// Second, uptime and requests of each slice that waits.
    fn waiting(cutter: &Cutter) -> Vec<(i64, u64, u64)> {
        let slices = cutter.store.after(0);
        let requests = |s: &Slice| s.cells.iter().map(|c| c.requests).sum();
        slices
            .iter()
            .map(|s| (s.slice.second, s.slice.uptime_s, requests(&s.slice)))
            .collect()
    }

    // TRF-07: a report asks for seconds, so a request must be found in its own.
    #[tokio::test]
    async fn a_cutter_that_is_late_moves_no_request_to_another_second() {
        let folder = tempfile::tempdir().expect("folder");
        let cutter = cutter(folder.path());
        // Halted from 1,000.9 to 1,002.7, with a request right before, between and after.
        let started = cutter.started;
        let clocks = |ms: u64| Clocks {
            now: started + Duration::from_millis(ms - 1_000_000 + 4_500),
            wall: Duration::from_millis(ms),
        };
        finish(&cutter, 0, 1_000);
        finish(&cutter, 1, 1_000);
        finish(&cutter, 0, 1_001);
        finish(&cutter, 1, 1_002);
        cutter.count(Which::Over, clocks(1_002_700));
        cutter.hand_out();
        assert_eq!(waiting(&cutter), [(1_000, 5, 2), (1_001, 6, 1)]);
        // What comes late for a second that was cut is counted, and in that second.
        finish(&cutter, 0, 1_001);
        cutter.count(Which::Over, clocks(1_003_001));
        cutter.hand_out();
        let later = waiting(&cutter).split_off(2);
        assert_eq!(later, [(1_001, 6, 1), (1_002, 7, 1)]);
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_loses_no_request() {
        let folder = tempfile::tempdir().expect("folder");
        let cutter = cutter(folder.path());
        let started = cutter.started;
        let clocks = |up_s: u64, wall: u64| Clocks {
            now: started + Duration::from_secs(up_s),
            wall: Duration::from_secs(wall),
        };
        finish(&cutter, 0, 4_000);
        finish(&cutter, 0, 999);
        cutter.count(Which::Over, clocks(8, 1_000));
        finish(&cutter, 0, 1_000);
        // Forward again by an hour: the proxy's own time does not go back.
        cutter.count(Which::Over, clocks(9, 4_601));
        cutter.hand_out();
        let told = waiting(&cutter);
        assert_eq!(told.iter().map(|(_, _, n)| n).sum::<u64>(), 3);
        assert!(told.is_sorted_by_key(|(_, up_s, _)| *up_s), "{told:?}");
    }

    // TRF-10: an end, or a hand-over, at any moment loses nothing.
    #[tokio::test]
    async fn what_is_in_hand_when_the_cutter_is_ended_is_handed_out() {
        let folder = tempfile::tempdir().expect("folder");
        let cutter = Arc::new(cutter(folder.path()));
        // Somebody drains, so each second waits for theirs.
        cutter.store.expect_others(true);
        let _follower = cutter.others.followers.join(true);
        let running = Arc::clone(&cutter);
        let task = tokio::spawn(async move { running.run().await });
        let mut counted = 0;
        let holds = |cutter: &Cutter| {
            let requests = |s: &Slice| s.cells.iter().map(|c| c.requests).sum::<u64>();
            cutter.in_hand().slices.iter().map(requests).sum::<u64>() > 0
        };
        while !holds(&cutter) {
            finish(&cutter, 0, this_second());
            counted += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        task.abort();
        let _ = task.await;
        assert!(
            holds(&cutter),
            "it was ended between counting and handing out"
        );
        cutter.cut_everything();
        let told: u64 = waiting(&cutter).iter().map(|(_, _, n)| n).sum();
        assert_eq!(told, counted);
    }
}
