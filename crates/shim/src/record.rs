//! What goes into a shim and what it leaves behind. These shapes are a contract
//! between versions of the program: an old shim may answer to a new controller.

use esclusa_model::{Digest, Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The version of the shapes in this file and of the control protocol.
pub(crate) const SHIM_VERSION: u16 = 1;

/// What a shim is asked to run. Travels on its standard input and is never written
/// to disk, because `env` may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What the controller recognises this process by later; opaque to the shim.
    pub identity: String,
    /// Program and arguments, run as they are.
    pub words: Vec<String>,
    /// Added to the environment that the shim inherited.
    pub env: BTreeMap<String, String>,
    /// Working folder of the process.
    pub cwd: PathBuf,
    /// When the log file is cut.
    pub log: LogLimits,
    /// Sent to the process group when the shim itself is told to end.
    pub stop_signal: i32,
    /// How long the group then has before it is killed.
    pub stop_grace: Millis,
}

/// Size limits of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLimits {
    /// Size in bytes at which the file is moved aside.
    pub max_bytes: u64,
    /// How many files that were moved aside are kept.
    pub keep: u32,
}

impl Default for LogLimits {
    /// Ten mebibytes and three old files.
    fn default() -> Self {
        Self {
            max_bytes: 10 * 1024 * 1024,
            keep: 3,
        }
    }
}

/// What was started, and how to tell it from a later process with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Version of this shape.
    pub v: u16,
    /// The identity from [`Spec`].
    pub identity: String,
    /// The supervisor.
    pub shim_pid: i32,
    /// The process, also the number of its process group.
    pub pid: i32,
    /// The process's start in clock ticks since boot, as the kernel tells it.
    pub start_ticks: u64,
    /// The boot that `start_ticks` counts from.
    pub boot: String,
    /// Digest of the words that were run.
    pub argv_digest: Digest,
    /// When it was started.
    pub started_at: Timestamp,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {}", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// The last record of a process, written once nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitRecord {
    /// Version of this shape.
    pub v: u16,
    /// The identity from [`Spec`].
    pub identity: String,
    /// The process.
    pub pid: i32,
    /// Its start, as in [`Status`].
    pub start_ticks: u64,
    /// How the process itself ended.
    pub end: End,
    /// Whether somebody had asked it to stop.
    pub asked: bool,
    /// When the process itself ended.
    pub at: Timestamp,
    /// How many processes it left behind and the shim ended.
    pub left_behind: u32,
}

/// Why a shim could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// Another shim holds this folder.
    #[error("{0} is held by another running process")]
    Held(PathBuf),
    /// The process could not be started.
    #[error("cannot start {program:?}: {reason}")]
    NotStarted {
        /// The first word.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The shim itself could not work.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The shim or its files answered something unreadable.
    #[error("{0}")]
    Broken(String),
    /// The shim gave no answer in time.
    #[error("no answer from the supervisor within {0}")]
    Silent(Millis),
    /// The process is still there after all that was tried.
    #[error("not stopped: {0}")]
    NotStopped(String),
}

impl ShimError {
    /// Wraps a system error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
