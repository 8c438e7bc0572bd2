//! A release as the actor carries it: its state, and what moves in the world for it.

use super::journal::Entry;
use super::series::Polls;
use crate::clock;
use crate::judging::Judging;
use crate::rollouts::Turned;
use esclusa_engine::{Completion, DialReading, DialState, desired};
use esclusa_model::{ReleaseId, Timestamp};
use esclusa_release::{Exposure, Release, Task};
use esclusa_wire::ServiceRoute;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::AbortHandle;

/// A task that runs now.
pub(crate) struct Running {
    pub attempt: u32,
    pub abort: AbortHandle,
}

/// What a dial outside of this program was asked to do last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Call {
    /// To show what it is at.
    #[default]
    Read,
    /// To turn to what is asked for.
    Set,
}

/// What the data planes are to do for a release.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Wanted {
    pub route: Option<ServiceRoute>,
    pub turned: Turned,
}

/// The dial as this actor moves it.
#[derive(Default)]
pub(crate) struct Dial {
    /// The newest reading.
    pub reading: Option<DialReading>,
    /// What is being asked of it right now, if anything is.
    pub asking: Option<Exposure>,
    /// What the newest reading is about: the route, for the built-in proxy, and the flags.
    pub wanted: Wanted,
    /// When it was asked last.
    pub asked_at: Timestamp,
    /// What it was asked to do last, where it is outside of this program.
    pub call: Call,
    /// Whether it was seen to end a call that turned it to the newest reading's exposure.
    pub taken: bool,
}

impl Dial {
    /// What to ask of a dial that should show `exposure`: what it took is only read
    /// again, so that nobody's later hand on it is undone unseen, but where it shows more
    /// than that. A turn whose end nobody saw is read before it is repeated: it may have
    /// arrived.
    pub(crate) fn next_call(&self, exposure: &Exposure) -> Call {
        let Some(reading) = self.reading.as_ref().filter(|r| r.asked == *exposure) else {
            return Call::Set;
        };
        match (self.call, reading.state) {
            (Call::Set, _) | (Call::Read, DialState::Converged) => Call::Read,
            (Call::Read, DialState::Unknown) => Call::Set,
            // More people than anybody decided: lowering is asked for until it is so.
            (Call::Read, DialState::Pending)
                if reading.achieved.is_some_and(|a| a > exposure.share) =>
            {
                Call::Set
            }
            (Call::Read, DialState::Pending) if self.taken => Call::Read,
            (Call::Read, DialState::Pending) => Call::Set,
        }
    }
}

/// A release under way, or the promoted one that can still be undone.
pub(crate) struct Run {
    pub release: Release,
    /// Since when this process carries it.
    pub watching_since: Timestamp,
    /// Position of its stream.
    pub position: u64,
    /// Events that were acted on and could not be recorded yet, oldest first.
    pub pending: Vec<Entry>,
    pub judging: Judging,
    /// What is asked about its series.
    pub polls: Polls,
    pub dial: Dial,
    pub running: BTreeMap<Task, Running>,
    /// Cancelled tasks that have not ended yet.
    pub cancelled: BTreeSet<Task>,
    /// Ended tasks whose end is not recorded yet: they are not run again meanwhile.
    pub finished: BTreeMap<Task, (u32, Completion)>,
}

impl Run {
    pub(crate) fn new(release: Release, position: u64, judging: Judging) -> Self {
        Self {
            release,
            watching_since: clock::now(),
            position,
            pending: Vec::new(),
            judging,
            polls: Polls::default(),
            dial: Dial::default(),
            running: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            finished: BTreeMap::new(),
        }
    }

    /// What is in force and was decided while the present state was being stored comes
    /// after it. What cannot follow it any more is overtaken.
    pub(super) fn reapply(&mut self) {
        let release = &mut self.release;
        self.pending
            .retain(|(event, by, at)| match release.apply(event, by, *at) {
                Ok(()) => true,
                Err(overtaken) => {
                    tracing::warn!(%overtaken, "A decision was overtaken and is not recorded");
                    false
                }
            });
    }

    pub(crate) fn id(&self) -> &ReleaseId {
        &self.release.requested.release
    }

    /// Whether it is over, nothing of it moves, and nobody is waited for.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.release.ended.is_some()
            && self.pending.is_empty()
            && self.finished.is_empty()
            && self.running.is_empty()
            && self.cancelled.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::BasisPoints;

    fn exposure(share: u16) -> Exposure {
        Exposure {
            share: BasisPoints::new(share).expect("a share"),
            segments: Vec::new(),
        }
    }

    fn dial(call: Call, taken: bool, state: DialState) -> Dial {
        Dial {
            reading: Some(DialReading {
                asked: exposure(500),
                achieved: None,
                state,
                generation: None,
                reached: None,
                detail: String::new(),
                at: Timestamp(1),
            }),
            call,
            taken,
            ..Dial::default()
        }
    }

    #[test]
    fn a_turn_is_repeated_only_where_it_was_not_taken() {
        use DialState::{Converged, Pending, Unknown};
        assert_eq!(Dial::default().next_call(&exposure(500)), Call::Set);
        let other = dial(Call::Read, true, Converged);
        assert_eq!(other.next_call(&exposure(0)), Call::Set);
        for (call, taken, state, next) in [
            // A turn that hung may have arrived.
            (Call::Set, false, Unknown, Call::Read),
            (Call::Read, false, Converged, Call::Read),
            (Call::Read, false, Pending, Call::Set),
            (Call::Read, false, Unknown, Call::Set),
            // What was taken stays as somebody may have turned it since.
            (Call::Set, true, Pending, Call::Read),
            (Call::Read, true, Pending, Call::Read),
            (Call::Read, true, Converged, Call::Read),
            (Call::Read, true, Unknown, Call::Set),
        ] {
            let dial = dial(call, taken, state);
            let asked = dial.next_call(&exposure(500));
            assert_eq!(asked, next, "{call:?} {taken} {state:?}");
        }
    }

    // RBK-12: a `set` that was taken and did nothing is asked for again.
    #[test]
    fn more_than_was_asked_for_is_lowered_until_it_is_so() {
        for (achieved, next) in [(499, Call::Read), (500, Call::Read), (501, Call::Set)] {
            let mut dial = dial(Call::Read, true, DialState::Pending);
            let reading = dial.reading.as_mut().expect("a reading");
            reading.achieved = BasisPoints::new(achieved).ok();
            assert_eq!(dial.next_call(&exposure(500)), next, "{achieved}");
        }
    }
}
