//! The control interface: JSON over HTTP/1 on a Unix socket.

use super::metrics;
use super::state::Control;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use esclusa_wire::{Generation, Heartbeat, SliceAck, SliceBatch, WIRE_VERSION};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Largest call; a generation with a known population is the largest.
const MAX_CALL_BYTES: usize = 64 * 1024 * 1024;
/// Longest wait for slices, whatever is asked.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// All calls.
pub(crate) fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/v1/hello", get(hello))
        .route("/v1/generation", put(publish))
        .route("/v1/status", get(status))
        .route("/v1/slices", get(slices))
        .route("/v1/slices/ack", post(ack))
        .route("/v1/heartbeat", post(heartbeat))
        .merge(metrics_route())
        .layer(DefaultBodyLimit::max(MAX_CALL_BYTES))
        .with_state(control)
}

/// `/metrics` alone, for a network that must not control anything.
pub(crate) fn metrics_router(control: Arc<Control>) -> Router {
    metrics_route().with_state(control)
}

fn metrics_route() -> Router<Arc<Control>> {
    Router::new().route("/metrics", get(show_metrics))
}

async fn hello(State(control): State<Arc<Control>>) -> Response {
    Json(&control.hello).into_response()
}

async fn publish(
    State(control): State<Arc<Control>>,
    Json(generation): Json<Generation>,
) -> Response {
    match control.publish(generation).await {
        Ok(published) => Json(published).into_response(),
        Err(refusal) => (StatusCode::CONFLICT, Json(refusal)).into_response(),
    }
}

async fn status(State(control): State<Arc<Control>>) -> Response {
    Json(control.status().await).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slices {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait_ms: u64,
}

async fn slices(State(control): State<Arc<Control>>, Query(asked): Query<Slices>) -> Response {
    let wait = Duration::from_millis(asked.wait_ms).min(MAX_WAIT);
    let slices = control.store.wait_after(asked.after, wait).await;
    let (proxy, lost) = (control.hello.proxy.clone(), control.store.lost());
    Json(SliceBatch {
        v: WIRE_VERSION,
        proxy,
        slices,
        lost,
    })
    .into_response()
}

async fn ack(State(control): State<Arc<Control>>, Json(ack): Json<SliceAck>) -> Response {
    control.store.ack(&ack);
    control.journal.ack(ack);
    StatusCode::NO_CONTENT.into_response()
}

async fn heartbeat(
    State(control): State<Arc<Control>>,
    Json(heartbeat): Json<Heartbeat>,
) -> Response {
    match control.heartbeat(heartbeat).await {
        Ok(status) => Json(status).into_response(),
        Err(refusal) => (StatusCode::CONFLICT, Json(refusal)).into_response(),
    }
}

async fn show_metrics(State(control): State<Arc<Control>>) -> Response {
    let text = metrics::render(&control).await;
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}
