//! Which endpoints of an application its guards cover, and which they leave open.

use super::GuardMode;
use super::GuardedRoute;
use super::compiled::{Guard, takes_method};
use super::pattern::{PathPattern, RequestPath};
use crate::definition::FlagSet;
use crate::problem::Problem;
use serde::Serialize;

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

/// What guards cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Endpoints that a guard decides about.
    pub guarded: Vec<GuardedEndpoint>,
    /// Endpoints that no guard decides about.
    pub unguarded: Vec<Endpoint>,
    /// Routes of guards that no endpoint fits.
    pub idle: Vec<IdleRoute>,
}

/// Compares the guards of a set with an application's endpoints: those of one service,
/// or all.
///
/// # Errors
/// What is wrong with the guards.
pub fn coverage(
    set: &FlagSet,
    service: Option<&str>,
    endpoints: &[Endpoint],
) -> Result<Coverage, Vec<Problem>> {
    let mut guards = Vec::new();
    let mut problems = Vec::new();
    for (name, definition) in &set.guards {
        if service.is_some() && definition.service.as_deref() != service {
            continue;
        }
        match Guard::compile(name, definition) {
            Ok(guard) => guards.push(guard),
            Err(wrong) => problems.extend(wrong),
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
    let idle =
        routes
            .iter()
            .zip(&used)
            .filter(|(_, used)| !**used)
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
fn parameter(segment: &str) -> String {
    match segment.contains('{') && segment.contains('}') {
        true => ":any".to_owned(),
        false => segment.to_owned(),
    }
}
