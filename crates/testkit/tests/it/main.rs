//! The test kit itself under test: its counts must be right before others rest on them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where what it needs is missing"
)]

mod app;
mod binaries;
mod counts;
mod fake;
