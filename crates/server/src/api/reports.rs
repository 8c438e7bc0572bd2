//! A release's report, with its traffic summed up from stored slices.

use super::ApiState;
use super::answer::Named;
use super::series::release_and_events;
use crate::clock;
use crate::counted::each_slice;
use crate::error::{ApiError, ErrorKind};
use crate::figures::{LatencyMs, Percent};
use crate::report::{self, Report, TrafficReport, VersionTotals};
use crate::series::{Collector, Points, Span};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use esclusa_judge::Histogram;
use esclusa_model::{Digest, ReleaseId};
use esclusa_release::Release;
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

/// What a release did, as one page with charts and without script
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/report.html", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = ApiError))
)]
pub(super) async fn html(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<impl IntoResponse, ApiError> {
    let text = report::html(&report(&state, &id).await?);
    let policy = format!("{}; frame-ancestors 'none'", report::policy());
    Ok((
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy),
        ],
        text,
    ))
}

/// What a release did, as JUnit XML
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/report.junit.xml", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = ApiError))
)]
pub(super) async fn junit(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<impl IntoResponse, ApiError> {
    let text = report::junit(&report(&state, &id).await?);
    Ok((
        [(header::CONTENT_TYPE, "application/xml; charset=utf-8")],
        text,
    ))
}

/// What is to be written up after a release went back, as Markdown
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/post-mortem.md", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses(
        (status = 200, content_type = "text/markdown", body = String),
        (status = 404, description = "It is not known, or it did not go back", body = ApiError)
    )
)]
pub(super) async fn post_mortem(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<impl IntoResponse, ApiError> {
    let Some(text) = report::post_mortem(&report(&state, &id).await?) else {
        return Err(ApiError::new(
            ErrorKind::NotFound,
            "ESC-0419",
            format!("release {id} did not go back, so there is nothing to write up"),
            "its report says what it did",
        ));
    };
    Ok((
        [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")],
        text,
    ))
}

async fn report(state: &ApiState, id: &ReleaseId) -> Result<Report, ApiError> {
    let (release, events) = release_and_events(state, id).await?;
    let span = Span::of(&release, clock::now());
    let mut sums = Sums::default();
    let mut series = Collector::new(&release, span, Points::REPORT);
    let store = &state.app.shared.store;
    let read = each_slice(store, &release.requested.service, span, |slice| {
        sums.add(slice);
        series.take(slice);
    });
    // Unreadable counts make the whole unknown.
    let because = read.await.err();
    let traffic = match &because {
        None => sums.finish(&release),
        Some(because) => unknown(because.clone()),
    };
    let series = series.finish(&release, &events, because);
    Ok(report::build(&release, &events, traffic, series))
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
                let quantile = |fraction| LatencyMs::quantile(latency, fraction);
                VersionTotals {
                    digest: digest.to_string(),
                    name: name(digest),
                    requests: *requests,
                    failures: *failures,
                    error_percent: Percent::of(*failures, *requests),
                    p50_ms: quantile(0.5),
                    p95_ms: quantile(0.95),
                    p99_ms: quantile(0.99),
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
