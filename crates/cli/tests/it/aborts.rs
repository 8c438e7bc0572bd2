//! An abort is obeyed wherever a release stands, and leaves nothing running.

use crate::world::{
    BY_HAND, LONG, Shop, answered, ask, ends, events, lines, phase, pid, plane, processes_named,
    promote, runs, url, version,
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
    for name in [
        "step", "start", "check", "warm", "stage", "after", "over", "undo",
    ] {
        version(&plane, &format!("{name}-1"), "");
        version(&plane, &format!("{name}-2"), &ready_after(name));
    }
    version(&plane, "paper-2", "");
    tokio::join!(
        in_a_step(&plane),
        while_deploying(&plane),
        in_a_canary_check(&plane),
        in_a_warm_up(&plane),
        in_a_stage(&plane),
        in_an_after_step(&plane),
        in_a_hand_over(&plane),
        on_the_way_back(&plane),
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

async fn in_a_canary_check(plane: &ControlPlane) {
    let shop = Shop::new("check");
    shop.first(plane, "check-1").await;
    let check = "{ command: { run: 'echo $$ > check/pid; echo ${canary}; exec sleep 3600' }, \
                 timeout: 1h }";
    let more = format!("requires: [ {check} ]\n{BY_HAND}");
    let release = plane.release(&plan(&shop, &more), "check-2").await;
    phase(plane, &release, "canary checks").await;
    let asked = endless_pid(&plane.work().join("check/pid")).await;
    assert!(!processes_named("check-2").is_empty());
    aborted(plane, &shop, &release).await;
    assert!(!runs(asked), "the question outlived the abort");
    assert!(processes_named("check-2").is_empty());
}

async fn in_a_warm_up(plane: &ControlPlane) {
    let shop = Shop::new("warm");
    shop.first(plane, "warm-1").await;
    let more = "stages: [ { warm-up: { get: [/], rate: 5/s, for: 1h } }, { to: 50%, for: 10m }, \
                { to: 100%, watch: 10m } ]\n";
    let load = shop.load(20.0);
    let release = plane.release(&plan(&shop, more), "warm-2").await;
    let warms = |view: &Value| view["phase"] == "stage 1";
    plane.until(&release, LONG, warms).await;
    let canary = url(plane, &release).await;
    wait_until("a warm-up request", LONG, async || {
        (answered(&canary).await > 0).then_some(())
    })
    .await
    .unwrap();
    aborted(plane, &shop, &release).await;
    assert!(processes_named("warm-2").is_empty());
    let load = load.stop().await;
    assert_eq!((load.failed, load.requests_of("warm-2")), (0, 0), "{load}");
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

// TRF-18: workers had begun to move, and come back.
async fn in_a_hand_over(plane: &ControlPlane) {
    let shop = Shop::new("over");
    // Does not end when it is asked to, so that the hand-over lasts as long as its drain.
    let stays = "trap 'echo >> over/told' TERM; echo $$ >> over/workers; \
                 while :; do sleep 1; done";
    let parts = format!(
        "components:\n  web:\n    artifact: ./dist/${{version}}\n    process:\n      \
         command: [\"${{dir}}/start\", \"${{port}}\"]\n      \
         ready: {{ http: /health, within: 2m }}\n      drain: 10s\n  \
         clock:\n    artifact: ./dist/${{version}}\n    kind: singleton\n    \
         process: {{ command: [/bin/sh, -c, \"cd {work}; {stays}\"], drain: 15s }}\n",
        work = plane.work().display()
    );
    std::fs::create_dir_all(plane.work().join("over")).unwrap();
    let before = "before:\n- { name: made, command: 'echo made >> over/log', \
                  undo: 'echo undone >> over/log' }\n";
    let head = format!("{}{parts}", shop.head());
    let first = format!("{head}stages: [ {{ to: 100%, watch: 1s }} ]\n");
    crate::world::first(plane, &first, "over-1").await;
    let workers = plane.work().join("over/workers");
    let old: u32 = lines(&workers)[0].parse().unwrap();
    assert!(runs(old));
    let plan = format!("{head}{before}{BY_HAND}");
    let release = plane.release(&plan, "over-2").await;
    promote(plane, &release).await;
    phase(plane, &release, "hand-over").await;
    let told = plane.work().join("over/told");
    let told = wait_until("the word to the old one", LONG, async || {
        told.exists().then_some(())
    });
    assert!(told.await.is_ok(), "the old one was not told to end");
    aborted(plane, &shop, &release).await;
    assert!(processes_named("over-2").is_empty());
    // The old one was told to end, ended, and was started again.
    let back = wait_until("the old one", LONG, async || {
        let last = lines(&workers).last()?.parse().ok()?;
        (!runs(old) && runs(last)).then_some(())
    });
    assert!(back.await.is_ok(), "{:?}", lines(&workers));
}

/// The way back cannot be turned, and asking again changes nothing of it.
async fn on_the_way_back(plane: &ControlPlane) {
    let shop = Shop::new("undo");
    shop.first(plane, "undo-1").await;
    let more = format!(
        "- {{ name: slow, command: 'true', \
         undo: 'while [ ! -e undo/go ]; do sleep 0.2; done' }}\n{BY_HAND}"
    );
    let release = plane.release(&plan(&shop, &more), "undo-2").await;
    phase(plane, &release, "stage 1").await;
    ask(plane, &release, "abort").await;
    phase(plane, &release, "undoing").await;
    assert!(processes_named("undo-2").is_empty(), "stopped before");
    ask(plane, &release, "abort").await;
    let (status, body) = plane.ask(&release, "resume").await;
    assert_eq!(status, 409, "{body:#}");
    std::fs::write(plane.work().join("undo/go"), "").unwrap();
    aborted(plane, &shop, &release).await;
    assert_eq!(events(plane, &release, "return_decided").await.len(), 1);
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
