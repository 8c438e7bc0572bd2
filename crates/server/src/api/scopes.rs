//! Who may call what: one table, and the layer that enforces it.
//!
//! Invariant: an endpoint without a row answers nobody. The API's description takes
//! the words from here, and a test walks that description with tokens too small.

use super::ApiState;
use super::answer::TOO_OFTEN;
use super::browser::{Peer, meant};
use super::sessions::BySession;
use crate::auth::{Access, COOKIE, Caller, Scope, Session, Who, unauthorized};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const VIEW: Scope = Scope::Needs(Access::Viewer);
const DECIDE: Scope = Scope::Needs(Access::Approver);
pub(super) const OPERATE: Scope = Scope::Needs(Access::Operator);
const ADMIN: Scope = Scope::Needs(Access::Admin);

/// Method, path and scope of every endpoint.
pub(super) const SCOPES: &[(&str, &str, Scope)] = &[
    ("get", "/", Scope::Public),
    ("get", "/assets/{file}", Scope::Public),
    ("get", "/healthz", Scope::Public),
    ("get", "/readyz", Scope::Public),
    ("get", "/metrics", VIEW),
    ("get", "/openapi.json", Scope::Public),
    ("get", "/l/{link}", Scope::Public),
    ("post", "/l/{link}", Scope::Public),
    ("post", "/api/v1/login", Scope::Public),
    ("post", "/api/v1/logout", Scope::AnyToken),
    ("get", "/api/v1/me", Scope::AnyToken),
    ("get", "/api/v1/services", VIEW),
    ("get", "/api/v1/services/{name}", VIEW),
    ("get", "/api/v1/services/{name}/can-return", VIEW),
    ("get", "/api/v1/services/{name}/recording", VIEW),
    ("get", "/api/v1/services/{name}/traffic", VIEW),
    ("get", "/api/v1/dora", VIEW),
    ("post", "/api/v1/services/{name}/kill", OPERATE),
    ("post", "/api/v1/kill", OPERATE),
    ("get", "/api/v1/flags", VIEW),
    ("get", "/api/v1/flags/{name}", VIEW),
    ("get", "/api/v1/flags/{name}/who", VIEW),
    ("post", "/api/v1/flags/{name}/explain", VIEW),
    ("get", "/api/v1/flags/{name}/history", VIEW),
    ("post", "/api/v1/flags/{name}/delete", OPERATE),
    ("get", "/api/v1/flag-set", VIEW),
    ("patch", "/api/v1/flag-set", OPERATE),
    ("put", "/api/v1/flag-set", OPERATE),
    ("get", "/api/v1/flag-set/history", VIEW),
    ("get", "/api/v1/flag-set/rules", VIEW),
    ("get", "/api/v1/flag-set/status", VIEW),
    ("post", "/api/v1/flag-set/who-would-change", VIEW),
    ("post", "/api/v1/flag-set/revert", OPERATE),
    ("post", "/api/v1/flag-set/import-env", OPERATE),
    ("post", "/api/v1/flag-set/testers", OPERATE),
    ("post", "/api/v1/flag-set/kill", OPERATE),
    ("post", "/api/v1/flag-set/lift", OPERATE),
    ("get", "/api/v1/stream", VIEW),
    ("post", "/api/v1/releases", OPERATE),
    ("get", "/api/v1/rollouts/{flag}", VIEW),
    ("post", "/api/v1/rollouts/lower", OPERATE),
    ("post", "/api/v1/rollouts/check", VIEW),
    ("get", "/api/v1/releases", VIEW),
    ("get", "/api/v1/releases/{id}", VIEW),
    ("get", "/api/v1/releases/{id}/events", VIEW),
    ("get", "/api/v1/releases/{id}/stream", VIEW),
    ("get", "/api/v1/releases/{id}/series", VIEW),
    ("get", "/api/v1/releases/{id}/recording", VIEW),
    ("get", "/api/v1/releases/{id}/logs", VIEW),
    ("get", "/api/v1/releases/{id}/logs/{log}", VIEW),
    ("get", "/api/v1/releases/{id}/report", VIEW),
    ("get", "/api/v1/releases/{id}/report.md", VIEW),
    ("get", "/api/v1/releases/{id}/report.html", VIEW),
    ("get", "/api/v1/releases/{id}/report.junit.xml", VIEW),
    ("get", "/api/v1/releases/{id}/post-mortem.md", VIEW),
    ("post", "/api/v1/releases/{id}/pause", OPERATE),
    ("post", "/api/v1/releases/{id}/resume", DECIDE),
    ("post", "/api/v1/releases/{id}/skip", OPERATE),
    ("post", "/api/v1/releases/{id}/promote", OPERATE),
    ("post", "/api/v1/releases/{id}/abort", DECIDE),
    ("post", "/api/v1/releases/{id}/rollback", OPERATE),
    ("post", "/api/v1/releases/{id}/sign-offs", Scope::SignOff),
    ("post", "/api/v1/releases/{id}/links", OPERATE),
    ("post", "/api/v1/plans/check", VIEW),
    ("get", "/api/v1/plans/schema", VIEW),
    ("get", "/api/v1/tokens", ADMIN),
    ("post", "/api/v1/tokens", ADMIN),
    ("delete", "/api/v1/tokens/{name}", ADMIN),
    ("get", "/api/v1/audit/verify", VIEW),
    ("post", "/api/v1/state/backup", ADMIN),
    ("get", "/api/v1/inbox", VIEW),
    ("post", "/api/v1/inbox/read", VIEW),
    ("post", "/api/v1/inbox/{id}/read", VIEW),
    ("delete", "/api/v1/inbox/{id}", VIEW),
    ("get", "/api/v1/notifications", VIEW),
    ("post", "/api/v1/notifications/test", OPERATE),
    ("post", "/api/v1/notifications/{id}/retry", OPERATE),
];

/// What an endpoint asks of its caller; none for one that is not in the table.
pub(super) fn scope_of(method: &str, path: &str) -> Option<Scope> {
    // A HEAD request shows what GET shows.
    let method = if method.eq_ignore_ascii_case("head") {
        "get"
    } else {
        method
    };
    SCOPES
        .iter()
        .find(|(known, at, _)| known.eq_ignore_ascii_case(method) && *at == path)
        .map(|(_, _, scope)| *scope)
}

/// What takes users back is never asked too often; a link counts by itself, once it is
/// known what it is for.
const NOT_COUNTED: [&str; 6] = [
    "/api/v1/releases/{id}/abort",
    "/api/v1/releases/{id}/rollback",
    "/api/v1/services/{name}/kill",
    "/api/v1/kill",
    "/api/v1/flag-set/kill",
    "/l/{link}",
];

/// Lets a request through to its endpoint, or says why not; and counts the answer.
pub(super) async fn guard(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |path| path.as_str().to_owned());
    let method = request.method().clone();
    let peer = Peer::of(request.extensions(), request.headers());
    let known = caller(&state, &method, &path, request.headers(), &peer).await;
    let response = match known {
        Ok(known) => {
            if let Some((caller, session)) = known {
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(BySession(session));
            }
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    state.count.add(&method, &path, response.status());
    response
}

async fn caller(
    state: &ApiState,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Option<(Caller, Option<Session>)>, ApiError> {
    let Some(scope) = scope_of(method.as_str(), path) else {
        return Err(ApiError::new(
            ErrorKind::Forbidden,
            "ESC-0403",
            format!("nobody may call {method} {path}"),
            "report this: the endpoint has no scope",
        ));
    };
    let count = |who: Who| {
        if NOT_COUNTED.contains(&path) || state.auth.rate.take(who, clock::now().0) {
            Ok(())
        } else {
            Err(too_often())
        }
    };
    let owner = state.door.caller()?;
    if owner.is_none() && scope == Scope::Public {
        count(Who::Address(peer.address))?;
        return Ok(None);
    }
    let (caller, session) = match owner {
        // Nobody else comes in by that door.
        Some(owner) => (owner, None),
        None => {
            let known = match recognise(state, method, headers, peer).await {
                Ok(known) => known,
                Err(refused) => {
                    count(Who::Address(peer.address))?;
                    return Err(refused);
                }
            };
            count(Who::Caller(known.0.actor.to_string()))?;
            known
        }
    };
    caller.may(scope)?;
    Ok(Some((caller, session)))
}

/// Whoever shows a token or a session. A token comes first: a program that sends one means
/// that one.
async fn recognise(
    state: &ApiState,
    method: &Method,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<(Caller, Option<Session>), ApiError> {
    if headers.contains_key(header::AUTHORIZATION) {
        let token = bearer(headers).unwrap_or_default();
        let caller = state.auth.caller(token, peer.address).await?;
        return Ok((caller, None));
    }
    let Some(cookie) = cookie(headers) else {
        return Err(unauthorized("no token was sent"));
    };
    let (caller, session) = state.auth.by_session(cookie).await?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        meant(state, &session, peer, headers)?;
    }
    Ok((caller, Some(session)))
}

/// Somebody asks too often.
pub(super) fn too_often() -> ApiError {
    ApiError::new(
        ErrorKind::TooMany,
        TOO_OFTEN,
        "more requests came than are answered at this rate",
        "wait a second; follow a stream in place of asking again and again",
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session's text among a browser's cookies.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}
