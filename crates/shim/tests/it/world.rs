//! What the tests share: a folder, a way to start things in it, bounded waiting.

use esclusa_model::Millis;
use esclusa_shim::{LogLimits, Observed, ShimClient, ShimCommand, ShimError, Spec, Status, procfs};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const TERM: i32 = 15;
pub(crate) const KILL: i32 = 9;
pub(crate) const PATIENCE: Millis = Millis(20_000);

pub(crate) fn shim() -> ShimCommand {
    ShimCommand {
        program: env!("CARGO_BIN_EXE_esclusa-shim").into(),
        args: Vec::new(),
    }
}

pub(crate) fn spec(script: &str) -> Spec {
    Spec {
        identity: "test".into(),
        words: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("GIVEN".into(), "a secret value".into())]),
        cwd: "/".into(),
        log: LogLimits::default(),
        stop_signal: TERM,
        stop_grace: Millis(500),
    }
}

pub(crate) fn start(dir: &Path, script: &str) -> Result<Status, ShimError> {
    esclusa_shim::spawn(&shim(), dir, &spec(script), PATIENCE)
}

/// Looks again until there is a value, for at most twenty seconds.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE.as_std();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The number that a script wrote into a file.
pub(crate) fn pid_in(dir: &Path, file: &str) -> i32 {
    eventually(file, || {
        let text = std::fs::read_to_string(dir.join(file)).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

pub(crate) fn is_alive(pid: i32) -> bool {
    procfs::process(pid).is_some_and(|p| p.is_alive())
}

pub(crate) fn ended(dir: &Path) -> esclusa_shim::ExitRecord {
    let client = ShimClient::new(dir);
    eventually("the end", || match client.observe() {
        Observed::Ended(exit) => Some(exit),
        _ => None,
    })
}

pub(crate) fn kill(pid: i32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
}
