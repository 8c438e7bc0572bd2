//! Logging in with a browser, and out.

use super::ApiState;
use super::answer::Body;
use super::browser::{Peer, same_origin};
use super::services::Me;
use crate::auth::{Caller, Session, no_cookie};
use crate::error::{ApiError, ErrorKind};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who logs in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// A token.
    pub token: String,
}

/// The session that a request came by; none for one that came with a token.
#[derive(Debug, Clone)]
pub(super) struct BySession(pub Option<Session>);

/// Gives a browser a session in place of a token, as the cookie `esclusa_session`
#[utoipa::path(
    post, path = "/api/v1/login", tag = "tokens", request_body = Login,
    responses(
        (status = 200, body = Me),
        (status = 401, description = "No valid token", body = ApiError),
        (status = 403, description = "Sent by another site's page", body = ApiError),
        (status = 429, description = "Too many wrong tokens", body = ApiError),
    )
)]
pub(super) async fn login(
    State(state): State<ApiState>,
    peer: Peer,
    headers: HeaderMap,
    Body(Login { token }): Body<Login>,
) -> Result<Response, ApiError> {
    same_origin(&state, &peer, &headers)?;
    let (caller, session) = state.auth.login(token.trim(), peer.address).await?;
    let me = Me::of(&caller, Some(state.auth.csrf(&session)));
    let cookie = session.cookie(is_https(&state, &peer));
    with_cookie(Json(me).into_response(), &cookie)
}

/// Ends the session that the request came by
#[utoipa::path(post, path = "/api/v1/logout", tag = "tokens", responses((status = 204)))]
pub(super) async fn logout(
    State(state): State<ApiState>,
    peer: Peer,
    Extension(caller): Extension<Caller>,
    Extension(BySession(session)): Extension<BySession>,
) -> Result<Response, ApiError> {
    if let Some(session) = session {
        state.auth.logout(&caller, &session);
    }
    let cookie = no_cookie(is_https(&state, &peer));
    with_cookie(StatusCode::NO_CONTENT.into_response(), &cookie)
}

/// Whether the cookie must never go over plain HTTP.
fn is_https(state: &ApiState, peer: &Peer) -> bool {
    let front = state.app.shared.links.front();
    peer.https || front.is_some_and(crate::links::Front::is_https)
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, ApiError> {
    let value = HeaderValue::from_str(cookie).map_err(|error| {
        ApiError::new(
            ErrorKind::Internal,
            "ESC-0900",
            error.to_string(),
            "report this",
        )
    })?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}
