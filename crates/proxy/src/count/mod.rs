//! What is counted, and how it reaches the control plane.

pub(crate) mod cutter;
pub(crate) mod journal;
pub(crate) mod left;
pub(crate) mod routes;
pub(crate) mod shard;
pub(crate) mod store;
pub(crate) mod totals;
