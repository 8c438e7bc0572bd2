//! Everything of a service, or of all, back to stable.

use super::ApiState;
use super::answer::{MaybeBody, Named};
use super::commands::{Reason, check_words};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::kill::Killed;
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_model::ServiceName;

/// Aborts what is under way of a service, and says whether everybody is at stable
#[utoipa::path(
    post, path = "/api/v1/services/{name}/kill", tag = "services",
    request_body(content = Option<Reason>, description = "Why, in words; may be left out"),
    params(("name" = String, Path, description = "The service's name")),
    responses(
        (status = 200, body = Vec<Killed>, description = "One entry; at_stable says whether it is done"),
        (status = 404, body = ApiError),
    )
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<ServiceName>,
    MaybeBody(Reason { reason }): MaybeBody<Reason>,
) -> Result<Json<Vec<Killed>>, ApiError> {
    check_words(&reason)?;
    let killed = state.app.kill(Some(&name), &reason, &caller.actor).await;
    killed.map(Json)
}

/// Aborts what is under way of every service, and says whether everybody is at stable
#[utoipa::path(
    post, path = "/api/v1/kill", tag = "services",
    request_body(content = Option<Reason>, description = "Why, in words; may be left out"),
    responses((status = 200, body = Vec<Killed>, description = "One entry a service"))
)]
pub(super) async fn all(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    MaybeBody(Reason { reason }): MaybeBody<Reason>,
) -> Result<Json<Vec<Killed>>, ApiError> {
    check_words(&reason)?;
    let killed = state.app.kill(None, &reason, &caller.actor).await;
    killed.map(Json)
}
