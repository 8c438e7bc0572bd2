//! Slice v1: what one proxy saw of one service in one second.
//!
//! Slices are mergeable by addition. They name versions by digest, never by role,
//! so that a promotion in the middle of a second cannot be misread.

use crate::Histogram;
use esclusa_model::{Digest, GenerationId, InstanceId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The shape of [`Slice`]; readers refuse others.
pub const SLICE_VERSION: u16 = 1;

/// How many routes of a service are told apart; the rest is [`OTHER_ROUTE`].
pub const MAX_ROUTES: usize = 64;

/// The name of all routes past [`MAX_ROUTES`].
pub const OTHER_ROUTE: &str = "other";

/// How many of a cell's heaviest units are kept.
pub const MAX_UNITS: usize = 16;

/// How a request ended, where that is worth counting. A plain success has no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventClass {
    /// The version answered 500 to 599.
    #[serde(rename = "5xx")]
    ServerError,
    /// No connection to the version could be made.
    #[serde(rename = "connect")]
    Connect,
    /// The version closed or broke the connection before its answer was complete.
    #[serde(rename = "reset")]
    Reset,
    /// The version did not answer within the route's limit.
    #[serde(rename = "timeout")]
    Timeout,
    /// The version answered 400 to 499.
    #[serde(rename = "4xx")]
    ClientError,
    /// The version answered a gRPC status other than OK.
    #[serde(rename = "grpc")]
    GrpcStatus,
    /// The client went away while it waited for the version.
    #[serde(rename = "cancelled")]
    Cancelled,
    /// A guard answered that a feature is off. Not a failure (trap 11).
    #[serde(rename = "feature_disabled")]
    FeatureDisabled,
}

/// Whose fault a failed request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A broken or abandoned request.
    Client,
    /// The proxy itself: no instance known, a limit reached.
    Proxy,
    /// The version that served or should have served.
    Version,
}

impl EventClass {
    /// Who answers for an event of this class.
    #[must_use]
    pub const fn owner(self) -> Owner {
        match self {
            Self::ServerError | Self::Connect | Self::Reset | Self::Timeout => Owner::Version,
            // Compared too, each as a class of its own, but no failure by itself.
            Self::ClientError | Self::GrpcStatus | Self::Cancelled => Owner::Client,
            Self::FeatureDisabled => Owner::Proxy,
        }
    }

    /// Whether this alone makes the request a failure of its version.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self.owner(), Owner::Version)
    }
}

/// What one unit (user, tenant; hashed) contributed to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitCount {
    /// The unit's hash; the id itself never leaves the proxy.
    pub unit: u64,
    /// Requests finished.
    pub requests: u64,
    /// Of these, failures of the version.
    pub failures: u64,
}

/// Counts of one version, route and instance within a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The version that the split chose.
    pub intended: Digest,
    /// The version that answered; differs from `intended` after a fallback,
    /// absent when none did.
    pub served: Option<Digest>,
    /// The route's name, such as `GET /item/:id`.
    pub route: String,
    /// The instance that answered or should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Whether esclusa itself sent the requests (warm-up, probes).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Requests finished in this second, failures included.
    pub requests: u64,
    /// Finished requests by class; successes are the rest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<EventClass, u64>,
    /// Time from the request's arrival to the response's head in microseconds,
    /// for all finished requests that are no failure of the version.
    pub latency: Histogram,
    /// Requests still waiting for a head at the second's end, by age in microseconds.
    #[serde(default)]
    pub pending: Histogram,
    /// The heaviest units, at most [`MAX_UNITS`], heaviest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitCount>,
}

impl Cell {
    /// Finished requests that say something of the version. What answered that a feature is
    /// off is neither a success nor a failure of anybody (trap 11).
    #[must_use]
    pub fn telling_requests(&self) -> u64 {
        let off = self.events.get(&EventClass::FeatureDisabled);
        self.requests
            .saturating_sub(off.copied().unwrap_or_default())
    }

    /// Finished requests that failed by the version's fault.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.events
            .iter()
            .filter(|(class, _)| class.is_failure())
            .fold(0, |sum: u64, (_, n)| sum.saturating_add(*n))
    }
}

/// One second of one service, as one proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// [`SLICE_VERSION`] of the writer.
    pub v: u16,
    /// The service.
    pub service: ServiceName,
    /// The second's start on the wall clock, seconds since 1970.
    pub second: i64,
    /// Seconds since the proxy's start on its monotonic clock; never goes back.
    pub uptime_s: u64,
    /// The generation that was in force at the second's end.
    pub generation: GenerationId,
    /// Counts by version, route, instance. Empty when nothing happened:
    /// silence is sent too, so that it is never mistaken for a lost slice.
    pub cells: Vec<Cell>,
    /// Requests that were the client's fault: malformed, broken off while sending.
    pub client_faults: u64,
    /// Requests that were the proxy's fault: no instance, a limit of its own.
    pub proxy_faults: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../golden/slice-v1.json");

    /// Every field set in the first cell, as few as allowed in the second.
    fn every_field() -> Slice {
        let canary = Digest::of(b"canary");
        let full = Cell {
            intended: canary,
            served: Some(Digest::of(b"stable")),
            route: "GET /item/:id".into(),
            instance: Some(InstanceId::new("web-1").expect("valid")),
            synthetic: true,
            requests: 40,
            events: BTreeMap::from([
                (EventClass::ServerError, 1),
                (EventClass::Connect, 2),
                (EventClass::Reset, 3),
                (EventClass::Timeout, 4),
                (EventClass::ClientError, 5),
                (EventClass::GrpcStatus, 6),
                (EventClass::Cancelled, 7),
                (EventClass::FeatureDisabled, 8),
            ]),
            latency: Histogram::try_from(vec![7, 1, 207, 2]).expect("pairs"),
            pending: Histogram::try_from(vec![550, 3]).expect("pairs"),
            units: vec![UnitCount {
                unit: u64::MAX,
                requests: 12,
                failures: 3,
            }],
        };
        let least = Cell {
            intended: canary,
            served: None,
            route: OTHER_ROUTE.into(),
            instance: None,
            synthetic: false,
            requests: 0,
            events: BTreeMap::new(),
            latency: Histogram::default(),
            pending: Histogram::default(),
            units: Vec::new(),
        };
        Slice {
            v: SLICE_VERSION,
            service: ServiceName::new("shop").expect("valid"),
            second: 1_767_225_600,
            uptime_s: 86_400,
            generation: GenerationId {
                epoch: esclusa_model::Epoch(3),
                number: 17,
            },
            cells: vec![full, least],
            client_faults: 2,
            proxy_faults: 1,
        }
    }

    /// Slices are stored and judged again by later programs; another shape is another
    /// version.
    #[test]
    fn the_shape_is_a_contract() {
        let text = serde_json::to_string_pretty(&every_field()).expect("JSON");
        assert_eq!(format!("{text}\n"), GOLDEN);
        let read: Slice = serde_json::from_str(GOLDEN).expect("reads what was agreed");
        assert_eq!(read, every_field());
    }

    #[test]
    fn only_the_versions_own_faults_are_failures() {
        use EventClass as E;
        for class in [E::ServerError, E::Connect, E::Reset, E::Timeout] {
            assert!(class.is_failure(), "{class:?}");
        }
        // Trap 11: a guard's 503 is not a failure.
        for class in [
            E::ClientError,
            E::GrpcStatus,
            E::Cancelled,
            E::FeatureDisabled,
        ] {
            assert!(!class.is_failure(), "{class:?}");
        }
    }
}
