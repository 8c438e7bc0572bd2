//! Going back without a controller: a person tells a proxy to send everybody of a service
//! to its stable version, and the proxy keeps that in mind until a controller has seen to it.

use esclusa_model::{Actor, BasisPoints, GenerationId, ReleaseId, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// Whose running split is to be taken back. Asking again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// The services; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceName>>,
    /// Who decides that.
    pub by: Actor,
    /// Why, for people; possibly empty.
    pub reason: String,
}

/// A split that somebody took back at the proxy itself.
///
/// It holds for every later generation that still has a split of this release, whoever
/// publishes it, and across restarts and hand-overs. It is forgotten with the first
/// generation without such a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenBack {
    /// The service.
    pub service: ServiceName,
    /// The release that is exposed to nobody any more.
    pub release: ReleaseId,
    /// The share that it had; segments are taken back too.
    pub share: BasisPoints,
    /// Who decided that.
    pub by: Actor,
    /// Why, possibly empty.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What became of a [`TakeBack`]. No request that begins after it sees one of those
/// releases' canaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TookBack {
    /// The generation in force.
    pub generation: GenerationId,
    /// What is taken back now, also what was before this call.
    pub taken_back: Vec<TakenBack>,
    /// Services of the call without a split: everybody is at their stable version.
    pub nothing: Vec<ServiceName>,
    /// Services of the call that the generation in force does not know.
    pub unknown: Vec<ServiceName>,
    /// Whether the proxy could also write it to its disk. False is not a failure: lowering
    /// never waits for a disk.
    pub persisted: bool,
    /// Whether proxies that drain have confirmed it too. When false it is in force for all
    /// new connections, and the call should be made again.
    pub everywhere: bool,
}
