//! What the data plane runs: one immutable generation.

use esclusa_flags::SplitSpec;
use esclusa_model::{
    Actor, ComponentName, Digest, GenerationId, InstanceId, Millis, ReleaseId, ServiceName,
    Timestamp, VersionName,
};
use serde::{Deserialize, Serialize};

/// Everything a proxy needs to serve, whole: nothing is patched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// [`crate::WIRE_VERSION`] of the writer.
    pub v: u16,
    /// Its name; proxies refuse one that is not higher than theirs.
    pub id: GenerationId,
    /// The services, each with its listener and versions.
    pub services: Vec<ServiceRoute>,
    /// Decisions in force that the store may not have yet. A proxy keeps them with the
    /// generation and gives them back; it reads nothing out of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<JournalEntry>,
}

/// An event of a release that was acted on before it could be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// The service.
    pub service: ServiceName,
    /// The release.
    pub release: ReleaseId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The event's kind, as in its envelope.
    pub kind: String,
    /// The event's fields, as in its envelope.
    pub payload: serde_json::Value,
}

/// One service: which requests are its own and who answers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRoute {
    /// The service.
    pub service: ServiceName,
    /// Socket address to listen on, such as `127.0.0.1:8080`. Services may share one.
    pub listen: String,
    /// Which requests on that listener belong to the service.
    pub matches: RouteMatch,
    /// Where a request's unit is read from, first that is present wins.
    pub sticky: Vec<StickySource>,
    /// Key that signs the unit cookie, 32 bytes as hex. Redacted in logs.
    pub cookie_key: String,
    /// The versions that can serve.
    pub upstreams: Vec<Upstream>,
    /// The version that serves everybody whom no split sends elsewhere.
    pub stable: Digest,
    /// Who is sent to the canary, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSpec>,
    /// What a proxy does about the split when nobody controls it.
    pub lost_control: LostControl,
    /// Named routes; without them a route is the method and two path segments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RoutePattern>,
    /// Longest wait for a response's head.
    pub response_timeout: Millis,
    /// Largest request body in bytes.
    pub max_body_bytes: u64,
    /// Addresses (CIDR) whose forwarding headers are appended to, not replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
}

/// Which requests belong to a service. The most specific match wins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// Host name without port, lower case; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path prefix on segment borders, such as `/api`; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Where a unit id comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StickySource {
    /// A request header's value, name in lower case.
    Header(String),
    /// The signed `esclusa` cookie, set while a partial share runs.
    Cookie,
}

/// One version and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The version.
    pub digest: Digest,
    /// Its name, for metrics and logs.
    pub name: VersionName,
    /// Its running copies; requests go to the one with the fewest in flight.
    pub instances: Vec<Instance>,
    /// Components of this version that answer requests of their own instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UpstreamPart>,
}

/// A component of a version with requests of its own. Which version a unit sees is chosen
/// before, so one unit meets all components in the same version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamPart {
    /// The component.
    pub component: ComponentName,
    /// Which of the service's requests are its own; the most specific part wins.
    pub matches: RouteMatch,
    /// Its running copies.
    pub instances: Vec<Instance>,
}

/// One running copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// `host:port` to connect to.
    pub address: String,
    /// Sent as `Host` instead of the client's, when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// Speak TLS to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Put before each request's path, such as `/v2`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
}

/// How to speak TLS to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// Server name asked for and verified.
    pub sni: String,
    /// PEM file of a private certificate authority; the system's roots otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// A named route: method and path pattern with `:name` segments and a trailing `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutePattern {
    /// Method in upper case; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Pattern such as `/orders/:id/items`.
    pub path: String,
}

/// The dead-man rule of a partial share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostControl {
    /// How long without a heartbeat counts as lost.
    pub after: Millis,
    /// What the proxy then does.
    pub then: LostControlThen,
}

/// What a proxy does alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostControlThen {
    /// Keep the share.
    Hold,
    /// Send everybody to the stable version.
    Return,
}
