//! What the simulation itself must show: that the rules hold, that they notice when they
//! do not, and that scripts read as they are written.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which may fail loudly"
)]

mod crashes;
mod mutants;
mod scripts;
mod seeds;
