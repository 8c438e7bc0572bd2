//! Slices on their way to the control plane, each acknowledged once it is stored.

use esclusa_judge::Slice;
use esclusa_model::{BootId, ProxyId};
use serde::{Deserialize, Serialize};

/// A slice with the number that makes it unique with proxy and boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampedSlice {
    /// The life of the proxy that counted it.
    pub boot: BootId,
    /// Counts up from 1 within a boot, without gaps, over all services.
    pub sequence: u64,
    /// The counts.
    pub slice: Slice,
}

/// Slices not yet acknowledged, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceBatch {
    /// [`crate::WIRE_VERSION`] of the writer.
    pub v: u16,
    /// The proxy.
    pub proxy: ProxyId,
    /// The slices.
    pub slices: Vec<StampedSlice>,
    /// Slices lost for good, because a limit was reached or a disk failed; they
    /// are shown as unaccounted.
    pub lost: u64,
}

/// Everything up to here is stored; the proxy may forget it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceAck {
    /// The boot that is acknowledged.
    pub boot: BootId,
    /// The highest stored sequence of that boot.
    pub sequence: u64,
}
