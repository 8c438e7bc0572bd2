//! The drivers for what others run: `command` and `address`.

use crate::world::{named, named_spec};
use esclusa_drivers::run::{
    Drain, Found, InstanceSpec, InstanceState, PrepareSpec, Prepared, Stopped, Told,
};
use esclusa_drivers::{Fault, Retry};
use esclusa_model::{
    ComponentKind, ComponentName, Digest, ReleaseId, ServiceName, Track, VersionName,
};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;

/// Scripts that keep a file as the thing they run.
fn scripts(start: &str, stop: &str) -> Value {
    json!({
        "start": ["/bin/sh", "-c", start],
        "stop": ["/bin/sh", "-c", stop],
        "status": ["/bin/sh", "-c", "test -e running || exit 3"],
        "drain": 300,
        "timeout": 5_000,
        "ready": {"within": 500},
    })
}

fn worker(root: &Path, config: Value) -> InstanceSpec {
    let mut spec = named_spec(root, config, Digest::of(b"named"));
    spec.identity.kind = ComponentKind::Worker;
    spec
}

async fn prepare(name: &str, config: &Value, version: &str) -> Prepared {
    let spec = PrepareSpec {
        service: ServiceName::new("shop").expect("valid"),
        component: ComponentName::new("web").expect("valid"),
        version: VersionName::new(version).expect("valid"),
        release: ReleaseId::new("r1").expect("valid"),
        artifact: None,
        config: config.clone(),
        base_dir: "/".into(),
        data_dir: "/".into(),
    };
    named(name).prepare(&spec).await.expect("named")
}

#[tokio::test]
async fn scripts_start_tell_and_stop() {
    let dir = tempfile::tempdir().expect("folder");
    let mut config = scripts(
        "echo \"$ESCLUSA_TRACK $ESCLUSA_VERSION\" >> running",
        "rm running",
    );
    config["track-hook"] = json!(["/bin/sh", "-c", "echo $ESCLUSA_TRACK >> running"]);
    let spec = worker(dir.path(), config);
    let driver = named("command");
    assert_eq!(driver.observe(&spec).await, InstanceState::Absent);
    let running = driver.start(&spec).await.expect("starts");
    assert_eq!((running.how, running.pid), (Found::Started, None));
    let again = driver.start(&spec).await.expect("adopts");
    assert_eq!(again.how, Found::Adopted);
    let told = driver.set_track(&spec, Track::Standby).await;
    assert_eq!(told.expect("told"), Told::Hook);
    let seen = std::fs::read_to_string(dir.path().join("running")).expect("runs");
    assert_eq!(seen, "canary 1.0\nstandby\n");
    let stopped = driver.stop(&spec, Drain::AsConfigured).await;
    assert_eq!(stopped.expect("stops"), Stopped::Gone { end: None });
    let again = driver.stop(&spec, Drain::AsConfigured).await;
    assert_eq!(again.expect("harmless"), Stopped::AlreadyGone);
}

#[tokio::test]
async fn a_stop_that_stops_nothing_is_an_error() {
    let dir = tempfile::tempdir().expect("folder");
    let spec = worker(dir.path(), scripts("touch running", "exit 0"));
    let driver = named("command");
    driver.start(&spec).await.expect("starts");
    let error = driver
        .stop(&spec, Drain::AsConfigured)
        .await
        .expect_err("still there");
    assert!(error.message.contains("still runs"), "{error}");
    assert_eq!(error.retry, Retry::Unsafe);
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let driver = named("command");
    let half = "touch running; echo half way >&2; exit 1";
    let spec = worker(dir.path(), scripts(half, "rm running"));
    let error = driver.start(&spec).await.expect_err("fails");
    assert!(error.message.contains("exit code 1"), "{error}");
    assert_eq!(
        (error.output.as_str(), error.retry),
        ("half way\n", Retry::Safe)
    );
    assert_eq!(driver.observe(&spec).await, InstanceState::Absent);
    let spec = worker(dir.path(), scripts(half, "exit 9"));
    let error = driver.start(&spec).await.expect_err("fails");
    assert!(error.message.contains("exit code 9"), "{error}");
    assert_eq!(error.retry, Retry::Unsafe, "something may be left");
}

#[tokio::test]
async fn a_status_that_cannot_tell_is_unknown() {
    let dir = tempfile::tempdir().expect("folder");
    let mut config = scripts("touch started", "true");
    config["status"] = json!(["/bin/sh", "-c", "exit 4"]);
    let spec = worker(dir.path(), config);
    let driver = named("command");
    let state = driver.observe(&spec).await;
    assert!(matches!(state, InstanceState::Unknown(_)), "{state:?}");
    assert!(driver.start(&spec).await.is_err());
    assert!(
        !dir.path().join("started").exists(),
        "not started on a guess"
    );
    assert!(driver.stop(&spec, Drain::AsConfigured).await.is_err());
}

#[tokio::test]
async fn an_address_is_probed_and_never_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("free");
    let address = listener.local_addr().expect("bound");
    let config = json!({"url": format!("http://{address}/v2/"), "ready": {"within": 300}});
    let dir = tempfile::tempdir().expect("folder");
    let spec = named_spec(dir.path(), config, Digest::of(b"named"));
    let driver = named("address");
    let running = driver.start(&spec).await.expect("answers");
    let place = running.address.clone().expect("an address");
    assert_eq!(place.host_port, address.to_string());
    assert_eq!(place.path_prefix, "/v2");
    assert_eq!(driver.observe(&spec).await, InstanceState::Ready(running));
    let stopped = driver.stop(&spec, Drain::AsConfigured).await;
    assert_eq!(stopped.expect("says so"), Stopped::LeftRunning);
    let told = driver.set_track(&spec, Track::Stable).await;
    assert_eq!(told.expect("says so"), Told::NoWay);
    drop(listener);
    let error = driver.start(&spec).await.expect_err("refused");
    assert!(error.message.contains("not ready within 300ms"), "{error}");
    let state = driver.observe(&spec).await;
    assert!(matches!(state, InstanceState::NotReady(_)), "{state:?}");
}

#[tokio::test]
async fn versions_that_are_only_named_are_told_apart_by_their_text() {
    let config = json!({"url": "http://shop-${version}.internal"});
    let one = prepare("address", &config, "1.0").await;
    assert_eq!((one.verified, one.dir.clone()), (false, None));
    assert_eq!(one, prepare("address", &config, "1.0").await);
    let plain = json!({"url": "http://shop.internal"});
    let all = [
        one.digest,
        prepare("address", &config, "1.1").await.digest,
        prepare("address", &plain, "1.0").await.digest,
        prepare("address", &plain, "1.1").await.digest,
    ];
    let mut unique = all.to_vec();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), all.len());
}

#[tokio::test]
async fn a_web_component_of_scripts_needs_a_url() {
    let dir = tempfile::tempdir().expect("folder");
    let spec = named_spec(dir.path(), scripts("true", "true"), Digest::of(b"named"));
    let error = named("command").start(&spec).await.expect_err("no url");
    assert_eq!(error.fault, Fault::Config);
}

#[tokio::test]
async fn scripts_that_ask_for_a_port_get_a_free_one_and_keep_it() {
    let dir = tempfile::tempdir().expect("folder");
    let app = "python3 -m http.server --bind 127.0.0.1 ${port} > log 2>&1 & echo $! > running";
    let mut config = scripts(app, "kill $(cat running); rm running");
    config["url"] = json!("http://127.0.0.1:${port}");
    config["ready"] = json!({"http": "/", "within": 20_000});
    let spec = named_spec(dir.path(), config, Digest::of(b"named"));
    let driver = named("command");
    let running = driver.start(&spec).await.expect("starts");
    assert!(crate::world::get(&running, "/running").contains("200 OK"));
    let seen = InstanceState::Ready(esclusa_drivers::run::Running {
        how: Found::Adopted,
        ..running.clone()
    });
    assert_eq!(driver.observe(&spec).await, seen);
    let stopped = driver.stop(&spec, Drain::AsConfigured).await;
    assert_eq!(stopped.expect("stops"), Stopped::Gone { end: None });
    assert!(!crate::world::instance_file(&spec, "port").exists());
}
