//! Flags as dials: what a release turns, derived from its state each time anew, and the
//! one place where it meets the server's flags ([`FlagPlane`]).

mod admission;
mod by_hand;
mod plane;
mod reach;
mod turned;

pub(crate) use admission::{admit, admit_kills};
pub use by_hand::{CheckRollout, LowerRollout, Lowered, OfFlag, RolloutState, RunningRollout};
#[cfg(test)]
pub(crate) use plane::MemoryFlags;
pub(crate) use plane::{FlagPlane, Waiting};
pub(crate) use reach::{admit_reach, reaches_nobody};
pub(crate) use turned::{Turned, end_of, reached, side, turned, unknown_segments, version_of};
