//! The store from outside: on real files, with real processes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where what it needs is missing"
)]

mod backup;
mod crash;
mod events;
mod golden;
mod notices;
mod owner;
mod readings;
mod slices;
mod tokens;
mod vault;
mod world;
