//! Flags that releases turn: how far, and down by hand.

use super::ApiState;
use super::answer::{Body, Params};
use super::commands::check_words;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::rollouts::{CheckRollout, LowerRollout, Lowered, OfFlag, RolloutState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

/// How far a flag is turned, by a release and by the flag set
#[utoipa::path(
    get, path = "/api/v1/rollouts/{flag}", tag = "flags",
    params(("flag" = String, Path, description = "The flag's key"), OfFlag),
    responses((status = 200, body = RolloutState), (status = 404, body = ApiError))
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Path(flag): Path<String>,
    Params(of): Params<OfFlag>,
) -> Result<Json<RolloutState>, ApiError> {
    state.app.rollout_of(&flag, &of).map(Json)
}

/// Lets a flag reach fewer, at once: what runs goes back, the flag set keeps the rest
#[utoipa::path(
    post, path = "/api/v1/rollouts/lower", tag = "flags", request_body = LowerRollout,
    responses(
        (status = 200, body = Lowered),
        (status = 404, body = ApiError),
        (status = 503, description = "The flag set could not be changed", body = ApiError),
    )
)]
pub(super) async fn lower(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<LowerRollout>,
) -> Result<Json<Lowered>, ApiError> {
    check_words(&asked.reason)?;
    let lowered = state.app.lower_rollout(&asked, &caller.actor).await;
    lowered.map(Json)
}

/// Whether a rollout by hand could begin; nothing is
#[utoipa::path(
    post, path = "/api/v1/rollouts/check", tag = "flags", request_body = CheckRollout,
    responses(
        (status = 204, description = "It could"),
        (status = 400, body = ApiError),
        (status = 409, description = "Something stands against it", body = ApiError),
    )
)]
pub(super) async fn check(
    State(state): State<ApiState>,
    Body(asked): Body<CheckRollout>,
) -> Result<StatusCode, ApiError> {
    state.app.check_rollout(&asked)?;
    Ok(StatusCode::NO_CONTENT)
}
