//! One command in a process group of its own, with a deadline.
//!
//! Output goes straight into files, never through pipes: a daemon that a script leaves
//! behind keeps its output and we never wait for its end. A command that outlives its
//! deadline is ended with its whole group, and the caller learns whether that worked.

use crate::error::blocking;
use crate::mask::Mask;
use esclusa_model::Millis;
use esclusa_shim::{procfs, rotate_if_larger, tail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// Largest output kept of one command; then the older part is moved aside once.
const OUTPUT_CAP: u64 = 32 * 1024 * 1024;
/// How often the output's size is looked at.
const OUTPUT_CHECK: Duration = Duration::from_secs(1);
/// How much of the output is told.
const TAIL: u64 = 4 * 1024;
/// Time for a group to be gone after it was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What to run.
pub(crate) struct Order {
    pub(crate) words: Vec<String>,
    /// Added to our own environment without our own settings.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: PathBuf,
    pub(crate) timeout: Millis,
    /// Time between asking and killing after the deadline.
    pub(crate) grace: Millis,
    /// Where output is appended; a scratch file when absent.
    pub(crate) log: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signalled(i32),
    TimedOut { leftover: Leftover },
    NotStarted(String),
}

/// Whether anything of a command that was ended by force is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    Gone,
    StillThere,
}

/// The end of a command and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) ended: Ended,
    /// Standard output alone, at most [`TAIL`] bytes from its end.
    pub(crate) stdout: String,
    /// The last lines of everything, or of standard error when only that was said.
    pub(crate) output: String,
}

impl Finished {
    fn not_started(reason: String) -> Self {
        Self {
            ended: Ended::NotStarted(reason),
            stdout: String::new(),
            output: String::new(),
        }
    }

    /// One sentence on the end, `None` for success.
    pub(crate) fn complaint(&self, limit: Millis) -> Option<String> {
        match &self.ended {
            Ended::Exited(0) => None,
            Ended::Exited(code) => Some(format!("exit code {code}")),
            Ended::Signalled(number) => Some(esclusa_shim::End::Signal(*number).to_string()),
            Ended::TimedOut {
                leftover: Leftover::Gone,
            } => Some(format!("no end within {limit}; it was killed")),
            Ended::TimedOut { .. } => {
                Some(format!("no end within {limit}, and it could not be killed"))
            }
            Ended::NotStarted(reason) => Some(format!("not started: {reason}")),
        }
    }
}

/// The words with a relative program taken from `cwd`, whatever the system would do.
pub(crate) fn resolved(mut words: Vec<String>, cwd: &Path) -> Vec<String> {
    if let Some(program) = words.first_mut()
        && program.contains('/')
        && !program.starts_with('/')
    {
        *program = cwd.join(&*program).to_string_lossy().into_owned();
    }
    words
}

/// Runs a command to its end or its deadline. Dropping the future kills the group.
pub(crate) async fn run(order: Order) -> Finished {
    let files = match Files::open(order.log.as_deref()) {
        Ok(files) => files,
        Err(e) => return Finished::not_started(format!("its output: {e}")),
    };
    let child = match start(&order, &files) {
        Ok(child) => child,
        Err(reason) => return Finished::not_started(reason),
    };
    let Some(mut group) = Group::of(child) else {
        return Finished::not_started("it has no process number".into());
    };
    let deadline = Instant::now()
        + order
            .timeout
            .as_std()
            .min(Duration::from_secs(366 * 86_400));
    let ended = loop {
        let look = deadline.min(Instant::now() + OUTPUT_CHECK);
        match timeout_at(look, group.child.wait()).await {
            Ok(Ok(status)) => {
                group.armed = false;
                break from_status(status);
            }
            Ok(Err(e)) => break Ended::NotStarted(format!("waiting for it: {e}")),
            Err(_) if Instant::now() >= deadline => {
                let leftover = group.end(order.grace).await;
                break Ended::TimedOut { leftover };
            }
            Err(_) => files.limit(),
        }
    };
    let mask = Mask::of(&order.env);
    blocking(move || {
        let done = files.read(ended);
        Finished {
            output: mask.hide(&done.output),
            ..done
        }
    })
    .await
    .unwrap_or_else(|e| Finished::not_started(e.message))
}

fn from_status(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, signal) => Ended::Signalled(signal.unwrap_or_default()),
    }
}

fn start(order: &Order, files: &Files) -> Result<Child, String> {
    let words = resolved(order.words.clone(), &order.cwd);
    let (program, args) = words.split_first().ok_or("the command is empty")?;
    if !order.cwd.is_dir() {
        return Err(format!("{}: no such folder", order.cwd.display()));
    }
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(&order.cwd)
        .stdin(Stdio::null())
        .stdout(files.stdout.try_clone().map_err(|e| e.to_string())?)
        .stderr(files.stderr.try_clone().map_err(|e| e.to_string())?)
        .process_group(0)
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        // Our own settings and tokens are not for the user's scripts.
        if name.to_string_lossy().starts_with("ESCLUSA_") {
            command.env_remove(name);
        }
    }
    command.envs(&order.env);
    command.spawn().map_err(|e| format!("{program}: {e}"))
}

/// A running command with its group, killed when it is dropped.
struct Group {
    child: Child,
    number: i32,
    armed: bool,
}

impl Group {
    fn of(child: Child) -> Option<Self> {
        let number = i32::try_from(child.id()?).ok()?;
        Some(Self {
            child,
            number,
            armed: true,
        })
    }

    fn signal(&self, signal: Signal) {
        // An empty group is what we want.
        killpg(Pid::from_raw(self.number), signal).ok();
    }

    /// Asks, waits, kills, and looks whether anything is left.
    async fn end(&mut self, grace: Millis) -> Leftover {
        self.signal(Signal::SIGTERM);
        self.gone_within(grace.as_std()).await;
        self.signal(Signal::SIGKILL);
        let gone = self.gone_within(KILL_PATIENCE).await;
        self.armed = gone == Leftover::StillThere;
        gone
    }

    async fn gone_within(&mut self, patience: Duration) -> Leftover {
        let deadline = Instant::now() + patience;
        loop {
            // Collecting the child keeps it from counting as there.
            timeout(Duration::from_millis(20), self.child.wait())
                .await
                .ok();
            if procfs::group_members(self.number).is_empty() {
                return Leftover::Gone;
            }
            if Instant::now() >= deadline {
                return Leftover::StillThere;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.armed {
            self.signal(Signal::SIGKILL);
        }
    }
}

/// Where a command's output goes. With a log, both outputs go into it in order;
/// without one, each goes into a scratch file of its own.
struct Files {
    stdout: File,
    stderr: File,
    stdout_path: PathBuf,
    stderr_path: PathBuf,
    keep: u32,
    _scratch: Option<tempfile::TempDir>,
    from: u64,
}

impl Files {
    fn open(log: Option<&Path>) -> io::Result<Self> {
        let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
        if let Some(path) = log {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let stdout = append(path)?;
            return Ok(Self {
                from: stdout.metadata()?.len(),
                stderr: stdout.try_clone()?,
                stdout,
                stdout_path: path.to_owned(),
                stderr_path: path.to_owned(),
                keep: 1,
                _scratch: None,
            });
        }
        let scratch = tempfile::tempdir()?;
        let (stdout_path, stderr_path) = (scratch.path().join("out"), scratch.path().join("err"));
        Ok(Self {
            from: 0,
            stdout: append(&stdout_path)?,
            stderr: append(&stderr_path)?,
            stdout_path,
            stderr_path,
            keep: 0,
            _scratch: Some(scratch),
        })
    }

    fn limit(&self) {
        for path in [&self.stdout_path, &self.stderr_path] {
            // A log that cannot be cut goes on growing; the command matters more.
            rotate_if_larger(path, OUTPUT_CAP, self.keep).ok();
        }
    }

    fn read(self, ended: Ended) -> Finished {
        let last = |path: &Path| {
            let written = std::fs::metadata(path).map_or(0, |m| m.len());
            // Only what this command said, not what stood there before.
            let ours = written.checked_sub(self.from).unwrap_or(written);
            tail(path, ours.min(TAIL)).unwrap_or_default()
        };
        let stdout = last(&self.stdout_path);
        let output = if self.stdout_path == self.stderr_path {
            stdout.clone()
        } else {
            let stderr = last(&self.stderr_path);
            if stderr.is_empty() {
                stdout.clone()
            } else {
                stderr
            }
        };
        Finished {
            ended,
            stdout,
            output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(script: &str, limit: Millis) -> Order {
        Order {
            words: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: BTreeMap::new(),
            cwd: "/".into(),
            timeout: limit,
            grace: Millis(100),
            log: None,
        }
    }

    #[tokio::test]
    async fn outputs_and_codes_are_told_apart() {
        let done = run(order("echo one; echo two >&2; exit 3", Millis(20_000))).await;
        assert_eq!(done.ended, Ended::Exited(3));
        assert_eq!(
            (done.stdout.as_str(), done.output.as_str()),
            ("one\n", "two\n")
        );
        let killed = run(order("kill -9 $$", Millis(20_000))).await;
        assert_eq!(killed.ended, Ended::Signalled(9));
        let mut missing = order("", Millis(20_000));
        missing.words = vec!["./no-such-script".into()];
        let done = run(missing).await;
        assert!(matches!(done.ended, Ended::NotStarted(why) if why.contains("/./no-such-script")));
    }

    #[tokio::test]
    async fn a_hanging_command_is_gone_with_its_children() {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("pid");
        let script = format!(
            "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & wait; wait",
            file.display()
        );
        let done = run(order(&script, Millis(2_000))).await;
        let expected = Ended::TimedOut {
            leftover: Leftover::Gone,
        };
        assert_eq!(done.ended, expected);
        let pid = std::fs::read_to_string(file).expect("it ran");
        let left = procfs::process(pid.trim().parse().expect("number"));
        assert!(!left.is_some_and(|p| p.is_alive()));
    }

    #[tokio::test]
    async fn a_daemon_left_behind_is_not_waited_for() {
        let before = Instant::now();
        let done = run(order("setsid sleep 30 & echo $!", Millis(20_000))).await;
        assert_eq!(done.ended, Ended::Exited(0));
        assert!(before.elapsed() < Duration::from_secs(15));
        let daemon: i32 = done.stdout.trim().parse().expect("number");
        nix::sys::signal::kill(Pid::from_raw(daemon), Signal::SIGKILL).expect("it lived");
    }

    #[tokio::test]
    async fn a_log_keeps_everything_and_the_tail_is_ours_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let log = dir.path().join("steps/one.log");
        for word in ["first", "second"] {
            let mut order = order(&format!("echo {word}"), Millis(20_000));
            order.log = Some(log.clone());
            let done = run(order).await;
            assert_eq!(done.output, format!("{word}\n"));
        }
        let kept = std::fs::read_to_string(log).expect("log");
        assert_eq!(kept, "first\nsecond\n");
    }
}
