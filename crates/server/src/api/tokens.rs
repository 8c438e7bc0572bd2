//! Tokens: give, list, take away.

use super::ApiState;
use super::answer::{Body, Named};
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, recorded with everything that it does.
    pub name: String,
    /// `viewer`, `operator` or `admin`, and roles of plans in which it may sign off.
    pub roles: Vec<String>,
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
    let token = state.auth.create(&asked.name, &asked.roles).await?;
    let created = CreatedToken {
        name: asked.name,
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
