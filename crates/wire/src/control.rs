//! Calls of the control plane and a proxy's answers.

use crate::TakenBack;
use esclusa_model::{BasisPoints, BootId, Digest, GenerationId, ProxyId, ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};

/// The version of every shape in this crate's protocol.
pub const WIRE_VERSION: u16 = 1;

/// Who a proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`WIRE_VERSION`] of the proxy.
    pub v: u16,
    /// Its lasting name.
    pub proxy: ProxyId,
    /// This life of it.
    pub boot: BootId,
    /// Operating-system process id.
    pub pid: u32,
}

/// A generation is in force: no request that begins after this answer sees an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What is in force now.
    pub generation: GenerationId,
    /// Whether the proxy could also write it to its disk. False is not a failure
    /// of the change: lowering never waits for a disk.
    pub persisted: bool,
}

/// Why a generation was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// What stays in force.
    pub current: GenerationId,
    /// The reason, for people.
    pub reason: String,
}

/// A sign of life from the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The generation that the controller believes in force; its epoch must not be
    /// lower than the proxy's.
    pub generation: GenerationId,
}

/// What a proxy does right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyStatus {
    /// Who answers.
    pub hello: Hello,
    /// The generation in force; `0.0` before the first.
    pub generation: GenerationId,
    /// Work in flight by version.
    pub load: Vec<VersionLoad>,
    /// Releases whose share this proxy returned by itself because control was lost,
    /// with the share that it took back. Kept until a generation without that split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<(ReleaseId, BasisPoints)>,
    /// What somebody took back at this proxy, until a generation without that split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_back: Vec<TakenBack>,
    /// The sequence number of the newest finished slice; 0 before the first.
    pub last_sequence: u64,
    /// Listeners that could not be opened, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen_errors: Vec<(String, String)>,
}

/// Requests and tunnels in flight to one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionLoad {
    /// The service.
    pub service: ServiceName,
    /// The version.
    pub version: Digest,
    /// Requests whose response is not complete.
    pub in_flight: u64,
    /// Upgraded connections, such as WebSockets.
    pub tunnels: u64,
}
