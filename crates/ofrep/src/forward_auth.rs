//! `/guard/{name}`: another web server asks whether a request may pass.
//!
//! nginx (`auth_request`), Caddy (`forward_auth`) and Traefik (`ForwardAuth`) send the
//! headers of the request that they hold. 200 lets it pass; anything else does not, and the
//! answer's body is for the client.

use crate::conn::Connection;
use crate::guards::Guard;
use crate::reply::{self, Reply};
use crate::shared::Shared;
use crate::table::{FlagTable, Subject};
use esclusa_flags::Verdict;
use esclusa_wire::{ExposureSource, FlagTokenKind};
use http::header::{HOST, HeaderMap, HeaderValue};
use http::{StatusCode, request::Parts};
use std::time::Duration;

/// The token of a web server on another machine. The usual headers are the client's own.
const TOKEN: &str = "x-esclusa-token";
/// Tells the application, behind the web server, what its flag says.
const FLAG: &str = "x-esclusa-flag";

/// How web servers name the request that they hold: target and method.
const ORIGINALS: [(&str, &str); 2] = [
    ("x-original-uri", "x-original-method"),
    ("x-forwarded-uri", "x-forwarded-method"),
];

/// The request that a web server holds.
struct Original<'a> {
    headers: &'a HeaderMap,
    method: String,
    target: &'a str,
    host: String,
}

/// What becomes of it, the strictest last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    Unguarded,
    Open,
    Fallback,
    Closed {
        status: u16,
        retry_after: u32,
        body: String,
    },
}

impl Original<'_> {
    fn decide(&self, shared: &Shared, table: &FlagTable, guard: &Guard) -> Decision {
        let Some(guarded) = guard.find(&self.method, self.target) else {
            return Decision::Unguarded;
        };
        let units = guard.units(self.headers, &self.host, self.target);
        shared.guarded(table, &guarded, &units, ExposureSource::ForwardAuth);
        match guarded.decide(table.environment(guard.environment()), &units) {
            Verdict::Open => Decision::Open,
            Verdict::Fallback => Decision::Fallback,
            Verdict::Closed {
                status,
                retry_after,
                body,
            } => Decision::Closed {
                status,
                retry_after,
                body,
            },
        }
    }
}

/// All requests that the headers name. A client can add headers of the kind that its web
/// server does not set; the request must then pass as each of them.
fn originals(headers: &HeaderMap) -> Option<Vec<Original<'_>>> {
    let text = |name: &str| headers.get(name).map(HeaderValue::to_str).transpose().ok();
    let host = match text("x-forwarded-host")? {
        Some(host) => Some(host),
        None => text(HOST.as_str())?,
    };
    let host = host.unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let mut all = Vec::new();
    for (target, method) in ORIGINALS {
        let Some(target) = text(target)? else {
            continue;
        };
        all.push(Original {
            headers,
            // Without a method, every route of the path stands before it.
            method: text(method)?.unwrap_or_default().to_ascii_uppercase(),
            target,
            host: host.to_ascii_lowercase(),
        });
    }
    (!all.is_empty()).then_some(all)
}

/// Answers a web server.
pub(crate) fn answer(connection: &Connection, name: &str, parts: &Parts) -> Reply {
    let table = connection.server.shared.table();
    if !table.ready {
        return reply::not_ready();
    }
    let Some(guard) = table.guard(name) else {
        return reply::details(StatusCode::NOT_FOUND, "there is no guard of this name");
    };
    if !may_ask(connection, &table, guard.environment(), &parts.headers) {
        return reply::empty(StatusCode::FORBIDDEN);
    }
    if table.environment(guard.environment()).is_none() {
        return reply::empty(StatusCode::FORBIDDEN);
    }
    let Some(originals) = originals(&parts.headers) else {
        return reply::bad_request(
            "the request is missing: send X-Original-URI and X-Original-Method, \
             or X-Forwarded-Uri and X-Forwarded-Method",
        );
    };
    let shared = &connection.server.shared;
    let decisions = originals.iter().map(|o| o.decide(shared, &table, guard));
    match decisions.max() {
        None | Some(Decision::Unguarded) => reply::empty(StatusCode::OK),
        Some(Decision::Open) => passes("on"),
        Some(Decision::Fallback) => passes("off"),
        Some(Decision::Closed {
            status,
            retry_after,
            body,
        }) => {
            let denied = parts.uri.query().is_some_and(|q| q == "deny=403");
            let status = if denied { 403 } else { status };
            // 400 to 599, so that it cannot fail.
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let mut reply = reply::json(status, body.into_bytes());
            reply::retry_after(&mut reply, Duration::from_secs(retry_after.into()));
            reply::not_stored(&mut reply);
            let off = HeaderValue::from_static("off");
            reply.headers_mut().insert(FLAG, off);
            reply
        }
    }
}

fn passes(flag: &'static str) -> Reply {
    let mut reply = reply::empty(StatusCode::OK);
    let flag = HeaderValue::from_static(flag);
    reply.headers_mut().insert(FLAG, flag);
    reply
}

/// A web server on this machine, or one with a server's token of the guard's environment.
fn may_ask(
    connection: &Connection,
    table: &FlagTable,
    environment: &str,
    headers: &HeaderMap,
) -> bool {
    if let Some(token) = headers.get(TOKEN) {
        let access = table.by_secret(token.as_bytes());
        return access.is_some_and(|access| {
            matches!(access.scope.subject, Subject::Token(_))
                && access.kind() == FlagTokenKind::Server
                && access.scope.environment == environment
                && !access.has_expired(crate::shared::unix_second())
        });
    }
    connection.peer.to_canonical().is_loopback()
}
