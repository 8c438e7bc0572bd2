//! A step's command that outlives its controller.
//!
//! A migration must not run twice because the controller crashed while it ran. The
//! command runs under a supervisor in a folder of its own; whoever asks for the same
//! step there again waits for the one that runs, or gets the end that was recorded.
//! Nothing is ever started twice in one folder: a second attempt needs another. What
//! the command leaves running behind it is ended too, unlike with a plain step.

use crate::clock::now;
use crate::error::{DriverError, blocking};
use crate::kept_log::KeptLog;
use crate::mask::Mask;
use crate::proc::resolved;
use crate::step::{GRACE, StepEnd, StepOutcome};
use esclusa_model::{Digest, Millis};
use esclusa_shim::{
    End, ExitRecord, LogLimits, Observed, ShimClient, ShimCommand, ShimError, Spec, Status,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const TERM: i32 = 15;
const SPAWN: Millis = Millis::from_secs(15);
const TAIL: u64 = 4 * 1024;
/// Longest pause between looks at a command that runs.
const LOOK: Duration = Duration::from_millis(250);

/// What to run, and where its life is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastingStep {
    /// The command's words, placeholders already filled.
    pub words: Vec<String>,
    /// Added to the controller's environment, whose own `ESCLUSA_` settings are left
    /// out.
    pub env: BTreeMap<String, String>,
    /// Working folder; a relative program is taken from here.
    pub cwd: PathBuf,
    /// Longest run, counted from its start, whoever started it.
    pub timeout: Millis,
    /// The attempt's own folder; its output is in `output.log` there.
    pub dir: PathBuf,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastingEnd {
    /// It ended, now or before.
    Known(StepEnd),
    /// It is gone and nobody saw how: the machine stopped, or the supervisor was
    /// killed. What it has done is not known.
    Lost {
        /// Its last lines.
        output_tail: String,
    },
}

impl LastingStep {
    /// Runs it to its end, waits for the one that runs, or tells the recorded end.
    /// Dropping the future leaves it running; [`Self::cancel`] ends it.
    ///
    /// # Errors
    /// When its state cannot be told. Nothing was started then that did not run before.
    pub async fn run(&self, shim: &ShimCommand) -> Result<LastingEnd, DriverError> {
        let mut pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        loop {
            match self.observed().await? {
                Observed::Absent => {
                    if let Some(end) = self.start(shim).await? {
                        return Ok(LastingEnd::Known(end));
                    }
                }
                Observed::Ended(exit) => {
                    self.clean().await;
                    return Ok(LastingEnd::Known(self.ended(&exit).await));
                }
                Observed::Vanished(_) => {
                    self.clean().await;
                    let output_tail = self.output().await;
                    return Ok(LastingEnd::Lost { output_tail });
                }
                Observed::Running(status) | Observed::Orphaned(status)
                    if now().since(status.started_at) >= self.timeout =>
                {
                    return self.overdue(&status).await;
                }
                // A supervisor that is just starting is soon something else.
                Observed::Unknown(why) if waited > SPAWN.as_std() => {
                    return Err(DriverError::us(why).unsettled());
                }
                Observed::Unknown(_) => waited += pause,
                Observed::Running(_) | Observed::Orphaned(_) | Observed::Stopping(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK);
        }
    }

    /// Ends it with all that it started. Harmless when it does not run.
    ///
    /// # Errors
    /// When it is still there, or nobody can tell that it is gone.
    pub async fn cancel(&self) -> Result<(), DriverError> {
        let client = self.client();
        blocking(move || client.stop(TERM, GRACE))
            .await?
            .map(|_| ())
            .map_err(|e| DriverError::target(e.to_string()).unsettled())
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> KeptLog {
        KeptLog::new(self.client().log_path(), self.env.clone())
    }

    fn client(&self) -> ShimClient {
        ShimClient::new(&self.dir)
    }

    async fn observed(&self) -> Result<Observed, DriverError> {
        let client = self.client();
        blocking(move || client.observe()).await
    }

    /// Its last lines, without secrets.
    async fn output(&self) -> String {
        let path = self.client().log_path();
        let mask = Mask::of(&self.env);
        let read = blocking(move || esclusa_shim::tail(&path, TAIL).map(|text| mask.hide(&text)));
        read.await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Takes secrets out of what is kept of a command that is gone.
    async fn clean(&self) {
        let path = self.client().log_path();
        let mask = Mask::of(&self.env);
        let cleaned = blocking(move || {
            let older = (1..=LogLimits::default().keep)
                .map(|n| path.with_file_name(format!("output.log.{n}")));
            older
                .chain(std::iter::once(path.clone()))
                .try_for_each(|path| mask.hide_in(&path))
        });
        // What cannot be cleaned is readable by its owner and group alone.
        cleaned.await.ok();
    }

    /// Starts it; an end when it could not be.
    async fn start(&self, shim: &ShimCommand) -> Result<Option<StepEnd>, DriverError> {
        let spec = Spec {
            identity: self.identity(),
            words: resolved(self.words.clone(), &self.cwd),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            log: LogLimits::default(),
            stop_signal: TERM,
            stop_grace: GRACE,
        };
        let (shim, dir) = (shim.clone(), self.dir.clone());
        match blocking(move || esclusa_shim::spawn(&shim, &dir, &spec, SPAWN)).await? {
            // Held: another controller was quicker, and its command is the one.
            Ok(_) | Err(ShimError::Held(_)) => Ok(None),
            Err(error @ ShimError::NotStarted { .. }) => Ok(Some(StepEnd {
                end: StepOutcome::NotStarted(error.to_string()),
                output_tail: String::new(),
            })),
            Err(error) => Err(DriverError::us(error.to_string()).unsettled()),
        }
    }

    fn identity(&self) -> String {
        Digest::of(self.words.join("\0").as_bytes()).to_string()
    }

    async fn overdue(&self, status: &Status) -> Result<LastingEnd, DriverError> {
        let end = match self.cancel().await {
            Ok(()) => StepOutcome::TimedOut,
            Err(_) => StepOutcome::Stuck,
        };
        let said = self.output().await;
        let output_tail = match end {
            StepOutcome::Stuck => format!("{said}process {} is left\n", status.pid),
            _ => said,
        };
        Ok(LastingEnd::Known(StepEnd { end, output_tail }))
    }

    async fn ended(&self, exit: &ExitRecord) -> StepEnd {
        let end = match exit.end {
            // Only a controller asks it to end, and after its time or a cancel.
            _ if exit.asked => StepOutcome::TimedOut,
            End::Code(code) => StepOutcome::Exited(code),
            End::Signal(number) => StepOutcome::Signalled(number),
        };
        StepEnd {
            end,
            output_tail: self.output().await,
        }
    }
}
