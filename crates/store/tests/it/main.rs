//! The store from outside: on real files, with real processes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where what it needs is missing"
)]

mod crash;
mod events;
mod owner;
mod slices;
mod tokens;
mod world;
