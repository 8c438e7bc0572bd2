//! The process that keeps the proxy's listening sockets open whatever happens to it.

use esclusa_model::Millis;
use esclusa_shim::hold::HoldClient;
use esclusa_shim::{LogLimits, Observed, ShimClient, ShimCommand, ShimError, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SIGTERM: i32 = 15;
/// It has nothing to finish.
const GRACE: Millis = Millis(2_000);
/// Longest wait for its first answer.
const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// The holder of a data folder's proxy.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    folder: PathBuf,
    /// The folder of its supervisor.
    supervised: PathBuf,
    /// This program.
    exe: String,
    shim: ShimCommand,
}

impl Holder {
    pub(crate) fn new(data: &Path, exe: String, shim: ShimCommand) -> Self {
        Self {
            folder: data.join("proxy").join("held"),
            supervised: data.join("instances").join("holder"),
            exe,
            shim,
        }
    }

    /// Where it answers.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sees to it that it runs. One that answers is left alone: it may be all that keeps
    /// clients from being refused. Without one the proxy works, and only its crash would
    /// refuse connections, so a failure is only logged.
    pub(crate) async fn ensure(&self) {
        let own = self.clone();
        let started = tokio::task::spawn_blocking(move || own.start_unless_answered()).await;
        match started {
            Ok(Ok(Started::Already)) => return,
            Ok(Ok(Started::Now)) => {}
            Ok(Err(error)) => return tracing::error!(%error, "The proxy's sockets are not held"),
            Err(error) => return tracing::error!(%error, "The proxy's sockets are not held"),
        }
        let until = tokio::time::Instant::now() + LIMIT;
        while !self.answers() {
            if tokio::time::Instant::now() > until {
                return tracing::error!("The proxy's sockets are not held: no holder answers");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn answers(&self) -> bool {
        HoldClient::connect(&self.folder)
            .and_then(|mut holder| holder.list())
            .is_ok()
    }

    fn start_unless_answered(&self) -> Result<Started, ShimError> {
        if self.answers() {
            return Ok(Started::Already);
        }
        let client = ShimClient::new(&self.supervised);
        if !matches!(client.observe(), Observed::Absent | Observed::Ended(_)) {
            client.stop(SIGTERM, GRACE)?;
        }
        let folder = self.folder.display().to_string();
        let spec = Spec {
            identity: "holder".into(),
            words: vec![self.exe.clone(), "shim".into(), "hold".into(), folder],
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            log: LogLimits::default(),
            stop_signal: SIGTERM,
            stop_grace: GRACE,
        };
        esclusa_shim::spawn(&self.shim, &self.supervised, &spec, Millis(10_000))?;
        Ok(Started::Now)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Started {
    Already,
    Now,
}
