//! Which endpoints of an application its guards cover, and which they leave open.

use super::GuardMode;
use super::GuardedRoute;
use super::compiled::{Guard, takes_method};
use super::pattern::{PathPattern, RequestPath};
use crate::definition::FlagSet;
use crate::problem::Problem;
use serde::Serialize;
use std::collections::BTreeSet;

/// One endpoint of an application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    /// The method in upper case.
    pub method: String,
    /// The path, with parameters as `{name}` or `:name`.
    pub path: String,
}

/// An endpoint with the guard that decides about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardedEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The guard.
    pub guard: String,
    /// The flag.
    pub flag: String,
    /// What happens while it is off.
    pub mode: GuardMode,
}

/// A guard's route that no endpoint fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdleRoute {
    /// The guard.
    pub guard: String,
    /// Its place among the guard's routes, from 0.
    pub route: usize,
    /// Its method; any without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its pattern.
    pub path: String,
    /// Its flag.
    pub flag: String,
}

/// A guard whose service does not exist: nobody's requests are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardOfNothing {
    /// The guard.
    pub guard: String,
    /// The service that it names.
    pub service: String,
}

/// Which guards and endpoints are compared.
#[derive(Debug, Clone, Copy)]
pub struct CoverageOf<'a> {
    /// Guards of this service; all without.
    pub service: Option<&'a str>,
    /// Endpoints below this path, and guards' routes that may match there; all without.
    pub below: Option<&'a PathPattern>,
    /// Services that guards name and that do not exist: such guards guard nothing.
    pub missing_services: &'a BTreeSet<String>,
}

/// What guards cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Endpoints that a guard decides about.
    pub guarded: Vec<GuardedEndpoint>,
    /// Endpoints that no guard decides about.
    pub unguarded: Vec<Endpoint>,
    /// Routes of guards that no endpoint fits.
    pub idle: Vec<IdleRoute>,
    /// Guards of services that do not exist; they count as none.
    pub of_nothing: Vec<GuardOfNothing>,
}

/// Compares the guards of a set with an application's endpoints.
///
/// # Errors
/// What is wrong with the guards.
pub fn coverage(
    set: &FlagSet,
    of: CoverageOf<'_>,
    endpoints: &[Endpoint],
) -> Result<Coverage, Vec<Problem>> {
    let (mut guards, mut of_nothing) = (Vec::new(), Vec::new());
    let mut problems = Vec::new();
    let concerns = |pattern: &PathPattern| of.below.is_none_or(|below| below.meets(pattern));
    for (name, definition) in &set.guards {
        let service = definition.service.as_deref();
        if of.service.is_some() && service != of.service {
            continue;
        }
        match (Guard::compile(name, definition), service) {
            (Err(wrong), _) => problems.extend(wrong),
            (Ok(guard), Some(service)) if of.missing_services.contains(service) => {
                if guard.patterns().any(|(_, pattern)| concerns(pattern)) {
                    of_nothing.push(GuardOfNothing {
                        guard: name.clone(),
                        service: service.to_owned(),
                    });
                }
            }
            (Ok(guard), _) => guards.push(guard),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let routes: Vec<_> = guards
        .iter()
        .flat_map(|guard| {
            let numbered = guard.patterns().enumerate();
            numbered.map(move |(at, (route, pattern))| (guard, at, route, pattern))
        })
        .collect();
    let mut used = vec![false; routes.len()];
    let (mut guarded, mut unguarded) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        let shape = Shape::new(&endpoint.path);
        let fits = |(_, _, route, pattern): &(_, _, &GuardedRoute, &PathPattern)| {
            takes_method(route.method.as_deref(), &endpoint.method) && shape.is_within(pattern)
        };
        for (used, route) in used.iter_mut().zip(&routes) {
            *used |= fits(route);
        }
        // A route that fits elsewhere is not idle, wherever that is.
        if of.below.is_some_and(|below| !shape.is_within(below)) {
            continue;
        }
        match routes.iter().find(|route| fits(route)) {
            None => unguarded.push(endpoint.clone()),
            Some((guard, _, route, _)) => {
                guarded.push(GuardedEndpoint {
                    endpoint: endpoint.clone(),
                    guard: guard.name().to_owned(),
                    flag: route.flag.clone(),
                    mode: route.mode,
                });
            }
        }
    }
    let idle = routes
        .iter()
        .zip(&used)
        .filter(|((.., pattern), used)| !**used && concerns(pattern))
        .map(|((guard, at, route, _), _)| IdleRoute {
            guard: guard.name().to_owned(),
            route: *at,
            method: route.method.clone(),
            path: route.path.clone(),
            flag: route.flag.clone(),
        });
    Ok(Coverage {
        idle: idle.collect(),
        guarded,
        unguarded,
        of_nothing,
    })
}

/// An endpoint's path as a pattern of its own: a guard covers it when it fits each of its
/// paths.
enum Shape {
    Pattern(PathPattern),
    /// One that is no pattern of ours, such as `/files/{name}.{type}`.
    Text(String),
}

impl Shape {
    fn new(path: &str) -> Self {
        let segments: Vec<String> = path.split('/').map(parameter).collect();
        let text = segments.join("/");
        match PathPattern::parse(&text) {
            Ok(pattern) => Self::Pattern(pattern),
            Err(_) => Self::Text(text),
        }
    }

    fn is_within(&self, pattern: &PathPattern) -> bool {
        match self {
            Self::Pattern(own) => pattern.covers(own),
            Self::Text(text) => pattern.fits(&RequestPath::new(text)),
        }
    }
}

/// A segment with a parameter anywhere in it can be any.
pub(super) fn parameter(segment: &str) -> String {
    match segment.contains('{') && segment.contains('}') {
        true => ":any".to_owned(),
        false => segment.to_owned(),
    }
}
