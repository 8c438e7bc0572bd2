//! What starts, tells and stops a component's instances.
//!
//! Every call may be repeated. `start` finds what already runs; `stop` returns when
//! nothing is left or says that it cannot tell.

mod address;
mod artifact;
mod command;
mod process;

pub use artifact::{ArtifactError, Stored, store_artifact};

use crate::context::Identity;
use crate::error::DriverError;
use crate::template::Placeholders;
use async_trait::async_trait;
use esclusa_model::{
    ComponentName, Digest, Millis, ReleaseId, ServiceName, Timestamp, Track, VersionName,
};
use esclusa_plan::DriverEntry;
use esclusa_shim::{End, ShimCommand};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

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

/// Where an instance answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceAddress {
    /// Host and port to connect to.
    pub host_port: String,
    /// Speak TLS and verify this name.
    pub tls_sni: Option<String>,
    /// PEM file of a private certificate authority.
    pub ca_file: Option<String>,
    /// Sent as `Host` instead of the client's.
    pub host_header: Option<String>,
    /// Put before each request's path, such as `/v2`; empty for none.
    pub path_prefix: String,
}

impl InstanceAddress {
    /// A plain local port.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self {
            host_port: format!("127.0.0.1:{port}"),
            tls_sni: None,
            ca_file: None,
            host_header: None,
            path_prefix: String::new(),
        }
    }

    /// The address in a URL.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL of host, port and path alone.
    pub fn parse(url: &str) -> Result<Self, DriverError> {
        let wrong = |why: &str| {
            DriverError::config(format!(
                "{} is not an address: {why}",
                crate::http::shown(url)
            ))
        };
        let parsed = reqwest::Url::parse(url).map_err(|e| wrong(&e.to_string()))?;
        let tls = match parsed.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("use http or https")),
        };
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if !plain {
            return Err(wrong("use host, port and path alone"));
        }
        let host = parsed.host_str().ok_or_else(|| wrong("it has no host"))?;
        let port = parsed
            .port_or_known_default()
            .ok_or_else(|| wrong("it has no port"))?;
        Ok(Self {
            host_port: format!("{host}:{port}"),
            tls_sni: tls.then(|| host.trim_matches(['[', ']']).to_owned()),
            ca_file: None,
            host_header: None,
            path_prefix: parsed.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Scheme, host, port and prefix, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls_sni.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{}", self.host_port, self.path_prefix)
    }
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

/// Growing pauses between looks, up to a deadline.
struct Pauses {
    deadline: Instant,
    pause: Duration,
}

impl Pauses {
    fn within(limit: Millis) -> Self {
        // A year is longer than any deploy, and always fits the clock.
        let limit = limit.as_std().min(Duration::from_secs(366 * 86_400));
        Self {
            deadline: Instant::now() + limit,
            pause: Duration::from_millis(20),
        }
    }

    fn left(&self) -> Millis {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    /// Pauses; `Over` once the deadline has come.
    async fn next(&mut self) -> Waited {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Waited::Over;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        Waited::Again
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waited {
    Again,
    Over,
}

/// A digest over texts, each counted with its length.
fn digest_of(texts: &[&str]) -> Digest {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    Digest::from_bytes(hash.finalize().into())
}

/// A value as text with sorted keys, whatever map the JSON library was built with.
fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(name, v)| format!("{}:{}", Value::from(name.as_str()), canonical(v)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

/// What stands for a version that is only named (`verified` is false): the block with
/// the version's name in it, and the name itself.
fn named_version(spec: &PrepareSpec) -> Result<Prepared, DriverError> {
    if spec.artifact.is_some() {
        return Err(DriverError::config(
            "this driver only names a version and takes no artifact",
        ));
    }
    let version = spec.version.as_str();
    let text = canonical(&spec.config).replace("${version}", version);
    Ok(Prepared {
        digest: digest_of(&["esclusa-named-version-v1", &text, version]),
        verified: false,
        dir: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses_and_back() {
        let address = InstanceAddress::parse("https://Shop.internal:8443/v2/").expect("valid");
        assert_eq!(address.host_port, "shop.internal:8443");
        assert_eq!(address.tls_sni.as_deref(), Some("shop.internal"));
        assert_eq!(address.path_prefix, "/v2");
        assert_eq!(address.url(), "https://shop.internal:8443/v2");
        let v6 = InstanceAddress::parse("http://[::1]").expect("valid");
        assert_eq!((v6.host_port.as_str(), v6.tls_sni), ("[::1]:80", None));
        for bad in [
            "ftp://x",
            "shop:80",
            "http://u:p@x/",
            "http://x/?a=1",
            "http://",
        ] {
            let error = InstanceAddress::parse(bad).expect_err(bad);
            assert!(!error.message.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn the_order_of_keys_does_not_change_a_version() {
        let read = |text: &str| serde_json::from_str(text).expect("json");
        let one = canonical(&read(r#"{"b":[1,"x"],"a":{"d":null,"c":true}}"#));
        assert_eq!(one, r#"{"a":{"c":true,"d":null},"b":[1,"x"]}"#);
    }
}
