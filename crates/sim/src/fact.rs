//! What happened, in order: what transcripts print and invariants look at.

use crate::store::StoreError;
use esclusa_model::{Actor, BasisPoints, ReleaseId, Timestamp};
use esclusa_release::{Event, Exposure, ServiceEvent, Task};
use std::fmt;

/// A moment in which a controller may die: just before or after one of its effects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Point {
    /// Decided, not recorded.
    BeforeRecord(String),
    /// Recorded, nothing done about it yet.
    AfterRecord(String),
    /// In force in memory, and in the journal beside the proxies.
    AfterJournal(String),
    BeforeDial(Exposure),
    AfterDial(Exposure),
    BeforeTask(Task, u32),
    AfterTask(Task, u32),
    BeforeCancel(Task),
    AfterCancel(Task),
}

/// The kinds of [`Point`], as scripts name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointKind {
    BeforeRecord,
    AfterRecord,
    BeforeAct,
    AfterAct,
}

impl Point {
    pub(crate) const fn kind(&self) -> PointKind {
        match self {
            Self::BeforeRecord(_) => PointKind::BeforeRecord,
            Self::AfterRecord(_) | Self::AfterJournal(_) => PointKind::AfterRecord,
            Self::BeforeDial(_) | Self::BeforeTask(..) | Self::BeforeCancel(_) => {
                PointKind::BeforeAct
            }
            Self::AfterDial(_) | Self::AfterTask(..) | Self::AfterCancel(_) => PointKind::AfterAct,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeRecord(what) => write!(f, "before recording {what}"),
            Self::AfterRecord(what) => write!(f, "after recording {what}"),
            Self::AfterJournal(what) => write!(f, "after noting {what} beside the dial"),
            Self::BeforeDial(to) => write!(f, "before asking the dial for {}", exposure(to)),
            Self::AfterDial(to) => write!(f, "after asking the dial for {}", exposure(to)),
            Self::BeforeTask(task, n) => write!(f, "before beginning {}", attempt(*task, *n)),
            Self::AfterTask(task, n) => write!(f, "after beginning {}", attempt(*task, *n)),
            Self::BeforeCancel(task) => write!(f, "before cancelling {task}"),
            Self::AfterCancel(task) => write!(f, "after cancelling {task}"),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// A person asked for something, and what they were told.
    Asked {
        by: Actor,
        what: String,
        answer: Result<(), String>,
    },
    /// Durable in a release's stream.
    Recorded {
        epoch: u64,
        release: ReleaseId,
        event: Box<Event>,
        by: Actor,
    },
    /// Durable in the service's stream.
    ServiceRecorded {
        epoch: u64,
        event: Box<ServiceEvent>,
    },
    /// The store refused.
    Refused {
        epoch: u64,
        what: String,
        why: StoreError,
    },
    /// In force before it is recorded.
    InForce {
        epoch: u64,
        release: ReleaseId,
        event: Box<Event>,
    },
    /// The dial was told to move; `was` is what it was told before.
    Turned {
        epoch: u64,
        release: ReleaseId,
        asked: Exposure,
        was: Exposure,
        /// What the store knew at that moment.
        durable: Exposure,
        answer: Result<(), String>,
    },
    /// The flag set has a release's flags turned from now on, or no more.
    FlagsKept {
        epoch: u64,
        release: ReleaseId,
        kept: bool,
    },
    /// What users see is this share from now on.
    Shows(BasisPoints),
    /// A reading of the dial reached the controller.
    Read {
        release: ReleaseId,
        asked: Exposure,
        achieved: Option<BasisPoints>,
    },
    /// A proxy took a share back by itself.
    ProxyReturned(ReleaseId),
    /// Work begins, or goes on for a new controller.
    Began {
        epoch: u64,
        release: ReleaseId,
        task: Task,
        attempt: u32,
    },
    /// Work is told to stop.
    Cancelled(Task),
    /// A controller died, at this point where that was chosen.
    Died { epoch: u64, at: Option<Point> },
    /// A controller began.
    Started { epoch: u64 },
    /// A fault, or its end.
    World(String),
}

/// Facts with their time, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Facts(pub Vec<(Timestamp, Fact)>);

impl Facts {
    pub(crate) fn push(&mut self, at: Timestamp, fact: Fact) {
        self.0.push((at, fact));
    }
}

/// An exposure in the plan's words.
pub(crate) fn exposure(exposure: &Exposure) -> String {
    let mut parts: Vec<String> = Vec::new();
    if exposure.share > BasisPoints::ZERO || exposure.segments.is_empty() {
        parts.push(exposure.share.to_string());
    }
    parts.extend(exposure.segments.iter().map(|s| format!("segment {s}")));
    parts.join(" and ")
}

/// A task with its try, where that is not the first.
pub(crate) fn attempt(task: Task, attempt: u32) -> String {
    match attempt {
        1 => task.to_string(),
        n => format!("{task}, attempt {n}"),
    }
}
