//! The client against a server that misbehaves as told.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod asked;
mod changes;
mod disk;
mod faults;
mod guard;
mod provider;
mod stub;
