//! Killing a feature while what should do it is dead, hangs, or is somewhere else.

use super::Scene;
use crate::told;
use crate::world::{LONG, esclusa};
use esclusa_testkit::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::Command;

fn set() -> Value {
    let needs = |flag: &str| json!([{ "flag": flag, "variant": "on" }]);
    json!({
        "environments": ["production"],
        "flags": {
            "exec": { "type": "boolean", "default": "on", "aliases": ["exec-reports"] },
            "master": { "type": "boolean", "default": "on", "prerequisites": needs("exec") },
            "search": { "type": "boolean", "default": "on" },
        },
    })
}

/// Waits until the proxy's disk has what it serves.
async fn on_disk(scene: &Scene, has: impl Fn(&esclusa_wire::FlagsFile) -> bool) {
    let folder = scene.plane.data().join("proxy");
    let saved = wait_until("the disk", LONG, async || {
        esclusa_proxy::saved_flags(&folder).filter(&has).map(drop)
    });
    saved.await.expect("saved");
}

/// Whether an application that asks right now has the flag; none when nobody answers.
async fn has(scene: &Scene, flag: &str) -> Option<bool> {
    let url = format!(
        "http://127.0.0.1:{}/ofrep/v1/evaluate/flags/{flag}",
        scene.port
    );
    let asked = reqwest::Client::new().post(url);
    let asked = asked.json(&json!({ "context": { "targetingKey": "u" } }));
    let answer: Value = asked.send().await.ok()?.json().await.ok()?;
    answer["value"].as_bool()
}

/// Ends the proxy as a crash would.
async fn kill_proxy(scene: &Scene) {
    let (_, ready) = scene.plane.get("/readyz").await;
    let pid = ready["proxy_pid"].as_i64().expect("a proxy");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGKILL).expect("killed");
}

/// The reasons of a flag's kills, once one of them is this.
async fn recorded(scene: &Scene, reason: &str) -> Value {
    let found = wait_until("the record", LONG, async || {
        let (_, said, _) = scene.run(&["flag", "history", "--json"]);
        let found: Value = serde_json::from_str(&said).ok()?;
        let entries = found.as_array().or_else(|| found["entries"].as_array())?;
        let mut entries = entries.iter();
        entries.find(|entry| entry["reason"] == reason).cloned()
    });
    found.await.expect("it is recorded")
}

// EMG-04: nobody runs, so nobody is served; whoever starts next never serves it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_nobody_runs_holds_from_the_start() {
    let mut scene = Scene::start(&set(), &[]);
    assert_eq!(has(&scene, "exec").await, Some(true));
    on_disk(&scene, |file| file.document.is_some()).await;
    scene.plane.power_failure();
    let (code, said, talk) = scene.run(&["kill", "exec-reports", "--reason", "in the dark"]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(said.contains("exec: nobody is served now"), "{said}");
    assert!(
        talk.contains("waits on the disk for the next proxy"),
        "{talk}"
    );
    let (code, said, _) = scene.run(&["kill", "search", "--json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (code, &told["answered_by"]),
        (0, &json!("nobody")),
        "{told:#}"
    );
    assert_eq!(told["features"]["in_force"], false, "{told:#}");
    let (code, _, talk) = scene.run(&["kill", "serach"]);
    assert!(
        code == 2 && talk.contains("known are exec"),
        "{code} {talk}"
    );

    tokio::task::block_in_place(|| scene.plane.restart());
    let off = wait_until("an answer", LONG, async || has(&scene, "exec").await);
    assert!(!off.await.expect("answered"), "it was served on");
    assert_eq!(has(&scene, "search").await, Some(false));
    let entry = recorded(&scene, "in the dark").await;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.ok().flatten().expect("a user").name;
    assert!(entry.to_string().contains(&user), "{entry:#}");
    // It was taken once: lifted, it stays so when both start anew.
    scene.does(&["flag", "lift", "exec", "search"]);
    assert_eq!(has(&scene, "exec").await, Some(true));
    on_disk(&scene, |file| file.kills.of("exec").is_none()).await;
    scene.plane.power_failure();
    tokio::task::block_in_place(|| scene.plane.restart());
    let on = wait_until("an answer", LONG, async || has(&scene, "exec").await);
    assert!(on.await.expect("answered"), "it was killed again");
}

// EMG-04: a server that hangs keeps nobody waiting for more than a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_not_waited_for() {
    let scene = Scene::start(&set(), &[]);
    scene.plane.freeze();
    let mut command = Command::new(esclusa());
    command
        .args(["kill", "exec", "--reason", "it hangs", "--json"])
        .current_dir(scene.plane.work())
        .env("ESCLUSA_DATA", scene.plane.data())
        .env_remove("ESCLUSA_SERVER");
    let running = tokio::task::spawn_blocking(move || command.output());
    let off = wait_until("it is off", LONG, async || {
        (has(&scene, "exec").await == Some(false)).then_some(())
    });
    off.await.expect("the proxy was told");
    assert!(!running.is_finished(), "the server is waited for");
    scene.plane.thaw();
    let (code, said, talk) = told(&running.await.expect("ends").expect("runs"));
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(talk.contains("the proxy itself is told too"), "{talk}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&told["answered_by"], &told["also_by_proxy"]),
        (&json!("server"), &json!(true)),
        "{told:#}"
    );
    recorded(&scene, "it hangs").await;
}

// EMG-04: a server that is named is stood in for where its proxy is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_server_that_is_dead_is_stood_in_for() {
    let mut scene = Scene::start(&set(), &[]);
    let url = scene.plane.url().to_owned();
    scene.plane.kill();
    let home = tempfile::tempdir().expect("a folder");
    let run = |data: Option<std::path::PathBuf>| {
        let mut command = Command::new(esclusa());
        command
            .args(["kill", "exec", "--reason", "it is dead"])
            .env("ESCLUSA_SERVER", &url)
            .env("XDG_STATE_HOME", home.path())
            .env("HOME", home.path())
            .env_remove("ESCLUSA_DATA");
        if let Some(data) = data {
            command.env("ESCLUSA_DATA", data);
        }
        told(&tokio::task::block_in_place(|| command.output()).expect("runs"))
    };
    let (code, _, talk) = run(None);
    assert!(code == 1 && talk.contains("--data FOLDER"), "{code} {talk}");
    let (code, said, talk) = run(Some(scene.plane.data()));
    assert_eq!(code, 0, "{said}\n{talk}");
    assert_eq!(has(&scene, "exec").await, Some(false));
    let (code, _, talk) = scene.run(&["flag", "kill", "search"]);
    assert!(
        code == 1 && talk.contains("`esclusa kill search`"),
        "{code} {talk}"
    );
}

// EMG-01, EMG-04: a proxy that died is waited for, and comes back with the kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_died_comes_back_with_the_kill() {
    let scene = Scene::start(&set(), &[]);
    kill_proxy(&scene).await;
    let (code, said, talk) = scene.run(&["kill", "exec", "--reason", "it died"]);
    assert_eq!(code, 0, "{said}\n{talk}\n{}", scene.plane.log());
    assert!(said.contains("off for everybody"), "{said}");
    assert_eq!(has(&scene, "exec").await, Some(false));
    recorded(&scene, "it died").await;
}

// EMG-01, BLD-07: what else is off is told, what is not known keeps nothing else on, and nothing
// is claimed that is not so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_kill_did_is_told_as_it_is() {
    let mut scene = Scene::start(&set(), &[]);
    let long = "ü".repeat(3_000);
    let (code, said, talk) = scene.run(&["kill", "exec", "search", "--reason", &long]);
    assert_eq!(code, 0, "{said}\n{talk}");
    assert!(said.contains("exec, search: off for everybody"), "{said}");
    assert!(said.contains("with it what needs it: master"), "{said}");
    assert!(talk.contains("cut off after 2000 characters"), "{talk}");
    recorded(&scene, &"ü".repeat(2_000)).await;
    let (code, said, talk) = scene.run(&["flag", "lift", "search", "master"]);
    assert_eq!(code, 0, "{talk}");
    assert!(said.contains("search: as their rules say again"), "{said}");
    assert!(said.contains("master: was not killed"), "{said}");
    let (code, _, talk) = scene.run(&["kill", "serach", "search"]);
    assert!(
        code == 2 && talk.contains("the others are killed"),
        "{code} {talk}"
    );
    assert_eq!(has(&scene, "search").await, Some(false));
    scene.does(&["kill", "all"]);
    let (_, said, talk) = scene.run(&["flag", "lift", "all"]);
    assert!(said.contains("all flags but exec, search: as"), "{said}");
    assert!(talk.contains("`esclusa flag lift exec search`"), "{talk}");
    scene.does(&["flag", "lift", "exec", "search"]);

    // Nothing can be written where a folder has the file's name.
    scene.plane.kill();
    let stuck = scene.plane.data().join("proxy/flags.new");
    // While it is being written there is a file of that name.
    let made = wait_until("the last write", LONG, async || {
        std::fs::create_dir(&stuck).ok()
    });
    made.await.expect("made");
    let (code, said, _) = scene.run(&["kill", "exec", "--json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &told["on_disk"]), (0, &json!(false)), "{told:#}");
    assert_eq!(told["features"]["off_with_it"], json!(["master"]));
    assert_eq!(told["features"]["recorded"], false, "{told:#}");
    let (_, _, talk) = scene.run(&["kill", "exec", "nowhere"]);
    assert!(talk.contains("disk does not have it yet"), "{talk}");
    assert!(!talk.contains("the proxy keeps this"), "{talk}");
    assert!(talk.contains("the name nowhere"), "{talk}");
    std::fs::remove_dir(stuck).expect("removed");
}

// EMG-04: a proxy that hangs may serve on: that is said, and it has the kill when it runs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_hangs_is_told_when_it_runs_on() {
    let mut scene = Scene::start(&set(), &[]);
    let (_, ready) = scene.plane.get("/readyz").await;
    let pid = ready["proxy_pid"].as_i64().expect("a proxy");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    on_disk(&scene, |file| file.document.is_some()).await;
    scene.plane.kill();
    kill(pid, Signal::SIGSTOP).expect("it hangs");
    let (code, said, talk) = scene.run(&["kill", "exec", "--reason", "it hangs"]);
    kill(pid, Signal::SIGCONT).expect("it runs on");
    assert_eq!(code, 9, "{said}\n{talk}");
    assert!(said.contains("exec: not off yet at the proxy"), "{said}");
    assert!(talk.contains("Users may be served as before"), "{talk}");
    let off = wait_until("it is off", LONG, async || {
        (has(&scene, "exec").await == Some(false)).then_some(())
    });
    off.await.expect("it was left there");
}
