//! Who may call what: one table, and the layer that enforces it.
//!
//! Invariant: an endpoint without a row answers nobody. The API's description takes
//! the words from here, and a test walks that description with tokens too small.

use super::ApiState;
use crate::auth::{Access, Caller, Scope};
use crate::error::{ApiError, ErrorKind};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};

const VIEW: Scope = Scope::Needs(Access::Viewer);
const OPERATE: Scope = Scope::Needs(Access::Operator);
const ADMIN: Scope = Scope::Needs(Access::Admin);

/// Method, path and scope of every endpoint.
pub(super) const SCOPES: &[(&str, &str, Scope)] = &[
    ("get", "/", Scope::Public),
    ("get", "/healthz", Scope::Public),
    ("get", "/readyz", Scope::Public),
    ("get", "/metrics", VIEW),
    ("get", "/openapi.json", Scope::Public),
    ("get", "/api/v1/me", Scope::AnyToken),
    ("get", "/api/v1/services", VIEW),
    ("get", "/api/v1/services/{name}", VIEW),
    ("get", "/api/v1/services/{name}/can-return", VIEW),
    ("post", "/api/v1/services/{name}/kill", OPERATE),
    ("post", "/api/v1/kill", OPERATE),
    ("get", "/api/v1/stream", VIEW),
    ("post", "/api/v1/releases", OPERATE),
    ("get", "/api/v1/releases", VIEW),
    ("get", "/api/v1/releases/{id}", VIEW),
    ("get", "/api/v1/releases/{id}/events", VIEW),
    ("get", "/api/v1/releases/{id}/stream", VIEW),
    ("get", "/api/v1/releases/{id}/report", VIEW),
    ("get", "/api/v1/releases/{id}/report.md", VIEW),
    ("post", "/api/v1/releases/{id}/pause", OPERATE),
    ("post", "/api/v1/releases/{id}/resume", OPERATE),
    ("post", "/api/v1/releases/{id}/skip", OPERATE),
    ("post", "/api/v1/releases/{id}/promote", OPERATE),
    ("post", "/api/v1/releases/{id}/abort", OPERATE),
    ("post", "/api/v1/releases/{id}/rollback", OPERATE),
    ("post", "/api/v1/releases/{id}/sign-offs", Scope::SignOff),
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
    let token = bearer(request.headers()).map(str::to_owned);
    let from = peer(&request);
    let response = match caller(&state, &method, &path, token.as_deref(), from).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
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
    token: Option<&str>,
    from: Option<IpAddr>,
) -> Result<Option<Caller>, ApiError> {
    let Some(scope) = scope_of(method.as_str(), path) else {
        return Err(ApiError::new(
            ErrorKind::Forbidden,
            "ESC-0403",
            format!("nobody may call {method} {path}"),
            "report this: the endpoint has no scope",
        ));
    };
    let caller = match state.door.caller()? {
        Some(owner) => owner,
        None if scope == Scope::Public => return Ok(None),
        None => state.auth.caller(token, from).await?,
    };
    caller.may(scope)?;
    Ok(Some(caller))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn peer(request: &Request) -> Option<IpAddr> {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip())
}
