//! How good a client's answers are.

/// How a client stands with its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has not heard from the server yet.
    NotReady,
    /// What it knows is what the server says.
    Ready,
    /// The server cannot be asked: last known values count.
    Stale {
        /// Why.
        why: String,
    },
    /// The server cannot be asked, and nothing is known: safe values count.
    Error {
        /// Why.
        why: String,
    },
}

impl State {
    /// Whether the server's word is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}
