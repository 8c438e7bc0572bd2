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
//! order: events after which fewer are exposed than before are acted on first and
//! recorded after; everything else is recorded first. [`decide`] therefore names what
//! lowers before anything that merely has to be written down.

mod back;
mod command;
mod complete;
mod decide;
mod desired;
mod dial;
mod hold;
mod limits;
mod observed;
mod preflight;
mod stage;
mod standing;
mod tasks;

pub use command::{Command, CommandError, Refusal, command};
pub use complete::{Completion, complete};
pub use decide::decide;
pub use desired::{Desired, desired};
pub use limits::{CANCEL_LIMIT, DIAL_TOLERANCE_BP, task_limit};
pub use observed::{DialReading, DialState, Judgement, Observed, Opinion, StageEnd};
pub use standing::{Finding, Health, KillStanding, StandingAct, Watched, counts_still, standing};
pub use tasks::describe_task;
