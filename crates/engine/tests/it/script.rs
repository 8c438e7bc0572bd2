//! What a world does when it is asked: answers, dials, speeches.

use crate::plans::{name, version};
use esclusa_engine::{Completion, DialReading, DialState, Opinion, StageEnd};
use esclusa_model::{BasisPoints, Digest, InstanceId, Millis, Timestamp};
use esclusa_release::{Exposure, InstanceRecord, Task};
use std::collections::BTreeMap;

/// What a task does.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Fails(&'static str),
    Unknown(&'static str),
    /// Never ends by itself.
    Hangs,
}

/// How the dial moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Dial {
    Obeys,
    /// Does not go above this share.
    NotAbove(u16),
    /// Does not go below this share once it was there.
    NotBelow(u16),
    /// Shows this much more than was asked for, where something was.
    Over(u16),
    /// Cannot be read.
    Mute,
    /// Shows this share whatever is asked for.
    Shows(u16),
}

/// What the judge says in a stage.
#[derive(Debug, Clone)]
pub(crate) struct Speech {
    pub opinion: Opinion,
    pub at_end: StageEnd,
    pub code: &'static str,
    pub words: &'static str,
}

impl Speech {
    pub(crate) fn good() -> Self {
        Self {
            opinion: Opinion::Hold,
            at_end: StageEnd::Advance("no worse by more than 0.4 points".into()),
            code: "quiet",
            words: "nothing suspicious",
        }
    }

    pub(crate) fn bad() -> Self {
        Self {
            opinion: Opinion::Rollback,
            at_end: StageEnd::Rollback("harm is proved".into()),
            code: "harm",
            words: "errors rose from 0.2% to 7.1% (81 of 1140 requests)",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Answers of a task by attempt; the last repeats.
    pub tasks: BTreeMap<Task, Vec<Answer>>,
    pub dial: Dial,
    /// By stage; stages without an entry are good.
    pub judge: BTreeMap<usize, Option<Speech>>,
    pub observes: bool,
    pub silent_for: Millis,
    /// A series that nobody could read for too long.
    pub unread: Option<&'static str>,
    pub returned_by_proxy: bool,
    /// What became of a canary's process.
    pub canary_ended: Option<&'static str>,
    /// How long cancelled work lasts; for ever without.
    pub cancelled_for: Option<Millis>,
    /// Whether somebody signs off as soon as they are asked.
    pub signs: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tasks: BTreeMap::new(),
            dial: Dial::Obeys,
            judge: BTreeMap::new(),
            observes: true,
            silent_for: Millis::ZERO,
            unread: None,
            returned_by_proxy: false,
            canary_ended: None,
            cancelled_for: Some(Millis(2_000)),
            signs: true,
        }
    }
}

pub(crate) fn reading(asked: Exposure, achieved: BasisPoints, at: Timestamp) -> DialReading {
    DialReading {
        asked,
        achieved: Some(achieved),
        state: DialState::Converged,
        generation: None,
        reached: None,
        detail: format!("read {achieved}"),
        at,
    }
}

pub(crate) fn prepared() -> Completion {
    let digest = |text: &str| Digest::of(text.as_bytes());
    Completion::Prepared {
        version: version("2.4.1"),
        components: ["web", "worker"].map(|c| (name(c), digest(c))).into(),
    }
}

pub(crate) fn deployed() -> Completion {
    let record = |component: &str, kind, url: Option<&str>| InstanceRecord {
        id: name::<InstanceId>(component),
        component: name(component),
        kind,
        url: url.map(str::to_owned),
        host_header: None,
        ca_file: None,
    };
    use esclusa_model::ComponentKind::{Singleton, Web};
    Completion::Deployed {
        instances: vec![
            record("web", Web, Some("http://127.0.0.1:9001")),
            record("worker", Singleton, None),
        ],
    }
}
