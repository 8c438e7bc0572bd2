//! One proxy process takes the work of another over while clients notice nothing.
//!
//! - `leader`: the side in charge: gives everything away, and leads those that drain.
//! - `newcomer`: the side that asks.
//! - `follower`: a proxy that has handed over and drains: it serves what its successor
//!   serves, so that a client with an old connection meets no old generation.
//! - `followers`: whom a proxy leads.
//!
//! The lines are in `esclusa_wire`. There is deliberately no moment in which nobody
//! accepts: the older one stops only after the newer one has said that it accepts.

pub(crate) mod follower;
pub(crate) mod followers;
pub(crate) mod leader;
pub(crate) mod newcomer;
mod stream;

pub(crate) use stream::FdStream;

/// Where the proxy in charge is asked to hand over, in its folder.
pub(crate) const SOCKET: &str = "next.sock";
/// How long the other side may take for a step.
pub(crate) const STEP_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
