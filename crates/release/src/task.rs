//! One-shot work of a release: journalled before it begins and after it ends.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A piece of work with a beginning and an end. Every one may be run again after a
/// crash: whoever runs it must find the work that is already done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Task {
    /// Hash and store the artifacts.
    Prepare,
    /// Ask the plan's requirement with this index.
    Check(usize),
    /// Run the plan's `before` step with this index.
    Before(usize),
    /// Start the canary's instances and wait until they are ready.
    Deploy,
    /// Send the warm-up requests of the stage with this index.
    WarmUp(usize),
    /// Run the plan's `after` step with this index.
    After(usize),
    /// Move workers and singletons to the canary.
    HandOver,
    /// Record in the service's stream that the canary is stable.
    RecordStable,
    /// Record in the service's stream that the version before is stable again.
    RestoreStable,
    /// Record in the flag set that the flags stay as the last stage turned them.
    RecordFlags,
    /// Record in the flag set that they are as they were before.
    RestoreFlags,
    /// Move workers and singletons back.
    HandBack,
    /// Undo the `after` step with this index.
    UndoAfter(usize),
    /// Undo the `before` step with this index.
    UndoBefore(usize),
    /// Drain and stop the canary's instances.
    StopCanary,
}

/// Why a text names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no task")]
pub struct TaskParseError(String);

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare => f.write_str("prepare"),
            Self::Check(i) => write!(f, "check/{i}"),
            Self::Before(i) => write!(f, "before/{i}"),
            Self::Deploy => f.write_str("deploy"),
            Self::WarmUp(i) => write!(f, "warm-up/{i}"),
            Self::After(i) => write!(f, "after/{i}"),
            Self::HandOver => f.write_str("hand-over"),
            Self::RecordStable => f.write_str("record-stable"),
            Self::RestoreStable => f.write_str("restore-stable"),
            Self::RecordFlags => f.write_str("record-flags"),
            Self::RestoreFlags => f.write_str("restore-flags"),
            Self::HandBack => f.write_str("hand-back"),
            Self::UndoAfter(i) => write!(f, "undo-after/{i}"),
            Self::UndoBefore(i) => write!(f, "undo-before/{i}"),
            Self::StopCanary => f.write_str("stop-canary"),
        }
    }
}

impl TryFrom<String> for Task {
    type Error = TaskParseError;
    fn try_from(text: String) -> Result<Self, TaskParseError> {
        let error = || TaskParseError(text.clone());
        let (name, index) = match text.split_once('/') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| error())?)),
            None => (text.as_str(), None),
        };
        match (name, index) {
            ("prepare", None) => Ok(Self::Prepare),
            ("check", Some(i)) => Ok(Self::Check(i)),
            ("before", Some(i)) => Ok(Self::Before(i)),
            ("deploy", None) => Ok(Self::Deploy),
            ("warm-up", Some(i)) => Ok(Self::WarmUp(i)),
            ("after", Some(i)) => Ok(Self::After(i)),
            ("hand-over", None) => Ok(Self::HandOver),
            ("record-stable", None) => Ok(Self::RecordStable),
            ("restore-stable", None) => Ok(Self::RestoreStable),
            ("record-flags", None) => Ok(Self::RecordFlags),
            ("restore-flags", None) => Ok(Self::RestoreFlags),
            ("hand-back", None) => Ok(Self::HandBack),
            ("undo-after", Some(i)) => Ok(Self::UndoAfter(i)),
            ("undo-before", Some(i)) => Ok(Self::UndoBefore(i)),
            ("stop-canary", None) => Ok(Self::StopCanary),
            _ => Err(error()),
        }
    }
}

impl From<Task> for String {
    fn from(task: Task) -> Self {
        task.to_string()
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result", deny_unknown_fields)]
pub enum TaskEnd {
    /// Done, and seen to be done.
    Done {
        /// What was seen, for people.
        note: String,
    },
    /// Not done.
    Failed {
        /// Why, with the last lines of output where there are any.
        reason: String,
    },
    /// Could not be told; never counts as done.
    Unknown {
        /// Why not.
        reason: String,
    },
    /// Its deadline passed.
    TimedOut,
    /// Stopped because the release left the phase that it belongs to. What it had
    /// begun is undone like that of any other task.
    Cancelled,
}

impl TaskEnd {
    /// Whether the task is done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { note } if note.is_empty() => f.write_str("done"),
            Self::Done { note } => f.write_str(note),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
            Self::Unknown { reason } => write!(f, "unknown: {reason}"),
            Self::TimedOut => f.write_str("took too long"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for task in [
            Task::Prepare,
            Task::Check(3),
            Task::Before(0),
            Task::Deploy,
            Task::WarmUp(1),
            Task::After(2),
            Task::HandOver,
            Task::RecordStable,
            Task::RestoreStable,
            Task::RecordFlags,
            Task::RestoreFlags,
            Task::HandBack,
            Task::UndoAfter(1),
            Task::UndoBefore(9),
            Task::StopCanary,
        ] {
            assert_eq!(Task::try_from(task.to_string()), Ok(task));
        }
        for bad in ["", "check", "deploy/1", "check/x", "before/-1"] {
            assert!(Task::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
