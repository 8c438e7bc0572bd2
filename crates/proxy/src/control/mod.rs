//! The control side: what the workers run, and what is told about them.

pub(crate) mod admin;
mod dead_man;
pub(crate) mod listeners;
pub(crate) mod metrics;
pub(crate) mod persist;
pub(crate) mod state;
