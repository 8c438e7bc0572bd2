//! Drivers with real processes.

#![allow(missing_docs)]

mod artifacts;
mod checks;
mod dials;
mod outlives;
mod processes;
mod scripts;
mod steps;
mod world;
