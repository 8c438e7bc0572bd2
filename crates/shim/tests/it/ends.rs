//! How things end: by themselves, asked, by force, and with nobody to see it.

use crate::world::{KILL, PATIENCE, TERM, ended, eventually, is_alive, kill, pid_in, spec, start};
use esclusa_model::Millis;
use esclusa_shim::{End, Observed, ShimClient, ShimError, Stopped};
use std::time::Instant;

#[test]
fn an_exit_code_and_the_output_are_kept() {
    let dir = tempfile::tempdir().expect("folder");
    start(dir.path(), "echo out; echo err >&2; exit 7").expect("starts");
    let exit = ended(dir.path());
    assert_eq!(
        (exit.end, exit.asked, exit.left_behind),
        (End::Code(7), false, 0)
    );
    let log = std::fs::read_to_string(dir.path().join("output.log")).expect("log");
    assert_eq!(log, "out\nerr\n");
    let again = ShimClient::new(dir.path()).stop(TERM, PATIENCE);
    assert_eq!(again.expect("harmless"), Stopped::Ended(exit));
}

#[test]
fn a_signal_is_told_from_an_exit_code() {
    let dir = tempfile::tempdir().expect("folder");
    start(dir.path(), "kill -SEGV $$").expect("starts");
    let exit = ended(dir.path());
    assert_eq!(exit.end, End::Signal(11));
    assert_eq!(exit.end.to_string(), "signal SIGSEGV");
}

#[test]
fn what_listens_to_the_stop_signal_ends_by_itself() {
    let dir = tempfile::tempdir().expect("folder");
    let script = "trap 'echo bye; exit 3' INT; echo up; while :; do sleep 0.01; done";
    start(dir.path(), script).expect("starts");
    let client = ShimClient::new(dir.path());
    eventually("the trap stands", || {
        std::fs::read_to_string(client.log_path())
            .ok()?
            .contains("up")
            .then_some(())
    });
    let Stopped::Ended(exit) = client.stop(2, PATIENCE).expect("stops") else {
        panic!("an end is recorded");
    };
    assert_eq!((exit.end, exit.asked), (End::Code(3), true));
}

/// TRF-08: gone means gone, whatever hid in other groups and ignored the signal.
#[test]
fn children_that_ignore_the_signal_and_left_the_group_are_gone_too() {
    let dir = tempfile::tempdir().expect("folder");
    let at = dir.path().display();
    let script = format!(
        "trap '' TERM
         setsid sh -c 'trap \"\" TERM; echo $$ > {at}/far; while :; do sleep 1; done' &
         sh -c 'trap \"\" TERM; echo $$ > {at}/near; while :; do sleep 1; done' &
         while :; do sleep 1; done"
    );
    let status = start(dir.path(), &script).expect("starts");
    let pids = [
        status.pid,
        pid_in(dir.path(), "far"),
        pid_in(dir.path(), "near"),
    ];
    let before = Instant::now();
    let Stopped::Ended(exit) = ShimClient::new(dir.path())
        .stop(TERM, Millis(300))
        .expect("stops")
    else {
        panic!("an end is recorded");
    };
    assert!(
        before.elapsed() >= Millis(300).as_std(),
        "the grace was given"
    );
    assert_eq!(exit.end, End::Signal(KILL));
    assert!(exit.left_behind >= 2, "{exit:?}");
    assert_eq!(pids.map(is_alive), [false; 3]);
}

#[test]
fn what_a_process_leaves_behind_is_ended_before_it_counts_as_ended() {
    let dir = tempfile::tempdir().expect("folder");
    let script = format!(
        "setsid sleep 1000 & echo $! > {}/left; exit 0",
        dir.path().display()
    );
    start(dir.path(), &script).expect("starts");
    let exit = ended(dir.path());
    assert_eq!((exit.end, exit.left_behind), (End::Code(0), 1));
    assert!(!is_alive(pid_in(dir.path(), "left")));
}

#[test]
fn two_who_stop_at_once_get_the_same_answer() {
    let dir = tempfile::tempdir().expect("folder");
    start(dir.path(), "trap '' TERM; while :; do sleep 1; done").expect("starts");
    let client = ShimClient::new(dir.path());
    let patient = std::thread::spawn({
        let client = client.clone();
        move || client.stop(TERM, PATIENCE)
    });
    let hasty = client.stop(TERM, Millis(50)).expect("stops");
    let patient = patient.join().expect("no panic").expect("stops");
    assert_eq!(hasty, patient);
}

#[test]
fn a_program_that_cannot_run_leaves_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let mut bad = spec("");
    bad.words = vec!["/no/such/program".into()];
    let shim = crate::world::shim();
    let error = esclusa_shim::spawn(&shim, dir.path(), &bad, PATIENCE).expect_err("refused");
    assert!(
        matches!(&error, ShimError::NotStarted { program, .. } if program == "/no/such/program")
    );
    assert_eq!(ShimClient::new(dir.path()).observe(), Observed::Absent);

    let mut bad = spec("true");
    bad.cwd = "/no/such/folder".into();
    let error = esclusa_shim::spawn(&shim, dir.path(), &bad, PATIENCE).expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("/no/such/folder: no such folder"),
        "{error}"
    );
    let absent = ShimClient::new(dir.path()).stop(TERM, PATIENCE);
    assert_eq!(absent.expect("nothing to do"), Stopped::Absent);
}

#[test]
fn an_orphan_is_seen_and_stopped() {
    let dir = tempfile::tempdir().expect("folder");
    let status = start(dir.path(), "trap '' TERM; while :; do sleep 1; done").expect("starts");
    kill(status.shim_pid);
    let client = ShimClient::new(dir.path());
    eventually("the shim is dead", || {
        (!is_alive(status.shim_pid)).then_some(())
    });
    assert_eq!(client.observe(), Observed::Orphaned(status.clone()));
    assert_eq!(
        client.stop(TERM, Millis(100)).expect("stops"),
        Stopped::Gone
    );
    assert!(!is_alive(status.pid));
    assert_eq!(client.observe(), Observed::Vanished(status));
}

#[test]
fn a_number_that_was_given_out_again_is_not_the_process() {
    let dir = tempfile::tempdir().expect("folder");
    let status = start(dir.path(), "sleep 1000").expect("starts");
    kill(status.shim_pid);
    kill(-status.pid);
    let client = ShimClient::new(dir.path());
    eventually("both are dead", || {
        (!is_alive(status.shim_pid) && !is_alive(status.pid)).then_some(())
    });
    // The kernel counts starts in hundredths of a second, and gives no number out again
    // within one; so neither may this test.
    let mut innocent = eventually("a process of a later tick", || {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .expect("starts");
        let pid = i32::try_from(child.id()).expect("small");
        if esclusa_shim::procfs::is_same(pid, status.start_ticks, &status.boot) {
            child.kill().expect("killed");
            child.wait().expect("reaped");
            return None;
        }
        Some(child)
    });
    let path = dir.path().join("status.json");
    let mut told: esclusa_shim::Status =
        serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("json");
    told.pid = i32::try_from(innocent.id()).expect("small");
    std::fs::write(&path, serde_json::to_vec(&told).expect("json")).expect("writes");
    assert_eq!(client.observe(), Observed::Vanished(told));
    assert_eq!(
        client.stop(TERM, PATIENCE).expect("nothing left"),
        Stopped::Gone
    );
    assert_eq!(
        innocent.try_wait().expect("readable"),
        None,
        "not ours to stop"
    );
    innocent.kill().expect("ours now");
    innocent.wait().expect("ends");
}
