//! The local proxy: found, checked, adopted or started, and started again when it dies.
//!
//! The proxy outlives this program, so most of the time there is one already. It is
//! adopted only when it is the one: its control socket was opened in this very folder,
//! by a process of this folder's owner, in the protocol that we speak, and where we keep
//! it under a supervisor, it is that supervisor's process and not a later one with its
//! number. What is not the one is neither adopted nor ended. A proxy that runs and does
//! not answer is left alone too: it may be serving users.

use crate::backoff::Backoff;
use crate::dataplane::DataPlane;
use crate::holder::Holder;
use crate::serve::ServeError;
use esclusa_model::Millis;
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_shim::{LogLimits, Observed, ShimClient, ShimCommand, Spec, procfs};
use esclusa_wire::{Generation, Hello};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;

/// Longest wait for a started proxy's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// How often the proxy is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the holder of its sockets is looked at: it does nothing that could fail.
const HOLDER_EVERY: Duration = Duration::from_secs(10);
/// How long somebody else who keeps the proxy has to start it again.
const OTHERS_TIME: Duration = Duration::from_secs(5);
/// How long requests in flight have when a proxy is told to end.
const GRACE: Millis = Millis(30_000);
const SIGTERM: i32 = 15;
const SPAWN: Millis = Millis(10_000);

/// Who starts the proxy again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeptBy {
    /// Nobody knows: no proxy was seen yet.
    #[default]
    Nobody,
    /// This program.
    Us,
    /// Somebody else, such as a unit of its own.
    Others,
}

impl KeptBy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Us => "esclusa",
            Self::Others => "others",
        }
    }
}

/// How the proxy is kept, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProxyCare {
    pub kept_by: KeptBy,
    pub pid: Option<u32>,
    /// How often it was started again since this control plane began.
    pub restarts: u32,
    /// How it was lost last.
    pub last_end: Option<String>,
    /// What is wrong with it now.
    pub trouble: Option<String>,
}

/// What a look shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// It answers and is the one.
    Good(Hello, KeptBy),
    /// Something answers that is not.
    Foreign(String),
    /// It may be there and does not answer.
    Silent(String),
    /// It is not there.
    Gone(String),
}

/// Keeps the proxy of a data folder.
#[derive(Debug, Clone)]
pub(crate) struct ProxyKeeper {
    /// The folder of the proxy itself.
    folder: PathBuf,
    /// The folder of its supervisor.
    supervised: PathBuf,
    /// Keeps its sockets.
    holder: Holder,
    words: Vec<String>,
    shim: ShimCommand,
    /// Whether somebody else starts it.
    external: bool,
}

impl ProxyKeeper {
    pub(crate) fn new(data: &Path, words: Vec<String>, shim: ShimCommand, external: bool) -> Self {
        let exe = words.first().cloned().unwrap_or_default();
        Self {
            folder: data.join("proxy"),
            supervised: data.join("instances").join("proxy"),
            holder: Holder::new(data, exe, shim.clone()),
            words,
            shim,
            external,
        }
    }

    /// Whether somebody else starts the proxy.
    pub(crate) const fn is_external(&self) -> bool {
        self.external
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("proxy.sock")
    }

    pub(crate) fn client(&self) -> ControlClient {
        ControlClient::new(self.socket())
    }

    /// What the proxy has in force, or had when it was there last.
    pub(crate) async fn in_force(&self) -> Option<Generation> {
        match self.client().generation().await {
            Ok(generation) => generation,
            Err(_) => esclusa_proxy::saved_state(&self.folder).map(|state| state.generation),
        }
    }

    /// Looks once.
    pub(crate) async fn look(&self) -> Look {
        match self.client().hello().await {
            Ok(hello) => match self.identify(&hello).await {
                Ok(kept_by) => Look::Good(hello, kept_by),
                Err(why) => Look::Foreign(why),
            },
            Err(error @ (ControlError::Protocol { .. } | ControlError::Refused(_))) => {
                Look::Foreign(error.to_string())
            }
            Err(ControlError::Unreachable { why, .. }) => match self.observe().await {
                Observed::Absent => Look::Gone(why),
                Observed::Ended(exit) => Look::Gone(format!("it ended with {}", exit.end)),
                Observed::Vanished(_) => {
                    Look::Gone("it is gone together with its supervisor".into())
                }
                Observed::Running(status) | Observed::Orphaned(status) => Look::Silent(format!(
                    "process {} runs and does not answer: {why}",
                    status.pid
                )),
                Observed::Stopping(_) => Look::Silent("it is being stopped".into()),
                Observed::Unknown(why) => Look::Silent(why),
            },
        }
    }

    async fn observe(&self) -> Observed {
        let shim = ShimClient::new(&self.supervised);
        tokio::task::spawn_blocking(move || shim.observe())
            .await
            .unwrap_or_else(|error| Observed::Unknown(error.to_string()))
    }

    /// Whether what answers is the proxy of this folder, and who keeps it.
    async fn identify(&self, hello: &Hello) -> Result<KeptBy, String> {
        let socket = self.socket();
        let stream = UnixStream::connect(&socket)
            .await
            .map_err(|error| format!("its socket: {error}"))?;
        let peer = stream.peer_cred().map_err(|error| error.to_string())?;
        let owner = std::fs::metadata(&self.folder)
            .map_err(|error| format!("{}: {error}", self.folder.display()))?
            .uid();
        if peer.uid() != owner && peer.uid() != 0 {
            return Err(format!(
                "user {} answers on {}, which belongs to user {owner}",
                peer.uid(),
                socket.display()
            ));
        }
        let bound = stream.peer_addr().map_err(|error| error.to_string())?;
        if let Some(bound) = bound.as_pathname()
            && bound.is_absolute()
            && !same_folder(bound, &socket, self.external)
        {
            return Err(format!(
                "it was started for {}, not for {}",
                bound.display(),
                socket.display()
            ));
        }
        match self.observe().await {
            Observed::Running(status) | Observed::Orphaned(status) | Observed::Stopping(status) => {
                Ok(if is_of(hello.pid, &status) {
                    KeptBy::Us
                } else {
                    KeptBy::Others
                })
            }
            Observed::Absent
            | Observed::Ended(_)
            | Observed::Vanished(_)
            | Observed::Unknown(_) => Ok(KeptBy::Others),
        }
    }

    /// Starts one and waits for its first answer.
    ///
    /// # Errors
    /// When it does not run, with the place of its output.
    pub(crate) async fn start(&self) -> Result<Hello, String> {
        let mut words = self.words.clone();
        words.extend(["--data".into(), self.folder.display().to_string()]);
        let held = self.holder.folder();
        words.extend(["--holder".into(), held.display().to_string()]);
        self.holder.ensure().await;
        let spec = Spec {
            identity: "proxy".into(),
            words,
            env: BTreeMap::new(),
            cwd: self
                .supervised
                .parent()
                .map_or_else(|| "/".into(), Into::into),
            log: LogLimits::default(),
            stop_signal: SIGTERM,
            stop_grace: GRACE,
        };
        let (shim, supervised) = (self.shim.clone(), self.supervised.clone());
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&spec.cwd).map_err(|e| e.to_string())?;
            // What an earlier one left behind must be gone before its address is used again.
            ShimClient::new(&supervised)
                .stop(SIGTERM, GRACE)
                .map_err(|e| e.to_string())?;
            esclusa_shim::spawn(&shim, &supervised, &spec, SPAWN).map_err(|e| e.to_string())
        })
        .await
        .map_err(|error| error.to_string())??;
        let deadline = Instant::now() + FIRST_ANSWER;
        loop {
            match self.client().hello().await {
                Ok(hello) => return Ok(hello),
                Err(error) if Instant::now() > deadline => {
                    let log = self.supervised.join("output.log");
                    return Err(format!("{error}; its output is in {}", log.display()));
                }
                Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    /// What is there when the control plane begins: a proxy that is adopted, or none.
    ///
    /// # Errors
    /// When something else answers in its place.
    pub(crate) async fn begin(&self) -> Result<Look, ServeError> {
        let look = self.look().await;
        match &look {
            Look::Good(hello, kept_by) => tracing::info!(
                pid = hello.pid,
                kept_by = kept_by.as_str(),
                "The running proxy is adopted"
            ),
            Look::Foreign(why) => {
                return Err(ServeError::Proxy(format!(
                    "what answers on {} is not the proxy of this data folder, and is left as \
                     it is: {why}",
                    self.socket().display()
                )));
            }
            Look::Silent(why) | Look::Gone(why) => tracing::info!(why, "No proxy answers yet"),
        }
        Ok(look)
    }

    /// Keeps the proxy until the program ends.
    pub(crate) async fn keep(self, plane: Arc<DataPlane>, first: Look) {
        let mut care = ProxyCare::default();
        let mut backoff = Backoff::default();
        let mut up_since: Option<Instant> = None;
        let mut look = first;
        let mut holder_looked_at: Option<Instant> = None;
        loop {
            if !self.external && holder_looked_at.is_none_or(|at| at.elapsed() > HOLDER_EVERY) {
                self.holder.ensure().await;
                holder_looked_at = Some(Instant::now());
            }
            match look {
                Look::Good(hello, kept_by) => {
                    if care.pid != Some(hello.pid) {
                        up_since = Some(Instant::now());
                    }
                    (care.pid, care.kept_by, care.trouble) = (Some(hello.pid), kept_by, None);
                    plane.admit(Ok(()));
                }
                Look::Foreign(why) => {
                    tell(
                        &mut care,
                        format!("something else answers in its place: {why}"),
                    );
                    plane.admit(Err(why));
                }
                Look::Silent(why) => tell(&mut care, why),
                Look::Gone(why) if self.external => {
                    care.pid = None;
                    tell(
                        &mut care,
                        format!("{why}; whoever keeps it has to start it"),
                    );
                }
                Look::Gone(why) => {
                    let lasted = up_since.take().map_or(Duration::ZERO, |at| at.elapsed());
                    let pause = match care.kept_by {
                        KeptBy::Others => OTHERS_TIME,
                        KeptBy::Us | KeptBy::Nobody => backoff.pause_after(lasted),
                    };
                    care.pid = None;
                    care.last_end = Some(why.clone());
                    tell(&mut care, why);
                    plane.note(&care);
                    self.start_again(&mut care, pause).await;
                }
            }
            plane.note(&care);
            tokio::time::sleep(LOOK_EVERY).await;
            look = self.look().await;
        }
    }

    async fn start_again(&self, care: &mut ProxyCare, pause: Duration) {
        tokio::time::sleep(pause).await;
        // Somebody else may have been quicker.
        if !matches!(self.look().await, Look::Gone(_)) {
            return;
        }
        care.restarts = care.restarts.saturating_add(1);
        care.kept_by = KeptBy::Us;
        match self.start().await {
            Ok(hello) => tracing::warn!(
                pid = hello.pid,
                restarts = care.restarts,
                "The proxy is started again"
            ),
            Err(why) => tell(care, why),
        }
    }
}

/// Says what is wrong, once for each thing.
fn tell(care: &mut ProxyCare, why: String) {
    if care.trouble.as_ref() != Some(&why) {
        tracing::error!(reason = why, "The proxy cannot be reached");
    }
    care.trouble = Some(why);
}

/// Whether a process is the supervised one, or was started below it.
fn is_of(pid: u32, status: &esclusa_shim::Status) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    if pid == status.pid {
        return procfs::is_same(status.pid, status.start_ticks, &status.boot);
    }
    procfs::descendants(status.shim_pid)
        .iter()
        .any(|process| process.pid == pid)
}

/// Whether two sockets stand in one folder, by whatever names it goes. A folder that
/// cannot be seen from here proves nothing about a proxy that others keep: it may live in
/// a container.
fn same_folder(bound: &Path, expected: &Path, external: bool) -> bool {
    let folder = |path: &Path| {
        let seen = path
            .parent()
            .and_then(|folder| std::fs::metadata(folder).ok());
        seen.map(|seen| (seen.dev(), seen.ino()))
    };
    match (folder(bound), folder(expected)) {
        (Some(bound), Some(expected)) => bound == expected,
        _ => external,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Json;
    use axum::routing::get;
    use esclusa_wire::WIRE_VERSION;
    use serde_json::{Value, json};

    fn keeper(data: &Path, external: bool) -> ProxyKeeper {
        let shim = ShimCommand {
            program: "/bin/false".into(),
            args: Vec::new(),
        };
        std::fs::create_dir_all(data.join("proxy")).expect("a folder");
        ProxyKeeper::new(data, vec!["/bin/false".into()], shim, external)
    }

    /// Something that answers like a proxy.
    fn answer(socket: &Path, hello: Value) {
        let listener = tokio::net::UnixListener::bind(socket).expect("bound");
        let router = axum::Router::new().route("/v1/hello", get(move || async { Json(hello) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    fn hello(v: u16) -> Value {
        json!({ "v": v, "proxy": "local", "boot": "b-1", "pid": std::process::id() })
    }

    // TRF-10: what answers and is not the proxy of this folder is never taken for it.
    #[tokio::test]
    async fn a_proxy_is_adopted_only_where_it_was_started() {
        let dir = tempfile::tempdir().expect("a folder");
        let (here, moved) = (dir.path().join("here"), dir.path().join("moved"));
        let kept = keeper(&here, false);
        assert!(matches!(kept.look().await, Look::Gone(_)));
        answer(&kept.socket(), hello(WIRE_VERSION));
        let look = kept.look().await;
        assert!(matches!(look, Look::Good(_, KeptBy::Others)), "{look:?}");

        // The folder was copied, sockets and all: the process still serves the first one.
        std::fs::rename(&here, &moved).expect("moved");
        let copy = keeper(&moved, false);
        let Look::Foreign(why) = copy.look().await else {
            panic!("it belongs elsewhere");
        };
        assert!(why.contains("it was started for"), "{why}");
        assert!(matches!(copy.begin().await, Err(ServeError::Proxy(_))));
        // From within another container the first name may mean nothing.
        let look = keeper(&moved, true).look().await;
        assert!(matches!(look, Look::Good(..)), "{look:?}");
        std::fs::create_dir_all(here.join("proxy")).expect("made");
        let look = keeper(&moved, true).look().await;
        assert!(matches!(look, Look::Foreign(_)), "{look:?}");
    }

    #[tokio::test]
    async fn what_speaks_otherwise_is_not_touched() {
        let dir = tempfile::tempdir().expect("a folder");
        let kept = keeper(dir.path(), false);
        answer(&kept.socket(), hello(WIRE_VERSION + 1));
        let Look::Foreign(why) = kept.look().await else {
            panic!("it speaks another version");
        };
        assert!(why.contains("it speaks version"), "{why}");
    }
}
