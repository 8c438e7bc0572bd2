//! What goes over the wire and onto a proxy's disk, byte by byte.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "helpers of tests may panic"
)]

mod flags;
mod golden;
mod samples;
mod state_file;
