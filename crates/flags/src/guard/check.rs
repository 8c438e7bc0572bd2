//! What is wrong with the guards of a set.

use super::compiled::{Guard, is_token};
use super::pattern::PathPattern;
use super::{ClaimCheck, GuardDefinition, GuardedRoute, UnitSource};
use crate::definition::FlagSet;
use crate::problem::{Place, Problem, ProblemCode, Problems};
use esclusa_model::ServiceName;
use std::collections::BTreeMap;

/// Most routes of one guard.
pub const MAX_GUARDED_ROUTES: usize = 1_000;

/// Checks all guards: against their set, and against those that are asked before them.
#[must_use]
pub fn check_guards(set: &FlagSet) -> Vec<Problem> {
    let mut problems = Problems::default();
    // By service; guards without one are asked by name, each for itself.
    let mut earlier: BTreeMap<&str, Vec<Earlier>> = BTreeMap::new();
    let guards = Place::root("guards");
    for (name, definition) in &set.guards {
        let place = guards.key(name);
        check_names(&place, set, name, definition, &mut problems);
        check_claims(&place, definition, &mut problems);
        check_routes(&place, set, definition, &mut problems);
        match Guard::compile(name, definition) {
            Err(wrong) => problems.0.extend(wrong),
            Ok(guard) => {
                let mut own = Vec::new();
                let before = match &definition.service {
                    Some(service) => earlier.entry(service).or_default(),
                    None => &mut own,
                };
                check_order(&place, &guard, before, &mut problems);
            }
        }
    }
    problems.0
}

/// A route that is asked before others.
struct Earlier {
    guard: String,
    at: usize,
    method: Option<String>,
    pattern: PathPattern,
}

fn check_names(
    place: &Place<'_>,
    set: &FlagSet,
    name: &str,
    definition: &GuardDefinition,
    problems: &mut Problems,
) {
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(letters) {
        let message = "a guard's name has letters, digits, '-', '_' and '.'";
        problems.add(place, ProblemCode::BadName, message);
    }
    if let Some(service) = &definition.service
        && let Err(error) = ServiceName::new(service.clone())
    {
        problems.add(
            &place.key("service"),
            ProblemCode::BadName,
            error.to_string(),
        );
    }
    let unnamed = definition.environment.is_empty() && set.environments.is_empty();
    if !unnamed && !set.environments.contains(&definition.environment) {
        let known = set.environments.iter().map(String::as_str);
        let named = ("environment", definition.environment.as_str());
        let code = ProblemCode::UnknownEnvironment;
        problems.unknown(&place.key("environment"), code, named, known);
    }
    if definition.routes.is_empty() {
        let message = "a guard without routes guards nothing";
        problems.add(&place.key("routes"), ProblemCode::BadValue, message);
    }
}

fn check_claims(place: &Place<'_>, definition: &GuardDefinition, problems: &mut Problems) {
    let sources = definition.tenant.iter().chain(&definition.user);
    let asks = sources
        .filter(|source| matches!(source, UnitSource::Claim(_)))
        .count();
    let claims = place.key("claims");
    let Some(check) = &definition.claims else {
        if asks > 0 {
            let message = "a claim decides nothing unless its token is verified";
            let hint = "say under `claims` which secret or jwks-file verifies it";
            problems.add_hint(&claims, ProblemCode::BadValue, message, hint);
        }
        return;
    };
    let ClaimCheck {
        jwks_file, secret, ..
    } = check;
    match (jwks_file, secret) {
        (Some(_), None) => {}
        (None, Some(secret)) => {
            let known = ["env:", "file:"].iter().any(|kind| {
                secret
                    .strip_prefix(kind)
                    .is_some_and(|rest| !rest.is_empty())
            });
            if !known {
                let message = "it names no place of a secret";
                let hint = "write env:NAME or file:/path; the secret itself stands in no set";
                problems.add_hint(&claims.key("secret"), ProblemCode::BadValue, message, hint);
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "tokens are verified by exactly one of secret and jwks-file";
            problems.add(&claims, ProblemCode::BadValue, message);
        }
    }
    if asks == 0 {
        let message = "no source of tenant or user asks for a claim";
        problems.add(&claims, ProblemCode::BadValue, message);
    }
}

fn check_routes(
    place: &Place<'_>,
    set: &FlagSet,
    definition: &GuardDefinition,
    problems: &mut Problems,
) {
    let routes = place.key("routes");
    let count = definition.routes.len();
    if count > MAX_GUARDED_ROUTES {
        let message = format!("there are {count} routes, {MAX_GUARDED_ROUTES} are allowed");
        problems.add(&routes, ProblemCode::TooMany, message);
    }
    for (at, route) in definition.routes.iter().enumerate() {
        let place = routes.index(at);
        check_flag(&place, set, route, problems);
        if let Some(method) = &route.method
            && (!is_token(method) || *method != method.to_ascii_uppercase())
        {
            let message = format!("{method:?} is no method in capital letters, such as POST");
            problems.add(&place.key("method"), ProblemCode::BadValue, message);
        }
        if let Some(status) = route.status
            && !(400..=599).contains(&status)
        {
            let message = format!("{status} tells nobody that the feature is off");
            let hint = "take a status from 400 to 599; 503 is used when none is given";
            problems.add_hint(&place.key("status"), ProblemCode::BadValue, message, hint);
        }
    }
}

fn check_flag(place: &Place<'_>, set: &FlagSet, route: &GuardedRoute, problems: &mut Problems) {
    let Some(flag) = set.flags.get(&route.flag) else {
        let known = set.flags.keys().map(String::as_str);
        let code = ProblemCode::UnknownFlag;
        problems.unknown(&place.key("flag"), code, ("flag", &route.flag), known);
        return;
    };
    let variants = flag.effective_variants();
    if let Some(variant) = &route.variant
        && !variants.contains_key(variant)
    {
        let known = variants.keys().map(String::as_str);
        let code = ProblemCode::UnknownVariant;
        problems.unknown(&place.key("variant"), code, ("variant", variant), known);
    }
}

/// A route behind one that takes all its requests decides nothing.
fn check_order(
    place: &Place<'_>,
    guard: &Guard,
    earlier: &mut Vec<Earlier>,
    problems: &mut Problems,
) {
    let routes = place.key("routes");
    for (at, (route, pattern)) in guard.patterns().enumerate() {
        let covering = earlier.iter().find(|before| {
            let method = before.method.is_none() || before.method == route.method;
            method && before.pattern.covers(pattern)
        });
        if let Some(before) = covering {
            let message = format!(
                "no request reaches it: route {} of guard {:?} comes first",
                before.at + 1,
                before.guard
            );
            problems.add(&routes.index(at), ProblemCode::Order, message);
        }
        earlier.push(Earlier {
            guard: guard.name().to_owned(),
            at,
            method: route.method.clone(),
            pattern: pattern.clone(),
        });
    }
}
