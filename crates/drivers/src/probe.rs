//! When an instance counts as ready, and asking whether it is.
//!
//! All that is asserted must hold in the same look. A block that asserts nothing falls
//! back to a default for its kind of component; nothing is ready without evidence.

use crate::error::DriverError;
use crate::fields::optional;
use crate::http::{Ask, NoAnswer, Redirects, get};
use crate::proc::{Order, run};
use crate::run::InstanceAddress;
use crate::template::{fill, fill_words};
use esclusa_model::Millis;
use esclusa_plan::{Field, FieldKind, Placeholders};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::net::TcpStream;

/// Longest time of one look.
const LOOK: Millis = Millis(5_000);
const SHORTEST_LOOK: Millis = Millis(500);
/// A process without an address is ready when it has run for this long.
const RUNNING_FOR: Millis = Millis(2_000);
const WITHIN: Millis = Millis(60_000);

/// The `ready` block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ReadyConfig {
    http: Option<String>,
    status: Option<u16>,
    tcp: bool,
    command: Option<Vec<String>>,
    running_for: Option<Millis>,
    within: Option<Millis>,
}

/// The fields of a `ready` block, for the catalog.
pub(crate) fn ready_fields() -> Vec<Field> {
    vec![
        optional(
            "http",
            FieldKind::Template,
            "Path that answers a GET with a good status.",
        ),
        optional(
            "status",
            FieldKind::Integer { min: 100, max: 599 },
            "The status that counts as good for `http`; any 2xx when absent.",
        ),
        optional("tcp", FieldKind::Switch, "Its port accepts a connection."),
        optional(
            "command",
            FieldKind::Command,
            "A command that ends with exit code 0.",
        ),
        optional(
            "running-for",
            FieldKind::Duration,
            "It has run for this long without ending; 2s for workers that assert nothing else.",
        ),
        optional(
            "within",
            FieldKind::Duration,
            "Longest time until it is ready; 60s when absent.",
        ),
    ]
}

/// What must hold, with all defaults in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Readiness {
    http: Option<String>,
    status: Option<u16>,
    tcp: bool,
    command: Option<Vec<String>>,
    running_for: Option<Millis>,
    /// Longest time until it holds.
    pub(crate) within: Millis,
}

/// What one look needs to know about an instance.
pub(crate) struct View<'a> {
    pub(crate) address: Option<&'a InstanceAddress>,
    pub(crate) values: &'a Placeholders,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) cwd: PathBuf,
    /// Since its start; `None` when nobody knows.
    pub(crate) age: Option<Millis>,
}

/// The result of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    Ready,
    NotReady(String),
}

/// What stands in for a block that asserts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// Its port accepts a connection.
    Tcp,
    /// It has run for a moment.
    RunningFor,
    /// The caller has evidence of its own.
    CallerKnows,
}

impl Readiness {
    /// The block with its defaults.
    pub(crate) fn of(config: Option<ReadyConfig>, otherwise: Otherwise) -> Self {
        let config = config.unwrap_or_default();
        let mut ready = Self {
            within: config.within.unwrap_or(WITHIN),
            http: config.http,
            status: config.status,
            tcp: config.tcp,
            command: config.command,
            running_for: config.running_for,
        };
        if ready.asserts_nothing() {
            ready.tcp = otherwise == Otherwise::Tcp;
            ready.running_for = (otherwise == Otherwise::RunningFor).then_some(RUNNING_FOR);
        }
        ready
    }

    fn asserts_nothing(&self) -> bool {
        self.http.is_none() && !self.tcp && self.command.is_none() && self.running_for.is_none()
    }

    fn needs_address(&self) -> bool {
        self.http.is_some() || self.tcp
    }

    /// Looks once, for at most `patience` or half a second.
    pub(crate) async fn look(
        &self,
        view: &View<'_>,
        patience: Millis,
    ) -> Result<Look, DriverError> {
        // The last look before a deadline still has time for an answer.
        let patience = patience.clamp(SHORTEST_LOOK, LOOK);
        let mut reasons = Vec::new();
        if let Some(least) = self.running_for {
            match view.age {
                Some(age) if age >= least => {}
                Some(age) => reasons.push(format!("it has run for {age} of {least}")),
                None => reasons.push("nobody knows how long it has run".into()),
            }
        }
        if self.needs_address() && view.address.is_none() {
            reasons.push("it has no address".into());
        }
        if let Some(address) = view.address {
            if self.tcp {
                reasons.extend(tcp(&address.host_port, patience).await.err());
            }
            if let Some(path) = &self.http {
                let path = fill(path, view.values)?;
                reasons.extend(self.http(address, &path, patience).await.err());
            }
        }
        if let Some(words) = &self.command {
            reasons.extend(
                command(fill_words(words, view.values)?, view, patience)
                    .await
                    .err(),
            );
        }
        Ok(if reasons.is_empty() {
            Look::Ready
        } else {
            Look::NotReady(reasons.join("; "))
        })
    }

    async fn http(
        &self,
        address: &InstanceAddress,
        path: &str,
        patience: Millis,
    ) -> Result<(), String> {
        let mut headers = BTreeMap::new();
        if let Some(host) = &address.host_header {
            headers.insert("host".into(), host.clone());
        }
        let ask = Ask {
            url: format!("{}/{}", address.url(), path.trim_start_matches('/')),
            headers,
            redirects: Redirects::Shown,
            timeout: patience,
            ca_file: address.ca_file.as_ref().map(PathBuf::from),
        };
        match get(&ask).await {
            Ok(answer) if self.is_good(answer.status) => Ok(()),
            Ok(answer) => Err(format!("{path} answers with status {}", answer.status)),
            Err(NoAnswer::TimedOut) => Err(format!("{path} gives no answer within {patience}")),
            Err(why) => Err(format!("{path}: {why}")),
        }
    }

    fn is_good(&self, status: u16) -> bool {
        self.status
            .map_or((200..300).contains(&status), |wanted| wanted == status)
    }
}

async fn tcp(host_port: &str, patience: Millis) -> Result<(), String> {
    match tokio::time::timeout(patience.as_std(), TcpStream::connect(host_port)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(format!("{host_port}: {e}")),
        Err(_) => Err(format!("{host_port}: no connection within {patience}")),
    }
}

async fn command(words: Vec<String>, view: &View<'_>, patience: Millis) -> Result<(), String> {
    let done = run(Order {
        words,
        env: view.env.clone(),
        cwd: view.cwd.clone(),
        timeout: patience,
        grace: Millis(200),
        log: None,
    })
    .await;
    match done.complaint(patience) {
        None => Ok(()),
        Some(why) => Err(format!("its readiness command: {why}")),
    }
}
