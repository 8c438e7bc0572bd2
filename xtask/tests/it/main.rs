//! `cargo xtask` as it is used: the program itself on planted repositories and on
//! this one.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot set up its world must fail"
)]

mod planted;
mod tidy;
mod usage;
