//! What a flag says about a request before any version sees it.

use super::reply::Reply;
use crate::table::Service;
use crate::worker::Shared;
use esclusa_flags::{Units, Verdict};
use esclusa_ofrep::{FlagTable, Guard};
use esclusa_wire::ExposureSource;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

/// Says `off` to an application that runs the path without the feature.
const FLAG_HEADER: HeaderName = HeaderName::from_static("x-esclusa-flag");
/// Names that flag.
const FLAG_KEY_HEADER: HeaderName = HeaderName::from_static("x-esclusa-flag-key");

/// Whether an answer says that its application has a feature off, as guards in
/// applications do. A status of 503 alone says nothing of the kind.
pub(super) fn says_feature_is_off<B>(response: &Response<B>) -> bool {
    let marked = response.headers().get(FLAG_HEADER);
    response.status() == StatusCode::SERVICE_UNAVAILABLE
        && marked.is_some_and(|value| value.as_bytes() == b"off")
}

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
    flags: &FlagTable,
    shared: &Shared,
    service: &Service,
    parts: &Parts,
    host: &str,
) -> Result<Passage, Box<Reply>> {
    let guards = flags.guards_of(service.name.as_str());
    let path = parts.uri.path();
    let units_by = |guard: &Guard| guard.units(&parts.headers, host, path);
    let found = guards
        .iter()
        .find_map(|guard| Some((guard, guard.find(parts.method.as_str(), path)?)));
    let Some((guard, guarded)) = found else {
        // A split by a flag asks whose it is all the same.
        let by_flag = service.split.as_ref().is_some_and(|s| s.by_flag.is_some());
        let first = guards.first().filter(|_| by_flag);
        return Ok(Passage {
            off: None,
            units: first.map(|guard| units_by(guard)),
        });
    };
    let units = units_by(guard);
    let verdict = guarded.decide(flags.environment(guard.environment()), &units);
    let flag = &guarded.route.flag;
    shared
        .flags
        .guarded(flags, &guarded, &units, ExposureSource::Guard);
    let counts = &shared.guard_counts;
    counts.count(&service.name, flag, &verdict, units.lacks_tenant);
    let off = match verdict {
        Verdict::Open => None,
        Verdict::Fallback => HeaderValue::from_str(flag).ok(),
        Verdict::Closed {
            status,
            retry_after,
            body,
        } => {
            let reply = Reply::feature_disabled(flag, status, retry_after, body);
            return Err(Box::new(reply));
        }
    };
    Ok(Passage {
        off,
        units: Some(units),
    })
}
