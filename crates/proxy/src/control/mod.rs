//! The control side: what the workers run, and what is told about them.

pub(crate) mod admin;
mod dead_man;
mod flags;
mod following;
pub(crate) mod holder;
mod kills;
mod left;
pub(crate) mod listeners;
pub(crate) mod metrics;
pub(crate) mod persist;
mod recall;
pub(crate) mod role;
pub(crate) mod state;
mod take_back;
mod withheld;
