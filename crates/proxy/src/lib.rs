//! The data plane: carries users' requests to versions as a generation says, and counts
//! what became of them.
//!
//! - `inbound`: clients' connections, HTTP/1 and HTTP/2.
//! - `exchange`: one request from head to end: checked, assigned, sent, counted.
//! - `upstream`: connections to the versions' instances.
//! - `count`: slices, from a worker's counts to the control plane's acknowledgement.
//! - `control`: which generation is in force; the control socket; the dead-man rule.
//!
//! Each worker thread has its own runtime, connection pool and counts; a request never
//! changes threads and reads one immutable table once. The proxy decides nothing about a
//! release: it runs what it is given, and without a controller it goes on, or takes a
//! share back when the plan says so. It never sends a request to another version than
//! the one chosen, not even when that one is down: a failover would hide the failure
//! from whoever judges the release.

mod choose;
pub mod client;
mod compile;
mod config;
mod control;
mod count;
mod ending;
mod error;
mod exchange;
pub mod exposures;
mod flags;
mod hand_over;
mod handle;
mod inbound;
mod left;
mod lock;
mod net;
mod place;
mod registry;
mod running;
mod sign;
mod table;
mod unit;
mod upstream;
mod worker;

pub use config::{Limits, ProxyConfig};
pub use control::persist::{saved_flags, saved_state};
pub use error::ProxyError;
pub use handle::{Drained, Proxy, ProxyHandle, run};
pub use left::leave_kill;
pub use sign::{KeyError, SYNTHETIC_HEADER, synthetic_token};
