//! A world made of values around the engine: what could happen to a release, without
//! waiting for it to happen.
//!
//! - `controller` keeps the order of effects that the server's actor keeps: what lowers
//!   is done and then recorded, everything else is recorded and then done.
//! - `store`, `dial`, `proxy`, `work`, `watch` are what it acts on. Each can be told to
//!   fail in the ways that the real one can.
//! - `world` moves the clock, hands over what happened, and looks after every step
//!   whether everything in `invariant` still holds.
//! - `fuzz` draws plans, faults and people's commands from a seed; `crashes` lets the
//!   controller die at every boundary of one run; `scenario` reads a script.
//!
//! Deterministic: the same seed or script gives the same transcript on every machine. No
//! clock, no disk, no dice but its own. It deliberately does not simulate requests, nor
//! the judge's arithmetic: what the judge says is part of the script.

mod action;
mod controller;
mod crashes;
mod dial;
mod dice;
mod draw;
mod fact;
mod fuzz;
mod invariant;
mod limits;
mod outside;
mod plans;
mod proxy;
mod scenario;
mod store;
mod watch;
mod words;
mod work;
mod world;

#[cfg(test)]
mod tests;

pub use crashes::{Crashes, Death, Rehearsal, rehearse};
pub use fuzz::{Failure, Fuzzed, fuzz, one_seed};
pub use scenario::{Played, ScenarioError, play};
