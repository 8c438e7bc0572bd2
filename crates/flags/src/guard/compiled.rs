//! Guards, ready to be asked for every request, and what they decide.

use super::pattern::{PathPattern, RequestPath, UnitPattern};
use super::{GuardDefinition, GuardMode, GuardedRoute, UnitSource};
use crate::answer::{Answer, FlagReason};
use crate::context::{AttributeValue, Context};
use crate::problem::{Place, Problem, ProblemCode, Problems};
use crate::snapshot::Snapshot;
use crate::value::FlagValue;
use serde::Serialize;
use std::borrow::Cow;

/// Longest id of a unit in bytes; a longer one names nobody.
const MAX_UNIT_BYTES: usize = 512;
/// What a closed route answers where its definition does not say.
const STATUS: u16 = 503;
const RETRY_AFTER: u32 = 60;

/// What a guard asks of a request.
pub trait GuardRequest {
    /// The host in lower case, without port.
    fn host(&self) -> &str;
    /// The path as it was sent.
    fn path(&self) -> &str;
    /// The value of a header, when it is there exactly once.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A claim of the verified token, as text. Nothing without a token that is verified.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// One guard, checked and compiled.
#[derive(Debug, Clone)]
pub struct Guard {
    name: String,
    environment: String,
    tenant: Vec<Source>,
    user: Vec<Source>,
    routes: Vec<Route>,
}

#[derive(Debug, Clone)]
struct Route {
    pattern: PathPattern,
    definition: GuardedRoute,
}

#[derive(Debug, Clone)]
enum Source {
    Header(String),
    Host(UnitPattern),
    Path(UnitPattern),
    Claim(String),
}

/// Whose a request is, as far as it says so in places that a guard trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units<'r> {
    /// The tenant.
    pub tenant: Option<Cow<'r, str>>,
    /// The user.
    pub user: Option<Cow<'r, str>>,
    /// Whether a tenant was looked for and not found.
    pub lacks_tenant: bool,
    /// Variants of flags that a verified tester's token shows.
    pub grants: Vec<(String, String)>,
}

impl Units<'_> {
    fn is_granted(&self, flag: &str) -> bool {
        self.grants.iter().any(|(key, _)| key == flag)
    }
}

/// What a guard decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The feature is on for this request.
    Open,
    /// It is off, and the application is told to do without it.
    Fallback,
    /// It is off, and the guard answers.
    Closed {
        /// The answer's status.
        status: u16,
        /// Seconds for `Retry-After`.
        retry_after: u32,
        /// The answer's body, as JSON.
        body: String,
    },
}

/// A route that a request fits, and its guard.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'g> {
    /// The guard.
    pub guard: &'g Guard,
    /// The route.
    pub route: &'g GuardedRoute,
}

impl Guard {
    /// Checks what of a guard can be checked without its set, and compiles it.
    ///
    /// # Errors
    /// Everything that is wrong, with the places.
    pub fn compile(name: &str, definition: &GuardDefinition) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let guards = Place::root("guards");
        let place = guards.key(name);
        let guard = Self {
            name: name.to_owned(),
            environment: definition.environment.clone(),
            tenant: sources(&place.key("tenant"), &definition.tenant, &mut problems),
            user: sources(&place.key("user"), &definition.user, &mut problems),
            routes: routes(&place.key("routes"), &definition.routes, &mut problems),
        };
        match problems.0.is_empty() {
            true => Ok(guard),
            false => Err(problems.0),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment in which its flags are evaluated.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Whose a request is. The first source that names somebody wins.
    pub fn units<'r>(&self, request: &'r impl GuardRequest) -> Units<'r> {
        let first = |list: &[Source]| list.iter().find_map(|source| source.read(request));
        let tenant = first(&self.tenant);
        Units {
            lacks_tenant: tenant.is_none() && !self.tenant.is_empty(),
            tenant,
            user: first(&self.user),
            grants: Vec::new(),
        }
    }

    /// The first route that a request fits.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Guarded<'_>> {
        let path = RequestPath::new(path);
        let fits = |route: &&Route| {
            takes_method(route.definition.method.as_deref(), method) && route.pattern.fits(&path)
        };
        let route = &self.routes.iter().find(fits)?.definition;
        Some(Guarded { guard: self, route })
    }

    /// The routes and their flags.
    pub fn routes(&self) -> impl Iterator<Item = &GuardedRoute> {
        self.routes.iter().map(|route| &route.definition)
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = (&GuardedRoute, &PathPattern)> {
        self.routes
            .iter()
            .map(|route| (&route.definition, &route.pattern))
    }
}

/// Whether a route of this method, none for any, takes a request's. `HEAD` is answered by
/// what answers `GET`; where nobody names the request's method it may be any.
#[must_use]
pub fn takes_method(route: Option<&str>, method: &str) -> bool {
    let any = method.is_empty();
    any || route.is_none_or(|own| {
        own.eq_ignore_ascii_case(method) || (own == "GET" && method.eq_ignore_ascii_case("HEAD"))
    })
}

impl Guarded<'_> {
    /// Decides for whoever a request belongs to. Without flags, or the flag, it is closed;
    /// where a tenant was looked for in vain, the flag's safe value decides, and nobody
    /// else's.
    #[must_use]
    pub fn decide(&self, flags: Option<&Snapshot>, units: &Units<'_>) -> Verdict {
        let key = self.route.flag.as_str();
        let open = flags.is_some_and(|flags| {
            if units.lacks_tenant && !units.is_granted(key) {
                return self.opens(flags, flags.undecided(key), false);
            }
            let answer = context(flags, units).evaluate(key);
            let disabled = answer.reason == FlagReason::Disabled;
            self.opens(flags, answer.variant.zip(answer.value), disabled)
        });
        match (open, self.route.mode) {
            (true, _) => Verdict::Open,
            (false, GuardMode::Fallback) => Verdict::Fallback,
            (false, GuardMode::Block) => Verdict::Closed {
                status: self.route.status.unwrap_or(STATUS),
                retry_after: self.route.retry_after.unwrap_or(RETRY_AFTER),
                body: closed_body(&self.message(flags)),
            },
        }
    }

    /// What its flag says to whoever a request belongs to, where answers of it are recorded
    /// and that is somebody who is sampled.
    #[must_use]
    pub fn exposed<'s>(&self, flags: &'s Snapshot, units: &Units<'_>) -> Option<Answer<'s>> {
        let sampling = flags.sampling()?;
        let unit = units.user.as_deref().or(units.tenant.as_deref())?;
        let key = self.route.flag.as_str();
        // Without the tenant that was looked for nobody was asked about.
        if units.lacks_tenant || !sampling.takes_unit(unit) || !flags.samples_flag(key) {
            return None;
        }
        Some(context(flags, units).evaluate(key))
    }

    /// Whether what is served opens the route. A flag that is killed or disabled opens
    /// none, whatever its off variant is called.
    fn opens(&self, flags: &Snapshot, served: Option<(&str, &FlagValue)>, disabled: bool) -> bool {
        let Some((variant, value)) = served else {
            return false;
        };
        if disabled || flags.kills().of(&self.route.flag).is_some() {
            return false;
        }
        match &self.route.variant {
            Some(wanted) => wanted == variant,
            None => *value != FlagValue::Boolean(false) && !flags.is_off(&self.route.flag, variant),
        }
    }

    fn message(&self, flags: Option<&Snapshot>) -> String {
        let key = &self.route.flag;
        match flags.and_then(|flags| flags.flag(key)?.message) {
            Some(message) => message.to_owned(),
            None => default_message(key),
        }
    }
}

/// Whoever a request belongs to, as flags are asked about.
fn context<'s>(flags: &'s Snapshot, units: &Units<'_>) -> Context<'s> {
    let mut context = flags.context();
    let (tenant, user) = (units.tenant.as_deref(), units.user.as_deref());
    for (name, unit) in [
        ("targetingKey", user.or(tenant)),
        ("tenant", tenant),
        ("user", user),
    ] {
        if let Some(unit) = unit {
            context.set(name, AttributeValue::Text(unit));
        }
    }
    for (flag, variant) in &units.grants {
        context.grant(flag, variant);
    }
    context
}

/// What a guard says of a flag that has no words of its own.
#[must_use]
pub fn default_message(key: &str) -> String {
    format!("{} not available", in_words(key))
}

/// What a guard answers, as JSON.
#[must_use]
pub fn closed_body(message: &str) -> String {
    #[derive(Serialize)]
    struct FeatureDisabled<'a> {
        error: &'a str,
        code: &'static str,
    }
    let code = "FEATURE_DISABLED";
    // Two texts: nothing in it can fail.
    serde_json::to_string(&FeatureDisabled {
        error: message,
        code,
    })
    .unwrap_or_default()
}

/// `exec-reports` as `Exec reports`.
fn in_words(key: &str) -> String {
    let spaced = key.replace(['-', '_', '.'], " ");
    let mut letters = spaced.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => spaced,
    }
}

impl Source {
    fn compile(source: &UnitSource) -> Result<Self, String> {
        match source {
            UnitSource::Header(name) if is_token(name) => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            UnitSource::Header(name) => Err(format!("{name:?} is no name of a header")),
            UnitSource::Host(pattern) => UnitPattern::host(pattern).map(Self::Host),
            UnitSource::Path(pattern) => UnitPattern::path(pattern).map(Self::Path),
            UnitSource::Claim(name) if name.is_empty() => Err("a claim needs a name".to_owned()),
            UnitSource::Claim(name) => Ok(Self::Claim(name.clone())),
        }
    }

    fn read<'r>(&self, request: &'r impl GuardRequest) -> Option<Cow<'r, str>> {
        let unit = match self {
            Self::Header(name) => request.header(name).map(trimmed),
            Self::Host(pattern) => pattern.unit(request.host()),
            Self::Path(pattern) => pattern.unit(request.path()),
            Self::Claim(name) => request.claim(name),
        };
        unit.filter(|unit| !unit.is_empty() && unit.len() <= MAX_UNIT_BYTES)
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Whether a text is a token of HTTP (RFC 9110), as names of headers and methods are.
pub(super) fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

fn sources(place: &Place<'_>, list: &[UnitSource], problems: &mut Problems) -> Vec<Source> {
    let mut sources = Vec::new();
    for (at, source) in list.iter().enumerate() {
        match Source::compile(source) {
            Ok(source) => sources.push(source),
            Err(message) => problems.add(&place.index(at), ProblemCode::BadValue, message),
        }
    }
    sources
}

fn routes(place: &Place<'_>, list: &[GuardedRoute], problems: &mut Problems) -> Vec<Route> {
    let mut routes = Vec::new();
    for (at, route) in list.iter().enumerate() {
        match PathPattern::parse(&route.path) {
            Ok(pattern) => routes.push(Route {
                pattern,
                definition: route.clone(),
            }),
            Err(message) => {
                let place = place.index(at);
                problems.add(&place.key("path"), ProblemCode::BadValue, message);
            }
        }
    }
    routes
}
