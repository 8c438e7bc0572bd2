//! One instance: its block, its folder, and what can be done with its process.

use super::NAME;
use super::config::Config;
use crate::clock::now;
use crate::error::{DriverError, blocking};
use crate::fields::read;
use crate::mask::Mask;
use crate::probe::{Look, View};
use crate::proc::resolved;
use crate::run::folder::Folder;
use crate::run::pauses::{Pauses, Waited};
use crate::run::{Found, InstanceAddress, InstanceSpec, Running, Stopped, unchanged_copy};
use crate::template::{fill, fill_map, fill_words};
use esclusa_model::{ComponentKind, Millis, Track};
use esclusa_plan::Placeholders;
use esclusa_shim::{LogLimits, Observed, ShimCommand, ShimError, Spec, Status};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Longest wait for a supervisor to say whether its process runs.
const SPAWN: Millis = Millis::from_secs(15);
/// How much of an instance's output is told.
const TAIL: u64 = 4 * 1024;

/// An instance's block and folder, its texts not yet filled.
pub(super) struct Known {
    pub(super) spec: InstanceSpec,
    pub(super) config: Config,
    pub(super) folder: Folder,
}

impl Known {
    pub(super) fn of(spec: &InstanceSpec) -> Result<Self, DriverError> {
        Ok(Self {
            spec: spec.clone(),
            config: read(NAME, &spec.config)?,
            folder: Folder::of(spec)?,
        })
    }

    pub(super) fn values(&self, port: u16) -> Placeholders {
        self.spec.values().with("port", port.to_string())
    }

    /// What the process and its hooks find in their environment.
    pub(super) fn env(
        &self,
        port: u16,
        track: Track,
    ) -> Result<BTreeMap<String, String>, DriverError> {
        let mut env = fill_map(&self.config.env, &self.values(port))?;
        env.extend(self.spec.identity.env());
        env.insert("ESCLUSA_TRACK".into(), track.to_string());
        let file = self.folder.track_file();
        env.insert("ESCLUSA_TRACK_FILE".into(), file.to_string_lossy().into());
        env.insert("PORT".into(), port.to_string());
        Ok(env)
    }

    pub(super) fn cwd(&self, values: &Placeholders) -> Result<PathBuf, DriverError> {
        match (&self.config.cwd, &self.spec.dir) {
            (Some(cwd), _) => Ok(self.spec.base_dir.join(fill(cwd, values)?)),
            (None, Some(dir)) => Ok(dir.clone()),
            (None, None) => Err(DriverError::us("the version's folder is not known")),
        }
    }

    pub(super) fn address(&self, port: u16) -> Option<InstanceAddress> {
        (self.spec.identity.kind == ComponentKind::Web).then(|| InstanceAddress::local(port))
    }

    pub(super) fn running(&self, port: u16, status: &Status, how: Found) -> Running {
        Running {
            address: self.address(port),
            pid: Some(status.pid),
            how,
            log: Some(self.folder.shim().log_path()),
        }
    }

    pub(super) async fn observed(&self) -> Result<Observed, DriverError> {
        let shim = self.folder.shim();
        blocking(move || shim.observe()).await
    }

    pub(super) async fn log_tail(&self) -> String {
        let path = self.folder.shim().log_path();
        let mask = Mask::of(&self.config.env);
        let read = blocking(move || esclusa_shim::tail(&path, TAIL).map(|text| mask.hide(&text)));
        read.await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Looks at a process that runs.
    pub(super) async fn look(
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

    /// Whether what is recorded here happened before the machine was started last.
    pub(super) async fn of_an_earlier_boot(&self) -> bool {
        let shim = self.folder.shim();
        let boot = blocking(move || shim.boot()).await.ok().flatten();
        boot.is_some_and(|boot| boot != esclusa_shim::procfs::boot_id())
    }

    /// Ends what a process that is gone has left behind.
    pub(super) async fn clear(&self) -> Result<(), DriverError> {
        let (shim, signal) = (self.folder.shim(), self.config.stop_signal());
        let cleared = blocking(move || shim.stop(signal, Millis::ZERO)).await?;
        cleared
            .map(|_| ())
            .map_err(|e| DriverError::us(e.to_string()).unsettled())
    }

    /// What runs is what was kept, or nothing runs.
    async fn verify(&mut self) -> Result<(), DriverError> {
        if let Some(dir) = self.spec.dir.clone() {
            let copy = blocking(move || unchanged_copy(&dir)).await?;
            self.spec.dir = Some(copy.map_err(|e| DriverError::us(e.to_string()))?);
        }
        Ok(())
    }

    /// Starts the process. Nothing runs after an error.
    pub(super) async fn spawn(&mut self, shim: &ShimCommand) -> Result<(u16, Status), DriverError> {
        self.verify().await?;
        let port = self.folder.claim_port().await?;
        let values = self.values(port);
        let track = self.spec.identity.track;
        self.folder.write_track(track)?;
        let cwd = self.cwd(&values)?;
        let spec = Spec {
            identity: self.folder.identity().to_owned(),
            words: resolved(fill_words(&self.config.command, &values)?, &cwd),
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
    pub(super) async fn ready(&self, port: u16, status: &Status) -> Result<(), DriverError> {
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

    pub(super) async fn ready_now(
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

    pub(super) async fn stop(&self, grace: Millis) -> Result<Stopped, DriverError> {
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

pub(super) fn name(observed: &Observed) -> &'static str {
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
