//! The server's flags as releases need them.

use super::Turned;
use esclusa_flags::{FlagSet, Patch, Rollout};
use esclusa_model::{Actor, ServiceName, Timestamp};
use esclusa_plan::FlagTurn;
use esclusa_wire::FlagKill;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Work that somebody else waits for.
pub(crate) type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The stored set and what is published of it.
pub(crate) trait FlagPlane: Send + Sync {
    /// The set as it is stored.
    ///
    /// # Errors
    /// When the record of flags cannot be read.
    fn set(&self) -> Result<Arc<FlagSet>, String>;

    /// What running releases turn, of all services.
    fn running(&self) -> Vec<Rollout>;

    /// The decision by which a flag is killed right now, if it is.
    fn killed(&self, flag: &str) -> Option<FlagKill>;

    /// The decision by which one of these flags, or one that they need, is killed right now,
    /// or was killed after `since`, though it may be lifted again.
    fn kill_of(&self, flags: &[FlagTurn], since: Option<Timestamp>) -> Option<FlagKill>;

    /// What a service's release turns from now on. Done once no evaluation that begins
    /// later sees anything older, and only then; saying the same again reads it back.
    fn turn(&self, service: &ServiceName, turned: Turned) -> Waiting<'_, Result<(), String>>;

    /// Changes the stored set by compare-and-set: all fields, or none.
    ///
    /// # Errors
    /// When somebody else changed the same fields, or nothing can be recorded.
    fn change(&self, patch: Patch, reason: String, by: Actor) -> Waiting<'_, Result<(), String>>;
}

/// Flags in memory, which remember what was asked of them.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct MemoryFlags(std::sync::Mutex<Memory>);

#[cfg(test)]
#[derive(Default, Clone)]
pub(crate) struct Memory {
    pub set: FlagSet,
    pub turned: std::collections::BTreeMap<ServiceName, Turned>,
    /// Everything that was turned, in its order.
    pub log: Vec<Turned>,
    /// The kill in force.
    pub killed: Option<FlagKill>,
    /// Why nothing is taken, if nothing is.
    pub down: Option<String>,
}

#[cfg(test)]
impl MemoryFlags {
    pub(crate) fn new(set: FlagSet) -> Arc<Self> {
        let memory = Memory {
            set,
            ..Memory::default()
        };
        Arc::new(Self(std::sync::Mutex::new(memory)))
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.0.lock().expect("nobody panicked"))
    }

    /// What users are served right now: the stored set, what was taken back of it, and
    /// what running releases turn.
    pub(crate) fn served(&self) -> FlagSet {
        let now = self.with(|memory| memory.clone());
        let mut set = now.set;
        let mut rollouts = Vec::new();
        for turned in now.turned.into_values() {
            set = turned.without_withdrawn(set);
            rollouts.extend(turned.rollouts);
        }
        set.while_running(&rollouts)
    }
}

#[cfg(test)]
impl FlagPlane for MemoryFlags {
    fn set(&self) -> Result<Arc<FlagSet>, String> {
        Ok(Arc::new(self.with(|memory| memory.set.clone())))
    }

    fn running(&self) -> Vec<Rollout> {
        self.with(|memory| {
            let all = memory.turned.values();
            all.flat_map(|turned| turned.rollouts.clone()).collect()
        })
    }

    fn killed(&self, flag: &str) -> Option<FlagKill> {
        let names = |kill: &FlagKill| {
            let flags = kill.flags.as_ref();
            flags.is_none_or(|flags| flags.iter().any(|key| key == flag))
        };
        self.with(|memory| memory.killed.clone()).filter(names)
    }

    fn kill_of(&self, flags: &[FlagTurn], _: Option<Timestamp>) -> Option<FlagKill> {
        flags.iter().find_map(|turn| self.killed(&turn.flag))
    }

    fn turn(&self, service: &ServiceName, turned: Turned) -> Waiting<'_, Result<(), String>> {
        let taken = self.with(|memory| {
            if let Some(why) = &memory.down {
                return Err(why.clone());
            }
            if memory.turned.get(service) != Some(&turned) {
                memory.log.push(turned.clone());
            }
            memory.turned.insert(service.clone(), turned);
            Ok(())
        });
        Box::pin(async move { taken })
    }

    fn change(&self, patch: Patch, _: String, _: Actor) -> Waiting<'_, Result<(), String>> {
        let changed = self.with(|memory| {
            if let Some(why) = &memory.down {
                return Err(why.clone());
            }
            let changed = memory.set.patched(&patch);
            memory.set = changed.map_err(|problems| {
                let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
                all.join("; ")
            })?;
            Ok(())
        });
        Box::pin(async move { changed })
    }
}
