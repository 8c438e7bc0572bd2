//! What the data plane should do for one service: pure, from its state alone.
//!
//! Everything a proxy needs is derived here each time anew, so that a restart of any
//! part leads to the same route.

use crate::rollouts::side;
use esclusa_flags::{SegmentRule, SplitSpec};
use esclusa_model::{BasisPoints, ComponentKind, VersionRef};
use esclusa_plan::{HoldOrReturn, Plan, Sticky};
use esclusa_release::{
    Deployed, Exposure, InstanceRecord, Phase, Release, Service, upstream_address,
};
use esclusa_wire::{
    Instance, LostControl, LostControlThen, RouteMatch, RoutePattern, ServiceRoute, StickySource,
    Upstream, UpstreamPart, UpstreamTls,
};

/// A route, or why there is none yet.
pub(crate) fn service_route(
    service: &Service,
    release: Option<&Release>,
    exposure: &Exposure,
    cookie_key: &str,
) -> Option<ServiceRoute> {
    let stable = stable_deployed(service, release);
    let canary = release.and_then(|release| {
        let upstream = match release.flags_alone() {
            Some(_) => flag_upstream(release, stable),
            None => canary_upstream(release),
        };
        upstream.map(|upstream| (release, upstream))
    });
    let plan = match (&canary, stable) {
        // Flags change no route.
        (Some((release, _)), Some(stable)) if release.flags_alone().is_some() => &stable.plan,
        // The plan of the release speaks from its first stage on; before, nothing changes.
        (Some((release, _)), _) if release.phase >= Phase::Stage(0) => &release.requested.plan,
        (_, Some(stable)) => &stable.plan,
        (Some((release, _)), None) => &release.requested.plan,
        (None, None) => return None,
    };
    let mut upstreams: Vec<Upstream> = stable.map(deployed_upstream).into_iter().collect();
    let stable_digest = stable.map(|deployed| deployed.version.digest);
    let mut split = None;
    let mut serving = stable_digest;
    if let Some((release, upstream)) = canary {
        let digest = upstream.digest;
        if stable_digest.is_none() && exposure.share == BasisPoints::FULL {
            serving = Some(digest);
        } else if stable_digest.is_some_and(|stable| stable != digest) {
            split = Some(split_spec(release, digest, exposure));
        }
        if !upstreams.iter().any(|known| known.digest == digest) {
            upstreams.push(upstream);
        }
    }
    if let Some(warm) = &service.warm
        && !upstreams
            .iter()
            .any(|known| known.digest == warm.deployed.version.digest)
    {
        upstreams.push(deployed_upstream(&warm.deployed));
    }
    build(service, plan, upstreams, serving?, split, cookie_key)
}

/// The stable version as users should see it: while a promoted release goes back, the
/// warm version is stable again before that is recorded.
fn stable_deployed<'a>(service: &'a Service, release: Option<&Release>) -> Option<&'a Deployed> {
    let undone = release.is_some_and(|release| {
        release.phase.is_returning()
            && service
                .warm
                .as_ref()
                .is_some_and(|w| w.release == release.requested.release)
    });
    match (&service.warm, undone) {
        (Some(warm), true) => Some(&warm.deployed),
        _ => service.stable.as_ref(),
    }
}

fn canary_upstream(release: &Release) -> Option<Upstream> {
    let version = release.version.as_ref()?;
    let upstream = upstream(version, &release.requested.plan, &release.instances);
    (!upstream.instances.is_empty()).then_some(upstream)
}

/// The stable version's own instances under another name: requests are counted there to
/// which the flag serves its variant. Once the flag set has the flags, all are one again.
fn flag_upstream(release: &Release, stable: Option<&Deployed>) -> Option<Upstream> {
    if release.phase.is_final() {
        return None;
    }
    let version = release.version.as_ref()?;
    Some(Upstream {
        digest: version.digest,
        name: version.name.clone(),
        ..deployed_upstream(stable?)
    })
}

fn split_spec(release: &Release, canary: esclusa_model::Digest, exposure: &Exposure) -> SplitSpec {
    let plan = &release.requested.plan;
    SplitSpec {
        release: release.requested.release.clone(),
        salt: release.requested.salt.clone(),
        canary,
        share: exposure.share,
        segments: exposure
            .segments
            .iter()
            .filter_map(|name| {
                let when = plan.segments.get(name)?.clone();
                Some(SegmentRule {
                    name: name.clone(),
                    when,
                })
            })
            .collect(),
        population: plan.population.clone(),
        by_flag: release.flags_alone().and_then(side),
    }
}

fn deployed_upstream(deployed: &Deployed) -> Upstream {
    upstream(&deployed.version, &deployed.plan, &deployed.instances)
}

/// A version's web instances: those of components with requests of their own apart from
/// the rest, as the version's own plan says.
fn upstream(version: &VersionRef, plan: &Plan, instances: &[InstanceRecord]) -> Upstream {
    let has_own = |record: &InstanceRecord| {
        let component = plan.components.get(&record.component);
        component.is_some_and(|component| component.route.is_some())
    };
    let of = |wanted: &dyn Fn(&InstanceRecord) -> bool| -> Vec<Instance> {
        instances
            .iter()
            .filter(|record| record.kind == ComponentKind::Web && wanted(record))
            .filter_map(wire_instance)
            .collect()
    };
    Upstream {
        digest: version.digest,
        name: version.name.clone(),
        instances: of(&|record| !has_own(record)),
        parts: plan
            .webs()
            .filter_map(|(name, component)| {
                let route = component.route.as_ref()?;
                Some(UpstreamPart {
                    component: name.clone(),
                    matches: RouteMatch {
                        host: route.host.clone(),
                        path: route.path.clone(),
                    },
                    instances: of(&|record| record.component == *name),
                })
            })
            .collect(),
    }
}

fn wire_instance(record: &InstanceRecord) -> Option<Instance> {
    let url = record.url.as_ref()?;
    let (address, path_prefix, tls) = upstream_address(url)?;
    let host = address
        .rsplit_once(':')
        .map_or(address.as_str(), |(host, _)| host)
        .to_owned();
    let is_name = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
    Some(Instance {
        id: record.id.clone(),
        tls: tls.then(|| UpstreamTls {
            sni: host.clone(),
            ca_file: record.ca_file.clone(),
        }),
        // A name was written because the server tells its sites apart by it.
        host_header: record
            .host_header
            .clone()
            .or_else(|| (is_name && host != "localhost").then_some(host)),
        address,
        path_prefix,
    })
}

fn build(
    service: &Service,
    plan: &Plan,
    upstreams: Vec<Upstream>,
    stable: esclusa_model::Digest,
    split: Option<SplitSpec>,
    cookie_key: &str,
) -> Option<ServiceRoute> {
    let route = plan.route.as_ref()?;
    Some(ServiceRoute {
        service: service.name.clone(),
        listen: route.listen.clone(),
        matches: RouteMatch {
            host: route.host.clone(),
            path: route.path.clone(),
        },
        sticky: route
            .sticky
            .iter()
            .map(|source| match source {
                Sticky::Header(name) => StickySource::Header(name.clone()),
                Sticky::Cookie => StickySource::Cookie,
            })
            .collect(),
        cookie_key: cookie_key.to_owned(),
        upstreams,
        stable,
        split,
        lost_control: LostControl {
            after: route.lost_control.after,
            then: match route.lost_control.then {
                HoldOrReturn::Hold => LostControlThen::Hold,
                HoldOrReturn::Return => LostControlThen::Return,
            },
        },
        routes: route
            .routes
            .iter()
            .map(|named| RoutePattern {
                method: named.method.clone(),
                path: named.path.clone(),
            })
            .collect(),
        response_timeout: route.response_timeout,
        max_body_bytes: route.max_body_bytes,
        trusted_proxies: route.trusted_proxies.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::{Actor, Digest, InstanceId, Timestamp, VersionName};
    use esclusa_plan::SourceFile;
    use esclusa_release::{Event, Requested, Task, TaskEnd};
    use std::collections::BTreeMap;

    const SHOP: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:8080, host: shop.example }
address: { url: 'http://127.0.0.1:9001' }
template: blue-green
";
    const FLAGS: &str = "
esclusa: 1
service: shop
flags: { set: { reports: on, api: on } }
stages:
  - { to: 25%, for: 5m }
  - { to: 100%, watch: 5m }
";

    fn plan(text: &str) -> Plan {
        let source = SourceFile::new("esclusa.yaml", text);
        let parsed = esclusa_plan::parse(&source, &esclusa_drivers::catalog());
        parsed.expect("a plan").plan
    }

    fn version(name: &str) -> VersionRef {
        VersionRef {
            name: VersionName::new(name).expect("a name"),
            digest: Digest::of(name.as_bytes()),
            verified: true,
        }
    }

    fn shop() -> Service {
        let mut service = Service::new("shop".parse().expect("a name"));
        service.stable = Some(Deployed {
            version: version("2.4.0"),
            release: None,
            plan: plan(SHOP),
            base_dir: "/".into(),
            components: BTreeMap::new(),
            instances: vec![InstanceRecord {
                id: InstanceId::new("web-0").expect("an id"),
                component: "web".parse().expect("a name"),
                kind: ComponentKind::Web,
                url: Some("http://127.0.0.1:9001".into()),
                host_header: None,
                ca_file: None,
            }],
        });
        service
    }

    fn apply(release: &mut Release, event: &Event) {
        let by = Actor::new("engine").expect("a name");
        release.apply(event, &by, Timestamp(1)).expect("follows");
    }

    fn release() -> Release {
        let requested = Requested {
            release: "r-1".parse().expect("an id"),
            service: "shop".parse().expect("a name"),
            version: VersionName::new("reports-on").expect("a name"),
            plan: plan(FLAGS),
            plan_digest: Digest::of(b""),
            base_dir: "/".into(),
            salt: "r-1".parse().expect("a salt"),
            stable: Some(version("2.4.0")),
            person: None,
            source: None,
        };
        let flags = requested.plan.flags.clone().expect("flags");
        let prepared = crate::rollouts::version_of(&requested, &flags);
        let by = Actor::new("ana").expect("a name");
        let mut release = Release::begin(requested, by, Timestamp(0));
        apply(
            &mut release,
            &Event::Prepared {
                version: prepared,
                components: BTreeMap::new(),
            },
        );
        for to in [
            Phase::Preflight,
            Phase::Before,
            Phase::Deploying,
            Phase::CanaryChecks,
            Phase::Stage(0),
        ] {
            advance(&mut release, to);
        }
        release
    }

    fn advance(release: &mut Release, to: Phase) {
        apply(
            release,
            &Event::Advanced {
                to,
                why: String::new(),
                evidence: None,
            },
        );
    }

    // ROL-06: the version that flags make runs nowhere, and is the stable one's instances.
    #[test]
    fn flags_are_split_over_the_stable_versions_own_instances() {
        let (service, mut release) = (shop(), release());
        let route = |release: &Release| {
            let exposure = release.exposure();
            service_route(&service, Some(release), &exposure, "key").expect("a route")
        };
        let first = route(&release);
        let at_rest = service_route(&service, None, &Exposure::default(), "key");
        let at_rest = at_rest.expect("a route");
        let split = first.split.clone().expect("a split");
        assert_eq!(split.share.get(), 2_500);
        let side = split.by_flag.expect("by the flag");
        assert_eq!(
            (side.flag.as_str(), side.variant.as_str()),
            ("reports", "on")
        );
        assert_eq!(first.stable, version("2.4.0").digest);
        let [stable, canary] = first.upstreams.as_slice() else {
            panic!("{:?}", first.upstreams);
        };
        assert_ne!(stable.digest, canary.digest);
        assert_eq!(
            (canary.digest, canary.name.as_str()),
            (split.canary, "reports-on")
        );
        assert_eq!(canary.instances, stable.instances);
        // All else is as it was: host, listener, routes.
        let without = ServiceRoute {
            split: None,
            upstreams: at_rest.upstreams.clone(),
            ..first.clone()
        };
        assert_eq!(without, at_rest);
        // Once the flag set has them, nothing is left of it.
        for to in [Phase::Stage(1), Phase::After, Phase::HandOver] {
            advance(&mut release, to);
        }
        assert!(route(&release).split.is_some());
        apply(
            &mut release,
            &Event::TaskStarted {
                task: Task::RecordFlags,
                attempt: 1,
            },
        );
        apply(
            &mut release,
            &Event::TaskEnded {
                task: Task::RecordFlags,
                attempt: 1,
                end: TaskEnd::Done {
                    note: String::new(),
                },
            },
        );
        advance(&mut release, Phase::Promoted);
        assert_eq!(route(&release), at_rest);
    }
}
