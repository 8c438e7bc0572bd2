//! Versions outlive their controller, and their supervisor.

use crate::world::{World, app, eventually, get, is_alive, kill, process, spec, stop};
use esclusa_drivers::run::{Drain, Found, InstanceState, Stopped};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

const FOLDER: &str = "DRIVERS_TEST_FOLDER";

/// The controller that the test below kills.
#[tokio::test]
#[ignore = "started by an_instance_is_adopted_after_its_controller_was_killed"]
async fn controller() {
    let root = std::path::PathBuf::from(std::env::var_os(FOLDER).expect("given by the test"));
    let spec = spec(&root, app()).await;
    process().start(&spec).await.expect("starts");
    std::fs::write(root.join("up"), "").expect("writes");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn an_instance_is_adopted_after_its_controller_was_killed() {
    let world = World::new();
    let mut controller = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "outlives::controller", "--ignored"])
        .env(FOLDER, world.root.path())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("starts");
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
