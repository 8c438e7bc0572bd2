//! Releases: start one, look at them.

use super::ApiState;
use super::answer::{Body, Named, Params, bad_input};
use crate::app::AskStart;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::source::SourceView;
use crate::view::ReleaseView;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use esclusa_model::{ReleaseId, ServiceName, VersionName};
use esclusa_plan::OnConflict;
use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::{IntoParams, ToSchema};

/// Most releases in one answer.
const MAX_LIMIT: usize = 200;
const DEFAULT_LIMIT: usize = 20;

/// A release that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRelease {
    /// The plan's file name, for messages.
    pub plan_name: String,
    /// The plan's text.
    pub plan: String,
    /// People's name for the version. A plan of flags alone may do without: it is then
    /// named after them, such as `exec-reports-on`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub version: Option<VersionName>,
    /// Absolute folder on the server's machine that relative paths start from.
    pub base_dir: String,
    /// What to do when a release of the service is under way, in place of the plan's word.
    #[serde(default)]
    pub on_conflict: Option<Conflict>,
    /// Where the version comes from, where the plan stands in a checkout.
    #[serde(default)]
    pub source: Option<SourceView>,
}

/// What a second release does while one is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// It is refused.
    Refuse,
    /// It waits.
    Queue,
    /// It takes the place of the first, which is aborted.
    Supersede,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Refuse => Self::Refuse,
            Conflict::Queue => Self::Queue,
            Conflict::Supersede => Self::Supersede,
        }
    }
}

/// A release that was taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Started {
    /// Its id.
    pub release: String,
    /// Whether it waits for another one to end.
    pub queued: bool,
}

/// Which releases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those of this service.
    #[param(value_type = Option<String>)]
    service: Option<ServiceName>,
    /// At most this many, 1 to 200; 20 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Starts a release, or puts it in line
#[utoipa::path(
    post, path = "/api/v1/releases", tag = "releases", request_body = StartRelease,
    responses(
        (status = 201, body = Started),
        (status = 400, description = "The plan is wrong; details holds its findings", body = ApiError),
        (status = 409, description = "Another release is under way", body = ApiError),
        (status = 503, description = "Nothing could be recorded", body = ApiError),
    )
)]
pub(super) async fn start(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<StartRelease>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    if !Path::new(&asked.base_dir).is_absolute() {
        return Err(bad_input("ESC-0408", "base_dir is not an absolute path"));
    }
    let source = asked.source.map(SourceView::checked).transpose();
    let source = source.map_err(|why| bad_input("ESC-0408", why))?;
    let start = state.app.start_release(AskStart {
        plan_name: asked.plan_name,
        plan_text: asked.plan,
        version: asked.version,
        base_dir: asked.base_dir,
        on_conflict: asked.on_conflict.map(Into::into),
        actor: caller.actor,
        person: caller.person,
        source,
    });
    let id = Box::pin(start).await?;
    let queued = state.app.release_view(&id).await?.place_in_line.is_some();
    Ok((
        StatusCode::CREATED,
        Json(Started {
            release: id.to_string(),
            queued,
        }),
    ))
}

/// Releases, newest first, those that wait in line too
#[utoipa::path(
    get, path = "/api/v1/releases", tag = "releases", params(Which),
    responses((status = 200, body = Vec<ReleaseView>), (status = 400, body = ApiError))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Params(which): Params<Which>,
) -> Result<Json<Vec<ReleaseView>>, ApiError> {
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad_input(
            "ESC-0408",
            format!("limit is not 1 to {MAX_LIMIT}"),
        ));
    }
    Ok(Json(
        state.app.history(which.service.as_ref(), limit).await?,
    ))
}

/// One release, also one that waits in line
#[utoipa::path(
    get, path = "/api/v1/releases/{id}", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, body = ReleaseView), (status = 404, body = ApiError))
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<Json<ReleaseView>, ApiError> {
    Ok(Json(state.app.release_view(&id).await?))
}
