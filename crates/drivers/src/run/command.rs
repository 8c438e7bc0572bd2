//! `command`: the user's own scripts start, stop and tell.
//!
//! What they start lives outside our sight, so a status command is required: without
//! one nobody could tell that a stopped instance is gone.

use super::folder::Folder;
use super::named::{canonical, named_version};
use super::pauses::{Pauses, Waited};
use super::{
    Adapter, Drain, Found, InstanceAddress, InstanceSpec, InstanceState, PrepareSpec, Prepared,
    RunDriver, Running, Stopped, Told,
};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::probe::{Look, Otherwise, Readiness, ReadyConfig, View, ready_fields};
use crate::proc::{Ended, Finished, Order, run};
use crate::template::{fill, fill_words};
use async_trait::async_trait;
use esclusa_model::{ComponentKind, Millis, Track};
use esclusa_plan::{Capability, DriverEntry, FieldKind, Placeholders};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const NAME: &str = "command";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |_| Arc::new(Scripts),
};

const TIMEOUT: Millis = Millis::from_secs(60);
const GRACE: Millis = Millis::from_secs(2);

fn describe() -> DriverEntry {
    entry(
        NAME,
        "Your scripts start, stop and tell; they get what the instance is as ESCLUSA_ variables.",
        vec![
            required(
                "start",
                FieldKind::Command,
                "Starts the instance and ends with exit code 0; starting twice must be harmless. ${port} is a free port, if it needs one.",
            ),
            required(
                "stop",
                FieldKind::Command,
                "Stops the instance and ends with exit code 0; stopping twice must be harmless.",
            ),
            required(
                "status",
                FieldKind::Command,
                "Ends with exit code 0 when the instance runs, with 1 to 3 when it does not; anything else is unknown.",
            ),
            optional(
                "url",
                FieldKind::Template,
                "Where it answers; needed for web components.",
            ),
            optional(
                "track-hook",
                FieldKind::Command,
                "Tells the instance its new track, which is in ESCLUSA_TRACK.",
            ),
            optional(
                "env",
                FieldKind::TemplateMap,
                "More variables for the scripts.",
            ),
            optional(
                "timeout",
                FieldKind::Duration,
                "Longest run of one script; 60s when absent.",
            ),
            optional(
                "drain",
                FieldKind::Duration,
                "Longest time after `stop` until `status` says that it is gone; 30s when absent.",
            ),
            optional(
                "ready",
                FieldKind::Block(ready_fields()),
                "What makes it ready besides its status; that its port accepts a connection when absent and it has a url.",
            ),
        ],
        &[Capability::Lifecycle, Capability::Tracks],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    start: Vec<String>,
    stop: Vec<String>,
    status: Vec<String>,
    url: Option<String>,
    track_hook: Option<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout: Option<Millis>,
    drain: Option<Millis>,
    ready: Option<ReadyConfig>,
}

struct Scripts;

/// An instance's block with all its texts filled.
struct Known<'a> {
    spec: &'a InstanceSpec,
    config: Config,
    folder: Folder,
    values: Placeholders,
    env: BTreeMap<String, String>,
    address: Option<InstanceAddress>,
    ready: Readiness,
    timeout: Millis,
}

/// Which port an instance is to have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    /// The one that it was given, if it was.
    Recorded,
    /// One that is free now; the recorded one if it is.
    Free,
}

/// What the status script says.
enum Status {
    Runs,
    Gone,
    Unknown(String),
}

impl<'a> Known<'a> {
    async fn of(spec: &'a InstanceSpec, wanted: Port) -> Result<Self, DriverError> {
        let mut config: Config = read(NAME, &spec.config)?;
        let folder = Folder::of(spec)?;
        let mut values = spec.values();
        // Only scripts that ask for a port get one.
        if canonical(&spec.config).contains("${port}") {
            let port = match (wanted, folder.port()?) {
                (Port::Recorded, Some(port)) => port,
                _ => folder.claim_port().await?,
            };
            values = values.with("port", port.to_string());
        }
        let url = config.url.as_ref().map(|url| fill(url, &values));
        let address = match url.transpose()? {
            Some(url) => Some(InstanceAddress::parse(&url)?),
            None if spec.identity.kind == ComponentKind::Web => {
                return Err(DriverError::config("command: a web component needs `url`"));
            }
            None => None,
        };
        let mut env = crate::template::fill_map(&config.env, &values)?;
        env.extend(spec.identity.env());
        let otherwise = match &address {
            Some(_) => Otherwise::Tcp,
            None => Otherwise::CallerKnows,
        };
        let ready = Readiness::of(config.ready.take(), otherwise);
        let timeout = config.timeout.unwrap_or(TIMEOUT);
        Ok(Self {
            spec,
            config,
            folder,
            values,
            env,
            address,
            ready,
            timeout,
        })
    }

    async fn script(&self, words: &[String], track: Track) -> Result<Finished, DriverError> {
        let values = self.values.clone().with("track", track.as_str());
        let mut env = self.env.clone();
        env.insert("ESCLUSA_TRACK".into(), track.to_string());
        Ok(run(Order {
            words: fill_words(words, &values)?,
            env,
            cwd: self.spec.base_dir.clone(),
            timeout: self.timeout,
            grace: GRACE,
            log: None,
        })
        .await)
    }

    /// Runs a script that must succeed.
    async fn must(&self, what: &str, words: &[String], track: Track) -> Result<(), DriverError> {
        let done = self.script(words, track).await?;
        let Some(why) = done.complaint(self.timeout) else {
            return Ok(());
        };
        let error = DriverError::target(format!("{what}: {why}")).with_output(done.output);
        Err(match done.ended {
            Ended::TimedOut { .. } => error.unsettled(),
            _ => error,
        })
    }

    async fn status(&self) -> Result<Status, DriverError> {
        let done = self
            .script(&self.config.status, self.spec.identity.track)
            .await?;
        Ok(match done.ended {
            Ended::Exited(0) => Status::Runs,
            Ended::Exited(1..=3) => Status::Gone,
            _ => {
                let why = done.complaint(self.timeout).unwrap_or_default();
                Status::Unknown(format!("status: {why}"))
            }
        })
    }

    async fn look(&self, patience: Millis) -> Result<Look, DriverError> {
        match self.status().await? {
            Status::Runs => {}
            Status::Gone => return Ok(Look::NotReady("status says that it does not run".into())),
            Status::Unknown(why) => return Ok(Look::NotReady(why)),
        }
        let view = View {
            address: self.address.as_ref(),
            values: &self.values,
            env: &self.env,
            cwd: self.spec.base_dir.clone(),
            age: None,
        };
        self.ready.look(&view, patience).await
    }

    fn running(&self, how: Found) -> Running {
        Running {
            address: self.address.clone(),
            pid: None,
            how,
            log: None,
        }
    }

    async fn stop(&self, drain: Millis) -> Result<Stopped, DriverError> {
        if matches!(self.status().await?, Status::Gone) {
            self.folder.release_port();
            return Ok(Stopped::AlreadyGone);
        }
        self.must("stop", &self.config.stop, self.spec.identity.track)
            .await?;
        let mut pauses = Pauses::within(drain);
        let last = loop {
            let why = match self.status().await? {
                Status::Gone => {
                    self.folder.release_port();
                    return Ok(Stopped::Gone { end: None });
                }
                Status::Runs => "status says that it still runs".into(),
                Status::Unknown(why) => why,
            };
            if pauses.next().await == Waited::Over {
                break why;
            }
        };
        Err(
            DriverError::target(format!("not known to be gone {drain} after stop: {last}"))
                .unsettled(),
        )
    }
}

#[async_trait]
impl RunDriver for Scripts {
    async fn prepare(&self, spec: &PrepareSpec) -> Result<Prepared, DriverError> {
        named_version(spec)
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Running, DriverError> {
        let mut known = Known::of(spec, Port::Recorded).await?;
        let how = match known.status().await? {
            Status::Runs => Found::Adopted,
            Status::Gone => {
                known = Known::of(spec, Port::Free).await?;
                let track = spec.identity.track;
                if let Err(e) = known.must("start", &known.config.start, track).await {
                    return Err(known.take_back(e).await);
                }
                Found::Started
            }
            Status::Unknown(why) => return Err(DriverError::target(why)),
        };
        let within = known.ready.within;
        let mut pauses = Pauses::within(within);
        let why = loop {
            match known.look(pauses.left()).await? {
                Look::Ready => return Ok(known.running(how)),
                Look::NotReady(_) if pauses.next().await == Waited::Again => {}
                Look::NotReady(why) => break why,
            }
        };
        let error = DriverError::target(format!("not ready within {within}: {why}"));
        match how {
            Found::Started => Err(known.take_back(error).await),
            Found::Adopted => Err(error),
        }
    }

    async fn observe(&self, spec: &InstanceSpec) -> InstanceState {
        let looked = async {
            let known = Known::of(spec, Port::Recorded).await?;
            Ok::<_, DriverError>(match known.status().await? {
                Status::Gone => InstanceState::Absent,
                Status::Unknown(why) => InstanceState::Unknown(why),
                Status::Runs => match known.look(Millis::from_secs(5)).await? {
                    Look::Ready => InstanceState::Ready(known.running(Found::Adopted)),
                    Look::NotReady(why) => InstanceState::NotReady(why),
                },
            })
        };
        looked
            .await
            .unwrap_or_else(|e| InstanceState::Unknown(e.message))
    }

    async fn set_track(&self, spec: &InstanceSpec, track: Track) -> Result<Told, DriverError> {
        let known = Known::of(spec, Port::Recorded).await?;
        match &known.config.track_hook {
            Some(hook) => {
                known.must("track-hook", hook, track).await?;
                Ok(Told::Hook)
            }
            None => Ok(Told::NoWay),
        }
    }

    async fn stop(&self, spec: &InstanceSpec, drain: Drain) -> Result<Stopped, DriverError> {
        let known = Known::of(spec, Port::Recorded).await?;
        let drain = match drain {
            Drain::AsConfigured => known.drain(),
            Drain::Within(limit) => limit,
        };
        known.stop(drain).await
    }
}

impl Known<'_> {
    /// Stops what a failed start may have left; the error tells when that failed too.
    async fn take_back(&self, error: DriverError) -> DriverError {
        match self.stop(self.drain()).await {
            Ok(_) => error,
            Err(more) => DriverError {
                message: format!("{}; then {}", error.message, more.message),
                output: format!("{}{}", error.output, more.output),
                ..error
            }
            .unsettled(),
        }
    }

    fn drain(&self) -> Millis {
        self.config.drain.unwrap_or(Millis::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Config>(&describe());
    }
}
