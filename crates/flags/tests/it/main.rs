//! Assignment and flags as operators and users meet them: fair, sticky, independent,
//! explained, killed at once.

#![expect(clippy::expect_used, reason = "a failing helper fails its test")]

mod changes;
mod definitions;
mod explained;
mod fair;
mod flag_shares;
mod flag_world;
mod fuzz;
mod guards;
mod kills;
mod merging;
mod population;
mod precedence;
mod reference;
mod same_as_split;
mod segments;
mod sticky;
mod targeting;
mod world;
