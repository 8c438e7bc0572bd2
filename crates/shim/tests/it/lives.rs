//! What a shim keeps while it lives.

use crate::world::{PATIENCE, TERM, ended, eventually, is_alive, shim, spec, start};
use esclusa_shim::{End, LogLimits, Observed, ShimClient, ShimError, Stopped};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

#[test]
fn a_controller_killed_outright_takes_nothing_with_it() {
    let dir = tempfile::tempdir().expect("folder");
    let mut controller = Command::new(env!("CARGO_BIN_EXE_esclusa-shim-harness"))
        .arg(shim().program)
        .arg(dir.path())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("starts");
    let client = ShimClient::new(dir.path());
    let before = eventually("it runs", || match client.observe() {
        Observed::Running(status) => Some(status),
        _ => None,
    });
    // The whole group, as a terminal or a service manager would.
    let group = format!("-{}", controller.id());
    let killed = Command::new("kill").args(["-9", "--", &group]).status();
    assert!(killed.expect("kill runs").success());
    controller.wait().expect("ends");
    assert_eq!(client.observe(), Observed::Running(before.clone()));
    assert!(is_alive(before.pid));
    let stopped = client.stop(TERM, PATIENCE).expect("stops");
    assert!(matches!(stopped, Stopped::Ended(exit) if exit.end == End::Signal(TERM)));
    assert!(!is_alive(before.pid));
    eventually("no shim stays", || {
        (!is_alive(before.shim_pid)).then_some(())
    });
}

#[test]
fn a_folder_has_one_process() {
    let dir = tempfile::tempdir().expect("folder");
    let first = start(dir.path(), "sleep 1000").expect("starts");
    let second = start(dir.path(), "sleep 1000");
    assert!(matches!(second, Err(ShimError::Held(_))), "{second:?}");
    let client = ShimClient::new(dir.path());
    assert_eq!(client.observe(), Observed::Running(first.clone()));
    client.stop(TERM, PATIENCE).expect("stops");
    let third = start(dir.path(), "sleep 1000").expect("the folder is free again");
    assert_ne!(third.pid, first.pid);
    assert_eq!(client.observe(), Observed::Running(third));
    client.stop(TERM, PATIENCE).expect("stops");
}

#[test]
fn the_process_starts_with_a_clean_slate() {
    let dir = tempfile::tempdir().expect("folder");
    let mut given = spec("");
    given.words = vec!["/bin/cat".into(), "/proc/self/status".into()];
    esclusa_shim::spawn(&shim(), dir.path(), &given, PATIENCE).expect("starts");
    ended(dir.path());
    let log = std::fs::read_to_string(dir.path().join("output.log")).expect("log");
    assert!(log.contains("SigBlk:\t0000000000000000\n"), "{log}");
}

#[test]
fn the_environment_arrives_and_stays_off_the_disk() {
    let dir = tempfile::tempdir().expect("folder");
    let mut given = spec("echo \"given $GIVEN\"; env | grep ^ESCLUSA_");
    given.env.insert("ESCLUSA_TRACK".into(), "canary".into());
    esclusa_shim::spawn(&shim(), dir.path(), &given, PATIENCE).expect("starts");
    ended(dir.path());
    let log = std::fs::read_to_string(dir.path().join("output.log")).expect("log");
    assert_eq!(log, "given a secret value\nESCLUSA_TRACK=canary\n");
    for entry in std::fs::read_dir(dir.path()).expect("folder").flatten() {
        let name = entry.file_name();
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            name == "output.log" || !text.contains("a secret value"),
            "{name:?} holds the environment"
        );
    }
}

#[test]
fn folders_deeper_than_a_socket_path_work() {
    let dir = tempfile::tempdir().expect("folder");
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    let status = start(&deep, "sleep 1000").expect("starts");
    let client = ShimClient::new(&deep);
    assert_eq!(client.observe(), Observed::Running(status));
    client.stop(TERM, PATIENCE).expect("stops");
}

#[test]
fn a_signal_reaches_the_process() {
    let dir = tempfile::tempdir().expect("folder");
    let script = "trap 'echo heard; exit 0' USR1; echo up; while :; do sleep 0.01; done";
    start(dir.path(), script).expect("starts");
    let client = ShimClient::new(dir.path());
    eventually("the trap stands", || {
        std::fs::read_to_string(client.log_path())
            .ok()?
            .contains("up")
            .then_some(())
    });
    client.signal(10).expect("sent");
    assert_eq!(ended(dir.path()).end, End::Code(0));
    assert!(client.signal(10).is_err(), "nobody is there any more");
}

#[test]
fn a_talkative_process_does_not_fill_the_disk() {
    let dir = tempfile::tempdir().expect("folder");
    let mut talk = spec("i=0; while :; do i=$((i+1)); echo \"line $i\"; done");
    talk.log = LogLimits {
        max_bytes: 1000,
        keep: 1,
    };
    esclusa_shim::spawn(&shim(), dir.path(), &talk, PATIENCE).expect("starts");
    let old = dir.path().join("output.log.1");
    eventually("it was cut", || old.exists().then_some(()));
    let client = ShimClient::new(dir.path());
    client.stop(TERM, PATIENCE).expect("stops");
    assert!(!dir.path().join("output.log.2").exists());
}
