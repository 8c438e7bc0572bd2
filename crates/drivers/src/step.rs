//! A plan step's command.
//!
//! Its whole output is stored; what is returned is how it ended and its last lines.
//! What a step changed is not known here, only whether it said that it worked.

use crate::proc::{Ended, Leftover, Order, run};
use esclusa_model::Millis;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Time between asking a step that takes too long to end, and killing it.
pub(crate) const GRACE: Millis = Millis(5_000);

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    /// The step's name in the plan.
    pub name: String,
    /// The command's words, placeholders already filled.
    pub words: Vec<String>,
    /// Added to the controller's environment, whose own `ESCLUSA_` settings are left
    /// out.
    pub env: BTreeMap<String, String>,
    /// Working folder; a relative program is taken from here.
    pub cwd: PathBuf,
    /// Longest run.
    pub timeout: Millis,
    /// File to which all output is appended; its folder is made.
    pub log_path: PathBuf,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEnd {
    /// The end.
    pub end: StepOutcome,
    /// Its last lines, at most four kibibytes.
    pub output_tail: String,
}

/// What became of a step's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It left with this code; only 0 is success.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It took too long and is gone with its process group.
    TimedOut,
    /// It took too long and could not be ended; it may still be working.
    Stuck,
    /// It never ran.
    NotStarted(String),
}

impl StepEnd {
    /// Whether the command ran and said that it worked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end == StepOutcome::Exited(0)
    }
}

/// Runs a step in a process group of its own. Dropping the future kills the group.
pub async fn run_step(step: StepRun) -> StepEnd {
    let done = run(Order {
        words: step.words,
        env: step.env,
        cwd: step.cwd,
        timeout: step.timeout,
        grace: GRACE,
        log: Some(step.log_path),
    })
    .await;
    let end = match done.ended {
        Ended::Exited(code) => StepOutcome::Exited(code),
        Ended::Signalled(number) => StepOutcome::Signalled(number),
        Ended::TimedOut {
            leftover: Leftover::Gone,
        } => StepOutcome::TimedOut,
        Ended::TimedOut { .. } => StepOutcome::Stuck,
        Ended::NotStarted(reason) => StepOutcome::NotStarted(reason),
    };
    StepEnd {
        end,
        output_tail: done.output,
    }
}
