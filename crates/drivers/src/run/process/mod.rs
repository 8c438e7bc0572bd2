//! `process`: versions kept by digest and run as processes that outlive us.
//!
//! Each instance has a folder with its port, its track and its supervisor's files; a
//! controller that starts again finds the instance by that folder. What ended stays
//! there to be looked at.

mod config;
mod instance;

use self::config::describe;
use self::instance::{Known, name};
use super::{
    Adapter, ArtifactError, Drain, Found, InstanceSpec, InstanceState, PrepareSpec, Prepared,
    Pulse, RunDriver, RunSettings, Running, Stopped, Told, store_artifact,
};
use crate::error::{DriverError, blocking};
use crate::kept_log::KeptLog;
use crate::probe::Look;
use crate::proc::{Order, run};
use crate::template::{fill, fill_words};
use async_trait::async_trait;
use esclusa_model::{Millis, Track};
use esclusa_plan::Placeholders;
use esclusa_shim::{ExitRecord, Observed, ShimCommand, Status};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

pub(super) const NAME: &str = "process";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |settings: &RunSettings| Arc::new(Processes::new(settings.shim.clone())),
};

/// Longest time for what did not become ready to end by itself.
const GIVE_UP_GRACE: Millis = Millis::from_secs(2);
struct Processes {
    shim: ShimCommand,
    /// One turn an instance: looking and starting must not interleave.
    turns: Mutex<BTreeMap<PathBuf, Arc<AsyncMutex<()>>>>,
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
    async fn running(&self, known: &mut Known) -> Result<(u16, Status, Found), DriverError> {
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
            Observed::Absent | Observed::Ended(_) => {
                let (port, status) = known.spawn(&self.shim).await?;
                Ok((port, status, Found::Started))
            }
            Observed::Vanished(_) => {
                // Its children may have outlived it and its supervisor.
                known.clear().await?;
                let (port, status) = known.spawn(&self.shim).await?;
                Ok((port, status, Found::Started))
            }
            Observed::Stopping(_) => {
                // Somebody changed their mind half-way. It has been told to end, so its
                // end comes first.
                known.stop(known.config.drain()).await?;
                let (port, status) = known.spawn(&self.shim).await?;
                Ok((port, status, Found::Started))
            }
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

    fn log(&self, spec: &InstanceSpec) -> Option<KeptLog> {
        let known = Known::of(spec).ok()?;
        let path = known.folder.shim().log_path();
        Some(KeptLog::new(path, known.config.env))
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Running, DriverError> {
        let mut known = Known::of(spec)?;
        let (port, status, how) = self.running(&mut known).await?;
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

    async fn pulse(&self, spec: &InstanceSpec) -> Pulse {
        pulse(spec)
            .await
            .unwrap_or_else(|e| Pulse::Unknown(e.message))
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

async fn pulse(spec: &InstanceSpec) -> Result<Pulse, DriverError> {
    let known = Known::of(spec)?;
    Ok(match known.observed().await? {
        Observed::Running(status) | Observed::Orphaned(status) => {
            if status.identity == known.folder.identity() {
                Pulse::Runs {
                    address: known.folder.port()?.and_then(|port| known.address(port)),
                    pid: status.pid,
                }
            } else {
                Pulse::Unknown("something else runs under this instance's name".into())
            }
        }
        Observed::Ended(exit) if exit.asked => {
            Pulse::Taken(format!("it was told to end and ended with {}", exit.end))
        }
        // A machine that stops ends everything, in an order that nobody knows.
        Observed::Ended(_) if known.of_an_earlier_boot().await => {
            Pulse::Taken("it ended when its machine stopped".into())
        }
        Observed::Ended(exit) => Pulse::Ended {
            end: exit.end,
            at: exit.at,
            output: known.log_tail().await,
        },
        Observed::Vanished(_) => Pulse::Taken("it is gone together with its supervisor".into()),
        Observed::Absent => Pulse::Absent,
        Observed::Stopping(_) => Pulse::Unknown("it is being stopped".into()),
        Observed::Unknown(why) => Pulse::Unknown(why),
    })
}

async fn exited(known: &Known, exit: Option<ExitRecord>) -> InstanceState {
    InstanceState::Exited {
        end: exit.as_ref().map(|e| e.end),
        at: exit.as_ref().map(|e| e.at),
        output: known.log_tail().await,
    }
}

/// By hook, else by signal, else by the file alone.
async fn tell(known: &Known, track: Track) -> Result<Told, DriverError> {
    let port = known.folder.port()?.unwrap_or_default();
    if let Some(hook) = &known.config.track_hook {
        let values = known.values(port).with("track", track.as_str());
        let timeout = known.config.track_timeout();
        let done = run(Order {
            words: fill_words(hook, &values)?,
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
