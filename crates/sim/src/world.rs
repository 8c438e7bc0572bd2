//! The world: moves the clock to whatever comes next, hands it over, and looks after
//! every step whether all still holds.

use crate::action::{Action, Flow, Planned, Trigger, Verb, describe};
use crate::controller::{Controller, Message, StartOrder};
use crate::dial::{CommandDial, DialMood};
use crate::fact::Fact;
use crate::invariant::{Broken, Invariants};
use crate::outside::{Crash, Died, Due, Outside};
use crate::plans::{literal, stable};
use crate::store::{StartRequest, StoreMode};
use crate::watch::Mood;
use crate::work::{Delivery, completion};
use esclusa_model::{Actor, BasisPoints, Millis, ReleaseId, Timestamp};
use esclusa_plan::Plan;
use esclusa_release::{Deployed, Release, ServiceEvent, Task};
use std::collections::BTreeMap;

/// When every story begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);
/// More steps than any story has; past it something runs in circles.
const MAX_STEPS: usize = 60_000;

/// What a story is made of.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub plan: Plan,
    /// Whether a version serves already.
    pub first: bool,
    pub crash: Crash,
    /// How long a controller that dies at a boundary stays away.
    pub downtime: Millis,
    pub actions: Vec<(Trigger, Action)>,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub out: Outside,
    pub controller: Option<Controller>,
    /// A controller that does not know that it was replaced.
    pub old: Option<Controller>,
    pub invariants: Invariants,
    pub script: Vec<Planned>,
    downtime: Millis,
    releases: u32,
    pub broken: Option<Broken>,
    steps: usize,
}

impl World {
    pub(crate) fn new(story: &Story) -> Self {
        let mut out = Outside::new(story.plan.clone(), START);
        out.crash = story.crash;
        if story.plan.traffic.driver != "proxy" {
            out.command_dial = Some(CommandDial::new());
        }
        if !story.first {
            take_over(&mut out);
        }
        let controller = Controller::begin(&mut out);
        let mut world = Self {
            out,
            controller,
            old: None,
            invariants: Invariants::new(),
            script: Vec::new(),
            downtime: story.downtime,
            releases: 0,
            broken: None,
            steps: 0,
        };
        for (trigger, action) in &story.actions {
            world.plan(trigger.clone(), action.clone());
        }
        world
    }

    /// Adds an action.
    pub(crate) fn plan(&mut self, trigger: Trigger, action: Action) {
        let index = self.script.len();
        let fired = matches!(trigger, Trigger::At(_));
        if let Trigger::At(after) = &trigger {
            self.out.at(START.plus(*after), Due::Act(index));
        }
        self.script.push(Planned {
            trigger,
            action,
            fired,
        });
    }

    /// The newest release, as it is recorded.
    pub(crate) fn release(&self) -> Option<&Release> {
        self.out.store.newest()
    }

    /// Whether anything is still going to happen by itself or by script.
    fn next(&self, most: Timestamp) -> Option<Timestamp> {
        let queued = self.out.queue.first_key_value().map(|((at, _), _)| *at);
        let mut first = queued.map_or(most, |at| at.min(most));
        for controller in self.controller.iter().chain(&self.old) {
            if let Some(wakes) = controller.wakes(&self.out, first) {
                first = first.min(wakes);
            }
        }
        (first < most).then_some(first)
    }

    /// Runs until `most`, or until `there`, or until something is broken. Says whether
    /// it came so far.
    pub(crate) fn run(&mut self, most: Timestamp, there: impl Fn(&Self) -> bool) -> bool {
        while self.broken.is_none() {
            if there(self) {
                return true;
            }
            let Some(next) = self.next(most) else {
                self.out.now = self.out.now.max(most);
                return there(self);
            };
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.broken = Some(Broken::circles());
                return false;
            }
            self.out.now = self.out.now.max(next);
            self.step();
            self.check();
            self.fire();
        }
        false
    }

    /// One thing that happens.
    fn step(&mut self) {
        let due = self
            .out
            .queue
            .first_key_value()
            .filter(|((at, _), _)| *at <= self.out.now)
            .map(|(key, _)| *key);
        match due.and_then(|key| self.out.queue.remove(&key)) {
            Some(due) => self.happen(due),
            None => self.everybody(),
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::WorkEnds(release, task, number) => self.work_ends(&release, task, number),
            Due::Completed {
                epoch,
                release,
                task,
                attempt,
                completion,
            } => self.tell(
                epoch,
                Message::Completed(release, task, attempt, completion),
            ),
            Due::Gone {
                epoch,
                release,
                task,
            } => self.tell(epoch, Message::Gone(release, task)),
            Due::DialEnds {
                epoch,
                release,
                call,
            } => {
                let at = self.out.clock();
                let Some(dial) = &mut self.out.command_dial else {
                    return;
                };
                dial.act(&call);
                let reading = dial.reading(&call, at);
                self.out.note_shown();
                self.tell(epoch, Message::Dialled(release, reading));
            }
            Due::Dialled {
                epoch,
                release,
                reading,
            } => self.tell(epoch, Message::Dialled(release, reading)),
            Due::DeadMan => {
                if let Some(release) = self.out.proxy.look(self.out.now) {
                    self.out.fact(Fact::ProxyReturned(release));
                    self.out.note_shown();
                }
            }
            Due::Pulse(epoch) => self.tell(epoch, Message::Pulse),
            Due::Restart => {
                if self.controller.is_none() {
                    self.controller = Controller::begin(&mut self.out);
                    if self.controller.is_none() {
                        self.out.soon(Millis(10_000), Due::Restart);
                    }
                }
            }
            Due::Act(index) => {
                if let Some(planned) = self.script.get(index) {
                    let action = planned.action.clone();
                    self.act(action);
                }
            }
            Due::Look => self.everybody(),
        }
    }

    /// Every controller has a look.
    fn everybody(&mut self) {
        let newest = self.controller.as_ref().map(|c| c.epoch);
        let old = self.old.as_ref().map(|c| c.epoch);
        for epoch in newest.into_iter().chain(old) {
            self.tell(epoch, Message::Look);
        }
    }

    fn tell(&mut self, epoch: u64, message: Message) {
        if let Some(controller) = self.controller.as_mut().filter(|c| c.epoch == epoch) {
            if let Err(Died) = controller.turn(&mut self.out, message) {
                self.bury();
                let downtime = self.downtime;
                self.out.soon(downtime, Due::Restart);
            }
        } else if let Some(old) = self.old.as_mut().filter(|c| c.epoch == epoch) {
            // Only the newest one dies at boundaries.
            let _ = old.turn(&mut self.out, message);
        }
    }

    /// What dies with a controller.
    fn bury(&mut self) {
        let Some(dead) = self.controller.take() else {
            return;
        };
        self.out.work.orphan(dead.epoch);
        // A call that was begun comes to its end; nobody hears of it.
        let calls: Vec<_> = self
            .out
            .queue
            .iter()
            .filter_map(|(key, due)| match due {
                Due::DialEnds { epoch, call, .. } if *epoch == dead.epoch => {
                    Some((*key, call.clone()))
                }
                _ => None,
            })
            .collect();
        for (key, call) in calls {
            self.out.queue.remove(&key);
            if let Some(dial) = &mut self.out.command_dial {
                dial.act(&call);
                dial.free(self.out.now);
            }
        }
        self.out.note_shown();
        self.out.silence();
    }

    fn work_ends(&mut self, release: &ReleaseId, task: Task, number: u64) {
        let Some(run) = self.out.work.end(release, task, number) else {
            return;
        };
        let Some(stream) = self.out.store.streams.get(release) else {
            return;
        };
        let due = Due::Completed {
            epoch: run.epoch,
            release: release.clone(),
            task,
            attempt: run.attempt,
            completion: completion(&stream.fold, task, &run.answer.end),
        };
        match run.answer.delivery {
            Delivery::Lost => {}
            Delivery::Once => self.out.soon(Millis::ZERO, due),
            Delivery::Twice => {
                self.out.soon(Millis::ZERO, due.clone());
                self.out.soon(Millis(500), due);
            }
            Delivery::Late(by) => {
                self.out.soon(by, due.clone());
                self.out.soon(Millis(by.0.saturating_mul(2)), due);
            }
        }
    }

    /// Looks whether all still holds.
    fn check(&mut self) {
        if self.broken.is_none() {
            let controller = self.controller.as_ref();
            self.broken = self.invariants.check(&self.out, controller).err();
        }
    }

    /// Actions whose place was reached.
    fn fire(&mut self) {
        let Some(stream) = self.out.store.streams.values().next_back() else {
            return;
        };
        let events = stream.entries.len();
        let mut reached = Vec::new();
        for (index, planned) in self.script.iter_mut().enumerate() {
            if let Trigger::When(place, delay) = &planned.trigger
                && !planned.fired
                && place.is_at(&stream.fold, events)
            {
                planned.fired = true;
                reached.push((index, *delay));
            }
        }
        for (index, delay) in reached {
            self.out.soon(delay, Due::Act(index));
        }
    }

    /// The faults are over: from here on the world does what it is told.
    pub(crate) fn heal(&mut self) {
        self.out.fact(Fact::World("all faults are over".into()));
        for planned in &mut self.script {
            planned.fired = true;
        }
        self.out.queue.retain(|_, due| !matches!(due, Due::Act(_)));
        self.out.crash = Crash::Never;
        self.out.store.mode = StoreMode::Works;
        self.out.work.heal();
        if let Some(dial) = &mut self.out.command_dial {
            dial.mood = DialMood::Obeys;
            dial.free(self.out.now);
        }
        self.old = None;
        (self.out.watch.mood, self.out.watch.words) = (Mood::Quiet, None);
        self.act(Action::Counts(Flow::Flows));
        self.act(Action::Link(Flow::Flows));
        if self.controller.is_none() {
            self.out.soon(Millis(1), Due::Restart);
        }
        self.out.soon(Millis(2), Due::Look);
    }

    /// One action happens.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Person(who, verb) => self.person(who, verb),
            Action::Crash(downtime) => self.crash(downtime),
            Action::SecondController => self.second(),
            other => {
                self.change(other);
                self.everybody();
            }
        }
    }

    fn crash(&mut self, downtime: Millis) {
        let Some(controller) = &self.controller else {
            return;
        };
        let epoch = controller.epoch;
        self.out.fact(Fact::Died { epoch, at: None });
        self.bury();
        self.out.soon(downtime, Due::Restart);
    }

    /// The one that there is goes on and does not know.
    fn second(&mut self) {
        let Some(next) = Controller::begin(&mut self.out) else {
            return;
        };
        self.old = self.controller.replace(next);
    }

    fn person(&mut self, who: String, verb: Verb) {
        let by = Actor::new(who).unwrap_or_else(|_| literal("somebody"));
        let Some(epoch) = self.controller.as_ref().map(|c| c.epoch) else {
            let what = "no controller is there to be asked".to_owned();
            self.out.fact(Fact::World(what));
            return;
        };
        let message = match verb {
            Verb::Start(version, on_conflict) => {
                self.releases += 1;
                let id = ReleaseId::new(format!("r-{}", self.releases))
                    .unwrap_or_else(|_| literal("r-0"));
                Message::Start(StartOrder {
                    id,
                    request: StartRequest {
                        version,
                        on_conflict,
                        by,
                    },
                })
            }
            Verb::Plain(command) => Message::Command(command, by),
            Verb::Rollback(reason) => Message::Rollback(reason, by),
        };
        self.tell(epoch, message);
    }

    fn change(&mut self, action: Action) {
        let words = describe(&action);
        let out = &mut self.out;
        match action {
            Action::Judge(mood, words) => (out.watch.mood, out.watch.words) = (mood, words),
            Action::Counts(Flow::Flows) => {
                if out.watch.blind_since.take().is_none() {
                    return;
                }
            }
            Action::Counts(Flow::Stops) => {
                let now = out.now;
                out.watch.blind_since.get_or_insert(now);
            }
            Action::Store(mode) => out.store.mode = mode,
            Action::CrashAt(kind) => out.crash = Crash::Next(kind),
            Action::OldControllerEnds => self.old = None,
            Action::Dial(mood) => {
                let Some(dial) = &mut out.command_dial else {
                    return;
                };
                dial.mood = mood;
                if let DialMood::Shows(share) = mood
                    && let Ok(share) = BasisPoints::new(share)
                {
                    dial.value = share;
                }
            }
            Action::Link(Flow::Flows) => {
                if out.proxy.linked {
                    return;
                }
                out.proxy.linked = true;
                if let Some(controller) = &self.controller {
                    out.soon(Millis(500), Due::Pulse(controller.epoch));
                }
            }
            Action::Link(Flow::Stops) => {
                out.proxy.linked = false;
                out.silence();
            }
            Action::ProxyRestarts => {
                out.proxy.restart();
                if let Some(controller) = &self.controller {
                    out.soon(Millis(500), Due::Pulse(controller.epoch));
                }
            }
            Action::ClockJumps(by) => {
                out.skew = out.skew.saturating_add(by);
                out.jumped.0 += by.unsigned_abs() / 1_000;
            }
            Action::Answers(task, answers) => {
                out.work.answers.insert(task, answers);
            }
            Action::CancelTakes(takes) => out.work.cancel_takes = takes,
            Action::Person(..) | Action::Crash(_) | Action::SecondController => return,
        }
        self.out.fact(Fact::World(words));
        self.out.note_shown();
    }
}

/// What serves before the first release.
fn take_over(out: &mut Outside) {
    let deployed = Deployed {
        version: stable(),
        release: None,
        plan: out.plan.clone(),
        base_dir: "/srv/checkout".into(),
        components: BTreeMap::new(),
        instances: Vec::new(),
    };
    let event = ServiceEvent::TakenOver(Box::new(deployed));
    // A new store takes its first event.
    let _ = out.store.append_service(0, 0, &event, START);
}
