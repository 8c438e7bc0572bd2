//! The controller: the same order of effects as the server's actor, on a world of values.
//!
//! One turn takes what happened, asks the engine until it has nothing to add, and makes
//! the world match. It ends early with [`Died`] where the world wants it to die.

mod begin;
mod commands;
mod dial;
mod house;
mod journal;
mod observe;
mod tasks;

use crate::outside::{Died, Outside};
use crate::proxy::{Route, Status};
use crate::store::{Entry, StartRequest};
use esclusa_engine::{Command, Completion, DialReading, desired};
use esclusa_model::{Actor, Millis, ReleaseId, Timestamp};
use esclusa_release::{Exposure, Release, Service, Task};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use begin::StartOrder;

/// What a controller is told.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Start(StartOrder),
    Command(Command, Actor),
    /// A rollback; whether going back is possible is found out here.
    Rollback(String, Actor),
    Completed(ReleaseId, Task, u32, Completion),
    Gone(ReleaseId, Task),
    Dialled(ReleaseId, DialReading),
    Pulse,
    Look,
}

/// The dial as this controller moves it.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    pub reading: Option<DialReading>,
    /// Since when it is being asked something, and what.
    pub asking: Option<Exposure>,
    /// What it was told last.
    pub told: Option<Exposure>,
    /// When, in truth.
    pub asked_at: Timestamp,
}

/// A release under way, or the promoted one that can still be undone.
#[derive(Debug)]
pub(crate) struct Run {
    pub release: Release,
    pub watching_since: Timestamp,
    pub position: u64,
    /// Events in force that are not recorded yet, oldest first.
    pub pending: Vec<Entry>,
    pub dial: Dial,
    pub running: BTreeMap<Task, u32>,
    pub cancelled: BTreeSet<Task>,
}

impl Run {
    pub(crate) fn id(&self) -> &ReleaseId {
        &self.release.requested.release
    }

    pub(crate) fn is_busy(&self) -> bool {
        let wanted = desired(&self.release).running;
        !self.cancelled.is_empty()
            || self
                .running
                .iter()
                .any(|(task, attempt)| !wanted.contains(&(*task, *attempt)))
    }
}

/// One life of the control plane.
#[derive(Debug)]
pub(crate) struct Controller {
    pub epoch: u64,
    pub service: Service,
    pub service_position: u64,
    pub run: Option<Run>,
    pub waiting: BTreeMap<ReleaseId, StartRequest>,
    /// When it began, in truth.
    pub began: Timestamp,
    /// What the proxy said last, once it did.
    pub contact: Option<Status>,
    /// Number of its newest generation, and what was acknowledged of it.
    pub number: u64,
    pub acknowledged: Option<(u64, u32)>,
    pub route: Option<Route>,
    /// Whether something could not be recorded at the last turn.
    pub stuck: bool,
    /// Whether it has had its first turn.
    pub awake: bool,
}

/// How often something that failed is tried again. The server looks ten times a second;
/// nothing here depends on which.
const TRY_AGAIN: Millis = Millis(5_000);
/// The least time between two looks without a message.
const GRAIN: Millis = Millis(1);
/// The same for a dial that was read back once: nothing follows from its silence.
const READ_AGAIN: Millis = Millis(600_000);

impl Controller {
    /// One message, then everything that follows from it.
    pub(crate) fn turn(&mut self, out: &mut Outside, message: Message) -> Result<(), Died> {
        self.stuck = false;
        self.awake = true;
        match message {
            Message::Start(order) => self.admit(out, order)?,
            Message::Command(command, by) => self.command(out, &command, &by)?,
            Message::Rollback(reason, by) => {
                let can_return = self.can_return(out);
                let command = Command::Rollback { reason, can_return };
                self.command(out, &command, &by)?;
            }
            Message::Completed(release, task, attempt, completion) => {
                self.completed(out, &release, task, attempt, completion)?;
            }
            Message::Gone(release, task) => {
                if let Some(run) = self.run.as_mut().filter(|run| *run.id() == release) {
                    run.cancelled.remove(&task);
                }
            }
            Message::Dialled(release, reading) => self.dialled(out, &release, reading),
            Message::Pulse => self.pulse(out),
            Message::Look => {}
        }
        self.decide(out)?;
        self.reconcile(out)?;
        self.keep_records(out)?;
        self.keep_house(out)
    }

    /// When it would next do something by itself, looking no further than `most`.
    pub(crate) fn wakes(&self, out: &Outside, most: Timestamp) -> Option<Timestamp> {
        if !self.awake {
            return Some(out.now);
        }
        let mut first = most;
        if self.stuck {
            first = first.min(out.now.plus(TRY_AGAIN));
        }
        if let Some(run) = &self.run {
            if run.dial.asking.is_none() && self.dial_is_open(out, run) {
                let again = if run.release.dial_confirmed() || run.release.ended.is_some() {
                    READ_AGAIN
                } else {
                    TRY_AGAIN
                };
                // Never before a turn would ask.
                first = first.min(run.dial.asked_at.plus(again).max(out.now.plus(GRAIN)));
            }
            if !self.stuck {
                first = self.next_decision(out, run, first).unwrap_or(first);
            }
        }
        if let Some(until) = self.warm_until(out) {
            first = first.min(until.max(out.now));
        }
        (first < most).then_some(first)
    }
}
