//! `process`: versions kept by digest and run as processes that outlive us.
//!
//! Each instance has a folder with its port, its track and its supervisor's files; a
//! controller that starts again finds the instance by that folder. What ended stays
//! there to be looked at.

mod config;
mod folder;
mod ports;

use self::config::{Config, describe};
use self::folder::Folder;
use super::{
    Adapter, Drain, Found, InstanceAddress, InstanceSpec, InstanceState, Pauses, PrepareSpec,
    Prepared, RunDriver, RunSettings, Running, Stopped, Told, Waited, store_artifact,
};
use crate::error::{DriverError, blocking};
use crate::fields::read;
use crate::probe::{Look, View};
use crate::proc::{Order, resolved, run};
use crate::run::ArtifactError;
use crate::template::{Placeholders, fill, fill_all, fill_map};
use async_trait::async_trait;
use esclusa_model::{ComponentKind, Millis, Timestamp, Track};
use esclusa_shim::{ExitRecord, LogLimits, Observed, ShimCommand, ShimError, Spec, Status};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::Mutex as AsyncMutex;

pub(super) const NAME: &str = "process";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |settings: &RunSettings| Arc::new(Processes::new(settings.shim.clone())),
};

/// Longest wait for a supervisor to say whether its process runs.
const SPAWN: Millis = Millis::from_secs(15);
/// Longest time for what did not become ready to end by itself.
const GIVE_UP_GRACE: Millis = Millis::from_secs(2);
/// How much of an instance's output is told.
const TAIL: u64 = 4 * 1024;

struct Processes {
    shim: ShimCommand,
    /// One turn an instance: looking and starting must not interleave.
    turns: Mutex<BTreeMap<PathBuf, Arc<AsyncMutex<()>>>>,
}

/// An instance's block and folder, its texts not yet filled.
struct Known<'a> {
    spec: &'a InstanceSpec,
    config: Config,
    folder: Folder,
}

impl<'a> Known<'a> {
    fn of(spec: &'a InstanceSpec) -> Result<Self, DriverError> {
        Ok(Self {
            spec,
            config: read(NAME, &spec.config)?,
            folder: Folder::of(spec)?,
        })
    }

    fn values(&self, port: u16) -> Placeholders {
        self.spec.values().with("port", port.to_string())
    }

    /// What the process and its hooks find in their environment.
    fn env(&self, port: u16, track: Track) -> Result<BTreeMap<String, String>, DriverError> {
        let mut env = fill_map(&self.config.env, &self.values(port))?;
        env.extend(self.spec.identity.env());
        env.insert("ESCLUSA_TRACK".into(), track.to_string());
        let file = self.folder.track_file();
        env.insert("ESCLUSA_TRACK_FILE".into(), file.to_string_lossy().into());
        env.insert("PORT".into(), port.to_string());
        Ok(env)
    }

    fn cwd(&self, values: &Placeholders) -> Result<PathBuf, DriverError> {
        match (&self.config.cwd, &self.spec.dir) {
            (Some(cwd), _) => Ok(self.spec.base_dir.join(fill(cwd, values)?)),
            (None, Some(dir)) => Ok(dir.clone()),
            (None, None) => Err(DriverError::us("the version's folder is not known")),
        }
    }

    fn address(&self, port: u16) -> Option<InstanceAddress> {
        (self.spec.identity.kind == ComponentKind::Web).then(|| InstanceAddress::local(port))
    }

    fn running(&self, port: u16, status: &Status, how: Found) -> Running {
        Running {
            address: self.address(port),
            pid: Some(status.pid),
            how,
            log: Some(self.folder.shim().log_path()),
        }
    }

    async fn observed(&self) -> Result<Observed, DriverError> {
        let shim = self.folder.shim();
        blocking(move || shim.observe()).await
    }

    async fn log_tail(&self) -> String {
        let path = self.folder.shim().log_path();
        let read = blocking(move || esclusa_shim::tail(&path, TAIL)).await;
        read.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Looks at a process that runs.
    async fn look(
        &self,
        port: u16,
        status: &Status,
        patience: Millis,
    ) -> Result<Look, DriverError> {
        let values = self.values(port);
        // A worker may have a health port without being reached by users.
        let address = InstanceAddress::local(port);
        let view = View {
            address: Some(&address),
            values: &values,
            env: &self.env(port, self.spec.identity.track)?,
            cwd: self.cwd(&values)?,
            age: Some(now().since(status.started_at)),
        };
        let ready = self.config.readiness(self.spec.identity.kind);
        ready.look(&view, patience).await
    }

    /// Starts the process. Nothing runs after an error.
    async fn spawn(&self, shim: &ShimCommand) -> Result<(u16, Status), DriverError> {
        let port = self.folder.claim_port().await?;
        let values = self.values(port);
        let track = self.spec.identity.track;
        self.folder.write_track(track)?;
        let cwd = self.cwd(&values)?;
        let spec = Spec {
            identity: self.folder.identity().to_owned(),
            words: resolved(fill_all(&self.config.command, &values)?, &cwd),
            env: self.env(port, track)?,
            cwd,
            log: LogLimits::default(),
            stop_signal: self.config.stop_signal(),
            stop_grace: self.config.drain(),
        };
        let (shim, path) = (shim.clone(), self.folder.path().to_owned());
        let spawned = blocking(move || esclusa_shim::spawn(&shim, &path, &spec, SPAWN)).await?;
        let status = spawned.map_err(|e| match e {
            ShimError::NotStarted { .. } => DriverError::config(e.to_string()),
            ShimError::Silent(_) => DriverError::us(e.to_string()).unsettled(),
            other => DriverError::us(other.to_string()),
        })?;
        Ok((port, status))
    }

    /// Waits until it is ready, as long as it runs.
    async fn ready(&self, port: u16, status: &Status) -> Result<(), DriverError> {
        let within = self.config.readiness(self.spec.identity.kind).within;
        let mut pauses = Pauses::within(within);
        let error = loop {
            match self.ready_now(port, status, pauses.left()).await {
                Ok(Look::Ready) => return Ok(()),
                Ok(Look::NotReady(_)) if pauses.next().await == Waited::Again => {}
                Ok(Look::NotReady(why)) => {
                    break DriverError::target(format!("not ready within {within}: {why}"));
                }
                Err(e) => break e,
            }
        };
        Err(error.with_output(self.log_tail().await))
    }

    async fn ready_now(
        &self,
        port: u16,
        status: &Status,
        patience: Millis,
    ) -> Result<Look, DriverError> {
        let look = self.look(port, status, patience).await?;
        // Asked last: somebody else may answer on the port of a dead process.
        match self.observed().await? {
            Observed::Running(s) | Observed::Orphaned(s) if s.pid == status.pid => Ok(look),
            Observed::Unknown(why) => Ok(Look::NotReady(why)),
            Observed::Ended(exit) => Err(DriverError::target(format!(
                "it ended with {} before it was ready",
                exit.end
            ))),
            other => Err(DriverError::target(format!(
                "it is gone before it was ready ({})",
                name(&other)
            ))),
        }
    }

    async fn stop(&self, grace: Millis) -> Result<Stopped, DriverError> {
        let (shim, signal) = (self.folder.shim(), self.config.stop_signal());
        let before = self.observed().await?;
        if let Observed::Absent | Observed::Ended(_) | Observed::Vanished(_) = before {
            // What vanished may have left children; stopping finds them.
            if !matches!(before, Observed::Vanished(_)) {
                self.folder.release_port();
                return Ok(Stopped::AlreadyGone);
            }
        }
        let stopped = blocking(move || shim.stop(signal, grace)).await?;
        let stopped = stopped.map_err(|e| DriverError::target(e.to_string()).unsettled())?;
        self.folder.release_port();
        Ok(match stopped {
            esclusa_shim::Stopped::Ended(exit) => Stopped::Gone {
                end: Some(exit.end),
            },
            esclusa_shim::Stopped::Gone => Stopped::Gone { end: None },
            esclusa_shim::Stopped::Absent => Stopped::AlreadyGone,
        })
    }
}

fn name(observed: &Observed) -> &'static str {
    match observed {
        Observed::Absent => "never started",
        Observed::Running(_) => "another process runs in its place",
        Observed::Stopping(_) => "it is being stopped",
        Observed::Orphaned(_) => "another process, without supervisor",
        Observed::Ended(_) => "ended",
        Observed::Vanished(_) => "ended with nobody to see how",
        Observed::Unknown(_) => "unknown",
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
}

impl Processes {
    fn new(shim: ShimCommand) -> Self {
        Self {
            shim,
            turns: Mutex::default(),
        }
    }

    fn turn(&self, folder: &Path) -> Arc<AsyncMutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Turns that nobody holds or waits for are not needed any more.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(folder.to_owned()).or_default().clone()
    }

    /// The running process, found or started.
    async fn running(&self, known: &Known<'_>) -> Result<(u16, Status, Found), DriverError> {
        let turn = self.turn(known.folder.path());
        let _turn = turn.lock().await;
        match known.observed().await? {
            Observed::Running(status) | Observed::Orphaned(status) => {
                if status.identity != known.folder.identity() {
                    return Err(DriverError::us(format!(
                        "{} runs something else under this instance's name",
                        known.folder.path().display()
                    )));
                }
                let port = known.folder.port()?.ok_or_else(|| {
                    DriverError::us("the running instance's port is not recorded")
                })?;
                Ok((port, status, Found::Adopted))
            }
            Observed::Absent | Observed::Ended(_) | Observed::Vanished(_) => {
                let (port, status) = known.spawn(&self.shim).await?;
                Ok((port, status, Found::Started))
            }
            Observed::Stopping(_) => Err(DriverError::target("it is being stopped")),
            Observed::Unknown(why) => Err(DriverError::us(why).unsettled()),
        }
    }
}

#[async_trait]
impl RunDriver for Processes {
    async fn prepare(&self, spec: &PrepareSpec) -> Result<Prepared, DriverError> {
        let template = spec.artifact.as_ref().ok_or_else(|| {
            DriverError::config("process: `artifact` says which file, folder or tar to run")
        })?;
        let values = Placeholders::new()
            .with("version", spec.version.as_str())
            .with("release", spec.release.as_str());
        let source = spec.base_dir.join(fill(template, &values)?);
        let versions = spec.data_dir.join("versions");
        let stored = blocking(move || store_artifact(&source, &versions)).await?;
        let stored = stored.map_err(|e| match e {
            ArtifactError::Unusable { .. } => DriverError::config(e.to_string()),
            ArtifactError::Store { .. } => DriverError::us(e.to_string()),
        })?;
        Ok(Prepared {
            digest: stored.digest,
            verified: true,
            dir: Some(stored.dir),
        })
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Running, DriverError> {
        let known = Known::of(spec)?;
        let (port, status, how) = self.running(&known).await?;
        let Err(error) = known.ready(port, &status).await else {
            return Ok(known.running(port, &status, how));
        };
        if how == Found::Adopted {
            return Err(error);
        }
        match known.stop(GIVE_UP_GRACE.min(known.config.drain())).await {
            Ok(_) => Err(error),
            Err(more) => Err(DriverError {
                message: format!("{}; then {}", error.message, more.message),
                ..error
            }
            .unsettled()),
        }
    }

    async fn observe(&self, spec: &InstanceSpec) -> InstanceState {
        observe(spec)
            .await
            .unwrap_or_else(|e| InstanceState::Unknown(e.message))
    }

    async fn set_track(&self, spec: &InstanceSpec, track: Track) -> Result<Told, DriverError> {
        let known = Known::of(spec)?;
        let turn = self.turn(known.folder.path());
        let _turn = turn.lock().await;
        match known.observed().await? {
            Observed::Running(_) | Observed::Orphaned(_) => {}
            other => {
                return Err(DriverError::target(format!(
                    "it cannot be told its track: {}",
                    name(&other)
                )));
            }
        }
        known.folder.write_track(track)?;
        tell(&known, track).await
    }

    async fn stop(&self, spec: &InstanceSpec, drain: Drain) -> Result<Stopped, DriverError> {
        let known = Known::of(spec)?;
        let turn = self.turn(known.folder.path());
        let _turn = turn.lock().await;
        known
            .stop(match drain {
                Drain::AsConfigured => known.config.drain(),
                Drain::Within(limit) => limit,
            })
            .await
    }
}

async fn observe(spec: &InstanceSpec) -> Result<InstanceState, DriverError> {
    let known = Known::of(spec)?;
    let status = match known.observed().await? {
        Observed::Running(status) | Observed::Orphaned(status) => status,
        Observed::Absent => return Ok(InstanceState::Absent),
        Observed::Stopping(_) => {
            return Ok(InstanceState::NotReady("it is being stopped".into()));
        }
        Observed::Unknown(why) => return Ok(InstanceState::Unknown(why)),
        Observed::Ended(exit) => return Ok(exited(&known, Some(exit)).await),
        Observed::Vanished(_) => return Ok(exited(&known, None).await),
    };
    if status.identity != known.folder.identity() {
        return Ok(InstanceState::Unknown(
            "something else runs under this instance's name".into(),
        ));
    }
    let Some(port) = known.folder.port()? else {
        return Ok(InstanceState::Unknown("its port is not recorded".into()));
    };
    Ok(
        match known.look(port, &status, Millis::from_secs(5)).await? {
            Look::Ready => InstanceState::Ready(known.running(port, &status, Found::Adopted)),
            Look::NotReady(why) => InstanceState::NotReady(why),
        },
    )
}

async fn exited(known: &Known<'_>, exit: Option<ExitRecord>) -> InstanceState {
    InstanceState::Exited {
        end: exit.as_ref().map(|e| e.end),
        at: exit.as_ref().map(|e| e.at),
        output: known.log_tail().await,
    }
}

/// By hook, else by signal, else by the file alone.
async fn tell(known: &Known<'_>, track: Track) -> Result<Told, DriverError> {
    let port = known.folder.port()?.unwrap_or_default();
    if let Some(hook) = &known.config.track_hook {
        let values = known.values(port).with("track", track.as_str());
        let timeout = known.config.track_timeout();
        let done = run(Order {
            words: fill_all(hook, &values)?,
            env: known.env(port, track)?,
            cwd: known.cwd(&values)?,
            timeout,
            grace: Millis(500),
            log: None,
        })
        .await;
        return match done.complaint(timeout) {
            None => Ok(Told::Hook),
            Some(why) => {
                Err(DriverError::target(format!("track-hook: {why}")).with_output(done.output))
            }
        };
    }
    if let Some(signal) = known.config.track_signal() {
        let shim = known.folder.shim();
        return blocking(move || shim.signal(signal))
            .await?
            .map(|()| Told::Signal)
            .map_err(|e| DriverError::target(format!("track-signal: {e}")));
    }
    Ok(Told::FileOnly)
}
