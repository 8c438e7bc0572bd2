//! `kill`: by the server, or where none answers by the proxy itself.

use crate::args::{Global, Kill};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::place;
use crate::release::path_part;
use esclusa_model::{Actor, Outcome, ServiceName};
use esclusa_proxy::client::{ControlClient, ControlError};
use esclusa_server::body::{Killed, Reason};
use esclusa_server::{ApiError, ErrorKind, proxy_socket_path};
use esclusa_wire::{TakeBack, TakenBack, TookBack};
use serde::Serialize;
use std::time::Duration;

/// The word for every service.
const ALL: &str = "all";
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
    /// Whether the proxy's disk has it; absent where the server answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_disk: Option<bool>,
}

pub(crate) async fn run(asked: &Kill, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let service = match asked.service.as_str() {
        ALL => None,
        name => Some(ServiceName::new(name).map_err(|error| {
            let help = "name a service, or `all` for every one";
            Failure::input("ESC-0510", error.to_string(), help)
        })?),
    };
    let told = match by_server(service.as_ref(), &asked.reason, global).await {
        Ok(services) => Told {
            answered_by: By::Server,
            services: second_try(services, &asked.reason, global).await,
            on_disk: None,
        },
        Err(failure) if global.server.is_none() && is_fault(&failure.error) => {
            output.say(&format!("{}; the proxy itself is told", failure.error));
            by_proxy(service.as_ref(), &asked.reason, global).await?
        }
        Err(failure) => return Err(failure),
    };
    if !output.json(&told) {
        for killed in &told.services {
            output.line(&line(killed, told.answered_by, output));
        }
        say_more(&told, service.as_ref(), output);
    }
    Ok(if told.services.iter().all(|killed| killed.at_stable) {
        Exit::Done
    } else {
        Exit::Outcome(Outcome::RollbackFailed)
    })
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

async fn by_server(
    service: Option<&ServiceName>,
    reason: &str,
    global: &Global,
) -> Result<Vec<Killed>, Failure> {
    let path = match service {
        Some(name) => format!("/api/v1/services/{}/kill", path_part(name.as_str())),
        None => "/api/v1/kill".to_owned(),
    };
    let body = Reason {
        reason: reason.to_owned(),
    };
    let client = Client::new(global)?;
    client.post_within(&path, &body, PATIENCE).await
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

async fn by_proxy(
    service: Option<&ServiceName>,
    reason: &str,
    global: &Global,
) -> Result<Told, Failure> {
    let services = service.map(|name| vec![name.clone()]);
    let took = take_back(services, reason, global).await?;
    if let Some(name) = took.unknown.first() {
        return Err(Failure::input(
            "ESC-0510",
            format!("the proxy serves no service {name}"),
            "check the name; what another router sends to its versions has to be turned there",
        ));
    }
    Ok(Told {
        answered_by: By::Proxy,
        on_disk: Some(took.persisted),
        services: killed(&took),
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

fn say_more(told: &Told, service: Option<&ServiceName>, output: &Output) {
    if told.services.is_empty() {
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
    if told.services.iter().any(|killed| killed.release.is_some()) {
        output.say(
            "the proxy keeps this, also when it is started again, until a server takes it over",
        );
    }
    if told.on_disk == Some(false) && told.services.iter().any(|k| k.release.is_some()) {
        output.say("its disk does not have it yet: if the proxy dies now, ask again");
    }
    if told.services.iter().any(|killed| killed.release.is_none()) {
        output.say(
            "a release that the proxy does not show to anybody yet goes on once a server runs",
        );
    }
    if service.is_none() {
        output.say("services whose requests another router carries are not known to the proxy");
    }
}
