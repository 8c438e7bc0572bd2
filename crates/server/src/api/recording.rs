//! Stored traffic, to be judged again, and a day of it in a few numbers.

use super::ApiState;
use super::answer::{Named, Params, bad_input};
use super::series::release_and_events;
use crate::clock;
use crate::counted::each_slice;
use crate::error::{ApiError, ErrorKind};
use crate::figures::Percent;
use crate::recording::Recording;
use crate::series::Span;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use esclusa_judge::Slice;
use esclusa_model::{Digest, ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

/// Pieces that wait for a slow reader; then the store waits too.
const AHEAD: usize = 2;
const LINES: &str = "application/x-ndjson";
/// Most hours of a service's own traffic.
const MOST_HOURS: u16 = 168;
/// Most units that are told apart in a sum.
const MOST_UNITS: usize = 100_000;

/// How much of a service's past.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Past {
    /// The last so many hours, 1 to 168.
    #[param(minimum = 1, maximum = 168)]
    hours: Option<u16>,
}

impl Past {
    fn seconds(&self, usual: u16) -> Result<i64, ApiError> {
        let hours = self.hours.unwrap_or(usual);
        if (1..=MOST_HOURS).contains(&hours) {
            Ok(i64::from(hours) * 3_600)
        } else {
            Err(bad_input(
                "ESC-0408",
                format!("hours is not 1 to {MOST_HOURS}"),
            ))
        }
    }
}

/// A service's own traffic, in sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PastTraffic {
    /// How far back was looked.
    pub hours: u16,
    /// Of how many of these seconds there are counts.
    pub counted_s: u64,
    /// People's requests in them, over all versions.
    pub requests: u64,
    /// Requests a second, on average of the seconds that were counted; null without any.
    pub requests_per_s: Option<f64>,
    /// Failures by a version's fault in a hundred requests; null without requests.
    pub error_percent: Option<Percent>,
    /// Different users or tenants that were told apart, at least: heavy ones are.
    pub units_at_least: u64,
}

/// What a release's judge was told, as a recording for `esclusa judge` (JSON Lines)
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/recording", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String),
        (status = 404, body = ApiError), (status = 503, body = ApiError)
    )
)]
pub(super) async fn release(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<Response, ApiError> {
    let (release, events) = release_and_events(&state, &id).await?;
    let recording = Recording::of_release(release, &events).map_err(|why| {
        ApiError::new(
            ErrorKind::NotFound,
            "ESC-0404",
            format!("there is no recording of release {id}: {why}"),
            "name a release that reached users beside another version",
        )
    })?;
    lines(state, recording)
}

/// A service's own traffic of the last hours, of its stable version, as a recording
#[utoipa::path(
    get, path = "/api/v1/services/{name}/recording", tag = "services",
    params(("name" = String, Path, description = "The service's name"), Past),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String),
        (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)
    )
)]
pub(super) async fn service(
    State(state): State<ApiState>,
    Named(name): Named<ServiceName>,
    Params(past): Params<Past>,
) -> Result<Response, ApiError> {
    let seconds = past.seconds(2)?;
    let stable = state.app.service(&name).await?.stable;
    let known = stable.and_then(|stable| {
        let digest: Digest = stable.digest.parse().ok()?;
        Some((digest, stable.name))
    });
    let stable = known.ok_or_else(|| {
        ApiError::new(
            ErrorKind::NotFound,
            "ESC-0404",
            format!("service {name} has no version that serves everybody yet"),
            "release a first one",
        )
    })?;
    lines(state, Recording::of_service(&name, stable, seconds))
}

/// A service's traffic of the last hours in a few numbers
#[utoipa::path(
    get, path = "/api/v1/services/{name}/traffic", tag = "services",
    params(("name" = String, Path, description = "The service's name"), Past),
    responses((status = 200, body = PastTraffic), (status = 400, body = ApiError), (status = 404, body = ApiError))
)]
pub(super) async fn traffic(
    State(state): State<ApiState>,
    Named(name): Named<ServiceName>,
    Params(past): Params<Past>,
) -> Result<Json<PastTraffic>, ApiError> {
    let seconds = past.seconds(24)?;
    state.app.service(&name).await?;
    let to = clock::now().unix_second();
    let span = Span {
        from: to - seconds,
        to,
    };
    let mut sum = Sum::default();
    each_slice(&state.app.shared.store, &name, span, |slice| {
        sum.add(slice);
    })
    .await
    .map_err(|why| {
        ApiError::new(
            ErrorKind::Unavailable,
            "ESC-0404",
            format!("the traffic of {name} cannot be read: {why}"),
            "`esclusa audit verify` looks at what is stored",
        )
    })?;
    let counted_s = sum.seconds.len() as u64;
    Ok(Json(PastTraffic {
        hours: u16::try_from(seconds / 3_600).unwrap_or(MOST_HOURS),
        counted_s,
        requests: sum.requests,
        requests_per_s: (counted_s > 0).then(|| sum.requests as f64 / counted_s as f64),
        error_percent: Percent::of(sum.failures, sum.requests),
        units_at_least: sum.units.len() as u64,
    }))
}

#[derive(Default)]
struct Sum {
    seconds: BTreeSet<i64>,
    requests: u64,
    failures: u64,
    units: BTreeSet<u64>,
}

impl Sum {
    fn add(&mut self, slice: &Slice) {
        self.seconds.insert(slice.second);
        for cell in slice.cells.iter().filter(|cell| !cell.synthetic) {
            self.requests += cell.requests;
            self.failures += cell.failures();
            for unit in &cell.units {
                if self.units.len() < MOST_UNITS {
                    self.units.insert(unit.unit);
                }
            }
        }
    }
}

/// Sends a recording as it is read. One that breaks off ends without its last piece, so
/// that nobody takes a part for the whole.
fn lines(state: ApiState, recording: Recording) -> Result<Response, ApiError> {
    let place = state.stream_place()?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    tokio::spawn(async move {
        let store = state.app.shared.store.clone();
        let written = recording
            .write(&store, |text| {
                let sender = sender.clone();
                async move { sender.send(Ok(Bytes::from(text))).await.is_ok() }
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "A recording broke off");
            // Nobody may listen any more: as good.
            let _ = sender.send(Err(io::Error::other(error.to_string()))).await;
        }
        drop(place);
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, LINES)], body).into_response())
}
