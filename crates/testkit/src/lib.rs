//! What tests and the demo run against: real services with planned faults, a load
//! generator that counts everything, and starters that clean up after themselves.
//!
//! For development only; no shipped crate depends on it. What it counts is an
//! independent witness: only [`plane`], [`hitless`] and [`torture`] know esclusa at all:
//! [`hitless`] as its control plane does, the others as its users do, by its command line
//! and API. At its end, [`torture`] also looks into the store itself.

pub mod demo;
pub mod disk;
pub mod hitless;
pub mod load;
pub mod machine;
pub mod plane;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod systemd;
pub mod torture;

mod fetch;
mod folder;
mod random;
mod wait;

pub use fetch::{Fetched, fetch};
pub use folder::TempDir;
pub use random::Random;
pub use wait::{WaitError, wait_until};
