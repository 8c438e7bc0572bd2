//! An abort is obeyed wherever a release stands, and leaves nothing running.

use crate::world::{
    BY_HAND, LONG, Shop, ask, ends, events, lines, phase, pid, plane, processes_named, promote,
    runs, version,
};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::path::Path;

/// A plan of one service whose steps leave their traces in a folder of its name.
fn plan(shop: &Shop, more: &str) -> String {
    let name = &shop.name;
    shop.plan(&format!(
        "before:\n- {{ name: made, command: 'mkdir -p {name} && echo made >> {name}/log', \
         undo: 'echo undone >> {name}/log' }}\n{more}"
    ))
}

/// A step that would take an hour and says which process it is.
fn endless(shop: &Shop) -> String {
    let name = &shop.name;
    format!("{{ name: endless, command: 'echo $$ > {name}/pid; exec sleep 3600', undo: none }}")
}

async fn aborted(plane: &ControlPlane, shop: &Shop, release: &str) -> Value {
    ask(plane, release, "abort").await;
    let view = ends(plane, release, "aborted").await;
    let log = lines(&plane.work().join(&shop.name).join("log"));
    assert_eq!(log, ["made", "undone"], "{}: {view:#}", shop.name);
    view
}

async fn endless_pid(path: &Path) -> u32 {
    wait_until("the step's process", LONG, async || pid(path))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abort_from_every_phase() {
    let plane = plane();
    // Versions with a name of their own, so that what runs can be told apart.
    for name in ["step", "start", "stage", "after"] {
        version(&plane, &format!("{name}-1"), "");
        version(&plane, &format!("{name}-2"), &ready_after(name));
    }
    version(&plane, "paper-2", "");
    tokio::join!(
        in_a_step(&plane),
        while_deploying(&plane),
        in_a_stage(&plane),
        in_an_after_step(&plane),
        while_people_think(&plane),
    );
}

fn ready_after(name: &str) -> String {
    match name {
        "start" => "--ready-after 1h".to_owned(),
        _ => String::new(),
    }
}

async fn in_a_step(plane: &ControlPlane) {
    let shop = Shop::new("step");
    shop.first(plane, "step-1").await;
    let release = plane
        .release(
            &plan(&shop, &format!("- {}\n{BY_HAND}", endless(&shop))),
            "step-2",
        )
        .await;
    let step = endless_pid(&plane.work().join("step/pid")).await;
    assert!(runs(step));
    aborted(plane, &shop, &release).await;
    assert!(!runs(step), "the step outlived the abort");
    assert!(events(plane, &release, "deployed").await.is_empty());
}

async fn while_deploying(plane: &ControlPlane) {
    let shop = Shop::new("start");
    shop.first(plane, "start-1").await;
    let release = plane.release(&plan(&shop, BY_HAND), "start-2").await;
    phase(plane, &release, "deploying").await;
    // The program itself: the script that started it has become it.
    let started = wait_until("the canary's process", LONG, async || {
        let found = processes_named("start-2");
        (!found.is_empty()).then_some(())
    });
    started.await.unwrap();
    aborted(plane, &shop, &release).await;
    assert!(processes_named("start-2").is_empty());
}

async fn in_a_stage(plane: &ControlPlane) {
    let shop = Shop::new("stage");
    shop.first(plane, "stage-1").await;
    let load = shop.load(20.0);
    let release = plane.release(&plan(&shop, BY_HAND), "stage-2").await;
    phase(plane, &release, "stage 1").await;
    assert!(!processes_named("stage-2").is_empty());
    aborted(plane, &shop, &release).await;
    assert!(processes_named("stage-2").is_empty());
    let load = load.stop().await;
    assert_eq!(load.failed, 0, "{load}");
}

async fn in_an_after_step(plane: &ControlPlane) {
    let shop = Shop::new("after");
    shop.first(plane, "after-1").await;
    let more = format!("{BY_HAND}after: [ {} ]\n", endless(&shop));
    let release = plane.release(&plan(&shop, &more), "after-2").await;
    promote(plane, &release).await;
    let step = endless_pid(&plane.work().join("after/pid")).await;
    aborted(plane, &shop, &release).await;
    assert!(!runs(step), "the step outlived the abort");
    assert!(processes_named("after-2").is_empty());
    assert!(
        !processes_named("after-1").is_empty(),
        "the stable version serves"
    );
}

async fn while_people_think(plane: &ControlPlane) {
    let shop = Shop::new("paper");
    let signed = format!("requires: [ {{ sign-off: {{ roles: [boss] }} }} ]\n{BY_HAND}");
    let release = plane.release(&shop.plan(&signed), "paper-2").await;
    let waits = plane.until(&release, LONG, |view| {
        view["missing_sign_offs"] == serde_json::json!(["boss"]) && view["hold"].is_string()
    });
    waits.await;
    ask(plane, &release, "abort").await;
    ends(plane, &release, "aborted").await;
    assert!(events(plane, &release, "deployed").await.is_empty());
    let (status, body) = plane.ask(&release, "skip").await;
    assert_eq!(status, 409, "nothing moves it again: {body:#}");
}
