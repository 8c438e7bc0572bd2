//! A release as the actor carries it: its state, and what moves in the world for it.

use crate::clock;
use crate::judging::Judging;
use esclusa_engine::{DialReading, desired};
use esclusa_model::{Actor, ReleaseId, Timestamp};
use esclusa_release::{Event, Exposure, Release, Task};
use esclusa_wire::ServiceRoute;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::AbortHandle;

/// A task that runs now.
pub(crate) struct Running {
    pub attempt: u32,
    pub abort: AbortHandle,
}

/// The dial as this actor moves it.
#[derive(Default)]
pub(crate) struct Dial {
    /// The newest reading.
    pub reading: Option<DialReading>,
    /// What is being asked of it right now, if anything is.
    pub asking: Option<Exposure>,
    /// The route that the newest reading is about, for the built-in proxy.
    pub route: Option<ServiceRoute>,
    /// When it was asked last.
    pub asked_at: Timestamp,
}

/// A release under way, or the promoted one that can still be undone.
pub(crate) struct Run {
    pub release: Release,
    /// Since when this process carries it.
    pub watching_since: Timestamp,
    /// Position of its stream.
    pub position: u64,
    /// Events that were acted on and could not be recorded yet, oldest first.
    pub pending: Vec<(Event, Actor, Timestamp)>,
    pub judging: Judging,
    pub dial: Dial,
    pub running: BTreeMap<Task, Running>,
    /// Cancelled tasks that have not ended yet.
    pub cancelled: BTreeSet<Task>,
}

impl Run {
    pub(crate) fn new(release: Release, position: u64, judging: Judging) -> Self {
        Self {
            release,
            watching_since: clock::now(),
            position,
            pending: Vec::new(),
            judging,
            dial: Dial::default(),
            running: BTreeMap::new(),
            cancelled: BTreeSet::new(),
        }
    }

    pub(crate) fn id(&self) -> &ReleaseId {
        &self.release.requested.release
    }

    /// Whether anything runs that the state does not ask for.
    pub(crate) fn is_busy(&self) -> bool {
        let wanted = desired(&self.release).running;
        !self.cancelled.is_empty()
            || self
                .running
                .iter()
                .any(|(task, r)| !wanted.contains(&(*task, r.attempt)))
    }

    /// Cancels every task that the state does not ask for any more.
    pub(crate) fn cancel_unwanted(&mut self, wanted: &[(Task, u32)]) {
        let unwanted: Vec<Task> = self
            .running
            .iter()
            .filter(|(task, running)| !wanted.contains(&(**task, running.attempt)))
            .map(|(task, _)| *task)
            .collect();
        for task in unwanted {
            if let Some(running) = self.running.remove(&task) {
                running.abort.abort();
                self.cancelled.insert(task);
            }
        }
    }
}
