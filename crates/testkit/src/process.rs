//! A real process under test: its output as lines, its signals, its end.

use crate::{WaitError, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// Where a test fails to get what it wants from a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It did not come in time; with what the process had said until then.
    #[error("{error}; output so far:\n{output}")]
    Late {
        /// What was waited for.
        error: WaitError,
        /// All lines of stdout and stderr.
        output: String,
    },
    /// It ended before.
    #[error("it ended with {status} before; output:\n{output}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// All lines of stdout and stderr.
        output: String,
    },
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A running process. It is killed when this is dropped; only it, not what it started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: Pid,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts it with stdout and stderr collected, without stdin.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &std::path::Path, args: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args);
        Self::spawn(command)
    }

    /// As [`Running::start`], for a command with environment or folder of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        if let Some(out) = child.stdout.take() {
            tokio::spawn(collect(out, Arc::clone(&lines)));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(collect(err, Arc::clone(&lines)));
        }
        Ok(Self {
            child,
            pid: Pid::from_raw(pid),
            lines,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Everything it said so far, stdout and stderr by line as they came.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// The first line that contains `text`, at most after `bound`.
    ///
    /// # Errors
    /// [`ProcessError::Late`] or, when it ended without the line, [`ProcessError::Ended`].
    pub async fn line_with(&mut self, text: &str, bound: Duration) -> Result<String, ProcessError> {
        let Self { child, lines, .. } = self;
        let find = |lines: &Mutex<Vec<String>>| {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().find(|line| line.contains(text)).cloned()
        };
        let mut ended = None;
        let found = wait_until(&format!("a line with {text:?}"), bound, async || {
            // Asked before looking: what it said before its end is still found.
            let gone = ended.is_some();
            ended = child.try_wait().ok().flatten();
            find(lines).map(Some).or(gone.then_some(None))
        })
        .await;
        match (found, ended) {
            (Ok(Some(line)), _) => Ok(line),
            (_, Some(status)) => Err(ProcessError::Ended {
                status,
                output: self.output(),
            }),
            (Err(error), _) => Err(self.late(error)),
            (Ok(None), None) => {
                Err(io::Error::other("the process is neither gone nor there").into())
            }
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // A child that was waited for has given its id back to the system.
        if self.child.id().is_none() {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(kill(self.pid, signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::Late`] when it still runs after `bound`.
    pub async fn ended(&mut self, bound: Duration) -> Result<ExitStatus, ProcessError> {
        match tokio::time::timeout(bound, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(self.late(WaitError {
                what: "its end".into(),
                bound,
            })),
        }
    }

    fn late(&self, error: WaitError) -> ProcessError {
        ProcessError::Late {
            error,
            output: self.output(),
        }
    }
}

async fn collect(stream: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream).lines();
    while let Ok(Some(line)) = stream.next_line().await {
        lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

/// Where a binary of this workspace was built, next to the running test.
///
/// # Errors
/// When it was not built, with the command that does.
pub fn built_binary(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/debug/deps/<test>, or target/debug/<binary>.
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{name} is not built: run `cargo build --workspace --bins`"),
        )
    })
}
