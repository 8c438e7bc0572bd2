//! For machines that watch this one.

use super::ApiState;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use esclusa_model::CheckStatus;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

/// Whether this server can do its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Ready {
    /// Whether the store answers; without it nothing is decided.
    pub ready: bool,
    /// `pass` or `fail`.
    pub store: String,
    /// `pass`, `fail`, or `unknown` before the first answer. Users are served without
    /// the control plane and the other way round, so this alone makes nobody unready.
    pub proxy: String,
}

/// Whether the program runs
#[utoipa::path(get, path = "/healthz", tag = "probes", responses((status = 200, body = String)))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Whether it can do its work
#[utoipa::path(
    get, path = "/readyz", tag = "probes",
    responses((status = 200, body = Ready), (status = 503, body = Ready))
)]
pub(super) async fn ready(State(state): State<ApiState>) -> impl IntoResponse {
    let store = state
        .app
        .shared
        .store
        .setting::<serde_json::Value>("ready")
        .await
        .is_ok();
    let proxy = {
        let contact = state.app.shared.dataplane.contact();
        let contact = contact.borrow();
        match (&contact.trouble, &contact.status) {
            (Some(_), _) => CheckStatus::Fail,
            (None, Some(_)) => CheckStatus::Pass,
            (None, None) => CheckStatus::Unknown,
        }
    };
    let status = if store {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if store {
        CheckStatus::Pass
    } else {
        CheckStatus::Fail
    };
    let body = Ready {
        ready: store,
        store: word.to_string(),
        proxy: proxy.to_string(),
    };
    (status, Json(body))
}

/// Metrics of this server and its proxy as Prometheus text
#[utoipa::path(
    get, path = "/metrics", tag = "probes",
    responses((status = 200, content_type = "text/plain", body = String), (status = 503, body = ApiError))
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let services = state.app.services().await;
    let proxy = state.proxy.metrics().await;
    let mut out = String::new();
    gauge(
        &mut out,
        "esclusa_services",
        "Services known.",
        services.len(),
    );
    let running = services.iter().filter(|service| {
        service
            .release
            .as_ref()
            .is_some_and(|release| release.outcome.is_none())
    });
    gauge(
        &mut out,
        "esclusa_releases_running",
        "Releases under way.",
        running.count(),
    );
    let waiting = services.iter().map(|service| service.queue.len()).sum();
    gauge(
        &mut out,
        "esclusa_releases_queued",
        "Releases in line.",
        waiting,
    );
    let held = services.iter().filter(|service| {
        service
            .release
            .as_ref()
            .is_some_and(|release| release.hold.is_some())
    });
    gauge(
        &mut out,
        "esclusa_releases_holding",
        "Releases that wait for something.",
        held.count(),
    );
    let help = "Whether the proxy's metrics follow.";
    gauge(
        &mut out,
        "esclusa_proxy_scraped",
        help,
        usize::from(proxy.is_ok()),
    );
    state.count.write(&mut out);
    if let Ok(proxy) = proxy {
        out.push_str(&proxy);
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        out,
    )
}

fn gauge(out: &mut String, name: &str, help: &str, value: usize) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
    );
}
