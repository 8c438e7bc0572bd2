//! A kill without a server: whoever stands at the machine speaks to the proxy itself.

use super::features::names;
use super::told::{By, Told};
use super::{Meant, both_unknown, left, not_known};
use crate::exit::{Exit, Failure};
use esclusa_flags::{FlagSet, off_with};
use esclusa_model::{Actor, Outcome, ServiceName, Timestamp};
use esclusa_proxy::client::{ControlClient, ControlError, Unreached};
use esclusa_server::body::{FlagsKilledView, Killed};
use esclusa_server::{ApiError, ErrorKind, proxy_socket_path};
use esclusa_wire::{FlagKill, TakeBack, TakenBack, TookBack};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How often a proxy is asked whose earlier process has not confirmed yet.
const TRIES: u32 = 3;

/// At the proxy of a data folder; where none answers, for the next one.
pub(super) async fn kill(meant: &Meant, data: &Path) -> Result<Told, Failure> {
    let by = me()?;
    let control = ControlClient::new(proxy_socket_path(data));
    match at(&control, meant, &by).await {
        Ok(told) => told,
        Err(ControlError::Unreachable {
            unreached: unreached @ (Unreached::Absent | Unreached::Silent),
            why,
            ..
        }) => left::leave(meant, &by, data, unreached, &why),
        Err(error) => Err(not_taken(&error, data)),
    }
}

/// What the proxy did; the inner error is of what was asked.
async fn at(
    control: &ControlClient,
    meant: &Meant,
    by: &Actor,
) -> Result<Result<Told, Failure>, ControlError> {
    let services = meant.services();
    let (features, took) = tokio::join!(features(control, meant, by), async {
        match services.as_ref().is_some_and(Vec::is_empty) {
            true => Ok(None),
            false => take_back(control, services, by, &meant.reason)
                .await
                .map(Some),
        }
    });
    let took = took?;
    let not_services = match &took {
        None => meant.names.clone(),
        Some(took) => not_services(meant, took),
    };
    let some_service = not_services.len() < meant.names.len();
    let features = match features {
        // A proxy from before there were flags still takes services back.
        Err(_) if some_service => Features::none(meant),
        features => features?,
    };
    let unknown = both_unknown(features.unknown, &not_services);
    if !unknown.is_empty() && unknown.len() == meant.names.len() {
        return Ok(Err(not_known(&unknown, &features.known)));
    }
    let disks = [
        // Where nothing was taken back, there is nothing to keep.
        took.as_ref()
            .filter(|took| !took.taken_back.is_empty())
            .map(|took| took.persisted),
        features.done.as_ref().map(|_| features.on_disk),
    ];
    Ok(Ok(Told {
        on_disk: Some(disks.into_iter().flatten().all(|disk| disk)),
        services: took.as_ref().map(killed).unwrap_or_default(),
        features: features.done,
        known: features.known,
        unknown,
        ..Told::by(By::Proxy)
    }))
}

/// What became of features at the proxy.
struct Features {
    done: Option<FlagsKilledView>,
    on_disk: bool,
    unknown: Vec<String>,
    /// Every name that a flag has there.
    known: Vec<String>,
}

impl Features {
    /// Nothing was to be done.
    fn none(meant: &Meant) -> Self {
        Self {
            done: None,
            on_disk: true,
            unknown: meant.names.clone(),
            known: Vec::new(),
        }
    }
}

async fn features(
    control: &ControlClient,
    meant: &Meant,
    by: &Actor,
) -> Result<Features, ControlError> {
    let set = match control.flags().await {
        Ok(document) => document.map(|document| document.set).unwrap_or_default(),
        // From before there were any flags.
        Err(ControlError::Protocol { why, .. }) if meant.is_all() && why.starts_with("404") => {
            return Ok(Features::none(meant));
        }
        Err(error) => return Err(error),
    };
    let (flags, unknown) = flags_meant(&set, meant);
    let known = names(&set.to_json());
    // Flags that are defined later would be dead from their first day.
    let none = flags.as_ref().map_or(set.flags.is_empty(), Vec::is_empty);
    if none {
        return Ok(Features {
            unknown,
            known,
            ..Features::none(meant)
        });
    }
    let kill = flag_kill(flags, by, &meant.reason);
    let answer = control.kill_flags(&kill).await?;
    Ok(Features {
        on_disk: answer.persisted,
        done: Some(view(kill.flags, &set, Ok(answer.kills.epoch()))),
        unknown,
        known,
    })
}

/// The flags that are meant, all without, and names that no flag has.
pub(super) fn flags_meant(set: &FlagSet, meant: &Meant) -> (Option<Vec<String>>, Vec<String>) {
    if meant.is_all() {
        return (None, Vec::new());
    }
    let (mut flags, mut unknown) = (Vec::new(), Vec::new());
    for name in &meant.names {
        let found = set.meant_by(name);
        if found.is_empty() {
            unknown.push(name.clone());
        }
        flags.extend(found.into_iter().map(str::to_owned));
    }
    flags.sort();
    flags.dedup();
    (Some(flags), unknown)
}

/// A kill to which the proxy gives its epoch and time.
pub(super) fn flag_kill(flags: Option<Vec<String>>, by: &Actor, reason: &str) -> FlagKill {
    FlagKill {
        flags,
        killed: true,
        epoch: 0,
        by: by.clone(),
        reason: reason.to_owned(),
        at: Timestamp::default(),
    }
}

/// What became of features, with the epoch or why they are not off yet.
pub(super) fn view(
    flags: Option<Vec<String>>,
    set: &FlagSet,
    in_force: Result<u64, String>,
) -> FlagsKilledView {
    FlagsKilledView {
        off_with_it: flags.as_ref().map_or_else(Vec::new, |f| off_with(set, f)),
        flags,
        epoch: in_force.as_ref().copied().unwrap_or_default(),
        in_force: in_force.is_ok(),
        note: in_force.err(),
        // A server records it later.
        recorded: false,
        confirmed: 0,
        unconfirmed: Vec::new(),
        sinks_behind: Vec::new(),
    }
}

/// Names of the call that no service has.
fn not_services(meant: &Meant, took: &TookBack) -> Vec<String> {
    let mut names = meant.names.clone();
    let known = took.taken_back.iter().map(|taken| &taken.service);
    for service in known.chain(&took.nothing) {
        names.retain(|name| name != service.as_str());
    }
    names
}

pub(super) async fn take_back(
    control: &ControlClient,
    services: Option<Vec<ServiceName>>,
    by: &Actor,
    reason: &str,
) -> Result<TookBack, ControlError> {
    let asked = TakeBack {
        services,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    let mut took = control.take_back(&asked).await?;
    let mut tries = 1;
    while !took.everywhere && tries < TRIES {
        took = control.take_back(&asked).await?;
        tries += 1;
    }
    Ok(took)
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
pub(super) fn me() -> Result<Actor, Failure> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let name = user.ok().flatten().map(|user| user.name);
    match name.map(Actor::new) {
        Some(Ok(actor)) => Ok(actor),
        Some(Err(_)) | None => {
            Actor::new("local").map_err(|error| Failure::internal(error.to_string()))
        }
    }
}

fn not_taken(error: &ControlError, data: &Path) -> Failure {
    let message = format!("no server could do it, and {error}");
    match error {
        ControlError::Unreachable { .. } => ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0501",
            message,
            format!("run it as {}: users are served all the while", owner(data)),
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

/// Who may speak to the proxy of a data folder.
fn owner(data: &Path) -> String {
    let folders = [data.join("proxy"), data.to_owned()];
    let uid = folders
        .iter()
        .find_map(|folder| std::fs::metadata(folder).ok())
        .map(|found| found.uid());
    let Some(uid) = uid else {
        return "the user who runs `esclusa serve`, or as root".to_owned();
    };
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let name = user.map_or_else(|| format!("user {uid}"), |user| user.name);
    match uid {
        0 => format!("{name}, to whom {} belongs", data.display()),
        _ => format!("{name}, to whom {} belongs, or as root", data.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // EMG-04: a socket that is closed to this user is no proxy that does not run.
    #[test]
    fn who_may_not_ask_is_told_who_may() {
        let data = tempfile::tempdir().expect("a folder");
        let error = ControlError::Unreachable {
            socket: data.path().join("proxy/proxy.sock"),
            why: "Permission denied".into(),
            unreached: Unreached::Denied,
        };
        let failure = not_taken(&error, data.path());
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        let name = user.map_or_else(|| format!("user {uid}"), |user| user.name);
        let help = &failure.error.help;
        assert!(
            help.contains(&format!("run it as {name}, to whom")),
            "{help}"
        );
        let help = not_taken(&error, std::path::Path::new("/nowhere"))
            .error
            .help;
        assert!(help.contains("the user who runs"), "{help}");
    }
}
