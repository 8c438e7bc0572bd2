//! A guard made ready: which flag stands before a request, whose the request is, and
//! whether it may pass.
//!
//! How paths are compared is in `guard_path.rs`. `HEAD` is guarded as `GET` is.

use crate::answer::FlagReason;
use crate::context::AttributeValue;
use crate::definition::FlagSet;
use crate::guard::{GuardDefinition, GuardMode, GuardedRoute, UnitSource};
use crate::guard_path::{Pattern, readings};
use crate::problem::{Place, Problem, ProblemCode, Problems};
use crate::request::RequestContext;
use crate::snapshot::Snapshot;
use crate::value::FlagValue;
use std::borrow::Cow;

/// Most routes of one guard.
pub const MAX_GUARDED_ROUTES: usize = 1_000;
/// Longest id that names a unit; longer ones name nobody.
const LONGEST_UNIT: usize = 512;
/// What a closed route answers where its definition does not say.
const STATUS: u16 = 503;
const RETRY_AFTER: u32 = 60;

/// A checked guard.
#[derive(Debug, Clone)]
pub struct CompiledGuard {
    environment: String,
    tenant: Vec<Source>,
    user: Vec<Source>,
    routes: Vec<Route>,
}

#[derive(Debug, Clone)]
struct Route {
    method: Option<String>,
    path: Pattern,
    flag: String,
    /// The variant that a flag serves when it is off.
    off: String,
    variant: Option<String>,
    mode: GuardMode,
    status: u16,
    retry_after: u32,
}

#[derive(Debug, Clone)]
enum Source {
    Header(String),
    Host { before: String, after: String },
    Path(Pattern),
    Claim(String),
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardDecision<'s> {
    /// No route of the guard matches.
    Unguarded,
    /// It passes.
    Open {
        /// The flag.
        flag: &'s str,
    },
    /// It passes, and the application is told to do without the feature.
    Fallback {
        /// The flag.
        flag: &'s str,
    },
    /// It is answered by the guard.
    Closed {
        /// The flag.
        flag: &'s str,
        /// The answer's status.
        status: u16,
        /// Seconds for `Retry-After`.
        retry_after: u32,
        /// The answer's body, as JSON.
        body: String,
    },
}

impl GuardDecision<'_> {
    /// Whether the request goes on.
    #[must_use]
    pub fn passes(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }
}

impl CompiledGuard {
    /// Checks a guard of a set.
    ///
    /// # Errors
    /// Everything that is wrong with it, with the places.
    pub fn compile(
        name: &str,
        definition: &GuardDefinition,
        set: &FlagSet,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let root = Place::root("guards");
        let place = root.key(name);
        let environments = set.environments.iter().map(String::as_str);
        let named = definition.environment.as_str();
        // A set without environments has one without a name.
        let unnamed = named.is_empty() && set.environments.is_empty();
        if !(unnamed || set.environments.contains(named)) {
            let code = ProblemCode::UnknownEnvironment;
            let place = place.key("environment");
            problems.unknown(&place, code, ("environment", named), environments);
        }
        let claims = definition.claims.is_some();
        let tenant = sources(
            &place.key("tenant"),
            &definition.tenant,
            claims,
            &mut problems,
        );
        let user = sources(&place.key("user"), &definition.user, claims, &mut problems);
        if let Some(check) = &definition.claims
            && check.jwks_file.is_some() == check.secret.is_some()
        {
            let message = "claims are verified by exactly one of `jwks-file` and `secret`";
            problems.add(&place.key("claims"), ProblemCode::BadValue, message);
        }
        let of_routes = place.key("routes");
        let count = definition.routes.len();
        if count > MAX_GUARDED_ROUTES {
            let message = format!("there are {count} routes, {MAX_GUARDED_ROUTES} are allowed");
            problems.add(&of_routes, ProblemCode::TooMany, message);
        }
        let routes = definition
            .routes
            .iter()
            .enumerate()
            .filter_map(|(i, defined)| route(&of_routes.index(i), defined, set, &mut problems))
            .collect();
        match problems.0.is_empty() {
            true => Ok(Self {
                environment: definition.environment.clone(),
                tenant,
                user,
                routes,
            }),
            false => Err(problems.0),
        }
    }

    /// The environment in which its flags are evaluated.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Decides about a request. `claim` gives a claim of the verified token, if there is one;
    /// it is asked only when it matters. An empty method is one that nobody named: every
    /// route of the path stands before it.
    #[must_use]
    pub fn decide<'s>(
        &'s self,
        snapshot: &Snapshot,
        request: &dyn RequestContext,
        claim: &dyn Fn(&str) -> Option<String>,
    ) -> GuardDecision<'s> {
        let readings = readings(request.path());
        let stands = |route: &&Route| {
            route.is_for(request.method())
                && readings
                    .iter()
                    .any(|read| route.path.matches(read).is_some())
        };
        let Some(route) = self.routes.iter().find(stands) else {
            return GuardDecision::Unguarded;
        };
        let mut context = snapshot.context();
        let unit = |sources: &[Source]| {
            let found = |source: &Source| source.read(request, &readings, claim);
            sources.iter().find_map(found)
        };
        if let Some(tenant) = unit(&self.tenant) {
            context.set("tenant", AttributeValue::Text(&tenant));
        }
        if let Some(user) = unit(&self.user) {
            context.set("user", AttributeValue::Text(&user));
            context.set("targetingKey", AttributeValue::Text(&user));
        } else if let Some(tenant) = unit(&self.tenant) {
            context.set("targetingKey", AttributeValue::Text(&tenant));
        }
        let answer = context.evaluate(&route.flag);
        let is_open = match (&route.variant, answer.value, answer.variant) {
            (_, None, _) | (_, _, None) => false,
            (Some(wanted), _, Some(variant)) => {
                wanted == variant && answer.reason != FlagReason::Disabled
            }
            (None, Some(value), Some(variant)) => {
                *value != FlagValue::Boolean(false) && variant != route.off
            }
        };
        let flag = route.flag.as_str();
        match (is_open, route.mode) {
            (true, _) => GuardDecision::Open { flag },
            (false, GuardMode::Fallback) => GuardDecision::Fallback { flag },
            (false, GuardMode::Block) => GuardDecision::Closed {
                flag,
                status: route.status,
                retry_after: route.retry_after,
                body: closed_body(snapshot, flag),
            },
        }
    }
}

/// What a blocked request reads.
fn closed_body(snapshot: &Snapshot, flag: &str) -> String {
    let message = snapshot.flag(flag).and_then(|info| info.message);
    let message = message.map_or_else(|| format!("{flag} not available"), str::to_owned);
    let mut body = String::from("{\"error\":");
    body.push_str(&serde_json::Value::from(message).to_string());
    body.push_str(",\"code\":\"FEATURE_DISABLED\"}");
    body
}

impl Route {
    fn is_for(&self, method: &str) -> bool {
        let heads = |own: &str| own == "GET" && method == "HEAD";
        let own = self.method.as_deref();
        method.is_empty() || own.is_none_or(|own| own == method || heads(own))
    }
}

impl Source {
    fn read(
        &self,
        request: &dyn RequestContext,
        readings: &[Vec<String>],
        claim: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let found = match self {
            Self::Header(name) => request.header(name).map(Cow::into_owned),
            Self::Host { before, after } => {
                let label = request.host().strip_prefix(before)?.strip_suffix(after)?;
                (!label.contains('.')).then(|| label.to_owned())
            }
            Self::Path(pattern) => readings
                .first()
                .and_then(|read| pattern.matches(read))
                .flatten()
                .map(str::to_owned),
            Self::Claim(name) => claim(name),
        };
        found
            .map(|unit| unit.trim().to_owned())
            .filter(|unit| !unit.is_empty() && unit.len() <= LONGEST_UNIT)
    }
}

fn route(
    place: &Place<'_>,
    defined: &GuardedRoute,
    set: &FlagSet,
    problems: &mut Problems,
) -> Option<Route> {
    let before = problems.0.len();
    let path = Pattern::parse(&defined.path, "");
    if path.is_none() {
        let message = format!("{:?} is no pattern of a path", defined.path);
        let hint = "write it as /reports/:id or /reports/*";
        let place = place.key("path");
        problems.add_hint(&place, ProblemCode::BadValue, message, hint);
    }
    if let Some(method) = &defined.method
        && (method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()))
    {
        let message = format!("{method:?} is no method in upper case");
        problems.add(&place.key("method"), ProblemCode::BadValue, message);
    }
    let status = defined.status.unwrap_or(STATUS);
    if !(400..=599).contains(&status) {
        let message = format!("{status} is no status of an error, 400 to 599");
        problems.add(&place.key("status"), ProblemCode::BadValue, message);
    }
    let known = set.flags.keys().map(String::as_str);
    let Some(flag) = set.flags.get(&defined.flag) else {
        let code = ProblemCode::UnknownFlag;
        problems.unknown(&place.key("flag"), code, ("flag", &defined.flag), known);
        return None;
    };
    let variants = flag.effective_variants();
    if let Some(variant) = &defined.variant
        && !variants.contains_key(variant)
    {
        let known = variants.keys().map(String::as_str);
        let code = ProblemCode::UnknownVariant;
        let place = place.key("variant");
        problems.unknown(&place, code, ("variant", variant), known);
    }
    if problems.0.len() > before {
        return None;
    }
    Some(Route {
        method: defined.method.clone(),
        path: path?,
        flag: defined.flag.clone(),
        off: flag.off.clone(),
        variant: defined.variant.clone(),
        mode: defined.mode,
        status,
        retry_after: defined.retry_after.unwrap_or(RETRY_AFTER),
    })
}

fn sources(
    place: &Place<'_>,
    defined: &[UnitSource],
    claims: bool,
    problems: &mut Problems,
) -> Vec<Source> {
    let mut sources = Vec::new();
    for (i, source) in defined.iter().enumerate() {
        let place = place.index(i);
        let made = match source {
            UnitSource::Header(name) => {
                let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.!#$&'*+^`|~%".contains(&b);
                (!name.is_empty() && name.bytes().all(token))
                    .then(|| Source::Header(name.to_ascii_lowercase()))
            }
            UnitSource::Host(pattern) => pattern.split_once("{}").and_then(|(before, after)| {
                (!after.contains("{}") && before.len() + after.len() > 0).then(|| Source::Host {
                    before: before.to_ascii_lowercase(),
                    after: after.to_ascii_lowercase(),
                })
            }),
            UnitSource::Path(pattern) => Pattern::parse(pattern, "{}")
                .filter(Pattern::names_one_unit)
                .map(Source::Path),
            UnitSource::Claim(name) if !claims => {
                let message = format!("the claim {name:?} is read, and nothing verifies claims");
                let hint = "add `claims` with a `jwks-file` or a `secret`";
                problems.add_hint(&place, ProblemCode::BadValue, message, hint);
                continue;
            }
            UnitSource::Claim(name) => (!name.is_empty()).then(|| Source::Claim(name.clone())),
        };
        match made {
            Some(source) => sources.push(source),
            None => {
                let message = "this names no place of a request";
                let hint =
                    "a header's name, a host such as {}.shop.example, a path such as /t/{}/*";
                problems.add_hint(&place, ProblemCode::BadValue, message, hint);
            }
        }
    }
    sources
}
