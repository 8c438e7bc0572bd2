//! Plans for the tests, small and complete.

use esclusa_judge::JudgeConfig;
use esclusa_model::{
    BasisPoints, ComponentKind, Digest, Millis, ReleaseId, Salt, ServiceName, VersionRef,
};
use esclusa_plan::{
    Audience, Component, DriverUse, Expose, Hold, HoldThen, OnConflict, Plan, Requirement, Stage,
    Step, Undo, WarmUp,
};
use esclusa_release::Requested;
use std::collections::BTreeMap;

pub(crate) const MINUTE: Millis = Millis(60_000);

pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

fn driver(driver: &str) -> DriverUse {
    DriverUse {
        driver: driver.into(),
        config: serde_json::json!({}),
    }
}

pub(crate) fn share(percent: u16) -> Stage {
    let share = BasisPoints::new(percent * 100).expect("at most 100");
    expose(Audience::Share(share))
}

pub(crate) fn segment(name: &str) -> Stage {
    expose(Audience::Segment(name.into()))
}

fn expose(to: Audience) -> Stage {
    Stage::Expose(Expose {
        to,
        for_: MINUTE,
        early: false,
        budget: None,
    })
}

pub(crate) fn warm_up() -> Stage {
    Stage::WarmUp(WarmUp {
        get: vec!["/".into()],
        rate_per_1000s: 10_000,
        for_: Millis(30_000),
    })
}

pub(crate) fn check(name: &str, needs_canary: bool) -> Requirement {
    Requirement::Check {
        name: name.into(),
        check: driver("http"),
        timeout: Millis(5_000),
        needs_canary,
    }
}

pub(crate) fn sign_off(roles: &[&str], within: Millis) -> Requirement {
    Requirement::SignOff {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        within,
        not_by_author: false,
        items: Vec::new(),
    }
}

pub(crate) fn step(name: &str, undo: bool) -> Step {
    let command = |what: &str| vec![format!("./{what}.sh")];
    Step {
        name: name.into(),
        command: command(name),
        timeout: MINUTE,
        undo: undo.then(|| Undo {
            command: command("undo"),
            timeout: MINUTE,
        }),
    }
}

/// Everything that a plan can have, once.
pub(crate) fn full() -> Plan {
    let component = |kind| Component {
        kind,
        instances: 1,
        route: None,
        artifact: Some("./dist/${version}".into()),
        run: driver("process"),
    };
    Plan {
        service: name("checkout"),
        route: None,
        traffic: driver("proxy"),
        components: BTreeMap::from([
            (name("web"), component(ComponentKind::Web)),
            (name("worker"), component(ComponentKind::Singleton)),
        ]),
        flags: None,
        take_over: None,
        segments: BTreeMap::from([("team".to_owned(), "true".to_owned())]),
        population: Vec::new(),
        salt: None,
        requires: vec![
            check("database is up", false),
            sign_off(&["tech-lead"], Millis(60 * 60_000)),
            check("canary is healthy", true),
        ],
        before: vec![
            step("backup", false),
            step("migrate", true),
            step("index", true),
        ],
        judge: JudgeConfig::default(),
        sources: BTreeMap::new(),
        stages: vec![
            warm_up(),
            segment("team"),
            share(1),
            share(5),
            share(25),
            share(100),
        ],
        after: vec![step("smoke", true), step("announce", true)],
        keep_warm: Millis(48 * 60 * 60_000),
        hold: Hold {
            for_: Millis(30 * 60_000),
            then: HoldThen::Rollback,
        },
        on_conflict: OnConflict::Refuse,
        deploy_timeout: Millis(2 * 60_000),
        dial_timeout: Millis(120_000),
    }
}

/// One share, then all: for what does not depend on the plan's rest.
pub(crate) fn short() -> Plan {
    Plan {
        requires: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        stages: vec![share(5), share(100)],
        ..full()
    }
}

pub(crate) fn version(text: &str) -> VersionRef {
    VersionRef {
        name: name(text),
        digest: Digest::of(text.as_bytes()),
        verified: true,
    }
}

pub(crate) fn requested(plan: Plan) -> Requested {
    Requested {
        release: name::<ReleaseId>("r-1"),
        service: name::<ServiceName>("checkout"),
        version: name("2.4.1"),
        plan,
        plan_digest: Digest::of(b"plan"),
        base_dir: "/srv/checkout".into(),
        salt: name::<Salt>("r-1"),
        stable: Some(version("2.4.0")),
        person: None,
        source: None,
    }
}
