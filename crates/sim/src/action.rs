//! What can happen to the world, when, and what a person can type.

use crate::dial::DialMood;
use crate::fact::PointKind;
use crate::store::StoreMode;
use crate::watch::Mood;
use crate::work::{Answer, AnswerEnd};
use esclusa_engine::Command;
use esclusa_model::{BasisPoints, Millis, VersionName};
use esclusa_plan::OnConflict;
use esclusa_release::{Phase, Release, Task};

/// What happens to the world, or what a person does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Judge(Mood, Option<String>),
    Counts(Flow),
    Store(StoreMode),
    /// The controller dies now and begins again after this.
    Crash(Millis),
    /// It dies at the next boundary of this kind.
    CrashAt(PointKind),
    /// Another controller begins beside the one that there is.
    SecondController,
    /// The older of two controllers notices at last.
    OldControllerEnds,
    Dial(DialMood),
    /// The way between controller and proxy.
    Link(Flow),
    ProxyRestarts,
    /// The machine's clock moves by so many microseconds.
    ClockJumps(i64),
    Answers(Task, Vec<Answer>),
    CancelTakes(Option<Millis>),
    Person(String, Verb),
}

/// Whether something flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Flows,
    Stops,
}

/// What a person types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verb {
    Start(VersionName, OnConflict),
    Plain(Command),
    Rollback(String),
}

/// When an action happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trigger {
    /// So long after the beginning.
    At(Millis),
    /// So long after the newest release first was there.
    When(Place, Millis),
}

/// Where a release may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Phase(Phase),
    /// The stage's exposure was read back.
    Confirmed(usize),
    Returning,
    Held,
    Ended,
    /// Its stream has this many events.
    Events(usize),
}

impl Place {
    pub(crate) fn is_at(self, release: &Release, events: usize) -> bool {
        match self {
            Self::Phase(phase) => release.phase == phase,
            Self::Confirmed(stage) => {
                release.phase == Phase::Stage(stage) && release.dial_confirmed()
            }
            Self::Returning => release.returning.is_some(),
            Self::Held => release.hold.is_some(),
            Self::Ended => release.ended.is_some(),
            Self::Events(least) => events >= least,
        }
    }
}

/// An action and its time.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub trigger: Trigger,
    pub action: Action,
    pub fired: bool,
}

/// An action in the words of scripts.
pub(crate) fn describe(action: &Action) -> String {
    match action {
        Action::Judge(mood, _) => format!(
            "judge {}",
            match mood {
                Mood::Quiet => "quiet",
                Mood::Proved => "proceed",
                Mood::Few => "hold",
                Mood::Unproven => "unproven",
                Mood::Bad => "rollback",
                Mood::Silent => "silent",
            }
        ),
        Action::Counts(Flow::Flows) => "counts return".into(),
        Action::Counts(Flow::Stops) => "counts stop".into(),
        Action::Store(StoreMode::Works) => "store back".into(),
        Action::Store(StoreMode::Full) => "store full".into(),
        Action::Store(StoreMode::Dead) => "store dead".into(),
        Action::Crash(_) => "crash".into(),
        Action::CrashAt(kind) => format!(
            "crash {}",
            match kind {
                PointKind::BeforeRecord => "before record",
                PointKind::AfterRecord => "after record",
                PointKind::BeforeAct => "before act",
                PointKind::AfterAct => "after act",
            }
        ),
        Action::SecondController => "second controller".into(),
        Action::OldControllerEnds => "old controller ends".into(),
        Action::Dial(mood) => format!("dial {}", describe_dial(*mood)),
        Action::Link(Flow::Flows) => "proxy back".into(),
        Action::Link(Flow::Stops) => "proxy cut off".into(),
        Action::ProxyRestarts => "proxy restarts".into(),
        Action::ClockJumps(by) => {
            let sign = if *by < 0 { '-' } else { '+' };
            let length = Millis(by.unsigned_abs() / 1_000);
            format!("clock jumps {sign}{length}")
        }
        Action::Answers(task, answers) => {
            let how: Vec<&str> = answers
                .iter()
                .map(|answer| match answer.end {
                    AnswerEnd::Done => "done",
                    AnswerEnd::Fails(_) => "fails",
                    AnswerEnd::Unknown(_) => "unknown",
                    AnswerEnd::Hangs => "hangs",
                })
                .collect();
            format!("task {task} {}", how.join(", then "))
        }
        Action::CancelTakes(None) => "cancelled work hangs".into(),
        Action::CancelTakes(Some(takes)) => format!("cancelled work takes {takes}"),
        Action::Person(who, _) => format!("{who} types"),
    }
}

fn describe_dial(mood: DialMood) -> String {
    let share = |bp: u16| BasisPoints::new(bp).map_or_else(|_| bp.to_string(), |bp| bp.to_string());
    match mood {
        DialMood::Obeys => "obeys".into(),
        DialMood::Coarse => "coarse".into(),
        DialMood::Slow(lasts) => format!("takes {lasts}"),
        DialMood::Hangs => "hangs".into(),
        DialMood::NotAbove(most) => format!("not above {}", share(most)),
        DialMood::NotBelow(least) => format!("not below {}", share(least)),
        DialMood::Over(extra) => format!("overshoots {}", share(extra)),
        DialMood::Lies => "lies".into(),
        DialMood::Shows(shown) => format!("shows {}", share(shown)),
    }
}
