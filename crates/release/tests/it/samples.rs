//! One event of every kind, with every field set.

use esclusa_flags::{Change, Patch};
use esclusa_judge::JudgeConfig;
use esclusa_model::{
    BasisPoints, ComponentKind, Digest, Epoch, GenerationId, InstanceId, Millis, Outcome,
    ReleaseId, Timestamp, VersionRef,
};
use esclusa_plan::{
    Audience, Component, DriverUse, Expose, Hold, HoldThen, OnConflict, Plan, Requirement, Stage,
    Step, Undo, WarmUp,
};
use esclusa_release::{
    Because, Deployed, DeployedComponent, DialEvidence, Event, Evidence, InstanceRecord, ItemDone,
    Phase, Reached, Requested, ReturnCause, Returned, ServiceEvent, SignOff, Task, TaskEnd,
};
use std::collections::BTreeMap;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000_000);

pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

pub(crate) fn release(text: &str) -> ReleaseId {
    name(text)
}

pub(crate) fn version(text: &str) -> VersionRef {
    VersionRef {
        name: name(text),
        digest: Digest::of(text.as_bytes()),
        verified: true,
    }
}

fn driver(driver: &str) -> DriverUse {
    DriverUse {
        driver: driver.into(),
        config: serde_json::json!({ "port": 1 }),
    }
}

/// A small plan with one of each of a plan's parts.
pub(crate) fn plan() -> Plan {
    let stage = |to| {
        Stage::Expose(Expose {
            to,
            for_: Millis(60_000),
            early: true,
            budget: Some(Millis(90_000)),
        })
    };
    Plan {
        service: name("checkout"),
        route: None,
        traffic: driver("proxy"),
        components: BTreeMap::from([(
            name("web"),
            Component {
                kind: ComponentKind::Web,
                instances: 2,
                route: None,
                artifact: Some("./dist/${version}".into()),
                run: driver("process"),
            },
        )]),
        flags: None,
        take_over: None,
        segments: BTreeMap::from([("team".into(), "true".into())]),
        population: vec!["acme".into()],
        salt: None,
        requires: vec![
            Requirement::Check {
                name: "up".into(),
                check: driver("http"),
                timeout: Millis(5_000),
                needs_canary: true,
            },
            Requirement::SignOff {
                roles: vec!["tech-lead".into()],
                within: Millis(3_600_000),
                not_by_author: false,
                items: Vec::new(),
            },
        ],
        before: vec![Step {
            name: "migrate".into(),
            command: vec!["./migrate.sh".into(), "up".into()],
            timeout: Millis(60_000),
            undo: Some(Undo {
                command: vec!["./migrate.sh".into(), "down".into()],
                timeout: Millis(60_000),
            }),
        }],
        judge: JudgeConfig::default(),
        sources: BTreeMap::new(),
        stages: vec![
            Stage::WarmUp(WarmUp {
                get: vec!["/".into()],
                rate_per_1000s: 10_000,
                for_: Millis(30_000),
            }),
            stage(Audience::Segment("team".into())),
            stage(Audience::Share(BasisPoints::new(500).expect("5 %"))),
            stage(Audience::Share(BasisPoints::FULL)),
        ],
        after: Vec::new(),
        keep_warm: Millis(172_800_000),
        hold: Hold {
            for_: Millis(86_400_000),
            then: HoldThen::Rollback,
        },
        on_conflict: OnConflict::Queue,
        deploy_timeout: Millis(120_000),
        dial_timeout: Millis(120_000),
    }
}

pub(crate) fn requested() -> Requested {
    Requested {
        release: release("r-1"),
        service: name("checkout"),
        version: name("2.4.1"),
        plan: plan(),
        plan_digest: Digest::of(b"plan"),
        base_dir: "/srv/checkout".into(),
        salt: name("r-1"),
        stable: Some(version("2.4.0")),
        person: None,
        source: None,
    }
}

pub(crate) fn evidence() -> Evidence {
    Evidence {
        code: "harm".into(),
        summary: "errors rose from 0.2% to 7.1%".into(),
        verdict: serde_json::json!({ "opinion": "rollback" }),
    }
}

fn instance() -> InstanceRecord {
    InstanceRecord {
        id: name::<InstanceId>("web-1"),
        component: name("web"),
        kind: ComponentKind::Web,
        url: Some("http://127.0.0.1:9001".into()),
        host_header: None,
        ca_file: None,
    }
}

pub(crate) fn ended(end: TaskEnd) -> Event {
    Event::TaskEnded {
        task: Task::Check(0),
        attempt: 2,
        end,
    }
}

pub(crate) fn advanced(to: Phase) -> Event {
    Event::Advanced {
        to,
        why: "because".into(),
        evidence: None,
    }
}

pub(crate) fn returned(outcome: Outcome) -> Event {
    Event::ReturnDecided(Returned {
        cause: ReturnCause::Judge,
        reason: "errors rose from 0.2% to 7.1%".into(),
        outcome,
        evidence: Some(evidence()),
    })
}

pub(crate) fn events() -> Vec<Event> {
    let reason = || "because".to_owned();
    vec![
        Event::Requested(Box::new(requested())),
        Event::Prepared {
            version: version("2.4.1"),
            components: BTreeMap::from([(name("web"), Digest::of(b"web"))]),
        },
        Event::TaskStarted {
            task: Task::UndoBefore(3),
            attempt: 1,
        },
        ended(TaskEnd::Done {
            note: "12 rows".into(),
        }),
        ended(TaskEnd::Failed { reason: reason() }),
        ended(TaskEnd::Unknown { reason: reason() }),
        ended(TaskEnd::TimedOut),
        ended(TaskEnd::Cancelled),
        Event::Deployed {
            instances: vec![instance()],
        },
        Event::SignedOff(SignOff {
            role: "tech-lead".into(),
            comment: "fine".into(),
            items: Vec::new(),
        }),
        Event::SignedOff(SignOff {
            role: "dba".into(),
            comment: String::new(),
            items: vec![
                ItemDone {
                    item: "the restore was rehearsed".into(),
                    note: "in 4 minutes".into(),
                },
                ItemDone {
                    item: "the on-call person knows".into(),
                    note: String::new(),
                },
            ],
        }),
        Event::Advanced {
            to: Phase::Stage(2),
            why: reason(),
            evidence: Some(evidence()),
        },
        advanced(Phase::CanaryChecks),
        Event::DialConfirmed(DialEvidence {
            asked: BasisPoints::new(500).expect("5 %"),
            achieved: BasisPoints::new(508).expect("5.08 %"),
            generation: Some(GenerationId {
                epoch: Epoch(3),
                number: 7,
            }),
            reached: None,
        }),
        Event::DialConfirmed(DialEvidence {
            asked: BasisPoints::new(500).expect("5 %"),
            achieved: BasisPoints::new(500).expect("5 %"),
            generation: None,
            reached: Some(Reached {
                tenants: 1,
                of: 12,
                people: 0,
                names: vec!["acme".into()],
            }),
        }),
        Event::FlagsChange {
            patch: Patch {
                revision: 7,
                changes: vec![Change {
                    path: "/flags/exec-reports/default".into(),
                    before: None,
                    after: Some("on".into()),
                }],
            },
        },
        Event::Judged(evidence()),
        Event::HoldBegan { reason: reason() },
        Event::HoldEnded,
        Event::ReturnedByProxy { reason: reason() },
        Event::OverBudget { stage: 2 },
        Event::Paused(None),
        Event::Resumed(None),
        Event::Skipped(None),
        Event::PromoteAsked(None),
        Event::Paused(Because::said("lunch")),
        Event::Resumed(Because::said("back from lunch")),
        Event::Skipped(Because::said("seen enough")),
        Event::PromoteAsked(Because::said("the fix is urgent")),
        returned(Outcome::RolledBack),
        Event::Ended {
            outcome: Outcome::RollbackFailed,
            reason: reason(),
        },
    ]
}

pub(crate) fn deployed(text: &str, by: Option<&str>) -> Deployed {
    Deployed {
        version: version(text),
        release: by.map(release),
        plan: plan(),
        base_dir: "/srv/checkout".into(),
        components: BTreeMap::from([(
            name("web"),
            DeployedComponent {
                digest: Digest::of(b"web"),
            },
        )]),
        instances: vec![instance()],
    }
}

pub(crate) fn service_events() -> Vec<ServiceEvent> {
    let r = || release("r-1");
    vec![
        ServiceEvent::TakenOver(Box::new(deployed("2.4.0", None))),
        ServiceEvent::ReleaseAdmitted { release: r() },
        ServiceEvent::ReleaseQueued { release: r() },
        ServiceEvent::ReleaseEnded {
            release: r(),
            outcome: Outcome::Promoted,
        },
        ServiceEvent::StableChanged {
            release: r(),
            stable: Box::new(deployed("2.4.1", Some("r-1"))),
            keep_warm: Millis(172_800_000),
        },
        ServiceEvent::StableRestored { release: r() },
        ServiceEvent::StableWithdrawn { release: r() },
        ServiceEvent::WarmRetired {
            version: Digest::of(b"2.4.0"),
        },
    ]
}
