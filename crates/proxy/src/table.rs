//! A generation made ready to serve: everything a request needs, checked beforehand.
//!
//! Immutable. A request takes one service out of one table and never looks again, so it
//! can see no mixture of two generations.

use crate::choose::Split;
use crate::count::routes::{Patterns, RouteNames};
use crate::net::Cidr;
use crate::registry::{InstanceLoad, Key, Registry, VersionLoad};
use crate::sign::Signer;
use crate::unit::Source;
use crate::upstream::tls::TlsTarget;
use esclusa_model::{BasisPoints, Digest, GenerationId, ReleaseId, ServiceName, VersionName};
use esclusa_wire::{
    Generation, Instance, LostControl, LostControlThen, ServiceRoute, StickySource, Upstream,
};
use http::HeaderValue;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why a generation cannot be served; the one in force stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service {service}: {what}")]
pub(crate) struct CompileError {
    pub(crate) service: ServiceName,
    pub(crate) what: String,
}

/// Splits that this proxy has taken back by itself, with the share they had.
pub(crate) type Returned = BTreeMap<ServiceName, (ReleaseId, BasisPoints)>;

/// What is served.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) id: GenerationId,
    listeners: Vec<(SocketAddr, Vec<Arc<Service>>)>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) key: Key,
    host: Option<String>,
    path: Option<String>,
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
    pub(crate) split: Split,
}

/// One version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) digest: Digest,
    pub(crate) name: VersionName,
    pub(crate) key: Key,
    pub(crate) load: Arc<VersionLoad>,
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

    /// Checks a whole generation. Services in `returned` lose their split when it is of
    /// the release named there.
    ///
    /// # Errors
    /// The first thing in it that cannot be served.
    pub(crate) fn compile(
        generation: &Generation,
        returned: &Returned,
        registry: &Registry,
    ) -> Result<Self, CompileError> {
        let mut listeners: Vec<(SocketAddr, Vec<Arc<Service>>)> = Vec::new();
        let mut seen = BTreeSet::new();
        for route in &generation.services {
            let fail = |what: String| CompileError {
                service: route.service.clone(),
                what,
            };
            if !seen.insert(route.service.clone()) {
                return Err(fail("it is there twice".into()));
            }
            let address = listen_address(&route.listen).map_err(&fail)?;
            let service = compile_service(route, returned, registry).map_err(&fail)?;
            let at = listeners
                .iter()
                .position(|(known, _)| *known == address)
                .unwrap_or_else(|| {
                    listeners.push((address, Vec::new()));
                    listeners.len() - 1
                });
            let services = &mut listeners[at].1;
            if services
                .iter()
                .any(|s| s.host == service.host && s.path == service.path)
            {
                return Err(fail(
                    "another service on its listener has the same host and path".into(),
                ));
            }
            services.push(Arc::new(service));
        }
        for (_, services) in &mut listeners {
            // A named host before any host, then the longer path first.
            services.sort_by_key(|s| {
                (
                    s.host.is_none(),
                    std::cmp::Reverse(s.path.as_ref().map_or(0, String::len)),
                )
            });
        }
        Ok(Self {
            id: generation.id,
            listeners,
        })
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
        services.iter().find(|s| {
            s.host.as_deref().is_none_or(|h| h == host)
                && s.path.as_deref().is_none_or(|p| under(p, path))
        })
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

/// Whether `path` lies under `prefix`, on a segment's border.
fn under(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The socket address in a route.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("listen address {text:?} is not an IP address and port, such as 127.0.0.1:8080")
    })
}

fn compile_service(
    route: &ServiceRoute,
    returned: &Returned,
    registry: &Registry,
) -> Result<Service, String> {
    let (key, route_names) = registry.service(&route.service);
    let versions = route
        .upstreams
        .iter()
        .map(|upstream| compile_version(upstream, key, registry))
        .collect::<Result<Vec<_>, _>>()?;
    let find = |digest: &Digest, role: &str| {
        let mut found = versions
            .iter()
            .enumerate()
            .filter(|(_, v)| v.digest == *digest);
        let first = found.next().map(|(at, _)| at);
        match found.next() {
            Some(_) => Err(format!("version {digest} is there twice")),
            None => {
                first.ok_or_else(|| format!("{role} version {digest} is not among its upstreams"))
            }
        }
    };
    for version in &versions {
        find(&version.digest, "listed")?;
    }
    let stable = find(&route.stable, "stable")?;
    let split = match &route.split {
        None => None,
        Some(spec) => {
            let canary = find(&spec.canary, "canary")?;
            let split = Split::new(spec).map_err(|e| format!("its split cannot run: {e}"))?;
            let taken_back = returned
                .get(&route.service)
                .is_some_and(|(r, _)| *r == spec.release);
            (!taken_back).then(|| ActiveSplit {
                release: spec.release.clone(),
                share: spec.share,
                canary,
                split,
            })
        }
    };
    let host = route.matches.host.clone();
    if host
        .as_deref()
        .is_some_and(|h| h.is_empty() || h != h.to_ascii_lowercase() || h.contains(['/', '@', ' ']))
    {
        return Err(format!(
            "host {host:?} must be a lower-case name without port"
        ));
    }
    let signer = Signer::new(&route.cookie_key).map_err(|e| e.to_string())?;
    if route.response_timeout.0 == 0 {
        return Err("its response timeout is zero".into());
    }
    Ok(Service {
        name: route.service.clone(),
        key,
        host,
        path: compile_path(route.matches.path.as_deref())?,
        sources: compile_sources(&route.sticky)?,
        signer,
        versions,
        stable,
        split,
        lost_control: route.lost_control,
        patterns: Patterns::new(&route.routes).map_err(|e| e.to_string())?,
        route_names,
        response_timeout: route.response_timeout.as_std(),
        max_body_bytes: route.max_body_bytes,
        trusted: route
            .trusted_proxies
            .iter()
            .map(|text| Cidr::parse(text))
            .collect::<Result<_, _>>()?,
    })
}

/// `/` means any path; a trailing slash is the same prefix.
fn compile_path(path: Option<&str>) -> Result<Option<String>, String> {
    match path {
        None => Ok(None),
        Some(path) if !path.starts_with('/') || path.contains(['?', '#', ' ']) => {
            Err(format!("path {path:?} must begin with / and hold no query"))
        }
        Some(path) => {
            let path = path.trim_end_matches('/');
            Ok((!path.is_empty()).then(|| path.to_owned()))
        }
    }
}

fn compile_sources(sticky: &[StickySource]) -> Result<Vec<Source>, String> {
    sticky
        .iter()
        .map(|source| match source {
            StickySource::Cookie => Ok(Source::Cookie),
            StickySource::Header(name) => name
                .parse()
                .map(Source::Header)
                .map_err(|_| format!("sticky header {name:?} is not a header name")),
        })
        .collect()
}

fn compile_version(
    upstream: &Upstream,
    service: Key,
    registry: &Registry,
) -> Result<Version, String> {
    let (key, load) = registry.version(service, &upstream.digest);
    let instances = upstream
        .instances
        .iter()
        .map(|instance| compile_instance(instance, registry).map(Arc::new))
        .collect::<Result<_, _>>()
        .map_err(|what| format!("version {}: {what}", upstream.name))?;
    Ok(Version {
        digest: upstream.digest,
        name: upstream.name.clone(),
        key,
        load,
        instances,
    })
}

fn compile_instance(instance: &Instance, registry: &Registry) -> Result<Target, String> {
    let id = &instance.id;
    let authority: http::uri::Authority = instance.address.parse().map_err(|_| {
        format!(
            "instance {id}: address {:?} is not host:port",
            instance.address
        )
    })?;
    if authority.port_u16().is_none_or(|p| p == 0)
        || authority.host().is_empty()
        || instance.address.contains('@')
    {
        return Err(format!(
            "instance {id}: address {:?} is not host:port",
            instance.address
        ));
    }
    let header = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| format!("instance {id}: {text:?} cannot be sent as Host"))
    };
    let host_header = instance.host_header.as_deref().map(header).transpose()?;
    let tls = instance
        .tls
        .as_ref()
        .map(TlsTarget::new)
        .transpose()
        .map_err(|what| format!("instance {id}: {what}"))?;
    let prefix = instance.path_prefix.trim_end_matches('/');
    if !prefix.is_empty()
        && (!prefix.starts_with('/') || http::uri::PathAndQuery::try_from(prefix).is_err())
    {
        return Err(format!(
            "instance {id}: path prefix {prefix:?} must begin with /"
        ));
    }
    // What a pooled connection may be used for again.
    let pool = format!("{id} {} {:?}", instance.address, instance.tls);
    let (key, load) = registry.instance(id, &pool);
    Ok(Target {
        key,
        load,
        own_host: header(&instance.address)?,
        address: instance.address.clone(),
        host_header,
        tls,
        path_prefix: prefix.to_owned(),
    })
}
