//! Plan steps.

use esclusa_drivers::{StepOutcome, StepRun, run_step};
use esclusa_model::Millis;
use std::collections::BTreeMap;
use std::path::Path;

fn step(dir: &Path, script: &str, timeout: Millis) -> StepRun {
    StepRun {
        name: "migrate".into(),
        words: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("ESCLUSA_SERVICE".into(), "shop".into())]),
        cwd: dir.to_owned(),
        timeout,
        log_path: dir.join("logs/migrate.log"),
    }
}

#[tokio::test]
async fn the_whole_output_is_kept_and_its_end_told() {
    let dir = tempfile::tempdir().expect("folder");
    let script =
        "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo \"line $i of $ESCLUSA_SERVICE\"; done";
    let done = run_step(step(dir.path(), script, Millis(30_000))).await;
    assert!(done.is_success(), "{done:?}");
    assert!(done.output_tail.ends_with("line 2000 of shop\n"));
    assert!(done.output_tail.starts_with("line ") && done.output_tail.len() <= 4096);
    let log = std::fs::read_to_string(dir.path().join("logs/migrate.log")).expect("log");
    assert_eq!(log.lines().count(), 2000);
}

#[tokio::test]
async fn only_exit_code_zero_is_success() {
    let dir = tempfile::tempdir().expect("folder");
    for (script, expected) in [
        ("exit 3", StepOutcome::Exited(3)),
        ("kill -TERM $$", StepOutcome::Signalled(15)),
        ("sleep 1000", StepOutcome::TimedOut),
    ] {
        let done = run_step(step(dir.path(), script, Millis(500))).await;
        assert_eq!(done.end, expected, "{script}");
        assert!(!done.is_success());
    }
    let mut missing = step(dir.path(), "", Millis(500));
    missing.words = vec!["./no-such-script".into()];
    let done = run_step(missing).await;
    assert!(matches!(&done.end, StepOutcome::NotStarted(why) if why.contains("no-such-script")));
}
