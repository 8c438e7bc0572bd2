//! Flags with a real store, and a proxy that only speaks the protocol.

mod killed;

use super::Flags;
use crate::clock;
use crate::dataplane::DataPlane;
use crate::rollouts::FlagPlane;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use esclusa_flags::{Change, FlagSet, Kills, Patch};
use esclusa_model::{Actor, GenerationId, Timestamp};
use esclusa_proxy::client::ControlClient;
use esclusa_store::Store;
use esclusa_wire::{
    FlagDocument, FlagKill, FlagStatus, FlagStream, FlagsKilled, FlagsTaken, LeftKill,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UnixListener;

/// What the proxy has, as a real one keeps it.
#[derive(Default)]
pub(super) struct Fake {
    document: Option<FlagDocument>,
    pub(super) kills: Kills,
    killed_here: Vec<FlagKill>,
    streams: Vec<FlagStream>,
    /// Every call in its order.
    calls: Vec<String>,
}

type Proxy = Arc<Mutex<Fake>>;

fn fake(proxy: &Proxy) -> std::sync::MutexGuard<'_, Fake> {
    proxy.lock().expect("whole")
}

async fn put_flags(
    State(proxy): State<Proxy>,
    Json(document): Json<FlagDocument>,
) -> Result<Json<FlagsTaken>, StatusCode> {
    let mut now = fake(&proxy);
    now.calls.push(format!("put {}", document.set.revision));
    if now
        .document
        .as_ref()
        .is_some_and(|old| document.id <= old.id)
    {
        return Err(StatusCode::BAD_REQUEST);
    }
    now.kills.merge(&document.kills);
    now.killed_here.clear();
    let taken = FlagsTaken {
        id: document.id,
        revision: document.set.revision,
        kills: now.kills.clone(),
        persisted: true,
    };
    now.document = Some(document);
    Ok(Json(taken))
}

async fn get_flags(State(proxy): State<Proxy>) -> Json<Option<FlagDocument>> {
    let now = fake(&proxy);
    // With all kills that hold, as a real one answers.
    Json(now.document.clone().map(|document| FlagDocument {
        kills: now.kills.clone(),
        ..document
    }))
}

async fn get_status(State(proxy): State<Proxy>) -> Json<FlagStatus> {
    let now = fake(&proxy);
    let document = now.document.as_ref();
    Json(FlagStatus {
        id: document.map(|document| document.id).unwrap_or_default(),
        revision: document
            .map(|document| document.set.revision)
            .unwrap_or_default(),
        kills: now.kills.clone(),
        killed_here: now.killed_here.clone(),
        streams: now.streams.clone(),
        exposures: None,
        keyless: Vec::new(),
    })
}

async fn kill_flags(State(proxy): State<Proxy>, Json(kill): Json<FlagKill>) -> Json<FlagsKilled> {
    let mut now = fake(&proxy);
    now.calls.push(format!("kill {}", kill.epoch));
    now.kills.merge(&super::ledger::marks(&kill));
    Json(FlagsKilled {
        kills: now.kills.clone(),
        unknown: Vec::new(),
        persisted: true,
    })
}

/// A responder on the control socket of a data folder.
fn start_proxy(data: &Path) -> Proxy {
    let proxy = Proxy::default();
    let router = Router::new()
        .route("/v1/flags", put(put_flags).get(get_flags))
        .route("/v1/flags/status", get(get_status))
        .route("/v1/flags/kill", post(kill_flags))
        .with_state(Arc::clone(&proxy));
    let listener = UnixListener::bind(data.join("proxy.sock")).expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    proxy
}

pub(super) struct World {
    dir: tempfile::TempDir,
    proxy: Proxy,
    store: Store,
    pub(super) flags: Arc<Flags>,
}

pub(super) fn ana() -> Actor {
    Actor::new("ana").expect("a name")
}

async fn flags_in(data: &Path) -> (Store, Arc<Flags>) {
    let store = Store::open(data, clock::now()).await.expect("opens");
    let client = ControlClient::new(data.join("proxy.sock"));
    let dataplane = DataPlane::start(client, store.clone(), None);
    let flags = Flags::start(store.clone(), dataplane, Vec::new()).await;
    (store, flags.expect("starts"))
}

impl World {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let proxy = start_proxy(dir.path());
        Self::with(dir, proxy).await
    }

    /// One whose proxy does not answer yet.
    pub(super) async fn without_proxy() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self::with(dir, Proxy::default()).await
    }

    /// The proxy answers from now on, and knows of these kills.
    pub(super) fn begin_proxy(&mut self, kills: Kills) {
        self.proxy = start_proxy(self.dir.path());
        fake(&self.proxy).kills = kills;
    }

    async fn with(dir: tempfile::TempDir, proxy: Proxy) -> Self {
        let (store, flags) = flags_in(dir.path()).await;
        Self {
            dir,
            proxy,
            store,
            flags,
        }
    }

    pub(super) async fn define(&self, set: Value) -> u64 {
        let wanted = FlagSet::from_json(set).expect("a set");
        let patch = self.flags.set().expect("whole").patch_to(&wanted);
        let made = self.flags.change(patch, "define", &ana()).await;
        self.flags.publish().await.expect("published");
        made.expect("valid").revision
    }

    pub(super) fn at_proxy<T>(&self, look: impl FnOnce(&Fake) -> T) -> T {
        look(&fake(&self.proxy))
    }
}

fn reports() -> Value {
    json!({
        "environments": ["production"],
        "tenants": { "acme": {}, "umbrella": {} },
        "flags": {
            "exec": { "type": "boolean", "aliases": ["reports"],
                      "environments": { "production": { "default": "on" } } },
            "master": { "type": "boolean", "aliases": ["reports"], "default": "on" },
        }
    })
}

/// A kill by a person on the proxy's machine.
fn at_night() -> FlagKill {
    FlagKill {
        flags: Some(vec!["exec".into()]),
        killed: true,
        epoch: 7,
        by: Actor::new("root").expect("a name"),
        reason: "at night".into(),
        at: Timestamp(77),
    }
}

/// It holds at a proxy; what an earlier controller published knows nothing of it.
fn killed_at(proxy: &Proxy, kill: &FlagKill) {
    let mut now = fake(proxy);
    now.kills.merge(&super::ledger::marks(kill));
    now.killed_here.push(kill.clone());
    now.document = Some(super::live::Live::default().document(&FlagSet::default()));
}

/// Waits for what comes by itself.
pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

fn change(path: &str, before: Option<Value>, after: Option<Value>) -> Change {
    Change {
        path: path.into(),
        before,
        after,
    }
}

// FLAG-05, FLAG-15: two people change at once; the audit names what really was before.
#[tokio::test]
async fn a_change_is_recorded_before_it_is_published() {
    let world = World::start().await;
    assert_eq!(world.define(reports()).await, 1);
    let path = "/flags/exec/environments/production/default";
    let off = Patch {
        revision: 1,
        changes: vec![change(path, Some(json!("on")), Some(json!("off")))],
    };
    let made = world.flags.change(off.clone(), "errors", &ana()).await;
    assert_eq!(made.expect("valid").revision, 2);
    // Whoever read revision 1 too and decides about the same field is told.
    let refused = world.flags.change(off, "again", &ana()).await;
    let refused = refused.expect_err("somebody was first");
    assert_eq!(refused.code, "ESC-0741");
    assert_eq!(refused.details[0]["path"], path);
    // Others' fields stay.
    let other = Patch {
        revision: 1,
        changes: vec![change(
            "/flags/exec/environments/production/tenants",
            None,
            Some(json!({ "acme": "on" })),
        )],
    };
    let made = world.flags.change(other, "", &ana()).await.expect("valid");
    assert_eq!(made.revision, 3);
    // What would not be valid changes nothing.
    let wrong = Patch {
        revision: 3,
        changes: vec![change("/flags/exec/default", None, Some(json!("onn")))],
    };
    let refused = world.flags.change(wrong, "", &ana()).await;
    assert_eq!(refused.expect_err("no such variant").code, "ESC-0740");

    world.flags.publish().await.expect("published");
    let published = world.at_proxy(|now| now.document.clone().expect("there").set);
    assert_eq!(published, *world.flags.set().expect("whole"));

    let history = world.flags.history(Some("exec"), 10).await.expect("read");
    let said: Vec<String> = history
        .iter()
        .map(|entry| match &entry.event {
            super::FlagEvent::Granted(granted) => granted.grant.who.clone(),
            super::FlagEvent::Changed(changed) => {
                let lines: Vec<String> = changed.changes.iter().map(ToString::to_string).collect();
                format!(
                    "{} {} {}",
                    changed.revision,
                    changed.reason,
                    lines.join("; ")
                )
            }
            super::FlagEvent::Killed(_) => "killed".into(),
        })
        .collect();
    assert_eq!(
        said[0],
        format!(
            "3  + {}: {{\"acme\":\"on\"}}",
            path.replace("default", "tenants")
        )
    );
    assert_eq!(said[1], format!("2 errors ~ {path}: \"on\" -> \"off\""));
    assert!(
        said[2].starts_with("1 define + /flags/exec: "),
        "{}",
        said[2]
    );
    assert!(!said[2].contains("master"), "{}", said[2]);

    let undone = world.flags.undo(2).await.expect("there was one");
    let made = world.flags.change(undone, "", &ana()).await.expect("valid");
    assert_eq!(
        made.changes,
        [change(path, Some(json!("off")), Some(json!("on")))]
    );
    let first = world.flags.set_at(1).await.expect("there was one");
    assert_eq!(first.to_json()["flags"], reports()["flags"]);
    assert_eq!(
        world.flags.set_at(9).await.expect_err("none").code,
        "ESC-0745"
    );
    assert_eq!(world.store.verify().await.expect("read").broken, []);
}

// A proxy that lost what it had, or was away, gets everything again.
#[tokio::test]
async fn a_proxy_that_came_back_empty_is_told() {
    let world = World::start().await;
    world.define(reports()).await;
    let before = world.at_proxy(|now| now.document.clone().expect("there").id);
    *fake(&world.proxy) = Fake::default();
    world.flags.publish().await.expect("published");
    let after = world.at_proxy(|now| now.document.clone().expect("there"));
    assert_eq!(after.set.flags.len(), 2);
    assert!(after.id > before);
    assert!(after.id > GenerationId::default());
}

// FLAG-03, FLAG-10, trap: what somebody turned off stays off when the program starts anew.
#[tokio::test]
async fn variables_set_what_nobody_decided_and_report_the_rest() {
    let world = World::start().await;
    world.define(reports()).await;
    let variables = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        super::StartVariables::among(pairs, None)
    };
    let asked = variables(&[
        ("FEATURE_EXEC", "false"),
        ("ESCLUSA_FLAGS", "master=false"),
        ("HOME", "/"),
    ]);
    let drift = world.flags.take_variables(&asked).await.expect("usable");
    // Somebody had decided about one of them.
    let paths: Vec<&str> = drift.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/flags/exec/environments/production/default"]);
    let set = world.flags.set().expect("whole");
    let here = |key: &str| set.flags[key].environments["production"].default.clone();
    assert_eq!(
        (here("exec"), here("master")),
        (Some("on".into()), Some("off".into()))
    );
    for (name, value, says) in [
        (
            "FEATURE_EXCE",
            "true",
            "FEATURE_EXCE: there is no flag \"exce\"",
        ),
        (
            "FEATURE_EXEC",
            "",
            "FEATURE_EXEC: \"\" is neither true nor false",
        ),
        (
            "ESCLUSA_FLAGS",
            "exec=yes",
            "ESCLUSA_FLAGS, exec: \"yes\" is neither",
        ),
    ] {
        let refused = world
            .flags
            .take_variables(&variables(&[(name, value)]))
            .await;
        let refused = refused.expect_err("not usable");
        assert_eq!(refused.code, "ESC-0746", "{refused}");
        assert_eq!(refused.details.len(), 1);
        assert!(refused.message.contains(says), "{refused}");
        // Nobody can be asked who does not start.
        let help = &refused.help;
        assert!(
            help.contains(&format!("mend {name}; or unset it")),
            "{help}"
        );
    }
}

// FLAG-10: a variable that is there and empty says nothing, also to a server without flags.
#[tokio::test]
async fn an_empty_list_of_flags_says_nothing() {
    let world = World::start().await;
    let variables = |value: &str| {
        let pair = ("ESCLUSA_FLAGS".to_owned(), value.to_owned());
        super::StartVariables::among([pair], None)
    };
    for nothing in ["", " ", ",, "] {
        let taken = world.flags.take_variables(&variables(nothing)).await;
        assert_eq!(taken.expect("usable"), []);
    }
    let refused = world.flags.take_variables(&variables("exec=true")).await;
    let refused = refused.expect_err("no environment");
    let said = "ESCLUSA_FLAGS: no environment of flags is declared yet";
    assert!(refused.message.contains(said), "{refused}");
    assert!(refused.help.contains("start without it"), "{refused}");
}
