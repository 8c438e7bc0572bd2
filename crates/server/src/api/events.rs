//! A release's events as they are stored.

use super::ApiState;
use super::answer::{Named, Params};
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use esclusa_model::{Envelope, ReleaseId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One stored event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its place in the stream, from 1 without gaps.
    pub position: u64,
    /// When it was recorded, microseconds since 1970.
    pub at_us: i64,
    /// Who caused it.
    pub actor: String,
    /// Its kind, such as `advanced`.
    pub kind: String,
    /// Its fields.
    pub payload: serde_json::Value,
    /// The hash of the event before it.
    pub prev: String,
    /// Its own hash, which covers all of the above.
    pub hash: String,
}

impl From<Envelope> for EventView {
    fn from(event: Envelope) -> Self {
        Self {
            position: event.position,
            at_us: event.at.0,
            actor: event.actor.to_string(),
            kind: event.kind,
            payload: event.payload,
            prev: event.prev.to_string(),
            hash: event.hash.to_string(),
        }
    }
}

/// From where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only events behind this position; 0 when absent.
    after: Option<u64>,
}

/// A release's events, oldest first, at most 1,000 at a time
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/events", tag = "releases",
    params(("id" = String, Path, description = "The release's id"), Since),
    responses((status = 200, body = Vec<EventView>), (status = 404, body = ApiError))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
    Params(from): Params<Since>,
) -> Result<Json<Vec<EventView>>, ApiError> {
    let after = from.after.unwrap_or(0);
    let events = state.app.events(&id, after).await?;
    if events.is_empty() && after == 0 {
        // One that waits in line has none yet; of one nobody knows there is no list.
        state.app.release_view(&id).await?;
    }
    Ok(Json(events.into_iter().map(Into::into).collect()))
}
