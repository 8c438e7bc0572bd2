//! What a flag says about a request before any version sees it.

use super::reply::Reply;
use crate::flags::InForce;
use crate::flags::guards::{GuardCounts, Outcome};
use crate::table::Service;
use esclusa_flags::{GuardMode, Guarded, Units, Verdict};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

/// Says `off` to an application that runs the path without the feature.
const FLAG_HEADER: HeaderName = HeaderName::from_static("x-esclusa-flag");
/// Names that flag.
const FLAG_KEY_HEADER: HeaderName = HeaderName::from_static("x-esclusa-flag-key");

/// How a request goes on.
pub(super) struct Passage {
    /// The flag that is off for it, where its application is told so.
    off: Option<HeaderValue>,
    /// Whose it is by the service's guards, where one was asked.
    pub(super) units: Option<Units<'static>>,
}

impl Passage {
    /// Tells the application. A client's own lines of these names are gone by then.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(flag) = &self.off {
            headers.insert(FLAG_HEADER, HeaderValue::from_static("off"));
            headers.insert(FLAG_KEY_HEADER, flag.clone());
        }
    }
}

/// Lets a request through, or answers it. What a guard answers is no answer of a version,
/// and nobody's failure: it has a count of its own.
pub(super) fn pass(
    flags: &InForce,
    counts: &GuardCounts,
    service: &Service,
    parts: &Parts,
    host: &str,
) -> Result<Passage, Box<Reply>> {
    let free = |units| Passage { off: None, units };
    let Some(guards) = flags.guards.of(&service.name) else {
        return Ok(free(None));
    };
    let found = guards.find(parts.method.as_str(), parts.uri.path());
    let Some(guarded) = found else {
        // A split by a flag asks whose it is all the same.
        let by_flag = service.split.as_ref().is_some_and(|s| s.by_flag.is_some());
        let first = guards.iter().next().filter(|_| by_flag);
        return Ok(free(first.map(|g| flags.guards.units(g, parts, host))));
    };
    let units = flags.guards.units(guarded.guard, parts, host);
    let snapshot = flags.table.environment(guarded.guard.environment());
    let verdict = guarded.decide(snapshot, &units);
    let outcome = match (&verdict, guarded.route.mode) {
        (Verdict::Open, _) => Outcome::Open,
        (Verdict::Closed { .. }, GuardMode::Block) => Outcome::Blocked,
        (Verdict::Closed { .. }, GuardMode::Fallback) => Outcome::Fallback,
    };
    let flag = &guarded.route.flag;
    counts.count(&service.name, flag, outcome, units.lacks_tenant);
    match (verdict, outcome) {
        (Verdict::Closed { message }, Outcome::Blocked) => {
            Err(Box::new(blocked(guarded, &message)))
        }
        (_, Outcome::Fallback) => Ok(Passage {
            off: HeaderValue::from_str(flag).ok(),
            units: Some(units),
        }),
        _ => Ok(free(Some(units))),
    }
}

fn blocked(guarded: Guarded<'_>, message: &str) -> Reply {
    let route = guarded.route;
    Reply::feature_disabled(&route.flag, route.status, route.retry_after, message)
}
