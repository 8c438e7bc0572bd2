//! Tests of the plan language as users meet it: whole files in, plans or messages out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read its own files has failed"
)]

mod bad;
mod catalog;
mod good;
mod layout;
mod lints;
mod reference;
mod robust;
mod schema;
mod show;
