//! One value of each shape, with every field set to something.

use esclusa_flags::{SegmentRule, SplitSpec};
use esclusa_judge::{Cell, EventClass, Histogram, SLICE_VERSION, Slice, UnitCount};
use esclusa_model::{
    Actor, BasisPoints, BootId, ComponentName, Digest, Epoch, GenerationId, InstanceId, Millis,
    ProxyId, ReleaseId, Salt, ServiceName, Timestamp, VersionName,
};
use esclusa_wire::{
    FromLeader, Generation, HAND_OVER_VERSION, HandedFile, Hello, Instance, JournalEntry,
    LostControl, LostControlThen, ProxyStatus, RouteMatch, RoutePattern, ServiceRoute, SliceBatch,
    StampedSlice, StateFile, StickySource, TakeBack, TakenBack, ToLeader, TookBack, Upstream,
    UpstreamPart, UpstreamTls, VersionLoad, WIRE_VERSION, Yours,
};
use std::collections::BTreeMap;

pub(crate) const NAME: GenerationId = GenerationId {
    epoch: Epoch(3),
    number: 17,
};

fn shop() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

fn release() -> ReleaseId {
    ReleaseId::new("r1").expect("valid")
}

fn stable() -> Digest {
    Digest::of(b"stable")
}

fn canary() -> Digest {
    Digest::of(b"canary")
}

pub(crate) fn boot() -> BootId {
    BootId::new("b1").expect("valid")
}

fn proxy() -> ProxyId {
    ProxyId::new("local").expect("valid")
}

fn instance(id: &str, address: &str) -> Instance {
    Instance {
        id: InstanceId::new(id).expect("valid"),
        address: address.into(),
        host_header: None,
        tls: None,
        path_prefix: String::new(),
    }
}

fn upstream(digest: Digest, name: &str, instances: Vec<Instance>) -> Upstream {
    Upstream {
        digest,
        name: VersionName::new(name).expect("valid"),
        instances,
        parts: Vec::new(),
    }
}

/// A service under release that uses every field, and one that uses as few as it may.
pub(crate) fn generation() -> Generation {
    let remote = Instance {
        host_header: Some("shop.internal".into()),
        tls: Some(UpstreamTls {
            sni: "shop.internal".into(),
            ca_file: Some("/etc/esclusa/ca.pem".into()),
        }),
        path_prefix: "/v2".into(),
        ..instance("web-2", "10.0.0.7:8443")
    };
    let split = SplitSpec {
        release: release(),
        salt: Salt::new("r1").expect("valid"),
        canary: canary(),
        share: BasisPoints::new(500).expect("valid"),
        segments: vec![SegmentRule {
            name: "team".into(),
            when: r#"header("x-team") == "red""#.into(),
        }],
        population: vec!["tenant-1".into(), "tenant-2".into()],
        by_flag: None,
    };
    let full = ServiceRoute {
        service: shop(),
        listen: "127.0.0.1:8080".into(),
        matches: RouteMatch {
            host: Some("shop.example".into()),
            path: Some("/api".into()),
        },
        sticky: vec![
            StickySource::Header("x-tenant-id".into()),
            StickySource::Cookie,
        ],
        cookie_key: "ab".repeat(32),
        upstreams: vec![
            upstream(stable(), "1.0", vec![instance("web-1", "127.0.0.1:41001")]),
            Upstream {
                parts: vec![UpstreamPart {
                    component: ComponentName::new("cart").expect("valid"),
                    matches: RouteMatch {
                        host: None,
                        path: Some("/api/cart".into()),
                    },
                    instances: vec![instance("cart-1", "127.0.0.1:41003")],
                }],
                ..upstream(canary(), "1.1", vec![remote])
            },
        ],
        stable: stable(),
        split: Some(split),
        lost_control: LostControl {
            after: Millis(120_000),
            then: LostControlThen::Return,
        },
        routes: vec![
            RoutePattern {
                method: Some("GET".into()),
                path: "/orders/:id/items".into(),
            },
            RoutePattern {
                method: None,
                path: "/static/*".into(),
            },
        ],
        response_timeout: Millis(60_000),
        max_body_bytes: 10_485_760,
        trusted_proxies: vec!["10.0.0.0/8".into()],
    };
    let least = ServiceRoute {
        service: ServiceName::new("quiet").expect("valid"),
        listen: "127.0.0.1:8081".into(),
        matches: RouteMatch::default(),
        sticky: Vec::new(),
        upstreams: vec![upstream(stable(), "7", Vec::new())],
        split: None,
        lost_control: LostControl {
            after: Millis(60_000),
            then: LostControlThen::Hold,
        },
        routes: Vec::new(),
        trusted_proxies: Vec::new(),
        ..full.clone()
    };
    Generation {
        v: WIRE_VERSION,
        id: NAME,
        services: vec![full, least],
        journal: Vec::new(),
    }
}

fn ana() -> Actor {
    Actor::new("ana").expect("valid")
}

/// The same with a decision that no store has yet.
pub(crate) fn generation_with_journal() -> Generation {
    Generation {
        journal: vec![JournalEntry {
            service: shop(),
            release: release(),
            at: Timestamp(1_767_225_600_000_000),
            actor: ana(),
            kind: "return_decided".into(),
            payload: serde_json::json!({ "cause": "person", "reason": "aborted by a person" }),
        }],
        ..generation()
    }
}

pub(crate) fn taken_back() -> TakenBack {
    TakenBack {
        service: shop(),
        release: release(),
        share: BasisPoints::new(500).expect("valid"),
        by: ana(),
        reason: "it hurts".into(),
        at: Timestamp(1_767_225_600_000_000),
    }
}

pub(crate) fn take_back() -> Vec<TakeBack> {
    let named = TakeBack {
        services: Some(vec![shop()]),
        by: ana(),
        reason: "it hurts".into(),
    };
    let all = TakeBack {
        services: None,
        ..named.clone()
    };
    vec![named, all]
}

pub(crate) fn took_back() -> TookBack {
    TookBack {
        generation: NAME,
        taken_back: vec![taken_back()],
        nothing: vec![ServiceName::new("quiet").expect("valid")],
        unknown: vec![ServiceName::new("nowhere").expect("valid")],
        persisted: false,
        everywhere: true,
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        v: WIRE_VERSION,
        proxy: proxy(),
        boot: boot(),
        pid: 4711,
    }
}

pub(crate) fn status() -> ProxyStatus {
    ProxyStatus {
        hello: hello(),
        generation: NAME,
        load: vec![VersionLoad {
            service: shop(),
            version: canary(),
            in_flight: 2,
            tunnels: 1,
        }],
        returned: vec![(release(), BasisPoints::new(500).expect("valid"))],
        taken_back: Vec::new(),
        last_sequence: 42,
        listen_errors: vec![("127.0.0.1:80".into(), "permission denied".into())],
    }
}

pub(crate) fn quiet_status() -> ProxyStatus {
    ProxyStatus {
        hello: hello(),
        generation: GenerationId::default(),
        load: Vec::new(),
        returned: Vec::new(),
        taken_back: Vec::new(),
        last_sequence: 0,
        listen_errors: Vec::new(),
    }
}

fn histogram(micros: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for latency in micros {
        histogram.record(*latency);
    }
    histogram
}

fn slice() -> Slice {
    let events = [
        (EventClass::ServerError, 1),
        (EventClass::Connect, 2),
        (EventClass::Reset, 3),
        (EventClass::Timeout, 4),
        (EventClass::ClientError, 5),
        (EventClass::GrpcStatus, 6),
        (EventClass::Cancelled, 7),
        (EventClass::FeatureDisabled, 8),
    ];
    let full = Cell {
        intended: canary(),
        served: Some(stable()),
        route: "GET /item/:id".into(),
        instance: Some(InstanceId::new("web-1").expect("valid")),
        synthetic: true,
        requests: 40,
        events: BTreeMap::from(events),
        latency: histogram(&[7, 1_500, 1_500, 250_000]),
        pending: histogram(&[3_000_000]),
        units: vec![UnitCount {
            unit: 0xfedc_ba98_7654_3210,
            requests: 12,
            failures: 3,
        }],
    };
    let least = Cell {
        intended: stable(),
        served: None,
        route: "other".into(),
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
        service: shop(),
        second: 1_767_225_600,
        uptime_s: 86_400,
        generation: NAME,
        cells: vec![full, least],
        client_faults: 2,
        proxy_faults: 1,
    }
}

pub(crate) fn batch() -> SliceBatch {
    SliceBatch {
        v: WIRE_VERSION,
        proxy: proxy(),
        slices: vec![StampedSlice {
            boot: boot(),
            sequence: 42,
            slice: slice(),
        }],
        lost: 5,
    }
}

pub(crate) fn state() -> StateFile {
    StateFile {
        generation: generation(),
        returned: vec![(shop(), release())],
        taken_back: Vec::new(),
        silent_for: Millis(90_000),
        written_at: Timestamp(1_767_225_600_000_000),
    }
}

/// The same after somebody went back at the proxy.
pub(crate) fn state_taken_back() -> StateFile {
    StateFile {
        generation: generation_with_journal(),
        returned: Vec::new(),
        taken_back: vec![taken_back()],
        ..state()
    }
}

pub(crate) fn status_taken_back() -> ProxyStatus {
    ProxyStatus {
        returned: Vec::new(),
        taken_back: vec![taken_back()],
        ..status()
    }
}

pub(crate) fn to_leader() -> Vec<ToLeader> {
    vec![
        ToLeader::TakeOver {
            v: HAND_OVER_VERSION,
            proxy: proxy(),
            boot: boot(),
        },
        ToLeader::Accepting {},
        ToLeader::Follow {
            v: HAND_OVER_VERSION,
            proxy: proxy(),
            boot: boot(),
        },
        ToLeader::InForce { push: 2 },
        ToLeader::Load {
            load: status().load,
        },
    ]
}

pub(crate) fn from_leader() -> Vec<FromLeader> {
    let address = || "127.0.0.1:8080".to_owned();
    vec![
        FromLeader::Yours(Box::new(Yours {
            v: HAND_OVER_VERSION,
            boot: boot(),
            files: vec![
                HandedFile::Lock {},
                HandedFile::Control {},
                HandedFile::HandOver {},
                HandedFile::Metrics { address: address() },
                HandedFile::Clients { address: address() },
                HandedFile::Activated { address: address() },
            ],
            state: Some(state()),
            lost: 1,
            flags: None,
        })),
        FromLeader::Committed {},
        FromLeader::Refused {
            reason: "it is being handed over already".into(),
        },
        FromLeader::Lead {
            push: 2,
            state: Box::new(state()),
        },
        FromLeader::Pulse {
            silent_for: Millis(700),
        },
    ]
}
