//! Checks a generation whole and makes it a table. Nothing is left to fail for a request
//! that could have been refused here.

use crate::choose::Split;
use crate::count::routes::Patterns;
use crate::net::Cidr;
use crate::registry::{Key, Registry};
use crate::sign::Signer;
use crate::table::{ActiveSplit, Part, RouteTable, Service, Target, Version, specificity};
use crate::unit::Source;
use crate::upstream::tls::TlsTarget;
use esclusa_model::{BasisPoints, Digest, ReleaseId, ServiceName};
use esclusa_wire::{Generation, Instance, ServiceRoute, StickySource, Upstream, UpstreamPart};
use http::HeaderValue;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a generation cannot be served; the one in force stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service {service}: {what}")]
pub(crate) struct CompileError {
    pub(crate) service: ServiceName,
    pub(crate) what: String,
}

/// Splits that this proxy has taken back by itself, with the share they had.
pub(crate) type Returned = BTreeMap<ServiceName, (ReleaseId, BasisPoints)>;

impl RouteTable {
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
            services.sort_by_key(|s| specificity(s.host.as_deref(), s.path.as_deref()));
        }
        Ok(Self {
            id: generation.id,
            listeners,
        })
    }
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
    for version in &versions {
        find(&versions, &version.digest, "listed")?;
    }
    let stable = find(&versions, &route.stable, "stable")?;
    let split = compile_split(route, &versions, returned)?;
    let signer = Signer::new(&route.cookie_key).map_err(|e| e.to_string())?;
    if route.response_timeout.0 == 0 {
        return Err("its response timeout is zero".into());
    }
    Ok(Service {
        name: route.service.clone(),
        key,
        host: compile_host(route.matches.host.as_deref())?,
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

/// The place of a version that must be there exactly once.
fn find(versions: &[Version], digest: &Digest, role: &str) -> Result<usize, String> {
    let mut found = versions
        .iter()
        .enumerate()
        .filter(|(_, v)| v.digest == *digest);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (None, _) => Err(format!(
            "{role} version {digest} is not among its upstreams"
        )),
        (Some(_), Some(_)) => Err(format!("version {digest} is there twice")),
    }
}

/// Checks a split even when this proxy has taken it back.
fn compile_split(
    route: &ServiceRoute,
    versions: &[Version],
    returned: &Returned,
) -> Result<Option<ActiveSplit>, String> {
    let Some(spec) = &route.split else {
        return Ok(None);
    };
    let canary = find(versions, &spec.canary, "canary")?;
    let split = Split::new(spec).map_err(|e| format!("its split cannot run: {e}"))?;
    let taken_back = returned
        .get(&route.service)
        .is_some_and(|(r, _)| *r == spec.release);
    let (release, share) = (spec.release.clone(), spec.share);
    // Whom a flag serves its variant, only the flag knows.
    let reaches_anybody =
        share != BasisPoints::ZERO || !spec.segments.is_empty() || spec.by_flag.is_some();
    Ok((!taken_back).then_some(ActiveSplit {
        release,
        share,
        canary,
        reaches_anybody,
        split,
        by_flag: spec.by_flag.clone(),
    }))
}

fn compile_host(host: Option<&str>) -> Result<Option<String>, String> {
    match host {
        Some(host)
            if host.is_empty()
                || host != host.to_ascii_lowercase()
                || host.contains(['/', '@', ' ']) =>
        {
            Err(format!(
                "host {host:?} must be a lower-case name without port"
            ))
        }
        host => Ok(host.map(ToOwned::to_owned)),
    }
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
    let (key, load) = registry.version(service, &upstream.digest, &upstream.name);
    let of_version = |what: String| format!("version {}: {what}", upstream.name);
    let instances = compile_instances(&upstream.instances, registry).map_err(of_version)?;
    let parts = compile_parts(&upstream.parts, registry).map_err(of_version)?;
    Ok(Version {
        digest: upstream.digest,
        key,
        load,
        instances,
        parts,
    })
}

fn compile_parts(parts: &[UpstreamPart], registry: &Registry) -> Result<Vec<Part>, String> {
    let mut compiled: Vec<Part> = Vec::new();
    for part in parts {
        let of_part = |what: String| format!("component {}: {what}", part.component);
        let host = compile_host(part.matches.host.as_deref()).map_err(of_part)?;
        let path = compile_path(part.matches.path.as_deref()).map_err(of_part)?;
        if compiled.iter().any(|p| p.host == host && p.path == path) {
            return Err(of_part(
                "another component has the same host and path".into(),
            ));
        }
        compiled.push(Part {
            host,
            path,
            instances: compile_instances(&part.instances, registry).map_err(of_part)?,
        });
    }
    compiled.sort_by_key(|part| specificity(part.host.as_deref(), part.path.as_deref()));
    Ok(compiled)
}

fn compile_instances(
    instances: &[Instance],
    registry: &Registry,
) -> Result<Vec<Arc<Target>>, String> {
    instances
        .iter()
        .map(|instance| compile_instance(instance, registry).map(Arc::new))
        .collect()
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
        .map(|tls| TlsTarget::new(tls, registry))
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
