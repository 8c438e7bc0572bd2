//! A kill without anybody to tell: it waits in the folder, and the next proxy has it before
//! it serves anybody.

use super::at_proxy::{flag_kill, flags_meant, view};
use super::features::names;
use super::told::{By, Told};
use super::{Meant, both_unknown, not_known};
use crate::exit::Failure;
use esclusa_flags::FlagSet;
use esclusa_model::{Actor, ServiceName};
use esclusa_proxy::client::Unreached;
use esclusa_proxy::{leave_kill, saved_flags, saved_state};
use esclusa_server::body::Killed;
use esclusa_server::{ApiError, ErrorKind};
use esclusa_wire::{LeftKill, ServiceRoute, TakeBack};
use std::path::Path;

/// Leaves it for the next proxy of a data folder, or for this one if it hangs.
pub(super) fn leave(
    meant: &Meant,
    by: &Actor,
    data: &Path,
    unreached: Unreached,
    why: &str,
) -> Result<Told, Failure> {
    let folder = data.join("proxy");
    if !folder.is_dir() {
        return Err(ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0501",
            format!(
                "no server could do it, and {} has had no proxy yet",
                data.display()
            ),
            "name the data folder with --data, or start `esclusa serve`: until a proxy runs, \
             nobody is served by one",
        )
        .into());
    }
    let known = Known::of(&folder);
    let (flags, not_flags) = known.flags(meant);
    let (services, not_services) = known.services(meant);
    let unknown = both_unknown(not_flags, &not_services);
    let names = known.names();
    if !unknown.is_empty() && unknown.len() == meant.names.len() {
        return Err(not_known(&unknown, &names));
    }
    let some_flags = match &flags {
        None => known.set.as_ref().is_none_or(|set| !set.flags.is_empty()),
        Some(flags) => !flags.is_empty(),
    };
    let some_services = services.as_ref().is_none_or(|list| !list.is_empty());
    let left = LeftKill {
        flags: some_flags.then(|| flag_kill(flags.clone(), by, &meant.reason)),
        take_back: some_services.then(|| TakeBack {
            services: services.clone(),
            by: by.clone(),
            reason: meant.reason.clone(),
        }),
    };
    let path = leave_kill(&folder, &left).map_err(|error| not_left(&folder, why, &error))?;
    let answered_by = match unreached {
        Unreached::Absent => By::Nobody,
        Unreached::Silent | Unreached::Denied => By::Silence,
    };
    let why = format!("the proxy does not answer: {why}");
    let set = known.set.clone().unwrap_or_default();
    Ok(Told {
        services: known.killed(services.as_deref(), answered_by == By::Nobody, &why),
        features: some_flags.then(|| view(flags, &set, Err(why))),
        known: names,
        unknown,
        left: Some(path),
        ..Told::by(answered_by)
    })
}

fn not_left(folder: &Path, why: &str, error: &std::io::Error) -> Failure {
    ApiError::new(
        ErrorKind::Unavailable,
        "ESC-0501",
        format!(
            "no server could do it, the proxy does not answer ({why}), and the kill cannot be \
             left in {}: {error}",
            folder.display()
        ),
        "make room on that disk, or run it as the folder's owner; a proxy that is started now \
         serves as before",
    )
    .into()
}

/// What the proxy served last.
struct Known {
    /// Its flags; absent where they cannot be read.
    set: Option<FlagSet>,
    routes: Option<Vec<ServiceRoute>>,
}

impl Known {
    fn of(folder: &Path) -> Self {
        let set = saved_flags(folder).map(|file| file.document.map(|d| d.set).unwrap_or_default());
        let none = |name: &str| !folder.join(name).exists();
        Self {
            set: set.or_else(|| none("flags").then(FlagSet::default)),
            routes: saved_state(folder)
                .map(|state| state.generation.services)
                .or_else(|| none("state").then(Vec::new)),
        }
    }

    /// As [`flags_meant`]; where nothing can be read, every name may be a key.
    fn flags(&self, meant: &Meant) -> (Option<Vec<String>>, Vec<String>) {
        match &self.set {
            Some(set) => flags_meant(set, meant),
            None if meant.is_all() => (None, Vec::new()),
            None => (Some(meant.names.clone()), Vec::new()),
        }
    }

    /// The services that are meant, all without, and names that no service has.
    fn services(&self, meant: &Meant) -> (Option<Vec<ServiceName>>, Vec<String>) {
        let Some(mut services) = meant.services() else {
            return (None, Vec::new());
        };
        if let Some(routes) = &self.routes {
            services.retain(|name| routes.iter().any(|route| route.service == *name));
        }
        let has = |name: &&String| services.iter().any(|s| s.as_str() == name.as_str());
        let unknown = meant.names.iter().filter(|name| !has(name)).cloned();
        let unknown = unknown.collect();
        (Some(services), unknown)
    }

    fn names(&self) -> Vec<String> {
        let mut names = self
            .set
            .as_ref()
            .map_or_else(Vec::new, |set| names(&set.to_json()));
        let routes = self.routes.iter().flatten();
        names.extend(routes.map(|route| route.service.to_string()));
        names
    }

    fn killed(
        &self,
        services: Option<&[ServiceName]>,
        serves_nobody: bool,
        why: &str,
    ) -> Vec<Killed> {
        let routes = self.routes.iter().flatten();
        let meant = routes
            .filter(|route| services.is_none_or(|services| services.contains(&route.service)));
        let killed = meant.map(|route| {
            let split = route.split.as_ref();
            let open = split.is_some() && !serves_nobody;
            Killed {
                service: route.service.to_string(),
                release: split.map(|split| split.release.to_string()),
                share: split.map(|split| split.share.to_string()),
                at_stable: !open,
                note: open.then(|| why.to_owned()),
                in_line: Vec::new(),
            }
        });
        killed.collect()
    }
}
