//! Drivers with real processes.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod artifacts;
mod budget;
mod catalog;
mod checks;
mod dials;
mod metrics;
mod outlives;
mod plans;
mod processes;
mod scripts;
mod sinks;
mod steps;
mod subject;
mod world;
