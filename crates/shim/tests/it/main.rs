//! The shim with real processes.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod ends;
mod holds;
mod lives;
mod subject;
mod world;
