//! Versions outlive their controller, and their supervisor.

use crate::subject::{MIGRATION, PATIENCE, step};
use crate::world::{World, app, eventually, get, is_alive, kill, process, shim, stop};
use esclusa_drivers::run::{Drain, Found, InstanceState, Stopped};
use esclusa_drivers::{LastingEnd, StepEnd, StepOutcome};
use esclusa_model::Millis;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A controller that the test kills: the harness, doing `verb` in a folder.
fn controller(verb: &str, root: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_esclusa-drivers-harness"))
        .arg(verb)
        .arg(root)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("starts")
}

#[tokio::test]
async fn an_instance_is_adopted_after_its_controller_was_killed() {
    let world = World::new();
    let mut controller = controller("instance", world.root.path());
    eventually("the instance is up", || {
        world.path("up").exists().then_some(())
    });
    kill(&format!("-{}", controller.id()));
    controller.wait().expect("ends");

    let driver = process();
    let spec = world.prepared(app()).await;
    let InstanceState::Ready(seen) = driver.observe(&spec).await else {
        panic!("it runs on");
    };
    let adopted = driver.start(&spec).await.expect("adopts");
    assert_eq!((adopted.how, adopted.pid), (Found::Adopted, seen.pid));
    assert!(get(&adopted, "/health").ends_with("HEALTHY"));
    let stopped = driver
        .stop(&spec, Drain::AsConfigured)
        .await
        .expect("stops");
    assert!(matches!(stopped, Stopped::Gone { end: Some(_) }));
    assert!(!is_alive(adopted.pid.expect("a process")));
}

#[tokio::test]
async fn a_step_is_waited_for_after_its_controller_was_killed() {
    let root = tempfile::tempdir().expect("folder");
    let mut controller = controller("step", root.path());
    let runs = || std::fs::read_to_string(root.path().join("runs")).ok();
    eventually("it runs", || runs().filter(|text| text == "run\n"));
    kill(&format!("-{}", controller.id()));
    controller.wait().expect("ends");

    let step = step(root.path(), MIGRATION, PATIENCE);
    let asked = tokio::spawn({
        let step = step.clone();
        async move { step.run(&shim()).await }
    });
    std::fs::write(root.path().join("go-on"), "").expect("writes");
    let expected = LastingEnd::Known(StepEnd {
        end: StepOutcome::Exited(4),
        output_tail: "migrated\n".into(),
    });
    assert_eq!(asked.await.expect("no panic").expect("known"), expected);
    // Asked once more, it is told and not run.
    assert_eq!(step.run(&shim()).await.expect("recorded"), expected);
    assert_eq!(runs().as_deref(), Some("run\n"), "it ran once");
}

#[tokio::test]
async fn a_lasting_step_has_a_deadline_and_can_be_cancelled() {
    let root = tempfile::tempdir().expect("folder");
    let slow = step(root.path(), "sleep 1000", Millis(300));
    let end = slow.run(&shim()).await.expect("known");
    let timed_out = LastingEnd::Known(StepEnd {
        end: StepOutcome::TimedOut,
        output_tail: String::new(),
    });
    assert_eq!(end, timed_out);

    let mut other = step(root.path(), "echo up; sleep 1000", PATIENCE);
    other.dir = root.path().join("steps/migrate-2");
    let running = tokio::spawn({
        let other = other.clone();
        async move { other.run(&shim()).await }
    });
    let log = other.dir.join("output.log");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text == "up\n") {
        tokio::task::yield_now().await;
    }
    other.cancel().await.expect("gone");
    other.cancel().await.expect("harmless");
    let end = running.await.expect("no panic").expect("known");
    assert!(matches!(end, LastingEnd::Known(end) if end.end == StepOutcome::TimedOut));

    let mut missing = step(root.path(), "", PATIENCE);
    missing.words = vec!["./no-such-script".into()];
    missing.dir = root.path().join("steps/migrate-3");
    let end = missing.run(&shim()).await.expect("known");
    assert!(matches!(
        end,
        LastingEnd::Known(StepEnd {
            end: StepOutcome::NotStarted(_),
            ..
        })
    ));
}

/// What nobody saw is told as such: neither done nor failed.
#[tokio::test]
async fn a_step_whose_end_nobody_saw_is_lost() {
    let root = tempfile::tempdir().expect("folder");
    let step = step(root.path(), "echo half; sleep 1000", PATIENCE);
    let running = tokio::spawn({
        let step = step.clone();
        async move { step.run(&shim()).await }
    });
    let status = root.path().join("steps/migrate-1/status.json");
    while !status.exists() {
        tokio::task::yield_now().await;
    }
    let told: esclusa_shim::Status =
        serde_json::from_slice(&std::fs::read(&status).expect("file")).expect("json");
    kill(&told.shim_pid.to_string());
    kill(&format!("-{}", told.pid));
    let end = running.await.expect("no panic").expect("told");
    assert!(matches!(end, LastingEnd::Lost { .. }), "{end:?}");
    assert_eq!(
        step.run(&shim()).await.expect("told"),
        end,
        "and not run again"
    );
}

#[tokio::test]
async fn an_instance_without_supervisor_still_serves_and_stops() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    let running = driver.start(&spec).await.expect("starts");
    let pid = running.pid.expect("a process");
    let parent = esclusa_shim::procfs::process(pid).expect("runs").parent;
    kill(&parent.to_string());
    eventually("the supervisor is gone", || {
        (!is_alive(parent)).then_some(())
    });
    assert!(matches!(
        driver.observe(&spec).await,
        InstanceState::Ready(_)
    ));
    let adopted = driver.start(&spec).await.expect("adopts");
    assert_eq!(adopted.pid, Some(pid));
    stop(&*driver, &spec).await;
    assert!(!is_alive(pid));
    let state = driver.observe(&spec).await;
    assert!(
        matches!(state, InstanceState::Exited { end: None, .. }),
        "nobody saw how it ended: {state:?}"
    );
}

#[tokio::test]
async fn a_crash_is_seen_and_the_instance_starts_again() {
    let world = World::new();
    let driver = process();
    let spec = world.prepared(app()).await;
    let running = driver.start(&spec).await.expect("starts");
    kill(&running.pid.expect("a process").to_string());
    let end = loop {
        match driver.observe(&spec).await {
            InstanceState::Exited { end, .. } => break end,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(end, Some(esclusa_shim::End::Signal(9)));
    let again = driver.start(&spec).await.expect("starts again");
    assert_eq!(again.how, Found::Started);
    assert_eq!(again.address, running.address, "on its own port");
    stop(&*driver, &spec).await;
}

/// LOG-06: neither what is told nor what is kept of a step holds its secrets.
#[tokio::test]
async fn a_steps_output_is_kept_without_its_secrets() {
    let root = tempfile::tempdir().expect("folder");
    let mut step = step(
        root.path(),
        "echo \"key $API_KEY\"; echo bye; exit 1",
        PATIENCE,
    );
    step.env.insert("API_KEY".into(), "k-0123456789".into());
    let end = step.run(&shim()).await.expect("known");
    let expected = LastingEnd::Known(StepEnd {
        end: StepOutcome::Exited(1),
        output_tail: "key ***\nbye\n".into(),
    });
    assert_eq!(end, expected);
    let kept = std::fs::read_to_string(step.dir.join("output.log")).expect("kept");
    assert_eq!(kept, "key ***\nbye\n");
}
