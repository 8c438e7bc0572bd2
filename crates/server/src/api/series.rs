//! A release's traffic over time, for charts.

use super::ApiState;
use super::answer::{Named, Params, bad_input};
use crate::clock;
use crate::counted::each_slice;
use crate::error::{ApiError, ErrorKind};
use crate::series::{Collector, Points, Series, Span};
use axum::Json;
use axum::extract::State;
use esclusa_model::{Envelope, ReleaseId, StreamId};
use esclusa_release::Release;
use serde::Deserialize;
use utoipa::IntoParams;

/// How many buckets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// At most this many buckets, 1 to 1,000; 240 when absent.
    #[param(minimum = 1, maximum = 1000)]
    points: Option<u16>,
}

/// A release's traffic over time, in buckets of equal length, and what happened in it
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/series", tag = "releases",
    params(("id" = String, Path, description = "The release's id"), Wanted),
    responses(
        (status = 200, body = Series),
        (status = 400, body = ApiError), (status = 404, body = ApiError)
    )
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Series>, ApiError> {
    let points = wanted.points.map_or(Some(Points::USUAL), Points::new);
    let points = points
        .ok_or_else(|| bad_input("ESC-0408", format!("points is not 1 to {}", Points::MOST)))?;
    let (release, events) = release_and_events(&state, &id).await?;
    let span = Span::of(&release, clock::now());
    let mut collector = Collector::new(&release, span, points);
    let read = each_slice(
        &state.app.shared.store,
        &release.requested.service,
        span,
        |slice| collector.take(slice),
    );
    let unknown = read.await.err();
    Ok(Json(collector.finish(&release, &events, unknown)))
}

/// A release that began, with its whole stream.
///
/// # Errors
/// Of one that waits in line there is nothing yet; of others nothing is known.
pub(super) async fn release_and_events(
    state: &ApiState,
    id: &ReleaseId,
) -> Result<(Release, Vec<Envelope>), ApiError> {
    let events = crate::actor::read_all(&state.app.shared.store, &StreamId::release(id)).await?;
    match crate::actor::fold(&events)? {
        Some(release) => Ok((release, events)),
        None => Err(not_begun(state, id).await),
    }
}

async fn not_begun(state: &ApiState, id: &ReleaseId) -> ApiError {
    match state.app.release_view(id).await {
        Ok(_) => ApiError::new(
            ErrorKind::NotFound,
            "ESC-0404",
            format!("release {id} has not begun, so there is nothing to show of it"),
            "`esclusa release status` says what it waits for",
        ),
        Err(error) => error,
    }
}
