//! A generation made ready to serve: everything a request needs, checked beforehand.
//!
//! Immutable. A request takes one service out of one table and never looks again, so it
//! can see no mixture of two generations.

use crate::choose::Split;
use crate::count::routes::{Patterns, RouteNames};
use crate::net::Cidr;
use crate::registry::{InstanceLoad, Key, VersionLoad};
use crate::sign::Signer;
use crate::unit::Source;
use crate::upstream::tls::TlsTarget;
use esclusa_flags::FlagSide;
use esclusa_model::{BasisPoints, Digest, GenerationId, ReleaseId, ServiceName};
use esclusa_wire::{LostControl, LostControlThen};
use http::HeaderValue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is served.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) id: GenerationId,
    /// Services by listener, the most specific first.
    pub(crate) listeners: Vec<(SocketAddr, Vec<Arc<Service>>)>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) key: Key,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) sources: Vec<Source>,
    pub(crate) signer: Signer,
    pub(crate) versions: Vec<Version>,
    pub(crate) stable: usize,
    pub(crate) split: Option<ActiveSplit>,
    pub(crate) lost_control: LostControl,
    pub(crate) patterns: Patterns,
    pub(crate) route_names: Arc<RouteNames>,
    pub(crate) response_timeout: Duration,
    pub(crate) max_body_bytes: u64,
    pub(crate) trusted: Vec<Cidr>,
}

/// A split in force.
#[derive(Debug)]
pub(crate) struct ActiveSplit {
    pub(crate) release: ReleaseId,
    pub(crate) share: BasisPoints,
    pub(crate) canary: usize,
    /// Whether any share or segment is sent to the canary.
    pub(crate) reaches_anybody: bool,
    pub(crate) split: Split,
    /// Asked instead of the split when the canary is a side of a flag.
    pub(crate) by_flag: Option<FlagSide>,
}

/// One version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) digest: Digest,
    pub(crate) key: Key,
    pub(crate) load: Arc<VersionLoad>,
    pub(crate) instances: Vec<Arc<Target>>,
    /// Components with requests of their own, the most specific first.
    pub(crate) parts: Vec<Part>,
}

/// A component of a version with requests of its own.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) instances: Vec<Arc<Target>>,
}

/// One running copy and how to speak to it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: Key,
    pub(crate) load: Arc<InstanceLoad>,
    pub(crate) address: String,
    pub(crate) host_header: Option<HeaderValue>,
    /// Its address as a `Host`, for requests that came without one.
    pub(crate) own_host: HeaderValue,
    pub(crate) tls: Option<TlsTarget>,
    pub(crate) path_prefix: String,
}

impl RouteTable {
    /// A table that serves nothing.
    pub(crate) fn empty() -> Self {
        Self {
            id: GenerationId::default(),
            listeners: Vec::new(),
        }
    }

    /// All services.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.listeners.iter().flat_map(|(_, services)| services)
    }

    /// The service of a listener that has just one.
    pub(crate) fn only(&self, listener: SocketAddr) -> Option<&Arc<Service>> {
        match self
            .listeners
            .iter()
            .find(|(address, _)| *address == listener)?
            .1
            .as_slice()
        {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The service that answers on `listener` for `host` (lower case, no port) and `path`.
    pub(crate) fn find(
        &self,
        listener: SocketAddr,
        host: &str,
        path: &str,
    ) -> Option<&Arc<Service>> {
        let (_, services) = self
            .listeners
            .iter()
            .find(|(address, _)| *address == listener)?;
        services
            .iter()
            .find(|s| fits(s.host.as_deref(), s.path.as_deref(), host, path))
    }
}

impl Version {
    /// The copies that answer requests for `host` (lower case, no port) and `path`.
    pub(crate) fn instances_for(&self, host: &str, path: &str) -> &[Arc<Target>] {
        self.parts
            .iter()
            .find(|part| fits(part.host.as_deref(), part.path.as_deref(), host, path))
            .map_or(&self.instances, |part| &part.instances)
    }
}

impl Service {
    /// The version with this digest.
    pub(crate) fn version(&self, digest: &Digest) -> Option<usize> {
        self.versions.iter().position(|v| v.digest == *digest)
    }

    /// The silence after which the split is taken back, if it is to be.
    pub(crate) fn must_return_after(&self) -> Option<Duration> {
        match self.lost_control.then {
            LostControlThen::Return => Some(self.lost_control.after.as_std()),
            LostControlThen::Hold => None,
        }
    }

    /// Whether units are told apart right now.
    pub(crate) fn is_partial(&self) -> bool {
        self.split.as_ref().is_some_and(|s| s.share.is_partial())
    }
}

/// Sorts what is more specific first: a named host before any host, then longer paths.
pub(crate) fn specificity(host: Option<&str>, path: Option<&str>) -> impl Ord + use<> {
    (host.is_none(), std::cmp::Reverse(path.map_or(0, str::len)))
}

fn fits(own_host: Option<&str>, own_path: Option<&str>, host: &str, path: &str) -> bool {
    own_host.is_none_or(|own| own == host) && own_path.is_none_or(|own| under(own, path))
}

/// Whether `path` lies under `prefix`, on a segment's border.
fn under(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
