//! The side towards the versions.

pub(crate) mod connect;
pub(crate) mod pool;
pub(crate) mod send;
pub(crate) mod tls;
