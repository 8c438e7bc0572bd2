//! Assignment as operators and users meet it: fair, sticky, independent, explained.

#![expect(clippy::expect_used, reason = "a failing helper fails its test")]

mod fair;
mod population;
mod segments;
mod sticky;
mod world;
