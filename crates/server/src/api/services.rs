//! Services as they are now.

use super::ApiState;
use super::answer::Named;
use super::sessions::BySession;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::view::{ServiceView, VersionView};
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_model::ServiceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The name that is recorded with what they do.
    pub actor: String,
    /// The person behind them, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What they may do; `*` stands for every role of a plan.
    pub roles: Vec<String>,
    /// What a page sends as `x-esclusa-csrf` with everything that is more than looking;
    /// absent for whoever sends a token, or needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

impl Me {
    pub(super) fn of(caller: &Caller, csrf: Option<String>) -> Self {
        Self {
            actor: caller.actor.to_string(),
            person: caller.person.clone(),
            roles: caller.roles(),
            csrf,
        }
    }
}

/// Whether going back is possible.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CanReturn {
    /// Whether it is, right now.
    pub can_return: bool,
    /// Why not, when it is not.
    pub because: Option<String>,
    /// What would serve again.
    pub to: Option<VersionView>,
}

/// Who the caller is
#[utoipa::path(get, path = "/api/v1/me", tag = "tokens", responses((status = 200, body = Me)))]
pub(super) async fn me(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(BySession(session)): Extension<BySession>,
) -> Json<Me> {
    let csrf = session.map(|session| state.auth.csrf(&session));
    Json(Me::of(&caller, csrf))
}

/// All services, each with its running or last release and its traffic
#[utoipa::path(
    get, path = "/api/v1/services", tag = "services",
    responses((status = 200, body = Vec<ServiceView>))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Json<Vec<ServiceView>> {
    Json(state.app.services().await)
}

/// One service
#[utoipa::path(
    get, path = "/api/v1/services/{name}", tag = "services",
    params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = ServiceView), (status = 404, body = ApiError))
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Named(name): Named<ServiceName>,
) -> Result<Json<ServiceView>, ApiError> {
    Ok(Json(state.app.service(&name).await?))
}

/// Whether the version before can take over all users right now
#[utoipa::path(
    get, path = "/api/v1/services/{name}/can-return", tag = "services",
    params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = CanReturn), (status = 404, body = ApiError))
)]
pub(super) async fn can_return(
    State(state): State<ApiState>,
    Named(name): Named<ServiceName>,
) -> Result<Json<CanReturn>, ApiError> {
    let view = state.app.service(&name).await?;
    Ok(Json(CanReturn {
        can_return: view.can_return,
        because: view.cannot_return_because,
        to: view.warm.map(|warm| warm.version),
    }))
}
