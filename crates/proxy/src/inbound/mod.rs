//! The side towards the clients.

pub(crate) mod conn;
pub(crate) mod early;
pub(crate) mod framing;
pub(crate) mod io;
