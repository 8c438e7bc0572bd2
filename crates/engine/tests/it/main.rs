//! Releases from their first event to their end, in a world made of values.

mod commands;
mod crash;
mod dials;
mod fuzz;
mod happy;
mod journal;
mod outcomes;
mod plans;
mod stages;
mod words;
mod world;
