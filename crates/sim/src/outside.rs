//! Everything that a controller acts on, and the moments in which it may die.

use crate::dial::{Call, CommandDial};
use crate::dice::Dice;
use crate::fact::{Fact, Facts, Point, PointKind};
use crate::proxy::{Proxy, Route};
use crate::store::{Entry, Store, StoreError};
use crate::watch::Watch;
use crate::work::Work;
use esclusa_engine::{Completion, DialReading};
use esclusa_model::{BasisPoints, Millis, ReleaseId, Timestamp};
use esclusa_plan::Plan;
use esclusa_release::Task;
use std::collections::BTreeMap;

/// How long an answer of the proxy takes.
const PROXY_ANSWERS: Millis = Millis(5);
/// How often the controller asks the proxy how it is.
const PULSE: Millis = Millis(500);

/// The controller died; nothing after it happens.
#[derive(Debug)]
pub(crate) struct Died;

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// A run of a task comes to its end.
    WorkEnds(ReleaseId, Task, u64),
    /// The same, as told to a controller.
    Completed {
        epoch: u64,
        release: ReleaseId,
        task: Task,
        attempt: u32,
        completion: Completion,
    },
    /// Cancelled work is gone.
    Gone {
        epoch: u64,
        release: ReleaseId,
        task: Task,
    },
    /// A call to the command dial ends.
    DialEnds {
        epoch: u64,
        release: ReleaseId,
        call: Call,
    },
    /// A dial's answer reaches the controller.
    Dialled {
        epoch: u64,
        release: ReleaseId,
        reading: DialReading,
    },
    /// A proxy looks whether anybody controls it.
    DeadMan,
    /// The controller asks the proxy how it is.
    Pulse(u64),
    /// A controller begins.
    Restart,
    /// An action of the script, by its index.
    Act(usize),
    /// Time for the controller to look.
    Look,
}

/// When the controller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// At the boundary with this number, from 1.
    At(u64),
    /// At the next boundary of this kind.
    Next(PointKind),
}

/// What a mutant of the controller or of its surroundings gets wrong. Only tests make
/// one, to show that the invariants notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Believes that the dial is where it was asked to be.
    SkipsReadBack,
    /// Raises exposure and records it afterwards.
    ActsBeforeRecord,
    /// Records first what lowers exposure.
    RecordsBeforeLowering,
    /// Neither store nor proxy asks who is in charge.
    ForgetsFence,
    /// What was acted on is not noted beside the dial.
    DropsJournalEntry,
    /// Asks for the stage's exposure although the share was returned.
    RaisesAfterReturn,
    /// The proxy forgets its own return as soon as anybody was told of it.
    ForgetsReturn,
    /// Deadlines begin anew with every look.
    NeverLate,
    /// An unanswered check counts as passed.
    PassesUnseen,
}

/// Everything around the controllers.
#[derive(Debug)]
pub(crate) struct Outside {
    pub now: Timestamp,
    /// How far the machine's clock is from the truth, in microseconds.
    pub skew: i64,
    /// How far it was moved in all.
    pub jumped: Millis,
    /// The plan of every release here.
    pub plan: Plan,
    pub store: Store,
    /// What was acted on and is not in the store yet, kept beside the dial: position,
    /// release, event.
    pub journal: Vec<(u64, ReleaseId, Entry)>,
    pub proxy: Proxy,
    /// The dial of plans that bring their own.
    pub command_dial: Option<CommandDial>,
    pub work: Work,
    pub watch: Watch,
    pub facts: Facts,
    pub queue: BTreeMap<(Timestamp, u64), Due>,
    sequence: u64,
    pub crash: Crash,
    /// How many boundaries there were.
    pub boundaries: u64,
    pub mutant: Option<Mutant>,
    /// Whether other threads of the controller may run between two of its effects.
    pub restless: Option<Dice>,
    shown: BasisPoints,
}

impl Outside {
    pub(crate) fn new(plan: Plan, now: Timestamp) -> Self {
        Self {
            store: Store::new(plan.service.clone()),
            plan,
            now,
            skew: 0,
            jumped: Millis::ZERO,
            journal: Vec::new(),
            proxy: Proxy::new(),
            command_dial: None,
            work: Work {
                cancel_takes: Some(Millis(2_000)),
                ..Work::default()
            },
            watch: Watch::new(),
            facts: Facts::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            crash: Crash::Never,
            boundaries: 0,
            mutant: None,
            restless: None,
            shown: BasisPoints::ZERO,
        }
    }

    /// Now, as the machine's clock says.
    pub(crate) fn clock(&self) -> Timestamp {
        self.clock_at(self.now)
    }

    /// What the machine's clock will say then.
    pub(crate) const fn clock_at(&self, truth: Timestamp) -> Timestamp {
        Timestamp(truth.0.saturating_add(self.skew))
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        self.facts.push(self.now, fact);
    }

    pub(crate) fn soon(&mut self, after: Millis, due: Due) {
        self.at(self.now.plus(after), due);
    }

    pub(crate) fn at(&mut self, when: Timestamp, due: Due) {
        self.sequence += 1;
        self.queue.insert((when.max(self.now), self.sequence), due);
    }

    /// A moment in which the controller of `epoch` may die.
    pub(crate) fn boundary(&mut self, epoch: u64, point: Point) -> Result<(), Died> {
        if epoch != self.store.epoch {
            return Ok(());
        }
        self.boundaries += 1;
        if let Some(dice) = &mut self.restless
            && dice.percent(10)
        {
            // What it learns it will look at when it looks again.
            let _ = self.proxy.heartbeat(epoch);
            self.soon(Millis(1), Due::Pulse(epoch));
        }
        let dies = match self.crash {
            Crash::Never => false,
            Crash::At(number) => number == self.boundaries,
            Crash::Next(kind) => kind == point.kind(),
        };
        if !dies {
            return Ok(());
        }
        self.crash = Crash::Never;
        self.fact(Fact::Died {
            epoch,
            at: Some(point),
        });
        Err(Died)
    }

    /// Appends to a release's stream.
    pub(crate) fn append(
        &mut self,
        epoch: u64,
        release: &ReleaseId,
        position: u64,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        self.store.append(epoch, release, position, entries)?;
        for (event, by, _) in entries {
            self.fact(Fact::Recorded {
                epoch,
                release: release.clone(),
                event: Box::new(event.clone()),
                by: by.clone(),
            });
        }
        if let Some(stream) = self.store.streams.get(release) {
            self.watch.follow(&stream.fold, self.now);
        }
        Ok(())
    }

    /// The share of users that see a canary right now.
    pub(crate) fn shows(&self) -> BasisPoints {
        self.command_dial
            .as_ref()
            .map_or_else(|| self.proxy.shows().share, |dial| dial.value)
    }

    /// Notes what users see, where that changed.
    pub(crate) fn note_shown(&mut self) {
        let shows = self.shows();
        if shows != self.shown {
            self.shown = shows;
            self.fact(Fact::Shows(shows));
        }
    }

    /// A generation for the proxy; the answer takes a moment.
    pub(crate) fn publish(
        &mut self,
        name: (u64, u64),
        route: Option<Route>,
    ) -> Result<Millis, String> {
        self.proxy.publish(name, route)?;
        // It is asked twice a second how it is; that matters only after a change.
        self.soon(PULSE, Due::Pulse(name.0));
        Ok(PROXY_ANSWERS)
    }

    /// Nobody speaks to the proxy from now on.
    pub(crate) fn silence(&mut self) {
        if self.proxy.silent_since.is_none() {
            self.proxy.silent_since = Some(self.now);
        }
        if let (Some(patience), Some(since)) = (self.proxy.patience(), self.proxy.silent_since) {
            self.at(since.plus(patience), Due::DeadMan);
        }
    }
}
