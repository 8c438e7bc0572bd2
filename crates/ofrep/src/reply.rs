//! Answers, and the few shapes that errors have.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use std::time::Duration;

/// What goes back.
pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// JSON that is written already.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = Response::new(Full::from(text));
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, plain);
    reply
}

/// An error that concerns no flag.
pub(crate) fn details(status: StatusCode, details: &str) -> Reply {
    json(status, object(&[("errorDetails", details)]))
}

/// An error of a bulk request.
pub(crate) fn bulk_error(status: StatusCode, code: &str, details: &str) -> Reply {
    json(
        status,
        object(&[("errorCode", code), ("errorDetails", details)]),
    )
}

/// An error of one flag.
pub(crate) fn flag_error(status: StatusCode, key: &str, code: &str, details: &str) -> Reply {
    let fields = [("key", key), ("errorCode", code), ("errorDetails", details)];
    json(status, object(&fields))
}

pub(crate) fn bad_request(details: &str) -> Reply {
    bulk_error(StatusCode::BAD_REQUEST, "GENERAL", details)
}

pub(crate) fn unauthorized() -> Reply {
    let mut reply = empty(StatusCode::UNAUTHORIZED);
    let bearer = HeaderValue::from_static("Bearer");
    reply.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    reply
}

pub(crate) fn too_many(wait: Duration) -> Reply {
    let mut reply = details(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests; ask again after the seconds of Retry-After",
    );
    retry_after(&mut reply, wait);
    reply
}

/// Seconds, rounded up, never none: clients stop asking for that long.
pub(crate) fn retry_after(reply: &mut Reply, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let headers = reply.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

/// Before the first document.
pub(crate) fn not_ready() -> Reply {
    let mut reply = details(
        StatusCode::SERVICE_UNAVAILABLE,
        "this server has no flags yet",
    );
    retry_after(&mut reply, Duration::from_secs(1));
    reply
}

pub(crate) fn wrong_method(allowed: &'static str) -> Reply {
    let mut reply = details(StatusCode::METHOD_NOT_ALLOWED, "this method is not for it");
    let allowed = HeaderValue::from_static(allowed);
    reply.headers_mut().insert(ALLOW, allowed);
    reply
}

/// Nobody in between may keep it.
pub(crate) fn not_stored(reply: &mut Reply) {
    let no_store = HeaderValue::from_static("no-store");
    reply.headers_mut().insert(CACHE_CONTROL, no_store);
}

fn object(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    for (i, (name, value)) in fields.iter().enumerate() {
        body.extend_from_slice(if i == 0 { b"{\"" } else { b",\"" });
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        crate::answer::push_text(&mut body, value);
    }
    body.push(b'}');
    body
}
