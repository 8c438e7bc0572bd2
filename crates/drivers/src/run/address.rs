//! `address`: a version that somebody else runs, known by where it answers.
//!
//! Nothing is started, told or stopped; readiness is all that can be seen.

use super::named::named_version;
use super::pauses::{Pauses, Waited};
use super::{
    Adapter, Drain, Found, InstanceAddress, InstanceSpec, InstanceState, PrepareSpec, Prepared,
    RunDriver, Running, Stopped, Told,
};
use crate::error::DriverError;
use crate::fields::{entry, optional, read, required};
use crate::probe::{Look, Otherwise, Readiness, ReadyConfig, View, ready_fields};
use crate::template::fill;
use async_trait::async_trait;
use esclusa_model::{Millis, Track};
use esclusa_plan::{DriverEntry, FieldKind};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const NAME: &str = "address";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |_| Arc::new(Address),
};

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A version that runs already; esclusa neither starts nor stops it.",
        vec![
            required(
                "url",
                FieldKind::Template,
                "Where it answers: http or https, host, port and a path prefix. Over https its \
                 certificate must be for this host.",
            ),
            optional(
                "host-header",
                FieldKind::Template,
                "Sent as Host instead of the client's.",
            ),
            optional(
                "ca-file",
                FieldKind::Template,
                "PEM file of a private certificate authority for https.",
            ),
            optional(
                "ready",
                FieldKind::Block(ready_fields()),
                "What makes it ready; that its port accepts a connection when absent.",
            ),
        ],
        &[],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    url: String,
    host_header: Option<String>,
    ca_file: Option<String>,
    ready: Option<ReadyConfig>,
}

struct Address;

struct Known {
    address: InstanceAddress,
    ready: Readiness,
}

fn known(spec: &InstanceSpec) -> Result<Known, DriverError> {
    let config: Config = read(NAME, &spec.config)?;
    let values = spec.values();
    let filled = |text: &Option<String>| text.as_ref().map(|t| fill(t, &values)).transpose();
    // The proxy reads it too, and stands elsewhere.
    let ca_file = filled(&config.ca_file)?
        .map(|file| spec.base_dir.join(file).to_string_lossy().into_owned());
    Ok(Known {
        address: InstanceAddress {
            host_header: filled(&config.host_header)?,
            ca_file,
            ..InstanceAddress::parse(&fill(&config.url, &values)?)?
        },
        ready: Readiness::of(config.ready, Otherwise::Tcp),
    })
}

async fn look(known: &Known, spec: &InstanceSpec, patience: Millis) -> Result<Look, DriverError> {
    let view = View {
        address: Some(&known.address),
        values: &spec.values(),
        env: &spec.identity.env(),
        cwd: spec.base_dir.clone(),
        age: None,
    };
    known.ready.look(&view, patience).await
}

#[async_trait]
impl RunDriver for Address {
    async fn prepare(&self, spec: &PrepareSpec) -> Result<Prepared, DriverError> {
        named_version(spec)
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Running, DriverError> {
        let known = known(spec)?;
        let mut pauses = Pauses::within(known.ready.within);
        let last = loop {
            let seen = look(&known, spec, pauses.left()).await?;
            if seen == Look::Ready || pauses.next().await == Waited::Over {
                break seen;
            }
        };
        match last {
            Look::Ready => Ok(Running {
                address: Some(known.address),
                pid: None,
                how: Found::Adopted,
                log: None,
            }),
            Look::NotReady(why) => Err(DriverError::target(format!(
                "not ready within {}: {why}",
                known.ready.within
            ))),
        }
    }

    async fn observe(&self, spec: &InstanceSpec) -> InstanceState {
        let looked = async {
            let known = known(spec)?;
            let look = look(&known, spec, Millis::from_secs(5)).await?;
            Ok::<_, DriverError>((look, known.address))
        };
        match looked.await {
            Ok((Look::Ready, address)) => InstanceState::Ready(Running {
                address: Some(address),
                pid: None,
                how: Found::Adopted,
                log: None,
            }),
            Ok((Look::NotReady(why), _)) => InstanceState::NotReady(why),
            Err(e) => InstanceState::Unknown(e.message),
        }
    }

    async fn set_track(&self, _: &InstanceSpec, _: Track) -> Result<Told, DriverError> {
        Ok(Told::NoWay)
    }

    async fn stop(&self, _: &InstanceSpec, _: Drain) -> Result<Stopped, DriverError> {
        Ok(Stopped::LeftRunning)
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
