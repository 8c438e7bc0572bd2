//! What tasks do in the world, and what the world looks like after them.
//!
//! Steps and their undos run as processes of their own: they go on when the controller
//! dies, and whoever asks for the same try again waits for the same process. Everything
//! else dies with its controller and is begun again.

use crate::plans::literal;
use esclusa_engine::Completion;
use esclusa_model::{ComponentKind, Digest, InstanceId, Millis, ReleaseId, Timestamp, VersionRef};
use esclusa_release::{InstanceRecord, Release, Task, TaskEnd};
use std::collections::{BTreeMap, BTreeSet};

/// How a task ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnswerEnd {
    Done,
    Fails(String),
    Unknown(String),
    /// Never by itself.
    Hangs,
}

/// How its end reaches the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Once,
    Twice,
    /// So much after it happened, and once more then.
    Late(Millis),
    /// Not at all.
    Lost,
}

/// One answer of the world to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub end: AnswerEnd,
    pub takes: Millis,
    pub delivery: Delivery,
}

impl Answer {
    pub(crate) const fn new(end: AnswerEnd) -> Self {
        Self {
            end,
            takes: Millis(3_000),
            delivery: Delivery::Once,
        }
    }
}

/// The newest run of a task.
#[derive(Debug, Clone)]
pub(crate) struct WorkRun {
    /// Tells runs of the same task apart.
    pub number: u64,
    pub attempt: u32,
    /// Who waits for its end.
    pub epoch: u64,
    pub answer: Answer,
    pub ends_at: Option<Timestamp>,
    /// Whether something still goes on.
    pub active: bool,
    /// Whether it came to its own end.
    pub ended: bool,
}

type Key = (ReleaseId, Task);

/// All work, and what it left behind.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Answers of a task by attempt; the last one repeats.
    pub answers: BTreeMap<Task, Vec<Answer>>,
    /// How long cancelled work lasts; for ever without.
    pub cancel_takes: Option<Millis>,
    pub runs: BTreeMap<Key, WorkRun>,
    /// Tasks that did something which nothing has taken back yet.
    pub standing: BTreeSet<Key>,
    /// Tasks that came to a good end at least once.
    pub done: BTreeSet<Key>,
    /// How many runs there were.
    pub numbers: u64,
}

/// Whether a task is a process that outlives its controller.
const fn lasts(task: Task) -> bool {
    matches!(
        task,
        Task::Before(_) | Task::After(_) | Task::UndoBefore(_) | Task::UndoAfter(_)
    )
}

/// What a task takes back.
pub(crate) const fn takes_back(task: Task) -> Option<Task> {
    match task {
        Task::UndoBefore(index) => Some(Task::Before(index)),
        Task::UndoAfter(index) => Some(Task::After(index)),
        Task::StopCanary => Some(Task::Deploy),
        Task::HandBack => Some(Task::HandOver),
        Task::Prepare
        | Task::Check(_)
        | Task::Before(_)
        | Task::Deploy
        | Task::WarmUp(_)
        | Task::After(_)
        | Task::HandOver
        | Task::RecordStable
        | Task::RestoreStable
        | Task::RecordFlags
        | Task::RestoreFlags => None,
    }
}

impl Work {
    fn answer(&self, task: Task, attempt: u32) -> Answer {
        let answers = self.answers.get(&task).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(attempt).unwrap_or(1).min(answers.len());
        index
            .checked_sub(1)
            .and_then(|i| answers.get(i))
            .cloned()
            .unwrap_or_else(|| Answer::new(AnswerEnd::Done))
    }

    /// Begins a try, or finds the process that runs it already.
    pub(crate) fn begin(
        &mut self,
        release: &ReleaseId,
        task: Task,
        attempt: u32,
        epoch: u64,
        now: Timestamp,
    ) -> WorkRun {
        let key = (release.clone(), task);
        if lasts(task)
            && let Some(run) = self.runs.get_mut(&key)
            && run.attempt == attempt
        {
            run.epoch = epoch;
            if !run.active && !run.ended {
                let reason = "it is gone and nobody saw how it ended".to_owned();
                run.answer = Answer::new(AnswerEnd::Fails(reason));
                (run.ended, run.ends_at) = (true, Some(now));
            }
            return run.clone();
        }
        // An undo ends what is left of its step before it begins.
        if let Some(undone) = takes_back(task)
            && let Some(run) = self.runs.get_mut(&(release.clone(), undone))
        {
            run.active = false;
        }
        let answer = self.answer(task, attempt);
        self.numbers += 1;
        let run = WorkRun {
            number: self.numbers,
            attempt,
            epoch,
            ends_at: (answer.end != AnswerEnd::Hangs).then(|| now.plus(answer.takes)),
            answer,
            active: true,
            ended: false,
        };
        self.runs.insert(key.clone(), run.clone());
        // From its first moment on it may have done something.
        if takes_back(task).is_none() {
            self.standing.insert(key);
        }
        run
    }

    /// A run comes to its end; nothing when it was ended before.
    pub(crate) fn end(&mut self, release: &ReleaseId, task: Task, number: u64) -> Option<WorkRun> {
        let run = self.runs.get_mut(&(release.clone(), task))?;
        if run.number != number || !run.active && !run.ended {
            return None;
        }
        (run.active, run.ended) = (false, true);
        if run.answer.end == AnswerEnd::Done {
            self.done.insert((release.clone(), task));
            if let Some(undone) = takes_back(task) {
                self.standing.remove(&(release.clone(), undone));
            }
        }
        self.runs.get(&(release.clone(), task)).cloned()
    }

    /// A try is told to stop.
    pub(crate) fn cancel(&mut self, release: &ReleaseId, task: Task) {
        if let Some(run) = self.runs.get_mut(&(release.clone(), task)) {
            run.active = false;
        }
    }

    /// A controller died, and with it everything that is no process of its own.
    pub(crate) fn orphan(&mut self, epoch: u64) {
        for ((_, task), run) in &mut self.runs {
            if run.epoch == epoch && !lasts(*task) {
                run.active = false;
            }
        }
    }

    /// Hanging and lost work is begun anew where it may be; from here on all ends well.
    pub(crate) fn heal(&mut self) {
        self.answers.clear();
        self.cancel_takes.get_or_insert(Millis(2_000));
    }
}

/// The completion that an end comes as.
pub(crate) fn completion(release: &Release, task: Task, end: &AnswerEnd) -> Completion {
    match end {
        AnswerEnd::Done => match task {
            Task::Prepare => prepared(release),
            Task::Deploy => deployed(release),
            _ => Completion::Ended(TaskEnd::Done {
                note: String::new(),
            }),
        },
        AnswerEnd::Fails(reason) => Completion::Ended(TaskEnd::Failed {
            reason: reason.clone(),
        }),
        AnswerEnd::Unknown(reason) => Completion::Ended(TaskEnd::Unknown {
            reason: reason.clone(),
        }),
        AnswerEnd::Hangs => Completion::Ended(TaskEnd::TimedOut),
    }
}

fn prepared(release: &Release) -> Completion {
    let requested = &release.requested;
    let digest = |text: &str| Digest::of(text.as_bytes());
    Completion::Prepared {
        version: VersionRef {
            name: requested.version.clone(),
            digest: digest(requested.version.as_str()),
            verified: true,
        },
        components: requested
            .plan
            .components
            .keys()
            .map(|name| (name.clone(), digest(name.as_str())))
            .collect(),
    }
}

fn deployed(release: &Release) -> Completion {
    let components = &release.requested.plan.components;
    Completion::Deployed {
        instances: components
            .iter()
            .map(|(name, component)| InstanceRecord {
                id: InstanceId::new(format!("{name}-0")).unwrap_or_else(|_| literal("instance")),
                component: name.clone(),
                kind: component.kind,
                url: (component.kind == ComponentKind::Web)
                    .then(|| "http://127.0.0.1:9001".to_owned()),
                host_header: None,
                ca_file: None,
            })
            .collect(),
    }
}

/// When the end of a run that was begun or found reaches somebody, if it ever does: a
/// process that ended while nobody looked has its end told to whoever asks.
pub(crate) fn lasting_end(run: &WorkRun, now: Timestamp) -> Option<Timestamp> {
    let ends_at = run.ends_at?;
    // One that could not be recorded is not asked again in a loop.
    let told_again = now.plus(Millis(5_000));
    (run.active || run.ended).then(|| {
        if run.ended {
            ends_at.max(told_again)
        } else {
            ends_at.max(now.plus(Millis(1)))
        }
    })
}
