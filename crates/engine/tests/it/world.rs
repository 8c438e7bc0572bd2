//! A world around the engine: tasks that take time, a dial that moves, a judge that
//! speaks by script, a clock that only this file moves, and a shell that can die.

use crate::journal::Journal;
use crate::plans::requested;
pub(crate) use crate::script::{Answer, Dial, Script, Speech, deployed, prepared, reading};
use esclusa_engine::{
    Command, CommandError, Completion, DialReading, Judgement, Observed, complete, desired,
};
use esclusa_model::{BasisPoints, Millis, Outcome, Timestamp};
use esclusa_plan::Plan;
use esclusa_release::{Evidence, Requested, Task, TaskEnd};
use std::collections::BTreeMap;

pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);
/// How often the shell looks.
pub(crate) const TICK: Millis = Millis(1_000);
/// How long a task takes unless its answer says otherwise.
const WORK: Millis = Millis(3_000);

pub(crate) struct World {
    pub journal: Journal,
    pub now: Timestamp,
    pub script: Script,
    /// What was really done, in order.
    pub done: Vec<String>,
    /// The share that users really see.
    pub shown: BasisPoints,
    // What a crash loses:
    watching_since: Timestamp,
    running: BTreeMap<(Task, u32), Timestamp>,
    cancelled: Vec<Timestamp>,
    reading: Option<DialReading>,
}

impl World {
    pub(crate) fn new(plan: Plan, script: Script) -> Self {
        Self::asked(requested(plan), script)
    }

    pub(crate) fn asked(requested: Requested, script: Script) -> Self {
        Self {
            journal: Journal::begin(requested, START),
            now: START,
            script,
            done: Vec::new(),
            shown: BasisPoints::ZERO,
            watching_since: START,
            running: BTreeMap::new(),
            cancelled: Vec::new(),
            reading: None,
        }
    }

    /// The shell dies and begins anew after `downtime`, from what is stored alone.
    pub(crate) fn crash(&mut self, downtime: Millis) {
        self.now = self.now.plus(downtime);
        self.journal.release = self.journal.replayed();
        self.watching_since = self.now;
        self.running.clear();
        self.cancelled.clear();
        self.reading = None;
    }

    pub(crate) fn observed(&self) -> Observed {
        let speech = self.journal.release.stage().map_or_else(
            || Some(Speech::good()),
            |(index, _)| {
                self.script
                    .judge
                    .get(&index)
                    .cloned()
                    .unwrap_or_else(|| Some(Speech::good()))
            },
        );
        Observed {
            now: self.now,
            watching_since: self.watching_since,
            dial: self.reading.clone(),
            observes: self.script.observes,
            judgement: speech.map(|speech| Judgement {
                opinion: speech.opinion,
                at_end: speech.at_end,
                evidence: Evidence {
                    code: speech.code.into(),
                    summary: speech.words.into(),
                    verdict: serde_json::json!({ "code": speech.code }),
                },
            }),
            silent_for: self.script.silent_for,
            unread: self.script.unread.map(str::to_owned),
            returned_by_proxy: self.script.returned_by_proxy,
            canary_ended: self.script.canary_ended.map(str::to_owned),
            busy: !self.cancelled.is_empty() || !self.unwanted().is_empty(),
        }
    }

    /// One look of the shell. Stops early once `limit` events are there.
    pub(crate) fn tick(&mut self, limit: usize) {
        self.settle(limit);
        if self.journal.log.len() >= limit {
            return;
        }
        self.reconcile();
        self.sign();
        self.now = self.now.plus(TICK);
        self.work(limit);
        self.turn_dial();
    }

    /// Asks the engine, with fresh eyes each time, until nothing comes.
    fn settle(&mut self, limit: usize) {
        for _ in 0..24 {
            if self.journal.log.len() >= limit || !self.journal.decide_once(&self.observed()) {
                return;
            }
        }
        // The same complaint as there, with its details.
        self.journal.settle(&self.observed());
    }

    fn sign(&mut self) {
        let waits = |hold: &esclusa_release::HoldState| hold.reason.contains("sign-off");
        if self.script.signs && self.journal.release.hold.as_ref().is_some_and(waits) {
            let agreed = Command::SignOff {
                role: "tech-lead".into(),
                comment: "fine".into(),
                items: Vec::new(),
                hands: vec!["ana".into()],
            };
            self.ask(&agreed).expect("the role is asked for");
        }
    }

    /// What runs though the state does not ask for it any more.
    fn unwanted(&self) -> Vec<(Task, u32)> {
        let wanted = desired(&self.journal.release).running;
        self.running
            .keys()
            .filter(|task| !wanted.contains(task))
            .copied()
            .collect()
    }

    fn reconcile(&mut self) {
        let unwanted = self.unwanted();
        let wanted = desired(&self.journal.release).running;
        for task in unwanted {
            self.running.remove(&task);
            let forever = Timestamp(i64::MAX);
            self.cancelled.push(
                self.script
                    .cancelled_for
                    .map_or(forever, |t| self.now.plus(t)),
            );
        }
        for (task, attempt) in wanted {
            let is_undo = matches!(task, Task::UndoBefore(_) | Task::UndoAfter(_));
            assert!(
                !is_undo || self.cancelled.is_empty(),
                "{task} beside cancelled work"
            );
            self.running.entry((task, attempt)).or_insert(self.now);
        }
    }

    fn work(&mut self, limit: usize) {
        self.cancelled.retain(|gone_at| *gone_at > self.now);
        let finished: Vec<_> = self
            .running
            .iter()
            .filter(|(_, began)| self.now.since(**began) >= WORK)
            .map(|(task, _)| *task)
            .collect();
        for (task, attempt) in finished {
            if self.journal.log.len() >= limit {
                return;
            }
            let Some(completion) = self.completion(task, attempt) else {
                continue;
            };
            self.running.remove(&(task, attempt));
            for event in complete(&self.journal.release, task, attempt, completion) {
                self.journal.apply(event, "engine", self.now);
            }
            let ended = self.journal.release.task_end(task).cloned();
            self.done.push(format!(
                "{task} {}",
                ended.map_or("late".into(), |end| end.to_string())
            ));
        }
    }

    fn completion(&self, task: Task, attempt: u32) -> Option<Completion> {
        let answers = self.script.tasks.get(&task).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(attempt).expect("small").min(answers.len());
        let end = match index.checked_sub(1).map_or(&Answer::Done, |i| &answers[i]) {
            Answer::Done => match task {
                Task::Prepare => return Some(prepared()),
                Task::Deploy => return Some(deployed()),
                _ => TaskEnd::Done {
                    note: String::new(),
                },
            },
            Answer::Fails(reason) => TaskEnd::Failed {
                reason: (*reason).into(),
            },
            Answer::Unknown(reason) => TaskEnd::Unknown {
                reason: (*reason).into(),
            },
            Answer::Hangs => return None,
        };
        Some(Completion::Ended(end))
    }

    fn turn_dial(&mut self) {
        let asked = self.journal.release.exposure();
        let bp = |n: u16| BasisPoints::new(n.min(10_000)).expect("at most all");
        let goal = asked.share.get();
        self.shown = match self.script.dial {
            Dial::Obeys | Dial::Mute => asked.share,
            Dial::NotAbove(most) => bp(goal.min(most)),
            Dial::NotBelow(least) if self.shown.get() >= least => bp(goal.max(least)),
            Dial::NotBelow(_) => asked.share,
            Dial::Over(extra) if goal > 0 => bp(goal + extra),
            Dial::Over(_) => asked.share,
            Dial::Shows(share) => bp(share),
        };
        // Told that nobody is exposed, a proxy forgets its own return.
        self.script.returned_by_proxy &= !asked.is_nobody();
        self.reading =
            (self.script.dial != Dial::Mute).then(|| reading(asked, self.shown, self.now));
    }

    /// Runs until nothing can change any more without a person, or `most` has passed.
    pub(crate) fn run_for(&mut self, most: Millis) {
        let end = self.now.plus(most);
        while self.now < end && self.journal.release.ended.is_none() {
            self.tick(usize::MAX);
        }
    }

    /// Runs to the end and says how it was.
    pub(crate) fn finish(&mut self) -> (Outcome, String) {
        self.run_for(Millis(24 * 60 * 60_000));
        let release = &self.journal.release;
        assert_eq!(
            *release,
            self.journal.replayed(),
            "replay gives the same state"
        );
        let Some(ended) = &release.ended else {
            panic!("no end after a day: {} {:?}", release.phase, release.hold);
        };
        if ended.outcome != Outcome::RollbackFailed && release.returning.is_some() {
            assert_eq!(self.shown, BasisPoints::ZERO, "users were left behind");
        }
        (ended.outcome, ended.reason.clone())
    }

    /// Runs until there are `events` of them.
    pub(crate) fn run_to(&mut self, events: usize) {
        while self.journal.log.len() < events && self.journal.release.ended.is_none() {
            self.tick(events);
        }
    }

    /// Runs until `there`, at most a day.
    pub(crate) fn run_until(&mut self, there: impl Fn(&Self) -> bool) {
        for _ in 0..86_400 {
            if there(self) {
                return;
            }
            self.tick(usize::MAX);
        }
        panic!("never there: {}", self.journal.release.phase);
    }

    pub(crate) fn ask(&mut self, command: &Command) -> Result<usize, CommandError> {
        self.journal.ask(command, self.now)
    }

    /// The undos that ran, in order.
    pub(crate) fn undone(&self) -> Vec<&str> {
        self.done
            .iter()
            .map(String::as_str)
            .filter(|done| done.starts_with("undo"))
            .collect()
    }
}
