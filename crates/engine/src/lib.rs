//! Decides what a release does next: state, observations and time in, events out.
//!
//! ```text
//!   events ──► Release (fold) ──► desired() ──► effects the shell runs
//!      ▲                              │
//!      └── decide() ◄── Observed ◄────┘ completions, read-backs, verdicts
//! ```
//!
//! Pure and level-triggered: the same state and observation give the same answer, so
//! a crash between any two steps is repaired by asking again. The shell's rule for
//! order: if the new state exposes nobody more than the old one, act first and
//! record after; otherwise record first.

mod command;
mod complete;
mod decide;
mod desired;
mod limits;
mod observed;
mod stage;

pub use command::{Command, CommandError, command};
pub use complete::{Completion, complete};
pub use decide::decide;
pub use desired::{Desired, desired};
pub use limits::{DIAL_LIMIT, DIAL_TOLERANCE_BP, task_limit};
pub use observed::{DialReading, DialState, Judgement, Observed, Opinion, StageEnd};
