//! The controller's side: start a shim, find it again, speak with it.

use crate::files::{self, EXIT, LOCK, OUTPUT, OWN_LOG, STATUS};
use crate::procfs;
use crate::protocol::{MAX_LINE, Reply, Report, Request};
use crate::record::{ExitRecord, ShimError, Spec, Status};
use crate::socket;
use crate::supervise::bounded;
use esclusa_model::Millis;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for an answer that needs no waiting.
const ANSWER: Duration = Duration::from_secs(5);

/// By these a service manager recognises the controller.
const MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// How a shim is started: a program and the arguments before `run DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimCommand {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<OsString>,
}

impl ShimCommand {
    /// This very program with the argument `shim`, also when its file was replaced
    /// since it started.
    ///
    /// # Errors
    /// When the system does not tell this program's file.
    pub fn current_exe() -> io::Result<Self> {
        let file = std::env::current_exe()?;
        Ok(Self {
            program: if file.exists() {
                file
            } else {
                PathBuf::from("/proc/self/exe")
            },
            args: vec!["shim".into()],
        })
    }
}

/// What a folder tells about its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Nothing was ever started here.
    Absent,
    /// It runs, supervised.
    Running(Status),
    /// It was told to stop and is not gone yet.
    Stopping(Status),
    /// It runs, and its supervisor is gone.
    Orphaned(Status),
    /// It ended, and nothing of it is left.
    Ended(ExitRecord),
    /// It is gone and nobody recorded how: the machine or the supervisor died first.
    Vanished(Status),
    /// Could not be told, for this reason.
    Unknown(String),
}

/// How a stop came out. Nothing of the process is left in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It ended and its end was recorded.
    Ended(ExitRecord),
    /// It was gone and nobody recorded how.
    Gone,
    /// There was nothing to stop.
    Absent,
}

/// Starts `spec` in `dir`, which is made if needed, and returns once it runs.
///
/// # Errors
/// [`ShimError::Held`] when the folder's process still runs,
/// [`ShimError::NotStarted`] when the program could not be run; nothing runs then.
/// After [`ShimError::Silent`] the shim was told to end.
pub fn spawn(
    shim: &ShimCommand,
    dir: &Path,
    spec: &Spec,
    timeout: Millis,
) -> Result<Status, ShimError> {
    let dir = std::path::absolute(dir).map_err(ShimError::io(dir.display().to_string()))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(ShimError::io(dir.display().to_string()))?;
    let own_log = dir.join(OWN_LOG);
    let errors = files::append(&own_log).map_err(ShimError::io(own_log.display().to_string()))?;
    let mut command = Command::new(&shim.program);
    command.args(&shim.args).arg("run").arg(&dir);
    for (name, _) in std::env::vars_os() {
        // The controller's own settings and tokens are not for what it starts.
        // Nor may they speak to the controller's own service manager in its name.
        let text = name.to_string_lossy();
        if text.starts_with("ESCLUSA_") || MANAGER.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(ShimError::io(shim.program.display().to_string()))?;
    let report = hand_over(&mut child, spec, timeout);
    if report.is_err()
        && let Ok(pid) = i32::try_from(child.id())
    {
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
    collect_later(child);
    match report? {
        Report::Started(status) => Ok(status),
        Report::Held => Err(ShimError::Held(dir)),
        Report::NotStarted(reason) => Err(ShimError::NotStarted {
            program: spec.words.first().cloned().unwrap_or_default(),
            reason,
        }),
        Report::Broken(what) => Err(ShimError::Broken(what)),
    }
}

fn hand_over(child: &mut Child, spec: &Spec, timeout: Millis) -> Result<Report, ShimError> {
    let broken = |what: &str| ShimError::Broken(format!("the supervisor {what}"));
    let text = serde_json::to_vec(spec).map_err(|e| ShimError::Broken(e.to_string()))?;
    let mut stdin = child.stdin.take().ok_or_else(|| broken("has no input"))?;
    stdin
        .write_all(&text)
        .map_err(ShimError::io("handing over the specification"))?;
    drop(stdin);
    let mut stdout = child.stdout.take().ok_or_else(|| broken("has no output"))?;
    let line = read_line(&mut stdout, timeout)?;
    if line.is_empty() {
        return Err(broken("ended without a word; see shim.log in its folder"));
    }
    serde_json::from_slice(&line).map_err(|e| ShimError::Broken(format!("its report: {e}")))
}

/// Reads up to the first line's end, at most until `timeout`.
fn read_line(from: &mut ChildStdout, timeout: Millis) -> Result<Vec<u8>, ShimError> {
    let give_up = Instant::now() + bounded(timeout);
    let mut line = Vec::new();
    let mut chunk = [0; 1024];
    while line.last() != Some(&b'\n') && line.len() < MAX_LINE {
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ShimError::Silent(timeout));
        }
        let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(ShimError::io("waiting for the supervisor")(e.into())),
        }
        let n = from
            .read(&mut chunk)
            .map_err(ShimError::io("reading from the supervisor"))?;
        if n == 0 {
            break;
        }
        line.extend_from_slice(chunk.get(..n).unwrap_or(&[]));
    }
    Ok(line)
}

/// Waits for the shim's end aside, so that it leaves no zombie while we live.
fn collect_later(mut child: Child) {
    let waiter = std::thread::Builder::new()
        .name("shim-wait".into())
        .stack_size(64 * 1024);
    // Without a thread the zombie stays until we end; nothing else is lost.
    waiter.spawn(move || child.wait()).ok();
}

/// A shim's folder, whoever started the shim.
#[derive(Debug, Clone)]
pub struct ShimClient {
    dir: PathBuf,
}

impl ShimClient {
    /// The shim of this folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the process's output is appended.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.join(OUTPUT)
    }

    /// The boot of the machine in which its process was started; `None` when nothing
    /// was, or the record cannot be read.
    #[must_use]
    pub fn boot(&self) -> Option<String> {
        let status: Option<Status> = files::read_json(&self.dir.join(STATUS)).ok()?;
        status.map(|status| status.boot)
    }

    /// What the folder tells now.
    #[must_use]
    pub fn observe(&self) -> Observed {
        let first = self.observe_once();
        // Between two looks at different files the process may have ended.
        match first {
            Observed::Orphaned(_) | Observed::Vanished(_) => self.observe_once(),
            settled => settled,
        }
    }

    fn observe_once(&self) -> Observed {
        let status: Status = match files::read_json(&self.dir.join(STATUS)) {
            Ok(Some(status)) => status,
            Ok(None) if self.is_held() => return Observed::Unknown("it is just starting".into()),
            Ok(None) => return Observed::Absent,
            Err(e) => return Observed::Unknown(format!("{STATUS}: {e}")),
        };
        match self.ask(Request::Status, ANSWER) {
            Ok(Reply::Status { status, stopping }) if stopping => Observed::Stopping(status),
            Ok(Reply::Status { status, .. }) => Observed::Running(status),
            Ok(other) => Observed::Unknown(format!("unexpected answer {other:?}")),
            Err(AskError::Nobody) => self.without_shim(status),
            Err(AskError::Failed(e)) => Observed::Unknown(format!("its supervisor: {e}")),
        }
    }

    fn is_held(&self) -> bool {
        fs::File::open(self.dir.join(LOCK))
            .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }

    fn without_shim(&self, status: Status) -> Observed {
        match files::read_json::<ExitRecord>(&self.dir.join(EXIT)) {
            Ok(Some(exit)) if exit.pid == status.pid && exit.start_ticks == status.start_ticks => {
                Observed::Ended(exit)
            }
            Ok(_) if procfs::is_same(status.pid, status.start_ticks, &status.boot) => {
                Observed::Orphaned(status)
            }
            Ok(_) => Observed::Vanished(status),
            Err(e) => Observed::Unknown(format!("{EXIT}: {e}")),
        }
    }

    /// Sends a signal to the process itself, not to its group.
    ///
    /// # Errors
    /// When it does not run, or its supervisor does not answer.
    pub fn signal(&self, signal: i32) -> Result<(), ShimError> {
        match self.ask(Request::Signal { signal }, ANSWER) {
            Ok(Reply::Sent) => Ok(()),
            Ok(Reply::Refused { reason }) => Err(ShimError::Broken(reason)),
            Ok(other) => Err(ShimError::Broken(format!("unexpected answer {other:?}"))),
            Err(AskError::Nobody) => Err(ShimError::Broken("it has no supervisor".into())),
            Err(AskError::Failed(e)) => Err(ShimError::io("its supervisor")(e)),
        }
    }

    /// Signals the process's group, kills it after `grace`, and returns only when
    /// nothing of it is left. Asking again is harmless.
    ///
    /// # Errors
    /// [`ShimError::NotStopped`] when it is still there, or when that could not be
    /// told: what cannot be seen is not taken for gone.
    pub fn stop(&self, signal: i32, grace: Millis) -> Result<Stopped, ShimError> {
        let patience = bounded(grace) + 2 * ANSWER;
        match self.ask(Request::Stop { signal, grace }, patience) {
            Ok(Reply::Ended { exit }) => return Ok(Stopped::Ended(exit)),
            Ok(Reply::Refused { reason }) => return Err(ShimError::NotStopped(reason)),
            Ok(other) => {
                return Err(ShimError::NotStopped(format!(
                    "unexpected answer {other:?}"
                )));
            }
            // It may have ended between our asking and its answer.
            Err(AskError::Nobody | AskError::Failed(_)) => {}
        }
        match self.observe() {
            Observed::Absent => Ok(Stopped::Absent),
            Observed::Ended(exit) => Ok(Stopped::Ended(exit)),
            Observed::Vanished(status) => stop_group(&status, signal, Millis::ZERO),
            Observed::Orphaned(status) => stop_group(&status, signal, grace),
            Observed::Running(s) | Observed::Stopping(s) => Err(ShimError::NotStopped(format!(
                "process {} still runs after {}",
                s.pid,
                Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX))
            ))),
            Observed::Unknown(why) => Err(ShimError::NotStopped(why)),
        }
    }

    fn ask(&self, request: Request, patience: Duration) -> Result<Reply, AskError> {
        let mut stream = socket::connect(&self.dir).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Nobody,
            _ => AskError::Failed(e),
        })?;
        let mut exchange = || {
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(ANSWER))?;
            let mut line = serde_json::to_vec(&request)?;
            line.push(b'\n');
            stream.write_all(&line)?;
            let mut answer = Vec::new();
            BufReader::new((&stream).take(MAX_LINE as u64)).read_until(b'\n', &mut answer)?;
            if answer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(serde_json::from_slice(&answer)?)
        };
        exchange().map_err(AskError::Failed)
    }
}

enum AskError {
    /// Nobody listens: no shim lives here.
    Nobody,
    /// Somebody might, and gave no readable answer.
    Failed(io::Error),
}

/// Stops a process whose supervisor is gone: its group, as far as that can be seen.
/// Children that left the group and lost their supervisor are out of reach.
fn stop_group(status: &Status, signal: i32, grace: Millis) -> Result<Stopped, ShimError> {
    let known = || {
        let mut members = procfs::group_members(status.pid);
        // Numbers are given out again: ours belong to the session of our supervisor,
        // and a first process with another start began another group.
        members.retain(|p| p.session == status.shim_pid);
        if members
            .iter()
            .any(|p| p.pid == status.pid && p.start_ticks != status.start_ticks)
            || status.boot != procfs::boot_id()
        {
            members.clear();
        }
        members
    };
    let signal = Signal::try_from(signal)
        .map_err(|e| ShimError::NotStopped(format!("signal {signal}: {e}")))?;
    let group = Pid::from_raw(status.pid);
    let kill_at = Instant::now() + bounded(grace);
    let give_up = kill_at + 2 * ANSWER;
    if !known().is_empty() {
        killpg(group, signal).ok();
    }
    loop {
        let left = known();
        if left.is_empty() {
            return Ok(Stopped::Gone);
        }
        let now = Instant::now();
        if now >= give_up {
            return Err(ShimError::NotStopped(format!(
                "{} processes of group {} are left",
                left.len(),
                status.pid
            )));
        }
        if now >= kill_at {
            killpg(group, Signal::SIGKILL).ok();
        }
        poll(&mut [], PollTimeout::from(20_u8)).ok();
    }
}
