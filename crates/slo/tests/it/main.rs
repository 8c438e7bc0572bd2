//! Objectives and rules from outside, and beside the real promtool.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod lint;
mod openslo;
mod promtool;
mod robust;
