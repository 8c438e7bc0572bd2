//! `kill`: by the server, or where none answers by the proxy itself, or where no proxy
//! answers either by a file for the next one.
//!
//! A name may be that of features, of a service, or of both: then both are meant. Nobody
//! in a hurry is asked which.

mod at_proxy;
mod features;
mod left;
mod messages;
mod services;
mod told;

use crate::args::{Global, Kill};
use crate::client::{self, Client};
use crate::exit::{Exit, Failure};
use crate::flag::short_reason;
use crate::output::Output;
use crate::place;
use esclusa_model::ServiceName;
use esclusa_server::{ApiError, ErrorKind, proxy_socket_path};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use told::{By, Told};

/// The word for every service and feature.
const ALL: &str = "all";
/// How it is asked.
const USAGE: &str = "usage: esclusa kill <FEATURE|SERVICE|all>... [--reason WORDS]";
/// Longest wait for the server, which gives itself less: people wait for this.
const PATIENCE: Duration = Duration::from_secs(15);
/// How soon a server shows that it lives. Users have the feature meanwhile.
const SOON: Duration = Duration::from_secs(1);

/// What is meant by the names that were given.
struct Meant {
    /// The names; none for everything.
    names: Vec<String>,
    reason: String,
}

impl Meant {
    fn new(asked: &Kill, output: &Output) -> Result<Self, Failure> {
        // Neither a flag nor a service: a proxy that knows no names would take it all the same.
        let wrong = |name: &&String| name.is_empty() || name.contains(char::is_whitespace);
        if let Some(name) = asked.names.iter().find(wrong) {
            return Err(Failure::input(
                "ESC-0510",
                format!("{name:?} is not the name of a feature or a service"),
                USAGE,
            ));
        }
        let all = asked.names.iter().any(|name| name == ALL);
        let names: BTreeSet<String> = asked.names.iter().cloned().collect();
        Ok(Self {
            names: match all {
                true => Vec::new(),
                false => names.into_iter().collect(),
            },
            reason: short_reason(&asked.reason, output),
        })
    }

    fn is_all(&self) -> bool {
        self.names.is_empty()
    }

    /// The names that a service can have; none where all are meant.
    fn services(&self) -> Option<Vec<ServiceName>> {
        let names = self.names.iter();
        (!self.is_all()).then(|| names.filter_map(|name| name.parse().ok()).collect())
    }
}

pub(crate) async fn run(asked: &Kill, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let meant = Meant::new(asked, output)?;
    let told = match reach(global)? {
        Some(data) => either(&meant, &data, global, output).await?,
        None => by_server(&meant, None, global)
            .await
            .map_err(|failure| without_reach(failure, &meant))?,
    };
    told.print(meant.is_all(), output);
    Ok(told.exit())
}

/// The data folder whose proxy may be told in place of the server. A server elsewhere has
/// another proxy, unless somebody says which folder is meant.
fn reach(global: &Global) -> Result<Option<PathBuf>, Failure> {
    let Some(url) = &global.server else {
        return place::data(global).map(Some);
    };
    if global.data.is_none() && !client::is_here(url) {
        return Ok(None);
    }
    // Who names a server need not have a folder.
    let Ok(data) = place::data(global) else {
        return Ok(None);
    };
    let there = proxy_socket_path(&data).try_exists();
    Ok(there.unwrap_or(global.data.is_some()).then_some(data))
}

/// The server is named and does not do it, and which proxy is meant is not known here.
fn without_reach(mut failure: Failure, meant: &Meant) -> Failure {
    if is_fault(&failure.error) {
        let names = match meant.is_all() {
            true => ALL.to_owned(),
            false => meant.names.join(" "),
        };
        failure.error.help = format!(
            "on the machine of the data folder, without ESCLUSA_SERVER and --server: `esclusa \
             kill {names} --data FOLDER` tells the proxy itself, whatever has become of the server"
        );
    }
    failure
}

/// By the server; by the proxy where the server cannot, and by both where it is not known
/// yet whether it can.
async fn either(
    meant: &Meant,
    data: &Path,
    global: &Global,
    output: &Output,
) -> Result<Told, Failure> {
    let mut server = Box::pin(by_server(meant, Some(data), global));
    let done = tokio::select! {
        biased;
        done = &mut server => Some(done),
        () = is_silent(global) => None,
    };
    match done {
        Some(Err(failure)) if is_fault(&failure.error) => {
            output.say(&format!("{}; the proxy itself is told", failure.error));
            Box::pin(at_proxy::kill(meant, data)).await
        }
        Some(done) => done,
        None => {
            output.say("the server has not answered for a second; the proxy itself is told too");
            let told_first = async {
                let told = at_proxy::kill(meant, data).await;
                if told
                    .as_ref()
                    .is_ok_and(|told| told.answered_by == By::Proxy)
                {
                    output.say("the proxy has it; the server is waited for");
                }
                told
            };
            let (proxy, server) = tokio::join!(Box::pin(told_first), server);
            match (server, proxy) {
                (Ok(told), Ok(proxy)) => Ok(Told {
                    also_by_proxy: proxy.answered_by == By::Proxy,
                    ..told
                }),
                (Err(failure), proxy) if is_fault(&failure.error) => {
                    output.say(&failure.error.to_string());
                    proxy
                }
                (server, _) => server,
            }
        }
    }
}

/// Returns when the server does not show in time that it lives. One that is not there at
/// all is found out by whoever asks it for more.
async fn is_silent(global: &Global) {
    let asked = async { Client::new(global)?.text("/healthz").await };
    if tokio::time::timeout(SOON, asked).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Features and services at once: neither waits for the other.
async fn by_server(meant: &Meant, data: Option<&Path>, global: &Global) -> Result<Told, Failure> {
    let (features, services) = tokio::join!(
        features::by_server(meant, global),
        services::by_server(meant, global)
    );
    // What could be done was done; what could not is what is told.
    let (features, services) = (features?, services?);
    let unknown = both_unknown(features.unknown, &services.unknown);
    if features.done.is_none() && !unknown.is_empty() && unknown.len() == meant.names.len() {
        return Err(not_known(&unknown, &known(global).await));
    }
    let known = match unknown.is_empty() {
        true => Vec::new(),
        false => known(global).await,
    };
    Ok(Told {
        services: services::second_try(services.done, &meant.reason, data).await,
        features: features.done,
        untold: messages::untold(global).await,
        unknown,
        known,
        ..Told::by(By::Server)
    })
}

/// The names that neither a flag nor a service has.
fn both_unknown(flags: Vec<String>, services: &[String]) -> Vec<String> {
    let both = flags.into_iter().filter(|name| services.contains(name));
    both.collect()
}

/// Nothing has any of these names.
fn not_known(names: &[String], known: &[String]) -> Failure {
    Failure::input(
        "ESC-0510",
        format!(
            "no flag, alias or service has the name {}",
            names.join(", ")
        ),
        format!("{}; {USAGE}", told::known_words(known)),
    )
}

/// Every name that can be killed, as far as the server says.
async fn known(global: &Global) -> Vec<String> {
    let mut names = features::known(global).await;
    names.extend(services::known(global).await);
    names
}

/// Whether the server cannot do anything, as opposed to not doing this.
fn is_fault(error: &ApiError) -> bool {
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::Internal => true,
        ErrorKind::BadInput
        | ErrorKind::Forbidden
        | ErrorKind::Unauthorized
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::TooMany => false,
    }
}
