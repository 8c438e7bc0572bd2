//! What all threads of a flag server share, and whoever changes it.

use crate::exposures::Exposures;
use crate::hub::Hub;
use crate::recent::Recent;
use crate::table::FlagTable;
use arc_swap::ArcSwap;
use esclusa_flags::Kills;
use esclusa_wire::{FlagKill, FlagStatus, KeylessGuard};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The table in force, and the event streams that are told of the next.
#[derive(Debug)]
pub struct Shared {
    table: ArcSwap<FlagTable>,
    pub(crate) hub: Hub,
    /// One change after the other, so that no kill is lost between two.
    changing: Mutex<()>,
    pub(crate) recent: Recent,
    /// Where answers that are to be recorded go.
    pub(crate) exposures: OnceLock<Arc<Exposures>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(FlagTable::empty())
    }
}

impl Shared {
    /// A server that begins with this table.
    #[must_use]
    pub fn new(mut table: FlagTable) -> Self {
        table.state.since = unix_second();
        Self {
            table: ArcSwap::from_pointee(table),
            hub: Hub::default(),
            changing: Mutex::new(()),
            recent: Recent::default(),
            exposures: OnceLock::new(),
        }
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<FlagTable> {
        self.table.load_full()
    }

    /// The same for a moment, without counting who holds it.
    #[must_use]
    pub fn current(&self) -> arc_swap::Guard<Arc<FlagTable>> {
        self.table.load()
    }

    /// Puts another table in force, with the kills of the one before it, and tells the event
    /// streams. Whether its id is higher is the caller's to know.
    pub fn publish(&self, mut table: FlagTable) {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.table.load();
        table.merge_kills(&before.kills);
        self.swap(&before, table);
        drop(changing);
    }

    /// Takes over whatever `kills` knows later. No evaluation that begins after this
    /// returns sees anything older.
    pub fn merge_kills(&self, kills: &Kills) {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.table.load();
        let mut table = FlagTable::clone(&before);
        table.merge_kills(kills);
        self.swap(&before, table);
        drop(changing);
    }

    fn swap(&self, before: &FlagTable, mut table: FlagTable) {
        table.state.since = match before.ready && before.state.tag == table.state.tag {
            true => before.state.since,
            false => unix_second(),
        };
        self.table.store(Arc::new(table));
        self.hub.changed();
    }

    /// Contexts that applications asked with lately in an environment, newest first, each
    /// once: a few of every second's. They name people, and are in memory alone.
    #[must_use]
    pub fn recent_contexts(&self, environment: &str) -> Vec<Map<String, Value>> {
        self.recent.contexts(environment)
    }

    /// Records from now on what the document in force asks for. The first call counts.
    pub fn record_exposures(&self, exposures: Arc<Exposures>) {
        let _ = self.exposures.set(exposures);
    }

    /// The event streams.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// How flags stand here. `killed_here` is what its keeper has journalled.
    #[must_use]
    pub fn status(&self, killed_here: Vec<FlagKill>) -> FlagStatus {
        let table = self.table.load();
        let keyless = table.guards().filter_map(|(name, guard)| {
            Some(KeylessGuard {
                guard: name.to_owned(),
                trouble: guard.trouble()?.to_string(),
            })
        });
        FlagStatus {
            id: table.id,
            revision: table.revision,
            kills: table.kills.clone(),
            killed_here,
            streams: self.hub.streams(),
            exposures: self.exposures.get().and_then(|way| way.status(&table)),
            keyless: keyless.collect(),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_second() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
