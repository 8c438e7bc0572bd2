//! The process driver from start to stop.

use crate::world::{World, app, get, instance_file, is_alive, kill, process, shell, stop};
use esclusa_drivers::run::{
    Drain, Found, InstanceSpec, InstanceState, Pulse, RunDriver, Stopped, Told,
};
use esclusa_drivers::{Fault, Retry};
use esclusa_model::{ComponentKind, InstanceId, Millis, Track};
use esclusa_shim::End;
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn a_version_starts_answers_and_is_gone_after_its_stop() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    assert_eq!(driver.observe(&spec).await, InstanceState::Absent);
    let running = driver.start(&spec).await.expect("starts");
    assert_eq!(running.how, Found::Started);
    let pid = running.pid.expect("a process");
    // What the artifact becomes later is not what runs.
    std::fs::write(world.path("dist/1.0/app.py"), "overwritten").expect("writes");
    assert!(get(&running, "/health").ends_with("HEALTHY"));

    let env = get(&running, "/env");
    let port = running.address.as_ref().map(|a| a.host_port.clone());
    let port = port.expect("address").replace("127.0.0.1:", "");
    for (name, value) in [
        ("ESCLUSA_SERVICE", "shop"),
        ("ESCLUSA_COMPONENT", "web"),
        ("ESCLUSA_VERSION", "1.0"),
        ("ESCLUSA_RELEASE", "r1"),
        ("ESCLUSA_INSTANCE", "web-1"),
        ("ESCLUSA_TRACK", "canary"),
        ("ESCLUSA_DIGEST", &spec.identity.version.digest.to_string()),
        ("PORT", &port),
    ] {
        assert!(env.contains(&format!("{name}={value}\n")), "{name}: {env}");
    }

    let again = driver.start(&spec).await.expect("adopts");
    assert_eq!((again.how, again.pid), (Found::Adopted, Some(pid)));
    assert_eq!(driver.observe(&spec).await, InstanceState::Ready(again));
    let stopped = driver.stop(&spec, Drain::AsConfigured).await;
    let end = Some(End::Signal(15));
    assert_eq!(stopped.expect("stops"), Stopped::Gone { end });
    assert!(!is_alive(pid));
    let again = driver.stop(&spec, Drain::AsConfigured).await;
    assert_eq!(again.expect("harmless"), Stopped::AlreadyGone);
    let InstanceState::Exited { end, output, .. } = driver.observe(&spec).await else {
        panic!("its end is known");
    };
    assert_eq!(end, Some(End::Signal(15)));
    assert!(output.contains("asked for /health"), "{output}");
}

/// HLT-05: a process that answers badly is not ready, and does not stay.
#[tokio::test]
async fn what_never_becomes_ready_is_taken_back_with_its_last_words() {
    let world = World::new();
    let mut config = app();
    config["ready"] = json!({"http": "/no-such-page", "within": 1_500});
    let spec = world.prepared(config).await;
    let error = process().start(&spec).await.expect_err("not ready");
    assert!(
        error.message.contains("not ready within 1s500ms") && error.message.contains("status 404"),
        "{error}"
    );
    assert_eq!((error.fault, error.retry), (Fault::Target, Retry::Safe));
    assert!(
        error.output.contains("asked for /no-such-page"),
        "{error:?}"
    );
    let state = process().observe(&spec).await;
    assert!(matches!(state, InstanceState::Exited { .. }), "{state:?}");
}

#[tokio::test]
async fn what_ends_before_it_is_ready_is_told_at_once() {
    let world = World::new();
    let mut config = shell("echo 'no database' >&2; exit 3");
    config["ready"] = json!({"tcp": true, "within": 600_000});
    let spec = world.prepared(config).await;
    let before = Instant::now();
    let error = process().start(&spec).await.expect_err("it ends");
    assert!(
        before.elapsed() < Millis(60_000).as_std(),
        "no waiting for the deadline"
    );
    assert!(error.message.contains("exit code 3"), "{error}");
    assert_eq!(error.output, "no database\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_the_plan_s_fault() {
    let world = World::new();
    let spec = world.prepared(json!({"command": ["${dir}/no-such"]})).await;
    let error = process().start(&spec).await.expect_err("cannot");
    assert_eq!(error.fault, Fault::Config);
    assert!(error.message.contains("no-such"), "{error}");
    assert_eq!(process().observe(&spec).await, InstanceState::Absent);
}

#[tokio::test]
async fn status_and_port_must_both_hold() {
    let world = World::new();
    let mut config = app();
    config["ready"] = json!({"http": "/moved", "status": 302, "tcp": true, "within": 20_000});
    let spec = world.prepared(config).await;
    let driver = process();
    driver
        .start(&spec)
        .await
        .expect("302 is what was asked for");
    stop(&*driver, &spec).await;
}

/// TRF-08: requests under way are finished within the drain, and no longer.
#[tokio::test]
async fn the_drain_is_given_and_not_more() {
    let world = World::new();
    let script = "trap 'echo draining' TERM; echo up; while :; do sleep 0.05; done";
    let mut config = shell(script);
    config["ready"] = json!({"running-for": 0});
    let mut spec = world.prepared(config).await;
    spec.identity.kind = ComponentKind::Worker;
    let driver = process();
    let running = driver.start(&spec).await.expect("starts");
    assert_eq!(running.address, None, "a worker gets no requests");
    let log = running.log.expect("a log");
    crate::world::eventually("the trap stands", || {
        std::fs::read_to_string(&log)
            .ok()?
            .contains("up")
            .then_some(())
    });
    let before = Instant::now();
    let stopped = driver.stop(&spec, Drain::Within(Millis(400))).await;
    let end = Some(End::Signal(9));
    assert_eq!(stopped.expect("stops"), Stopped::Gone { end });
    assert!(before.elapsed() >= Millis(400).as_std());
    let log = std::fs::read_to_string(&log).expect("log");
    assert!(log.contains("draining"), "{log}");
}

/// TRF-18: a scheduler learns that it must not act, or that it may.
#[tokio::test]
async fn a_track_is_told_by_hook_signal_or_file() {
    let world = World::new();
    let driver = process();
    let mut config = app();
    config["track-hook"] = json!([
        "/bin/sh",
        "-c",
        "test \"$ESCLUSA_TRACK\" = stable && test -n \"$PORT\""
    ]);
    let spec = world.prepared(config.clone()).await;
    let not_yet = driver.set_track(&spec, Track::Stable).await;
    assert!(not_yet.is_err(), "nobody is there to be told");
    let running = driver.start(&spec).await.expect("starts");
    let told = driver.set_track(&spec, Track::Stable).await;
    assert_eq!(told.expect("agrees"), Told::Hook);
    assert!(get(&running, "/track").ends_with("stable\n"));
    let error = driver.set_track(&spec, Track::Standby).await;
    assert!(
        error
            .expect_err("its hook refuses")
            .message
            .contains("exit code 1")
    );
    // Promotion changes the track and not who it is.
    let mut promoted = spec.clone();
    promoted.identity.track = Track::Stable;
    let same = driver.start(&promoted).await.expect("adopts");
    assert_eq!((same.how, same.pid), (Found::Adopted, running.pid));
    stop(&*driver, &spec).await;

    let script = "trap 'cat $ESCLUSA_TRACK_FILE; exit 0' HUP; cat $ESCLUSA_TRACK_FILE; while :; do sleep 0.05; done";
    let mut config = shell(script);
    config["track-signal"] = json!("hup");
    let log = spec
        .data_dir
        .join("instances/shop/web/signalled/output.log");
    let seen = format!("grep canary {}", log.display());
    config["ready"] = json!({"command": ["/bin/sh", "-c", seen]});
    let mut signalled = world.prepared(config).await;
    signalled.identity.instance = InstanceId::new("signalled").expect("valid");
    let running = driver.start(&signalled).await.expect("starts");
    let told = driver.set_track(&signalled, Track::Standby).await;
    assert_eq!(told.expect("told"), Told::Signal);
    let log = running.log.expect("a log");
    crate::world::eventually("it read its track again", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text == "canary\nstandby\n").then_some(())
    });
    stop(&*driver, &signalled).await;
}

#[tokio::test]
async fn instances_side_by_side_have_ports_of_their_own() {
    let world = World::new();
    let driver = process();
    let first = world.prepared(app()).await;
    let mut second = first.clone();
    second.identity.instance = InstanceId::new("web-2").expect("valid");
    let (one, two) = tokio::join!(driver.start(&first), driver.start(&second));
    let (one, two) = (one.expect("starts"), two.expect("starts"));
    assert_ne!(one.address, two.address);
    assert!(get(&one, "/env").contains("ESCLUSA_INSTANCE=web-1\n"));
    assert!(get(&two, "/env").contains("ESCLUSA_INSTANCE=web-2\n"));
    stop(&*driver, &first).await;
    assert!(
        get(&two, "/health").ends_with("HEALTHY"),
        "the other goes on"
    );
    stop(&*driver, &second).await;
}

#[tokio::test]
async fn starting_twice_at_once_starts_one() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    let (one, two) = tokio::join!(driver.start(&spec), driver.start(&spec));
    let (one, two) = (one.expect("starts"), two.expect("adopts"));
    assert_eq!(one.pid, two.pid);
    assert_ne!(one.how, two.how);
    stop(&*driver, &spec).await;
}

#[tokio::test]
async fn another_block_is_not_taken_for_the_same_instance() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    driver.start(&spec).await.expect("starts");
    let mut other = spec.clone();
    other.config["env"] = json!({"MORE": "1"});
    let error = driver.start(&other).await.expect_err("not the same");
    assert_eq!(error.fault, Fault::Us);
    let state = driver.observe(&other).await;
    assert!(matches!(state, InstanceState::Unknown(_)), "{state:?}");
    stop(&*driver, &other).await;
    assert!(
        !instance_file(&spec, "port").exists(),
        "the port is free again"
    );
}

/// Trap 37 and what follows from it: what runs is what was kept, or nothing runs.
#[tokio::test]
async fn a_kept_version_that_was_changed_is_not_started() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    let kept = spec.dir.clone().expect("kept");
    let file = kept.join("app.py");
    std::fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("ours");
    std::fs::remove_file(&file).expect("removes");
    std::fs::write(&file, "print('something else')").expect("writes");
    let error = driver.start(&spec).await.expect_err("refused");
    assert!(error.message.contains("changed or removed"), "{error}");
    assert_eq!(driver.observe(&spec).await, InstanceState::Absent);
    // Keeping it again heals it: the same name leads to the clean copy.
    world.prepared(app()).await;
    let running = driver.start(&spec).await.expect("starts");
    assert!(get(&running, "/health").ends_with("HEALTHY"));
    stop(&*driver, &spec).await;
}

/// HLT-07, RBK-10: what ended by itself is told apart from what was told to end, and from
/// what went with its supervisor. A stranger on its number or port is never it.
#[tokio::test]
async fn an_end_is_told_by_whose_doing_it_was() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    assert_eq!(driver.pulse(&spec).await, Pulse::Absent);
    let running = driver.start(&spec).await.expect("starts");
    let pid = running.pid.expect("a process");
    let address = running.address.clone();
    assert_eq!(driver.pulse(&spec).await, Pulse::Runs { address, pid });
    kill(&pid.to_string());
    let ended = eventually_async(&driver, &spec, |pulse| matches!(pulse, Pulse::Ended { .. }));
    let Pulse::Ended { end, output, .. } = ended.await else {
        unreachable!("it was waited for");
    };
    assert_eq!(end, End::Signal(9));
    assert!(output.contains("asked for"), "{output}");

    // Its port was taken meanwhile: the next one answers elsewhere.
    let port = running.address.expect("address").host_port;
    let stranger = std::net::TcpListener::bind(&port).expect("free");
    let again = driver.start(&spec).await.expect("starts again");
    assert_ne!(
        again.address.as_ref().map(|a| a.host_port.clone()),
        Some(port)
    );
    drop(stranger);

    driver
        .stop(&spec, Drain::AsConfigured)
        .await
        .expect("stops");
    assert!(matches!(driver.pulse(&spec).await, Pulse::Taken(_)));

    // Supervisor and process die together, and another process gets the number.
    let last = driver.start(&spec).await.expect("starts again");
    let status_file = instance_file(&spec, "status.json");
    let text = std::fs::read_to_string(&status_file).expect("a status");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    kill(&status["shim_pid"].to_string());
    kill(&last.pid.expect("a process").to_string());
    eventually_async(&driver, &spec, |pulse| matches!(pulse, Pulse::Taken(_))).await;
    let mut lie = status.clone();
    let stranger = std::process::id();
    lie["pid"] = stranger.into();
    std::fs::write(&status_file, lie.to_string()).expect("writes");
    assert!(matches!(driver.pulse(&spec).await, Pulse::Taken(_)));
    driver
        .stop(&spec, Drain::AsConfigured)
        .await
        .expect("nothing to stop");
    assert!(
        is_alive(i32::try_from(stranger).expect("small")),
        "it is ourselves"
    );
}

async fn eventually_async(
    driver: &std::sync::Arc<dyn RunDriver>,
    spec: &InstanceSpec,
    wanted: impl Fn(&Pulse) -> bool,
) -> Pulse {
    let give_up = Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let pulse = driver.pulse(spec).await;
        if wanted(&pulse) {
            return pulse;
        }
        assert!(Instant::now() < give_up, "{pulse:?}");
        tokio::task::yield_now().await;
    }
}
