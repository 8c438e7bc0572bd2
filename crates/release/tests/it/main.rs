//! The stored form of events, and what may follow what.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which may fail loudly"
)]

mod order;
mod samples;
mod service;
mod stored;
