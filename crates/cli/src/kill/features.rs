//! Features that are turned off by the server.

use super::{ALL, Meant, PATIENCE};
use crate::args::Global;
use crate::client::Client;
use crate::exit::Failure;
use esclusa_server::ErrorKind;
use esclusa_server::body::{FlagsKilledView, FlagsView, KillFlags};
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeSet;

/// What became of it.
#[derive(Default)]
pub(super) struct Features {
    /// Absent when no flag has one of the names, or none is defined at all.
    pub done: Option<FlagsKilledView>,
    /// Names that no flag has.
    pub unknown: Vec<String>,
}

pub(super) async fn by_server(meant: &Meant, global: &Global) -> Result<Features, Failure> {
    let client = Client::new(global)?;
    if meant.is_all() {
        // Flags that are defined later would be dead from their first day.
        let flags: Result<FlagsView, Failure> = client.get("/api/v1/flags").await;
        if flags.is_ok_and(|found| found.flags.is_empty()) {
            return Ok(Features::default());
        }
    }
    match ask(&client, &meant.names, &meant.reason).await? {
        None if meant.names.len() > 1 => one_by_one(&client, meant).await,
        None => Ok(Features {
            done: None,
            unknown: meant.names.clone(),
        }),
        done => Ok(Features {
            done,
            unknown: Vec::new(),
        }),
    }
}

/// Some of the names are no flag's: each is asked for alone, all at the same time.
async fn one_by_one(client: &Client, meant: &Meant) -> Result<Features, Failure> {
    let asked = meant.names.iter().map(async |name| {
        let done = ask(client, std::slice::from_ref(name), &meant.reason).await;
        (name.clone(), done)
    });
    let mut found = Features::default();
    let mut failed = None;
    for (name, done) in join_all(asked).await {
        match done {
            Ok(Some(done)) => {
                found.done = Some(match found.done.take() {
                    None => done,
                    Some(others) => together(others, done),
                });
            }
            Ok(None) => found.unknown.push(name),
            Err(failure) => failed = Some(failure),
        }
    }
    failed.map_or(Ok(found), Err)
}

/// None when a flag of that name is not known.
async fn ask(
    client: &Client,
    names: &[String],
    reason: &str,
) -> Result<Option<FlagsKilledView>, Failure> {
    let body = KillFlags {
        names: names.to_vec(),
        all: names.is_empty(),
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

/// Two kills as one: what is true of both.
fn together(one: FlagsKilledView, other: FlagsKilledView) -> FlagsKilledView {
    let union = |one: Vec<String>, other: Vec<String>| {
        let all: BTreeSet<String> = one.into_iter().chain(other).collect();
        all.into_iter().collect::<Vec<_>>()
    };
    let flags = one.flags.zip(other.flags);
    let flags = flags.map(|(one, other)| union(one, other));
    let is_killed = |key: &String| flags.as_ref().is_none_or(|flags| flags.contains(key));
    let mut off_with_it = union(one.off_with_it, other.off_with_it);
    off_with_it.retain(|key| !is_killed(key));
    FlagsKilledView {
        flags,
        off_with_it,
        epoch: one.epoch.max(other.epoch),
        in_force: one.in_force && other.in_force,
        note: one.note.or(other.note),
        recorded: one.recorded && other.recorded,
        confirmed: one.confirmed.min(other.confirmed),
        unconfirmed: union(one.unconfirmed, other.unconfirmed),
        sinks_behind: union(one.sinks_behind, other.sinks_behind),
    }
}

/// Names of features that the server knows.
pub(super) async fn known(global: &Global) -> Vec<String> {
    let set = async { Client::new(global)?.get::<Value>("/api/v1/flag-set").await };
    set.await.map_or_else(|_| Vec::new(), |set| names(&set))
}

/// Keys and aliases of a set.
pub(super) fn names(set: &Value) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kills_are_told_as_one_that_holds_where_both_do() {
        let view = |flag: &str, with: &[&str], in_force: bool| FlagsKilledView {
            flags: Some(vec![flag.to_owned()]),
            off_with_it: with.iter().map(|key| (*key).to_owned()).collect(),
            epoch: u64::from(in_force) + 3,
            in_force,
            note: (!in_force).then(|| "it hangs".to_owned()),
            recorded: true,
            confirmed: 2,
            unconfirmed: vec!["web".into()],
            sinks_behind: Vec::new(),
        };
        let both = together(view("b", &["a", "c"], true), view("a", &["b"], false));
        assert_eq!(both.flags, Some(vec!["a".to_owned(), "b".into()]));
        assert_eq!(both.off_with_it, ["c"]);
        assert_eq!((both.epoch, both.in_force), (4, false));
        assert_eq!(both.note.as_deref(), Some("it hangs"));
        assert_eq!(both.unconfirmed, ["web"]);
    }
}
