//! Torture: real releases of real processes under real load, while everything around
//! them is killed, halted and started again.
//!
//! Two programs: [`run_kills`] kills the control plane once in each release, and
//! [`torture`] does everything to everybody. Both end with the same questions, which
//! [`counts`] and [`agreement`] answer as pure functions: is every request accounted
//! for, and do the log and the proxy tell the same story?

pub mod agreement;
mod books;
mod closing;
mod control;
pub mod counts;
mod kill_serve;
mod plans;
mod release;
mod script;
mod session;
mod storm;
mod told;
mod traffic;
mod watcher;
mod world;

pub use books::{Verdict, store_books};
pub use control::{Control, Instance};
pub use kill_serve::{Killed, run_kills};
pub use plans::{Gates, Pace, Shop};
pub use release::{Job, Ran, Reins, run};
pub use script::{Harm, Harms, Kind, Script, Timed, Verb, Whose};
pub use session::{Plan, Session, torture};
pub use storm::{ProxyHarm, Recovery, Weather};
pub use watcher::{Look, Telling, Watcher, now_us};
pub use world::{Blow, Standing, World};
