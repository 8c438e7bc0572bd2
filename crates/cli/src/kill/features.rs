//! Features that are turned off.

use super::{ALL, PATIENCE};
use crate::args::Global;
use crate::client::Client;
use crate::exit::Failure;
use esclusa_model::Actor;
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_server::body::{FlagsKilledView, FlagsView, KillFlags};
use esclusa_server::{ErrorKind, flags_at_proxy, kill_flags_at_proxy};
use serde_json::Value;
use std::collections::BTreeSet;

/// By the server; none when no flag has the name, or none is defined at all.
pub(super) async fn by_server(
    name: Option<&str>,
    reason: &str,
    global: &Global,
) -> Result<Option<FlagsKilledView>, Failure> {
    let client = Client::new(global)?;
    if name.is_none() {
        // Flags that are defined later would be dead from their first day.
        let flags: Result<FlagsView, Failure> = client.get("/api/v1/flags").await;
        if flags.is_ok_and(|found| found.flags.is_empty()) {
            return Ok(None);
        }
    }
    let body = KillFlags {
        names: name.map(str::to_owned).into_iter().collect(),
        all: name.is_none(),
        reason: reason.to_owned(),
    };
    let done = client
        .post_within("/api/v1/flag-set/kill", &body, PATIENCE)
        .await;
    match done {
        Err(failure) if failure.error.kind == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// At the proxy itself; none when no flag has the name there.
pub(super) async fn by_proxy(
    control: &ControlClient,
    name: Option<&str>,
    by: Actor,
    reason: &str,
) -> Result<Option<FlagsKilledView>, Failure> {
    let flags = match name {
        Some(name) => match flags_at_proxy(control, name).await {
            Ok(flags) => Some(flags),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        },
        None if has_none(control).await => return Ok(None),
        None => None,
    };
    let done = kill_flags_at_proxy(control, flags, by, reason).await?;
    Ok(Some(FlagsKilledView {
        flags: done.flags,
        epoch: done.answer.kills.epoch(),
        in_force: true,
        note: None,
        recorded: done.answer.persisted,
        confirmed: 0,
        unconfirmed: Vec::new(),
        sinks_behind: Vec::new(),
    }))
}

/// Whether a proxy surely answers no flags: it has none, or is from before there were any.
async fn has_none(control: &ControlClient) -> bool {
    match control.flags().await {
        Ok(document) => document.is_none_or(|document| document.set.flags.is_empty()),
        Err(ControlError::Protocol { why, .. }) => why.starts_with("404"),
        Err(_) => false,
    }
}

/// Names of features that the server knows.
pub(super) async fn known(global: &Global) -> Vec<String> {
    let set = async { Client::new(global)?.get::<Value>("/api/v1/flag-set").await };
    set.await.map_or_else(|_| Vec::new(), |set| names(&set))
}

/// Names of features that a proxy knows.
pub(super) async fn known_at(control: &ControlClient) -> Vec<String> {
    let document = control.flags().await.ok().flatten();
    document.map_or_else(Vec::new, |document| names(&document.set.to_json()))
}

/// Keys and aliases of a set.
fn names(set: &Value) -> Vec<String> {
    let flags = set["flags"].as_object().into_iter().flatten();
    let names: BTreeSet<String> = flags
        .flat_map(|(key, flag)| {
            let aliases = flag["aliases"].as_array().into_iter().flatten();
            let aliases = aliases.filter_map(|alias| alias.as_str().map(str::to_owned));
            std::iter::once(key.clone()).chain(aliases)
        })
        .filter(|name| name != ALL)
        .collect();
    names.into_iter().collect()
}
