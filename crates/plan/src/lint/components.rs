//! Components against what their drivers can do.

use super::{error, warning};
use crate::catalog::{Capability, Catalog, DriverEntry};
use crate::diagnostic as code;
use crate::model::{Component, Plan};
use crate::placeholders;
use crate::sink::{Sink, child};
use esclusa_model::ComponentKind;

/// The path of a component's key, whichever way the component was written.
pub(super) fn path(sink: &Sink<'_>, name: &str, key: &str) -> String {
    if sink.has("components") {
        child(&format!("components.{name}"), key)
    } else {
        key.to_owned()
    }
}

pub(super) fn check(plan: &Plan, catalog: &Catalog, sink: &mut Sink<'_>) {
    for (name, component) in &plan.components {
        let Some(driver) = catalog.run_driver(&component.run.driver) else {
            continue;
        };
        artifact(name.as_str(), component, driver, sink);
        copies(name.as_str(), component, driver, sink);
        match component.kind {
            ComponentKind::Web => web(name.as_str(), component, driver, sink),
            ComponentKind::Singleton => singleton(name.as_str(), component, driver, sink),
            ComponentKind::Worker => {}
        }
    }
    steps(plan, sink);
}

fn artifact(name: &str, component: &Component, driver: &DriverEntry, sink: &mut Sink<'_>) {
    let verified = driver.can(Capability::VerifiedDigest);
    let driver = &driver.name;
    match (&component.artifact, verified) {
        (None, true) if sink.unread(&path(sink, name, "artifact")) => {}
        (None, true) => error(
            sink,
            code::ARTIFACT,
            &path(sink, name, driver),
            &format!("`{driver}` runs a version from its artifact, and none is named"),
            "add `artifact: ./dist/${version}`: the file, folder or tar that is the version",
        ),
        (Some(_), false) => error(
            sink,
            code::ARTIFACT,
            &path(sink, name, "artifact"),
            &format!("`{driver}` only names a version and never reads an artifact"),
            "remove `artifact`, or run the component by a driver that takes one",
        ),
        _ => {}
    }
}

fn copies(name: &str, component: &Component, driver: &DriverEntry, sink: &mut Sink<'_>) {
    let starts = driver.can(Capability::Lifecycle);
    let driver = &driver.name;
    if !starts && component.kind != ComponentKind::Web {
        error(
            sink,
            code::CAPABILITY,
            &path(sink, name, "kind"),
            &format!(
                "`{driver}` starts nothing, and this kind is exposed by starting and stopping"
            ),
            "run the component by a driver that starts processes, such as `process`",
        );
    } else if !starts && component.instances > 1 {
        error(
            sink,
            code::CAPABILITY,
            &path(sink, name, "instances"),
            &format!(
                "`{driver}` starts nothing, so it cannot run {} copies",
                component.instances
            ),
            "remove `instances`: the address stands for all copies",
        );
    }
    if component.kind == ComponentKind::Singleton && component.instances > 1 {
        error(
            sink,
            code::SINGLETON,
            &path(sink, name, "instances"),
            "a singleton has exactly one active copy",
            "remove `instances`, or write `kind: worker`",
        );
    }
}

fn web(name: &str, component: &Component, driver: &DriverEntry, sink: &mut Sink<'_>) {
    let takes = |key: &str| driver.fields.iter().any(|field| field.name == key);
    let config = &component.run.config;
    let at = path(sink, name, &driver.name);
    if takes("url") && config.get("url").is_none() {
        error(
            sink,
            code::WEB_PROCESS,
            &at,
            "nothing says where this web component answers",
            "add `url: http://127.0.0.1:3000`",
        );
    }
    if driver.can(Capability::Lifecycle) && takes("ready") {
        ready(config.get("ready"), &at, sink);
    }
    if driver.can(Capability::VerifiedDigest) && !knows_port(config) {
        warning(
            sink,
            code::WEB_PROCESS,
            &at,
            "the process finds its port only in the variable `PORT`",
            "pass `${port}` in the command or the environment, or accept it if the program reads \
             `PORT`",
        );
    }
}

fn ready(ready: Option<&serde_json::Value>, at: &str, sink: &mut Sink<'_>) {
    let (at, help) = match ready {
        None => (at.to_owned(), "add `ready: { http: /health, within: 60s }`"),
        Some(ready) if !asks_something(ready) => (
            child(at, "ready"),
            "add `http: /health`, or `tcp: true` when there is no such page",
        ),
        Some(_) => return,
    };
    warning(
        sink,
        code::WEB_PROCESS,
        &at,
        "an instance counts as ready as soon as its port accepts a connection",
        help,
    );
}

/// Whether the port stands anywhere in the block: `${port}`, or `$PORT` for a shell.
fn knows_port(config: &serde_json::Value) -> bool {
    placeholders::any_in(config, &|name| name == "port") || config.to_string().contains("PORT")
}

/// Whether a block says what is asked, not only for how long.
fn asks_something(ready: &serde_json::Value) -> bool {
    let asks = |(key, value): (&String, &serde_json::Value)| {
        !matches!(key.as_str(), "within" | "status") && *value != serde_json::Value::Bool(false)
    };
    ready
        .as_object()
        .is_some_and(|ready| ready.iter().any(asks))
}

fn singleton(name: &str, component: &Component, driver: &DriverEntry, sink: &mut Sink<'_>) {
    if driver.can(Capability::Lifecycle) && !component.is_told_its_track() {
        let takes = |key: &str| driver.fields.iter().any(|field| field.name == key);
        let help = if takes("track-signal") {
            "add `track-hook`, a command that makes an instance active or quiet, or \
             `track-signal`, or accept the gap"
        } else if driver.can(Capability::Tracks) {
            "add `track-hook`, a command that makes an instance active or quiet, or accept the gap"
        } else {
            "run it by a driver that tells instances their track, or accept the gap"
        };
        warning(
            sink,
            code::SINGLETON,
            &path(sink, name, &driver.name),
            "this singleton is handed over by stopping one version and starting the other",
            help,
        );
    }
}

fn steps(plan: &Plan, sink: &mut Sink<'_>) {
    for (index, step) in plan.before.iter().enumerate() {
        let at = format!("before[{index}]");
        if step.undo.is_none() && !sink.has(&child(&at, "undo")) {
            warning(
                sink,
                code::NO_UNDO,
                &at,
                &format!(
                    "nothing takes the step `{}` back when the release returns",
                    step.name
                ),
                "add `undo:` with a command, or `undo: none` when there is nothing to take back",
            );
        }
    }
    for (list, steps) in [("before", &plan.before), ("after", &plan.after)] {
        for (index, step) in steps.iter().enumerate() {
            let same = step
                .undo
                .as_ref()
                .is_some_and(|undo| undo.command == step.command);
            if same {
                warning(
                    sink,
                    code::NO_UNDO,
                    &format!("{list}[{index}].undo"),
                    &format!(
                        "the step `{}` would be taken back by doing it again",
                        step.name
                    ),
                    "write what takes it back, such as `./migrate.sh down`",
                );
            }
        }
    }
    if plan.keep_warm.0 == 0 && !sink.unread("keep-warm") {
        warning(
            sink,
            code::ZERO_TIME,
            "keep-warm.for",
            "the version before is stopped at once: there is no quick way back",
            "write how long it stays ready, such as `48h`",
        );
    }
}
