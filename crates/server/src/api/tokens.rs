//! Tokens: give, list, take away.

use super::ApiState;
use super::answer::{Body, Named};
use crate::auth::TokenAsk;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use esclusa_model::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, recorded with everything that it does.
    pub name: String,
    /// `viewer`, `approver`, `operator` or `admin`, and roles of plans in which it may sign
    /// off.
    pub roles: Vec<String>,
    /// Whose it is. Several tokens may be one person's, who counts once where a plan wants
    /// somebody else than who asked for a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// After how many seconds it is worthless by itself; it lasts when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub expires_in_s: Option<u64>,
}

/// A token just made. Its text is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its name.
    pub name: String,
    /// The token itself; it is stored nowhere.
    pub token: String,
}

/// A token without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// When it was made, microseconds since 1970.
    pub created_at_us: i64,
    /// When it was revoked; absent while it is live.
    pub revoked_at_us: Option<i64>,
    /// Whose it is, where that was said.
    #[serde(default)]
    pub person: Option<String>,
    /// From when on it is worthless by itself; absent for one that lasts.
    #[serde(default)]
    pub expires_at_us: Option<i64>,
    /// When it was used last, to the minute; absent for one that was not, or not since this
    /// is noted.
    #[serde(default)]
    pub last_used_at_us: Option<i64>,
}

/// Makes a token
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses(
        (status = 201, body = CreatedToken),
        (status = 400, body = ApiError),
        (status = 409, description = "The name is taken", body = ApiError),
    )
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Body(asked): Body<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let ask = TokenAsk {
        name: asked.name,
        roles: asked.roles,
        person: asked.person,
        lasts: asked
            .expires_in_s
            .map(|seconds| Millis(seconds.saturating_mul(1_000))),
    };
    let token = state.auth.create(&ask).await?;
    let created = CreatedToken {
        name: ask.name,
        token: token.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// All tokens, revoked ones too
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Vec<TokenView>))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Vec<TokenView>>, ApiError> {
    let tokens = state.auth.list().await?;
    let view = tokens.into_iter().map(|token| TokenView {
        name: token.name.to_string(),
        roles: token.roles,
        created_at_us: token.created.0,
        revoked_at_us: token.revoked.map(|at| at.0),
        person: token.person,
        expires_at_us: token.expires.map(|at| at.0),
        last_used_at_us: token.used.map(|at| at.0),
    });
    Ok(Json(view.collect()))
}

/// Makes a token worthless
#[utoipa::path(
    delete, path = "/api/v1/tokens/{name}", tag = "tokens",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 204), (status = 404, body = ApiError))
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Named(name): Named<String>,
) -> Result<StatusCode, ApiError> {
    state.auth.revoke(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
