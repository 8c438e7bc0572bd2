//! `kill`: by the server, or where none answers by the proxy itself.
//!
//! A name may be that of features, of a service, or of both: then both are meant. Nobody
//! in a hurry is asked which.

mod features;
mod messages;

use crate::args::{Global, Kill};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::flag::{killed_line, killed_warnings};
use crate::output::{Output, Tone};
use crate::place;
use crate::release::path_part;
use esclusa_model::{Actor, Outcome, ServiceName};
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_server::body::{FlagsKilledView, Killed, Reason};
use esclusa_server::{ApiError, ErrorKind, proxy_socket_path};
use esclusa_wire::{TakeBack, TakenBack, TookBack};
use messages::Untold;
use serde::Serialize;
use std::time::Duration;

/// The word for every service and feature.
const ALL: &str = "all";
/// How it is asked.
const USAGE: &str = "usage: esclusa kill <FEATURE|SERVICE|all> [--reason WORDS]";
/// Longest wait for the server, which gives itself less: people wait for this.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a proxy is asked whose earlier process has not confirmed yet.
const TRIES: u32 = 3;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Server,
    Proxy,
}

/// What was done, for programs.
#[derive(Debug, Serialize)]
struct Told {
    answered_by: By,
    services: Vec<Killed>,
    /// What became of features; absent when none was meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<FlagsKilledView>,
    /// Whether the proxy's disk has it; absent where the server answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_disk: Option<bool>,
    /// Channels by which people have not been told of it yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    untold: Vec<Untold>,
}

/// What is meant by the name that was given.
struct Meant<'a> {
    /// The name; none for everything.
    name: Option<&'a str>,
    /// The same, where a service can have it.
    service: Option<ServiceName>,
    reason: &'a str,
}

impl Meant<'_> {
    /// Whether services may be meant.
    fn services(&self) -> bool {
        self.name.is_none() || self.service.is_some()
    }
}

pub(crate) async fn run(asked: &Kill, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let name = (asked.name != ALL).then_some(asked.name.as_str());
    // Neither a flag nor a service: a proxy that knows no names would take it all the same.
    if let Some(name) = name.filter(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        return Err(Failure::input(
            "ESC-0510",
            format!("{name:?} is not the name of a feature or a service"),
            USAGE,
        ));
    }
    let meant = Meant {
        name,
        service: name.and_then(|name| ServiceName::new(name).ok()),
        reason: &asked.reason,
    };
    let told = match by_server(&meant, global).await {
        Ok(told) => told,
        Err(failure) if global.server.is_none() && is_fault(&failure.error) => {
            output.say(&format!("{}; the proxy itself is told", failure.error));
            by_proxy(&meant, global).await?
        }
        Err(failure) => return Err(failure),
    };
    if !output.json(&told) {
        if let Some(features) = &told.features {
            output.line(&killed_line(features, output));
        }
        for killed in &told.services {
            output.line(&line(killed, told.answered_by, output));
        }
        say_more(&told, meant.name.is_none(), output);
    }
    if let Some(features) = &told.features {
        killed_warnings(features, output);
    }
    messages::warn(&told.untold, output);
    let back = told.services.iter().all(|killed| killed.at_stable);
    let off = told.features.as_ref().is_none_or(|done| done.in_force);
    Ok(if back && off {
        Exit::Done
    } else {
        Exit::Outcome(Outcome::RollbackFailed)
    })
}

/// Features and services at once: neither waits for the other.
async fn by_server(meant: &Meant<'_>, global: &Global) -> Result<Told, Failure> {
    let (features, services) = tokio::join!(
        features::by_server(meant.name, meant.reason, global),
        services_by_server(meant, global)
    );
    let (features, services) = match (features, services) {
        (Ok(None), Ok(None)) => return Err(unknown(meant, &known(global).await)),
        (Ok(features), Ok(services)) => (features, services.unwrap_or_default()),
        // What could be done was done; what could not is what is told.
        (Err(failure), _) | (_, Err(failure)) => return Err(failure),
    };
    Ok(Told {
        answered_by: By::Server,
        services: second_try(services, meant.reason, global).await,
        features,
        on_disk: None,
        untold: messages::untold(global).await,
    })
}

/// Nothing has this name.
fn unknown(meant: &Meant<'_>, known: &[String]) -> Failure {
    const SHOWN: usize = 30;
    let name = meant.name.unwrap_or(ALL);
    let known = match known.len() {
        0 => "no flag and no service is known yet".to_owned(),
        n if n > SHOWN => format!(
            "known are {} and {} more",
            known[..SHOWN].join(", "),
            n - SHOWN
        ),
        _ => format!("known are {}", known.join(", ")),
    };
    Failure::input(
        "ESC-0510",
        format!("no flag, alias or service has the name {name}"),
        format!("{known}; {USAGE}"),
    )
}

/// Every name that can be killed, as far as the server says.
async fn known(global: &Global) -> Vec<String> {
    let mut names = features::known(global).await;
    if let Ok(client) = Client::new(global)
        && let Ok(services) = client
            .get::<Vec<esclusa_server::ServiceView>>("/api/v1/services")
            .await
    {
        names.extend(services.into_iter().map(|service| service.service));
    }
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

/// What became of services; none when no service has the name.
async fn services_by_server(
    meant: &Meant<'_>,
    global: &Global,
) -> Result<Option<Vec<Killed>>, Failure> {
    let path = match (&meant.service, meant.name) {
        (Some(name), _) => format!("/api/v1/services/{}/kill", path_part(name.as_str())),
        (None, None) => "/api/v1/kill".to_owned(),
        (None, Some(_)) => return Ok(None),
    };
    let body = Reason {
        reason: meant.reason.to_owned(),
    };
    let client = Client::new(global)?;
    let done = client.post_within(&path, &body, PATIENCE).await;
    match done {
        Err(failure) if failure.error.kind == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Where the server has not brought everybody back, the local proxy may: its store may have
/// failed, or whatever else it waits for.
async fn second_try(mut services: Vec<Killed>, reason: &str, global: &Global) -> Vec<Killed> {
    let open = services.iter().filter(|killed| !killed.at_stable);
    let open: Vec<ServiceName> = open.filter_map(|k| k.service.parse().ok()).collect();
    if open.is_empty() || global.server.is_some() {
        return services;
    }
    // Whatever is wrong with the proxy too, what the server said stands.
    let Ok(took) = take_back(Some(open), reason, global).await else {
        return services;
    };
    for killed in &mut services {
        let taken = took.taken_back.iter().any(|taken| {
            taken.service.as_str() == killed.service
                && killed.release.as_deref() == Some(taken.release.as_str())
        });
        if taken && took.everywhere {
            killed.at_stable = true;
            let why = killed.note.take().unwrap_or_default();
            killed.note = Some(format!(
                "taken back at the proxy, because of the server: {why}"
            ));
        }
    }
    services
}

async fn take_back(
    services: Option<Vec<ServiceName>>,
    reason: &str,
    global: &Global,
) -> Result<TookBack, Failure> {
    let control = ControlClient::new(proxy_socket_path(&place::data(global)?));
    let asked = TakeBack {
        services,
        by: me()?,
        reason: reason.to_owned(),
    };
    let mut took = control
        .take_back(&asked)
        .await
        .map_err(|error| not_taken(&error))?;
    let mut tries = 1;
    while !took.everywhere && tries < TRIES {
        took = control
            .take_back(&asked)
            .await
            .map_err(|error| not_taken(&error))?;
        tries += 1;
    }
    Ok(took)
}

async fn by_proxy(meant: &Meant<'_>, global: &Global) -> Result<Told, Failure> {
    let control = ControlClient::new(proxy_socket_path(&place::data(global)?));
    let services = meant.service.clone().map(|name| vec![name]);
    let (features, services) = tokio::join!(
        features::by_proxy(&control, meant.name, me()?, meant.reason),
        async {
            match meant.services() {
                true => take_back(services, meant.reason, global).await.map(Some),
                false => Ok(None),
            }
        }
    );
    let took = services?.filter(|took| took.unknown.is_empty());
    let features = match features {
        // A proxy from before there were flags still takes services back.
        Err(_) if meant.name.is_some() && took.is_some() => None,
        features => features?,
    };
    if took.is_none() && features.is_none() {
        return Err(unknown(meant, &features::known_at(&control).await));
    }
    let disks = [
        took.as_ref().map(|took| took.persisted),
        features.as_ref().map(|done| done.recorded),
    ];
    Ok(Told {
        answered_by: By::Proxy,
        on_disk: Some(disks.into_iter().flatten().all(|disk| disk)),
        services: took.as_ref().map(killed).unwrap_or_default(),
        features: features.map(|done| FlagsKilledView {
            // A server records it from there.
            recorded: true,
            ..done
        }),
        untold: Vec::new(),
    })
}

fn killed(took: &TookBack) -> Vec<Killed> {
    let taken = took.taken_back.iter().map(|taken: &TakenBack| Killed {
        service: taken.service.to_string(),
        release: Some(taken.release.to_string()),
        share: Some(taken.share.to_string()),
        at_stable: took.everywhere,
        note: (!took.everywhere).then(|| {
            "an earlier proxy process that drains has not confirmed it for its open connections"
                .to_owned()
        }),
        in_line: Vec::new(),
    });
    let nothing = took.nothing.iter().map(|name| Killed {
        service: name.to_string(),
        release: None,
        share: None,
        at_stable: true,
        note: None,
        in_line: Vec::new(),
    });
    taken.chain(nothing).collect()
}

/// Who is recorded: the name of the user who typed this.
fn me() -> Result<Actor, Failure> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let name = user.ok().flatten().map(|user| user.name);
    match name.map(Actor::new) {
        Some(Ok(actor)) => Ok(actor),
        Some(Err(_)) | None => {
            Actor::new("local").map_err(|error| Failure::internal(error.to_string()))
        }
    }
}

fn not_taken(error: &ControlError) -> Failure {
    match error {
        ControlError::Unreachable { .. } => ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0501",
            format!("no server could do it, and {error}"),
            "start the proxy (`esclusa serve` starts one): until then nobody is served by it",
        )
        .into(),
        ControlError::Refused(_) | ControlError::Protocol { .. } => Failure {
            error: ApiError::new(
                ErrorKind::Unavailable,
                "ESC-0511",
                error.to_string(),
                "start `esclusa serve` and abort the release, or stop its version by hand",
            ),
            exit: Exit::Outcome(Outcome::RollbackFailed),
        },
    }
}

fn line(killed: &Killed, by: By, output: &Output) -> String {
    let service = output.colour.paint(Tone::Strong, &killed.service);
    let note = killed
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!(": {note}"));
    let Some(release) = &killed.release else {
        return match by {
            By::Server => format!("{service}: no release is under way{note}"),
            By::Proxy => format!("{service}: nothing to take back{note}"),
        };
    };
    let share = killed.share.as_deref().unwrap_or("some");
    let (tone, word) = if killed.at_stable {
        (Tone::Good, "everybody is at the stable version")
    } else {
        (Tone::Bad, "not everybody is at the stable version yet")
    };
    let word = output.colour.paint(tone, word);
    format!("{service}: {word}; release {release} had {share}{note}")
}

fn say_more(told: &Told, all: bool, output: &Output) {
    if told.services.is_empty() && told.features.is_none() {
        output.say("no service is known: there is nothing to move");
    }
    for killed in told.services.iter().filter(|k| !k.in_line.is_empty()) {
        output.say(&format!(
            "{}: in line and next to begin: {}",
            killed.service,
            killed.in_line.join(", ")
        ));
    }
    if told.answered_by == By::Server {
        return;
    }
    let taken = told.services.iter().any(|killed| killed.release.is_some());
    if taken || told.features.is_some() {
        output.say(
            "the proxy keeps this, also when it is started again, until a server takes it over; \
             nobody has been sent a message of it until then",
        );
    }
    if told.on_disk == Some(false) && (taken || told.features.is_some()) {
        output.say("its disk does not have it yet: if the proxy dies now, ask again");
    }
    if told.services.iter().any(|killed| killed.release.is_none()) {
        output.say(
            "a release that the proxy does not show to anybody yet goes on once a server runs",
        );
    }
    if all {
        output.say("services whose requests another router carries are not known to the proxy");
    }
}
