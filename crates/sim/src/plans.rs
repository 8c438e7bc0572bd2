//! Plans to play with: the templates, bare or with everything that a plan can have.

use esclusa_judge::JudgeConfig;
use esclusa_model::{ComponentKind, Digest, Millis, VersionRef};
use esclusa_plan::{
    Component, DIAL_LIMIT, DriverUse, FlagTurn, FlagTurns, Hold, HoldOrReturn, HoldThen,
    LostControl, OnConflict, Plan, Requirement, Route, Stage, Step, Sticky, Template, Undo, WarmUp,
};
use std::collections::BTreeMap;
use std::str::FromStr;

const MINUTE: Millis = Millis(60_000);

/// A name written in this crate.
#[expect(
    clippy::expect_used,
    reason = "called with literals that are valid names"
)]
pub(crate) fn literal<T: FromStr<Err: std::fmt::Debug>>(text: &'static str) -> T {
    text.parse().expect("a valid name")
}

fn driver(driver: &str) -> DriverUse {
    DriverUse {
        driver: driver.into(),
        config: serde_json::Value::Null,
    }
}

fn component(kind: ComponentKind) -> Component {
    Component {
        kind,
        instances: 1,
        artifact: Some("./dist/${version}".into()),
        run: driver("process"),
        route: None,
    }
}

/// A plan with a template's stages and nothing else.
pub(crate) fn bare(template: Template) -> Plan {
    Plan {
        service: literal("checkout"),
        route: Some(Route {
            listen: "127.0.0.1:8080".into(),
            host: None,
            path: None,
            sticky: vec![Sticky::Cookie],
            lost_control: LostControl {
                after: Millis(2 * MINUTE.0),
                then: HoldOrReturn::Return,
            },
            routes: Vec::new(),
            response_timeout: MINUTE,
            max_body_bytes: 1 << 20,
            trusted_proxies: Vec::new(),
        }),
        traffic: driver("proxy"),
        components: BTreeMap::from([(literal("web"), component(ComponentKind::Web))]),
        flags: None,
        take_over: None,
        segments: BTreeMap::from([("team".to_owned(), "true".to_owned())]),
        population: Vec::new(),
        salt: None,
        requires: Vec::new(),
        before: Vec::new(),
        judge: JudgeConfig::default(),
        sources: BTreeMap::new(),
        stages: template.stages(),
        after: Vec::new(),
        keep_warm: Millis(48 * 60 * MINUTE.0),
        hold: Hold {
            for_: Millis(24 * 60 * MINUTE.0),
            then: HoldThen::Rollback,
        },
        on_conflict: OnConflict::Refuse,
        deploy_timeout: Millis(2 * MINUTE.0),
        dial_timeout: DIAL_LIMIT,
    }
}

fn flags() -> FlagTurns {
    FlagTurns {
        set: vec![FlagTurn {
            flag: "exec-reports".into(),
            variant: "on".into(),
        }],
        environment: "production".into(),
        of: Some("tenant".into()),
        allow_on: false,
    }
}

/// A plan that brings a version and turns a flag with it.
pub(crate) fn with_flags(template: Template) -> Plan {
    let mut plan = full(template);
    plan.flags = Some(flags());
    plan
}

/// A plan that turns a flag and brings no version.
pub(crate) fn flags_alone(template: Template) -> Plan {
    let mut plan = bare(template);
    (plan.route, plan.flags) = (None, Some(flags()));
    plan.components.clear();
    plan.segments.clear();
    plan.before = vec![step("announce", true)];
    plan
}

/// The same with a warm-up, checks, steps and a worker.
pub(crate) fn full(template: Template) -> Plan {
    let mut plan = bare(template);
    let worker = component(ComponentKind::Singleton);
    plan.components.insert(literal("worker"), worker);
    plan.requires = vec![
        check("database is up", false),
        check("canary is healthy", true),
    ];
    plan.before = vec![step("backup", false), step("migrate", true)];
    plan.after = vec![step("smoke", true)];
    plan.stages.insert(0, warm_up());
    plan
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

pub(crate) fn step(name: &str, undo: bool) -> Step {
    let command = |what: &str| vec![format!("./{what}.sh")];
    Step {
        name: name.into(),
        command: command(name),
        timeout: Millis(10 * MINUTE.0),
        undo: undo.then(|| Undo {
            command: command("undo"),
            timeout: Millis(10 * MINUTE.0),
        }),
    }
}

/// A dial that is somebody's scripts.
pub(crate) fn command_dial() -> DriverUse {
    driver("command")
}

/// The version that serves before the first release.
pub(crate) fn stable() -> VersionRef {
    let name = "2.4.0";
    VersionRef {
        name: literal(name),
        digest: Digest::of(name.as_bytes()),
        verified: true,
    }
}
