//! Browsers on other origins: a token in a header is what lets them in, never a cookie.

use crate::access::is_local_origin;
use crate::reply::{self, Reply};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// Longest list of headers that a preflight may ask for.
const LONGEST_LIST: usize = 1_024;

/// The origin that may read the answer. Where no token is asked for, only pages of this
/// machine may.
pub(crate) fn origin(headers: &HeaderMap, is_open: bool) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    match is_open {
        false => Some(HeaderValue::from_static("*")),
        true => is_local_origin(origin).then(|| origin.clone()),
    }
}

/// Lets a page read an answer.
pub(crate) fn allow(reply: &mut Reply, origin: Option<HeaderValue>) {
    let Some(origin) = origin else { return };
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = HeaderValue::from_static("ETag, Retry-After");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

/// The answer to a browser that asks before it asks.
pub(crate) fn preflight(request: &HeaderMap, origin: Option<HeaderValue>) -> Reply {
    let mut reply = reply::empty(http::StatusCode::NO_CONTENT);
    if origin.is_some() {
        let headers = reply.headers_mut();
        let methods = HeaderValue::from_static("GET, POST, OPTIONS");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        // Whatever SDKs add for tracing is let through; `*` would not cover Authorization.
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let asked = asked.filter(|list| list.len() <= LONGEST_LIST).cloned();
        let usual = "authorization, content-type, if-none-match, x-api-key";
        let allowed = asked.unwrap_or_else(|| HeaderValue::from_static(usual));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    allow(&mut reply, origin);
    reply
}
