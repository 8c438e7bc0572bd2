//! `serve` as the first process of a container.
//!
//! A first process inherits every orphan and must collect it, gets signals only if it
//! asks for them, and takes everything down when it ends. So it does nothing else: the
//! control plane itself is its child, and is started again when it is killed, which
//! touches neither the proxy nor a version. Told to end, it passes that on; then users'
//! requests are finished, then versions are told to end.

use crate::exit::{Exit, Failure};
use esclusa_model::Millis;
use esclusa_shim::ShimClient;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Says who this process is: `first` behaves as a container's first process wherever it
/// runs, `child` is started by one.
const ROLE: &str = "ESCLUSA_INIT";
/// How long the proxy has to finish requests; a container's manager gives ten seconds in
/// all by default.
const PROXY_GRACE: Millis = Millis(5_000);
/// How long versions have after that.
const VERSION_GRACE: Millis = Millis(3_000);
const SIGTERM: i32 = 15;
/// A control plane that is killed so soon after its start ran for nothing.
const STEADY: Duration = Duration::from_secs(60);
/// More starts in a row that came to nothing are not tried.
const MOST_STARTS: u32 = 10;
/// Pause before the second of them; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether this process is to be the first one of a container.
pub(crate) fn is_first() -> bool {
    let role = std::env::var_os(ROLE);
    match role.as_deref().and_then(OsStr::to_str) {
        Some("child") => false,
        Some("first") => true,
        _ => std::process::id() == 1,
    }
}

/// Lets a control plane hear signals again that its first process keeps for itself.
pub(crate) fn hear_signals() {
    // Nothing is blocked where this fails, and nothing is lost.
    SigSet::empty().thread_set_mask().ok();
}

/// How the control plane ended.
enum Ended {
    /// By itself.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

/// Runs the control plane as a child until it ends by itself or is told to.
pub(crate) fn run(data: &Path) -> Result<Exit, Failure> {
    let fail = |error: Errno| Failure::internal(format!("no first process: {error}"));
    let mut signals = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        signals.add(signal);
    }
    signals.thread_block().map_err(fail)?;
    set_child_subreaper(true).map_err(fail)?;
    let (mut starts, mut told) = (0, false);
    loop {
        let began = Instant::now();
        let child = start()?;
        let ended = wait(child, &signals, &mut told).map_err(fail)?;
        starts = if began.elapsed() >= STEADY {
            0
        } else {
            starts + 1
        };
        let code = match ended {
            Ended::Signal(signal) if !told && starts < MOST_STARTS => {
                tracing::error!(%signal, starts, "The control plane was killed and is started again");
                std::thread::park_timeout(PAUSE * (1 << (starts.min(8))) / 2);
                continue;
            }
            Ended::Signal(signal) => 128 + signal as i32,
            Ended::Code(code) => code,
        };
        end_the_rest(data);
        let code = u8::try_from(code).unwrap_or(1);
        return Ok(Exit::Child(ExitCode::from(code)));
    }
}

fn start() -> Result<Pid, Failure> {
    let child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(ROLE, "child")
        .spawn()
        .map_err(|error| Failure::internal(format!("the control plane: {error}")))?;
    // It is collected with all others, by its number.
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(|error| Failure::internal(error.to_string()))
}

/// Collects whoever ends and passes signals on, until `child` has ended.
fn wait(child: Pid, signals: &SigSet, told: &mut bool) -> nix::Result<Ended> {
    loop {
        if let Some(ended) = collect(child)? {
            return Ok(ended);
        }
        match signals.wait()? {
            Signal::SIGCHLD => {}
            signal => {
                *told |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
                // It may have ended just now; then it is collected next.
                kill(child, signal).ok();
            }
        }
    }
}

/// Collects every process that has ended; how `child` did, if it is among them.
fn collect(child: Pid) -> nix::Result<Option<Ended>> {
    let mut found = None;
    loop {
        let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(found),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        };
        if pid == child {
            found = Some(ended);
        }
    }
}

/// Users first: the proxy finishes their requests, then versions are told to end.
fn end_the_rest(data: &Path) {
    let instances = data.join("instances");
    let proxy = instances.join("proxy");
    stop(vec![proxy.clone()], PROXY_GRACE);
    let mut folders = Vec::new();
    for root in [instances, data.join("steps")] {
        supervised(&root, 4, &mut folders);
    }
    folders.retain(|folder| *folder != proxy);
    stop(folders, VERSION_GRACE);
}

/// Stops all of these side by side.
fn stop(folders: Vec<PathBuf>, grace: Millis) {
    std::thread::scope(|scope| {
        for folder in folders {
            scope.spawn(move || {
                if let Err(error) = ShimClient::new(&folder).stop(SIGTERM, grace) {
                    tracing::warn!(folder = %folder.display(), %error, "Not ended in order");
                }
            });
        }
    });
}

/// Folders of supervisors below `root`.
fn supervised(root: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.join("status.json").exists() {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            supervised(&path, depth - 1, found);
        }
    }
}
