//! A release's report, with its traffic summed up from stored slices.

use super::ApiState;
use super::answer::Named;
use super::series::release_and_events;
use crate::clock;
use crate::counted::each_slice;
use crate::error::ApiError;
use crate::report::{self, Report, TrafficReport, VersionTotals};
use crate::series::Span;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use esclusa_judge::{Histogram, upper_edge};
use esclusa_model::{Digest, ReleaseId};
use esclusa_release::Release;
use esclusa_store::Store;
use std::collections::BTreeMap;

/// What a release did, as data
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/report", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, body = Report), (status = 404, body = ApiError))
)]
pub(super) async fn json(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<Json<Report>, ApiError> {
    Ok(Json(report(&state, &id).await?))
}

/// What a release did, as Markdown
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/report.md", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, content_type = "text/markdown", body = String), (status = 404, body = ApiError))
)]
pub(super) async fn markdown(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<impl IntoResponse, ApiError> {
    let text = report::markdown(&report(&state, &id).await?);
    Ok((
        [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")],
        text,
    ))
}

async fn report(state: &ApiState, id: &ReleaseId) -> Result<Report, ApiError> {
    let (release, events) = release_and_events(state, id).await?;
    let traffic = traffic(&state.app.shared.store, &release).await;
    Ok(report::build(&release, &events, traffic))
}

/// What was counted while the release ran. Unreadable counts make the whole unknown.
async fn traffic(store: &Store, release: &Release) -> TrafficReport {
    let span = Span::of(release, clock::now());
    let mut sums = Sums::default();
    let service = &release.requested.service;
    match each_slice(store, service, span, |slice| sums.add(slice)).await {
        Ok(()) => sums.finish(release),
        Err(because) => unknown(because),
    }
}

fn unknown(because: String) -> TrafficReport {
    TrafficReport {
        versions: Vec::new(),
        from: None,
        to: None,
        unknown_because: Some(because),
    }
}

#[derive(Default)]
struct Sums {
    versions: BTreeMap<Digest, (u64, u64, Histogram)>,
    first: Option<i64>,
    last: Option<i64>,
}

impl Sums {
    fn add(&mut self, slice: &esclusa_judge::Slice) {
        self.first = Some(
            self.first
                .map_or(slice.second, |first| first.min(slice.second)),
        );
        self.last = self.last.max(Some(slice.second));
        for cell in slice.cells.iter().filter(|cell| !cell.synthetic) {
            let sum = self.versions.entry(cell.intended).or_default();
            sum.0 += cell.requests;
            sum.1 += cell.failures();
            sum.2.merge(&cell.latency);
        }
    }

    fn finish(self, release: &Release) -> TrafficReport {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return unknown("nothing was counted while it ran".to_owned());
        };
        let parts = [release.requested.stable.as_ref(), release.version.as_ref()];
        let name = |digest: &Digest| {
            let part = parts
                .iter()
                .flatten()
                .find(|version| version.digest == *digest);
            part.map(|version| version.name.to_string())
        };
        let versions = self
            .versions
            .iter()
            .map(|(digest, (requests, failures, latency))| {
                let p95 = latency.quantile_bucket(0.95);
                VersionTotals {
                    digest: digest.to_string(),
                    name: name(digest),
                    requests: *requests,
                    failures: *failures,
                    p95_ms: p95.map(|bucket| upper_edge(bucket) as f64 / 1_000.0),
                }
            });
        TrafficReport {
            versions: versions.collect(),
            from: Some(report::second(first)),
            to: Some(report::second(last)),
            unknown_because: None,
        }
    }
}
