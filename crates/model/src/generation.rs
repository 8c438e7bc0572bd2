//! Which configuration the data plane runs, and under which controller.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Grows by one with each change of controller; fences an old one off.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Names one immutable generation. Proxies refuse a lower one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct GenerationId {
    /// The controller's epoch; compared first.
    pub epoch: Epoch,
    /// Counts up within an epoch.
    pub number: u64,
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.number)
    }
}
