//! Processes that end by themselves: a stable version and the proxy are started again, a
//! canary's end is told to its release.

use crate::world::{
    BY_HAND, LONG, Shop, address, ends, phase, plane, processes_named, program, url, version,
};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::built_binary;
use esclusa_testkit::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::net::TcpListener;

pub(crate) fn kill_hard(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process"));
    kill(pid, Signal::SIGKILL).expect("killed");
}

/// The only process of this version.
pub(crate) async fn only(name: &str) -> u32 {
    let found = wait_until("one process", LONG, async || {
        let all = processes_named(name);
        (all.len() == 1).then(|| all[0])
    });
    found.await.expect("one process")
}

/// Whether a user of the shop is answered by this version.
pub(crate) async fn serves(shop: &Shop, version: &str) -> bool {
    let request = http::Request::get("/").body("").expect("a request");
    let answer = esclusa_testkit::fetch(shop.address(), request).await;
    answer.is_ok_and(|answer| answer.status == 200 && answer.header("x-demo-version") == version)
}

pub(crate) async fn until_served(shop: &Shop, version: &str) {
    let served = wait_until("users are served", LONG, async || {
        serves(shop, version).await.then_some(())
    });
    served.await.expect("users are served");
}

async fn instances(plane: &ControlPlane, role: &str) -> Vec<Value> {
    let (_, service) = plane.get("/api/v1/services/shop").await;
    let all = service["instances"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|one| one["role"] == role).collect()
}

/// Waits until the only instance in this role looks as wanted.
pub(crate) async fn instance(
    plane: &ControlPlane,
    role: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let found = wait_until("the instance", LONG, async || {
        let all = instances(plane, role).await;
        (all.len() == 1 && wanted(&all[0])).then(|| all[0].clone())
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("{:#?}\n{}", instances(plane, role).await, plane.log()),
    }
}

// HLT-07, TRF-10, JOB-02: and nobody else's process on its old port gets its users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stable_version_that_dies_is_started_again_elsewhere_if_need_be() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "care-v1", "");
    let release = shop.first(&plane, "care-v1").await;
    until_served(&shop, "care-v1").await;
    kill_hard(only("care-v1").await);
    let again = instance(&plane, "stable", |one| {
        one["state"] == "up" && one["restarts"].as_u64() >= Some(1)
    });
    let again = again.await;
    assert_eq!(
        again["last_end"], "it ended with signal SIGKILL",
        "{again:#}"
    );
    until_served(&shop, "care-v1").await;

    // A stranger takes the port as soon as it is free.
    let port = address(&url(&plane, &release).await);
    let before = only("care-v1").await;
    kill_hard(before);
    let stranger = wait_until("the port", LONG, async || TcpListener::bind(port).ok());
    let stranger = stranger.await.expect("the port");
    let after = wait_until("another process", LONG, async || {
        let all = processes_named("care-v1");
        all.first().copied().filter(|pid| *pid != before)
    });
    after.await.expect("another process");
    until_served(&shop, "care-v1").await;
    // Whatever came before it was noticed; from here on nobody is sent there.
    stranger.set_nonblocking(true).expect("set");
    while stranger.accept().is_ok() {}
    for _ in 0..50 {
        assert!(serves(&shop, "care-v1").await);
    }
    assert!(stranger.accept().is_err(), "a user was sent to a stranger");
    let (_, metrics) = plane.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    assert!(
        metrics.contains("\nesclusa_instances_down 0\n"),
        "{metrics}"
    );
}

// RBK-10, CAN-04: without any traffic, with the process's own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_ends_takes_its_release_back() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "care-w1", "");
    shop.first(&plane, "care-w1").await;
    let app = built_binary("esclusa-demo-app").expect("built");
    let die = plane.work().join("die");
    let script = format!(
        "#!/bin/sh\n{} --port \"$1\" --version-name care-w2 &\napp=$!\n\
         while [ ! -e {} ]; do sleep 0.05; done\n\
         echo 'no such column: price' >&2\nkill -9 $app\nexit 3\n",
        app.display(),
        die.display()
    );
    program(&plane.work().join("dist/care-w2/start"), &script);
    let release = plane.release(&shop.plan(BY_HAND), "care-w2").await;
    phase(&plane, &release, "stage 1").await;
    instance(&plane, "canary", |one| one["state"] == "up").await;
    std::fs::write(&die, "").expect("written");
    let view = ends(&plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("it ended with exit code 3") && reason.contains("no such column: price"),
        "{reason}"
    );
    assert_eq!(
        processes_named("care-w2"),
        Vec::<u32>::new(),
        "started again"
    );
    assert!(serves(&shop, "care-w1").await);
}

/// Waits until the proxy answers and is kept as wanted.
async fn ready(plane: &ControlPlane, wanted: fn(&Value) -> bool) -> Value {
    let found = wait_until("the proxy", LONG, async || {
        let (_, ready) = plane.get("/readyz").await;
        (ready["proxy"] == "pass" && wanted(&ready)).then_some(ready)
    });
    match found.await {
        Ok(ready) => ready,
        Err(error) => panic!("{error}\n{}", plane.log()),
    }
}

// TRF-10: the proxy dies under its control plane, and is there again without a person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_dies_is_started_again() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "care-x1", "");
    shop.first(&plane, "care-x1").await;
    let first = ready(&plane, |ready| ready["proxy_pid"].is_number()).await;
    assert_eq!(first["proxy_kept_by"], "esclusa", "{first:#}");
    let pid = |ready: &Value| u32::try_from(ready["proxy_pid"].as_u64().expect("a process"));
    let first_pid = pid(&first).expect("small");
    kill_hard(first_pid);
    let second = ready(&plane, |ready| ready["proxy_restarts"] == 1).await;
    assert_eq!(
        second["proxy_last_end"], "it ended with signal SIGKILL",
        "{second:#}"
    );
    let second_pid = pid(&second).expect("small");
    assert_ne!(second_pid, first_pid);
    until_served(&shop, "care-x1").await;

    // Also one whose supervisor died first, and that was adopted without it.
    let supervised = plane.processes();
    let shim = supervised
        .iter()
        .find(|one| one.is_shim() && one.words.ends_with("instances/proxy"))
        .expect("its supervisor");
    kill_hard(shim.pid.unsigned_abs());
    plane.restart();
    let third = ready(&plane, |ready| ready["proxy_pid"].is_number()).await;
    assert_eq!(
        pid(&third).expect("small"),
        second_pid,
        "adopted: {third:#}"
    );
    assert!(serves(&shop, "care-x1").await);
    kill_hard(second_pid);
    ready(&plane, |ready| ready["proxy_restarts"] == 1).await;
    until_served(&shop, "care-x1").await;
}
