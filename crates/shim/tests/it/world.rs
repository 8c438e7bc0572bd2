//! What the tests share: a folder, a way to start things in it, bounded waiting.

pub(crate) use crate::subject::{PATIENCE, TERM, spec};
use esclusa_shim::{Observed, ShimClient, ShimCommand, ShimError, Status, procfs};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const KILL: i32 = 9;

pub(crate) fn shim() -> ShimCommand {
    ShimCommand {
        program: env!("CARGO_BIN_EXE_esclusa-shim").into(),
        args: Vec::new(),
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

/// A negative number names a process group.
pub(crate) fn kill(pid: i32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", "--", &pid.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
}
