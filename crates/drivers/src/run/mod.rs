//! What starts, tells and stops a component's instances.
//!
//! Every call may be repeated. `start` finds what already runs; `stop` returns when
//! nothing is left or says that it cannot tell.

mod address;
mod artifact;
mod command;
mod content;
mod folder;
mod named;
mod pauses;
mod place;
mod ports;
mod process;

pub use artifact::{ArtifactError, Stored, store_artifact, unchanged_copy};
pub use place::InstanceAddress;

use crate::context::Identity;
use crate::error::DriverError;
use crate::kept_log::KeptLog;
use async_trait::async_trait;
use esclusa_model::{
    ComponentName, Digest, Millis, ReleaseId, ServiceName, Timestamp, Track, VersionName,
};
use esclusa_plan::DriverEntry;
use esclusa_plan::Placeholders;
use esclusa_shim::{End, ShimCommand};
use std::path::PathBuf;
use std::sync::Arc;

/// A kind of thing that runs versions.
#[async_trait]
pub trait RunDriver: Send + Sync {
    /// Fixes what the version is, and keeps a copy of it where the driver can.
    ///
    /// # Errors
    /// When the artifact cannot be read, or the block does not fit.
    async fn prepare(&self, spec: &PrepareSpec) -> Result<Prepared, DriverError>;

    /// Starts an instance and returns once it is ready. One that runs already is
    /// adopted and must become ready too.
    ///
    /// # Errors
    /// When it does not become ready in time. What this call started is then gone;
    /// what it found running is left as it was. The error carries its last lines.
    async fn start(&self, spec: &InstanceSpec) -> Result<Running, DriverError>;

    /// Looks at an instance once.
    async fn observe(&self, spec: &InstanceSpec) -> InstanceState;

    /// Whether an instance's process is there, without asking whether it is ready.
    async fn pulse(&self, _spec: &InstanceSpec) -> Pulse {
        Pulse::CannotTell
    }

    /// What an instance has printed, where the driver keeps that.
    fn log(&self, _spec: &InstanceSpec) -> Option<KeptLog> {
        None
    }

    /// Tells a running instance its new track.
    ///
    /// # Errors
    /// When it could not be told, or its hook failed.
    async fn set_track(&self, spec: &InstanceSpec, track: Track) -> Result<Told, DriverError>;

    /// Stops an instance and returns once it is gone.
    ///
    /// # Errors
    /// When it is still there, or nobody can tell that it is gone.
    async fn stop(&self, spec: &InstanceSpec, drain: Drain) -> Result<Stopped, DriverError>;
}

/// What a version is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareSpec {
    /// The service.
    pub service: ServiceName,
    /// The component.
    pub component: ComponentName,
    /// The version's name.
    pub version: VersionName,
    /// The release that asks.
    pub release: ReleaseId,
    /// The component's artifact, a template.
    pub artifact: Option<String>,
    /// The driver's normalised block.
    pub config: serde_json::Value,
    /// The folder that the plan's relative paths start from.
    pub base_dir: PathBuf,
    /// The controller's data folder; versions are kept below it.
    pub data_dir: PathBuf,
}

/// What a version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its digest.
    pub digest: Digest,
    /// Whether the digest is of the content.
    pub verified: bool,
    /// Where its content is kept, unchangeable; `None` for drivers that keep nothing.
    pub dir: Option<PathBuf>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceSpec {
    /// What it is.
    pub identity: Identity,
    /// The folder from [`Prepared`].
    pub dir: Option<PathBuf>,
    /// The driver's normalised block.
    pub config: serde_json::Value,
    /// The folder that the plan's relative commands start from.
    pub base_dir: PathBuf,
    /// The controller's data folder; instances are kept below it.
    pub data_dir: PathBuf,
    /// Values the plan's templates may use. `version`, `release`, `track`, `dir` and
    /// `port` are added by the driver.
    pub placeholders: Placeholders,
}

impl InstanceSpec {
    /// The given placeholders and those that follow from the instance.
    pub(crate) fn values(&self) -> Placeholders {
        let values = self
            .placeholders
            .clone()
            .with("version", self.identity.version.name.as_str())
            .with("release", self.identity.release.as_str())
            .with("track", self.identity.track.as_str());
        match &self.dir {
            Some(dir) => values.with("dir", dir.to_string_lossy()),
            None => values,
        }
    }
}

/// A running instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Where it answers; `None` for components without requests.
    pub address: Option<InstanceAddress>,
    /// Its process, where the driver knows one.
    pub pid: Option<i32>,
    /// Whether it was started or found.
    pub how: Found,
    /// Where its output is.
    pub log: Option<PathBuf>,
}

/// How a running instance was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This call started it.
    Started,
    /// It ran already.
    Adopted,
}

/// What an instance looks like now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs, and all that makes it ready holds.
    Ready(Running),
    /// It runs, and this does not hold.
    NotReady(String),
    /// It ended by itself or was stopped.
    Exited {
        /// How, where somebody saw it.
        end: Option<End>,
        /// When, where somebody saw it.
        at: Option<Timestamp>,
        /// Its last lines.
        output: String,
    },
    /// It was never started here.
    Absent,
    /// Nobody can tell, for this reason.
    Unknown(String),
}

/// Whether an instance's process is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulse {
    /// It runs, and it is the very process that was started for this instance.
    Runs {
        /// Where it answers; `None` for components without requests.
        address: Option<InstanceAddress>,
        /// Its process.
        pid: i32,
    },
    /// It ended by itself, while somebody watched it: that speaks about the version.
    Ended {
        /// How.
        end: End,
        /// When.
        at: Timestamp,
        /// Its last lines.
        output: String,
    },
    /// It is gone, and that says nothing about the version: it was told to end, or it
    /// went together with its supervisor or its machine. In words.
    Taken(String),
    /// It was never started here.
    Absent,
    /// This driver keeps no process and cannot tell.
    CannotTell,
    /// Nobody can tell right now, for this reason.
    Unknown(String),
}

/// How an instance learned its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its hook ran and agreed.
    Hook,
    /// It was signalled to read its track file again.
    Signal,
    /// Its track file was written; nothing makes it look.
    FileOnly,
    /// The driver has no way to tell it anything.
    NoWay,
}

/// How long an instance may finish its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// What its block says.
    AsConfigured,
    /// At most this.
    Within(Millis),
}

/// How a stop came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It was stopped and is gone.
    Gone {
        /// How it ended, where somebody saw it.
        end: Option<End>,
    },
    /// It was gone before.
    AlreadyGone,
    /// This driver does not stop anything; what it named runs on.
    LeftRunning,
}

/// What all run drivers share.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// How supervisors are started.
    pub shim: ShimCommand,
}

/// One line of the registry.
struct Adapter {
    entry: fn() -> DriverEntry,
    build: fn(&RunSettings) -> Arc<dyn RunDriver>,
}

const ADAPTERS: &[Adapter] = &[process::ADAPTER, command::ADAPTER, address::ADAPTER];

pub(crate) fn entries() -> Vec<DriverEntry> {
    ADAPTERS.iter().map(|adapter| (adapter.entry)()).collect()
}

/// The run driver of this name, `None` when there is none. Keep one for the program's
/// life: it serialises what must not happen at once.
#[must_use]
pub fn driver(name: &str, settings: &RunSettings) -> Option<Arc<dyn RunDriver>> {
    ADAPTERS
        .iter()
        .find(|adapter| (adapter.entry)().name == name)
        .map(|adapter| (adapter.build)(settings))
}
