//! What all releases of one torture share: one control plane, one witness, one list of
//! what was done to them.

use super::control::Control;
use super::plans::{Pace, Shop, write_version};
use super::script::Kind;
use super::watcher::{Watcher, now_us};
use crate::{ports, process};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for anything that only a fault makes long.
pub(super) const LONG: Duration = Duration::from_secs(90);

/// Something that was done to the control plane, the proxy or a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blow {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What, in words.
    pub what: String,
    /// Whether it was the proxy that was killed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub killed_proxy: bool,
    /// How long it took until everything answered again, milliseconds.
    pub back_ms: Option<u64>,
}

/// One torture.
#[derive(Debug)]
pub struct World {
    /// The control plane.
    pub control: Control,
    /// Who looks at the proxy meanwhile.
    pub watcher: Watcher,
    /// How fast releases go.
    pub pace: Pace,
    app: PathBuf,
    blows: Mutex<Vec<Blow>>,
}

impl World {
    /// Starts a control plane.
    ///
    /// # Errors
    /// When it does not come up, or the demo app is not built.
    pub async fn start(binary: &Path, pace: Pace) -> io::Result<Self> {
        let app = process::built_binary("esclusa-demo-app")?;
        let control = Control::new(binary)?;
        std::fs::create_dir_all(control.work())?;
        control.start()?;
        control.answers(LONG).await?;
        let watcher = Watcher::start(&control.data());
        Ok(Self {
            control,
            watcher,
            pace,
            app,
            blows: Mutex::default(),
        })
    }

    /// A service with its first version in front of everybody; gives its release too.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn shop(&self, name: &str) -> io::Result<(Shop, Standing)> {
        let shop = Shop {
            name: name.to_owned(),
            port: ports::free_port()?,
        };
        let version = format!("{name}-0");
        self.write_version(&version, Kind::Good)?;
        let plan = shop.first_plan();
        let release = self.control.release(name, &version, &plan, LONG).await?;
        let ended = crate::wait_until("the first version", LONG, async || {
            let view = self.control.show(&release).await?;
            view["outcome"].as_str().map(str::to_owned)
        });
        let outcome = ended.await.map_err(io::Error::other)?;
        if outcome != "promoted" {
            let said = format!("the first version of {name} was {outcome}");
            return Err(io::Error::other(said));
        }
        let standing = Standing {
            release,
            version,
            kind: Kind::Good,
        };
        Ok((shop, standing))
    }

    /// Writes a version of this kind.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_version(&self, name: &str, kind: Kind) -> io::Result<()> {
        write_version(&self.control, &self.app, name, kind).map(|_| ())
    }

    /// Remembers what was done.
    pub fn note(&self, what: impl Into<String>) -> usize {
        self.note_blow(Blow {
            at_ms: now_us() / 1_000,
            what: what.into(),
            killed_proxy: false,
            back_ms: None,
        })
    }

    pub(super) fn note_blow(&self, blow: Blow) -> usize {
        let mut blows = self.lock();
        blows.push(blow);
        blows.len() - 1
    }

    pub(super) fn back_after(&self, index: usize, took: Duration) {
        if let Some(blow) = self.lock().get_mut(index) {
            blow.back_ms = u64::try_from(took.as_millis()).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Blow>> {
        self.blows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done between these two moments, milliseconds since 1970.
    #[must_use]
    pub fn blows(&self, from_ms: i64, to_ms: i64) -> Vec<Blow> {
        self.lock()
            .iter()
            .filter(|blow| (from_ms..=to_ms).contains(&blow.at_ms))
            .cloned()
            .collect()
    }
}

/// The version that everybody has, and the release that brought it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// What kind of version it is: a person may promote any before it is judged.
    pub kind: Kind,
}
