//! The language as its users meet it: meaning, mistakes, limits, likeness to CEL.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failing helper fails its test"
)]

mod errors;
mod language;
mod like_cel;
mod robust;
mod world;
