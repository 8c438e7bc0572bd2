//! The judge from outside: seconds in, verdicts out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod absence;
mod decisions;
mod objectives;
mod properties;
mod recording;
mod resume;
mod series;
mod witnesses;
mod world;
