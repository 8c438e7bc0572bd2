//! Guards of services, ready to be asked, and what they counted.

use super::token::ClaimKeys;
use esclusa_flags::{FlagSet, Guard, GuardRequest, Guards, Problem, Units, check_guards};
use esclusa_model::ServiceName;
use http::header::{AUTHORIZATION, HeaderMap};
use http::request::Parts;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The guards of all services.
#[derive(Debug, Default)]
pub(crate) struct GuardTable {
    services: BTreeMap<ServiceName, Guards>,
    /// By guard.
    claims: BTreeMap<String, ClaimKeys>,
}

impl GuardTable {
    /// Compiles the guards of services, and reads the keys that their claims are verified
    /// with.
    ///
    /// # Errors
    /// Everything that is wrong with the set's guards.
    pub(crate) fn compile(set: &FlagSet) -> Result<Self, Vec<Problem>> {
        let mut problems = check_guards(set);
        let mut services: BTreeMap<ServiceName, Vec<Guard>> = BTreeMap::new();
        let mut claims = BTreeMap::new();
        for (name, definition) in &set.guards {
            let service = definition.service.clone().map(ServiceName::new);
            let Some(Ok(service)) = service else { continue };
            match Guard::compile(name, definition) {
                Ok(guard) => services.entry(service).or_default().push(guard),
                Err(wrong) => problems.extend(wrong),
            }
            if let Some(check) = &definition.claims {
                claims.insert(name.clone(), check.clone());
            }
        }
        if !problems.is_empty() {
            problems.sort();
            problems.dedup();
            return Err(problems);
        }
        let services = services.into_iter();
        let claims = claims.into_iter();
        Ok(Self {
            services: services
                .map(|(name, list)| (name, Guards::new(list)))
                .collect(),
            claims: claims
                .map(|(name, check)| (name, ClaimKeys::new(check)))
                .collect(),
        })
    }

    /// The guards of a service, if it has any.
    pub(crate) fn of(&self, service: &ServiceName) -> Option<&Guards> {
        if self.services.is_empty() {
            return None;
        }
        self.services.get(service)
    }

    /// Reads all keys again. Blocks on files.
    pub(crate) fn read_keys_again(&self) {
        self.claims.values().for_each(ClaimKeys::read_again);
    }

    pub(crate) fn has_keys(&self) -> bool {
        !self.claims.is_empty()
    }

    /// Whose a request is by a guard's sources.
    pub(crate) fn units(&self, guard: &Guard, parts: &Parts, host: &str) -> Units<'static> {
        let seen = Seen {
            parts,
            host,
            keys: self.claims.get(guard.name()),
            claims: OnceCell::new(),
        };
        let units = guard.units(&seen);
        let owned = |unit: Option<Cow<'_, str>>| unit.map(|u| Cow::Owned(u.into_owned()));
        Units {
            tenant: owned(units.tenant),
            user: owned(units.user),
            lacks_tenant: units.lacks_tenant,
        }
    }
}

/// A request as guards ask about it.
struct Seen<'r> {
    parts: &'r Parts,
    host: &'r str,
    keys: Option<&'r ClaimKeys>,
    /// Verified when the first claim is asked for.
    claims: OnceCell<Option<Map<String, Value>>>,
}

impl GuardRequest for Seen<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    fn header(&self, name: &str) -> Option<&str> {
        single(&self.parts.headers, name)
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let claims = self.claims.get_or_init(|| {
            let line = single(&self.parts.headers, AUTHORIZATION.as_str())?;
            let (scheme, token) = line.split_once(' ')?;
            let bearer = scheme.eq_ignore_ascii_case("bearer");
            self.keys.filter(|_| bearer)?.claims(token.trim())
        });
        match claims.as_ref()?.get(name)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }
}

/// A header that is there once: of two that differ nobody knows which one the application
/// reads.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// What became of a request before a guarded route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open,
    Blocked,
    Fallback,
}

/// Requests before the routes of one flag.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuardCount {
    pub(crate) open: u64,
    pub(crate) blocked: u64,
    pub(crate) fallback: u64,
    pub(crate) without_tenant: u64,
}

/// Counts by service and flag, since the start.
#[derive(Debug, Default)]
pub(crate) struct GuardCounts(Mutex<BTreeMap<ServiceName, BTreeMap<String, GuardCount>>>);

impl GuardCounts {
    pub(crate) fn count(
        &self,
        service: &ServiceName,
        flag: &str,
        outcome: Outcome,
        lacks_tenant: bool,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(service) {
            all.insert(service.clone(), BTreeMap::new());
        }
        let Some(flags) = all.get_mut(service) else {
            return;
        };
        if !flags.contains_key(flag) {
            flags.insert(flag.to_owned(), GuardCount::default());
        }
        if let Some(count) = flags.get_mut(flag) {
            count.open += u64::from(outcome == Outcome::Open);
            count.blocked += u64::from(outcome == Outcome::Blocked);
            count.fallback += u64::from(outcome == Outcome::Fallback);
            count.without_tenant += u64::from(lacks_tenant);
        }
    }

    /// All counts, by service and flag.
    pub(crate) fn all(&self) -> Vec<(ServiceName, String, GuardCount)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flat = all.iter().flat_map(|(service, flags)| {
            let own = move |(flag, count): (&String, &GuardCount)| {
                (service.clone(), flag.clone(), *count)
            };
            flags.iter().map(own)
        });
        flat.collect()
    }
}
