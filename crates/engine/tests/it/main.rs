//! Releases from their first event to their end, in a world made of values.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which may fail loudly"
)]

mod commands;
mod crash;
mod dials;
mod flags;
mod fuzz;
mod happy;
mod journal;
mod outcomes;
mod pauses;
mod plans;
mod script;
mod sign_offs;
mod stages;
mod undos;
mod words;
mod world;
