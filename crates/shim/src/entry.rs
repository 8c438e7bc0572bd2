//! `esclusa shim run DIR`: from a fresh process to a supervisor. `shim hold DIR`: see
//! [`crate::hold`].

use crate::files::{self, EXIT, LOCK, OUTPUT, SOCKET, STATUS};
use crate::hold;
use crate::procfs;
use crate::protocol::Report;
use crate::record::{SHIM_VERSION, ShimError, Spec, Status};
use crate::supervise::{Progress, Supervisor, complain, now};
use esclusa_model::Digest;
use nix::poll::{PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, dup2_stdout, setsid};
use std::ffi::OsString;
use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long a shim on its way out may still hold its folder.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// The hidden subcommand. `args` are those after `shim`. For `run DIR` the [`Spec`] comes
/// on standard input, one line on standard output says whether the process runs, and it
/// returns when the process and all that it started are gone. `hold DIR` keeps sockets
/// until a signal ends it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let dir = match (args.next(), args.next(), args.next()) {
        (Some(verb), Some(dir), None) if verb == "run" => PathBuf::from(dir),
        (Some(verb), Some(dir), None) if verb == "hold" => return hold::main(Path::new(&dir)),
        _ => {
            complain(
                "usage: shim run DIR, with the specification on standard input, or shim hold DIR",
            );
            return ExitCode::from(2);
        }
    };
    let supervisor = match start(&dir) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            report(&match error {
                ShimError::Held(_) => Report::Held,
                ShimError::NotStarted { reason, .. } => Report::NotStarted(reason),
                other => Report::Broken(other.to_string()),
            });
            return ExitCode::FAILURE;
        }
    };
    report(&Report::Started(supervisor.status.clone()));
    if let Err(e) = leave_stdout() {
        complain(&format!("cannot leave standard output: {e}"));
    }
    match supervisor.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&e.to_string());
            ExitCode::FAILURE
        }
    }
}

fn report(report: &Report) {
    // A controller that has gone away finds the status file instead.
    if let Ok(line) = serde_json::to_string(report) {
        writeln!(io::stdout(), "{line}").ok();
        io::stdout().flush().ok();
    }
}

fn leave_stdout() -> io::Result<()> {
    dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(())
}

/// Everything up to a running process; on an error nothing runs.
fn start(dir: &Path) -> Result<Supervisor, ShimError> {
    let spec = read_spec()?;
    std::env::set_current_dir(dir).map_err(ShimError::io(dir.display().to_string()))?;
    let lock = lock(dir, LOCK)?;
    SigSet::empty()
        .thread_set_mask()
        .map_err(io::Error::from)
        .map_err(ShimError::io("clearing the signal mask"))?;
    // Already leading a session is the only way this can fail, and as good.
    setsid().ok();
    set_child_subreaper(true)
        .map_err(io::Error::from)
        .map_err(ShimError::io("becoming sub-reaper"))?;
    for stale in [STATUS, EXIT, SOCKET] {
        files::remove(Path::new(stale)).map_err(ShimError::io(stale))?;
    }
    let listener = listen().map_err(ShimError::io(SOCKET))?;
    let pid = launch(&spec)?;
    // Only now: a process starts with the signal mask of its parent. What the child
    // did meanwhile is collected in the first round of the loop.
    let signals = take_over_signals().map_err(|e| {
        kill_at_once(pid);
        ShimError::io("blocking signals")(e)
    })?;
    let Some(process) = procfs::process(pid) else {
        kill_at_once(pid);
        return Err(ShimError::Broken(format!("/proc does not show {pid}")));
    };
    let status = Status {
        v: SHIM_VERSION,
        identity: spec.identity.clone(),
        shim_pid: Pid::this().as_raw(),
        pid,
        start_ticks: process.start_ticks,
        boot: procfs::boot_id(),
        argv_digest: argv_digest(&spec.words),
        started_at: now(),
    };
    if let Err(e) = files::write_json(Path::new(STATUS), &status) {
        kill_at_once(pid);
        files::remove(Path::new(SOCKET)).ok();
        return Err(ShimError::io(STATUS)(e));
    }
    Ok(Supervisor {
        spec,
        status,
        signals,
        listener,
        lock,
        progress: Progress::default(),
    })
}

fn read_spec() -> Result<Spec, ShimError> {
    let mut text = Vec::new();
    io::stdin()
        .read_to_end(&mut text)
        .map_err(ShimError::io("standard input"))?;
    let spec: Spec = serde_json::from_slice(&text)
        .map_err(|e| ShimError::Broken(format!("specification: {e}")))?;
    Signal::try_from(spec.stop_signal)
        .map_err(|_| ShimError::Broken(format!("stop signal {}", spec.stop_signal)))?;
    Ok(spec)
}

/// Locks `name` in the current folder, which is `dir`.
pub(crate) fn lock(dir: &Path, name: &str) -> Result<File, ShimError> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(name)
        .map_err(ShimError::io(name))?;
    let give_up = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(ShimError::io(name)(e)),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                return Err(ShimError::Held(dir.to_owned()));
            }
            Err(TryLockError::WouldBlock) => {
                poll(&mut [], PollTimeout::from(20_u8)).ok();
            }
        }
    }
}

/// From here on signals are read, not suffered.
pub(crate) fn take_over_signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(
        &mask,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

fn listen() -> io::Result<UnixListener> {
    let listener = UnixListener::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Starts the process in a group of its own.
fn launch(spec: &Spec) -> Result<i32, ShimError> {
    let not_started = |reason: String| ShimError::NotStarted {
        program: spec.words.first().cloned().unwrap_or_default(),
        reason,
    };
    let (program, args) = spec
        .words
        .split_first()
        .ok_or_else(|| not_started("the command is empty".into()))?;
    let output = files::append(Path::new(OUTPUT)).map_err(ShimError::io(OUTPUT))?;
    let errors = output.try_clone().map_err(ShimError::io(OUTPUT))?;
    let child = Command::new(program)
        .args(args)
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|e| {
            // The folder gives the same error as the program; tell which it is.
            let missing = e.kind() == io::ErrorKind::NotFound && !spec.cwd.is_dir();
            not_started(if missing {
                format!("{}: no such folder", spec.cwd.display())
            } else {
                e.to_string()
            })
        })?;
    i32::try_from(child.id()).map_err(|e| ShimError::Broken(e.to_string()))
}

fn kill_at_once(pid: i32) {
    nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
}

/// Each word counts with its length, so that no two commands share a digest.
fn argv_digest(words: &[String]) -> Digest {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(&(word.len() as u64).to_be_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    Digest::of(&bytes)
}
