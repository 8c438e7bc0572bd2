//! The control interface: JSON over HTTP/1 on a Unix socket.

use super::metrics;
use super::state::{Control, Unpublished};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use esclusa_model::Epoch;
use esclusa_wire::{
    AskContexts, FlagDocument, FlagKill, Generation, Heartbeat, SliceAck, SliceBatch, TakeBack,
    WIRE_VERSION,
};
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
        .route("/v1/generation", put(publish).get(generation))
        .route("/v1/status", get(status))
        .route("/v1/slices", get(slices))
        .route("/v1/slices/ack", post(ack))
        .route("/v1/heartbeat", post(heartbeat))
        .route("/v1/take-back", post(take_back))
        .route("/v1/flags", put(put_flags).get(flags))
        .route("/v1/flags/status", get(flag_status))
        .route("/v1/flags/kill", post(kill_flags))
        .route("/v1/flags/contexts", post(recent_contexts))
        .merge(metrics_route())
        .layer(DefaultBodyLimit::max(MAX_CALL_BYTES))
        .layer(from_fn_with_state(Arc::clone(&control), unless_away))
        .with_state(control)
}

/// `/metrics` alone, for a network that must not control anything.
pub(crate) fn metrics_router(control: Arc<Control>) -> Router {
    metrics_route().with_state(control)
}

fn metrics_route() -> Router<Arc<Control>> {
    Router::new().route("/metrics", get(show_metrics))
}

/// A connection from before a hand-over reaches nobody in charge; a new one does.
async fn unless_away(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Response {
    if control.is_away() {
        return away();
    }
    next.run(request).await
}

fn away() -> Response {
    let text = "another proxy has taken over; connect again\n";
    (
        StatusCode::MISDIRECTED_REQUEST,
        [(header::CONNECTION, "close")],
        text,
    )
        .into_response()
}

fn unpublished(why: Unpublished) -> Response {
    match why {
        Unpublished::Refused(refusal) => (StatusCode::CONFLICT, Json(refusal)).into_response(),
        Unpublished::Away => away(),
        Unpublished::Behind => {
            let text = "in force, but a proxy that drains has not confirmed it; ask again\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
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
        Err(why) => unpublished(why),
    }
}

/// What a restarted controller finds; it holds keys, as all that goes over this socket,
/// which is the owner's alone.
async fn generation(State(control): State<Arc<Control>>) -> Response {
    Json(control.generation().await).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToWhom {
    /// The controller that asks; absent for anybody else.
    epoch: Option<u64>,
}

async fn status(State(control): State<Arc<Control>>, Query(asks): Query<ToWhom>) -> Response {
    let status = match asks.epoch {
        Some(epoch) => control.status_to(Epoch(epoch)).await,
        None => control.status_quietly().await,
    };
    Json(status).into_response()
}

async fn take_back(State(control): State<Arc<Control>>, Json(asked): Json<TakeBack>) -> Response {
    match control.take_back(asked).await {
        Ok(took) => Json(took).into_response(),
        Err(why) => unpublished(why),
    }
}

async fn put_flags(
    State(control): State<Arc<Control>>,
    Json(document): Json<FlagDocument>,
) -> Response {
    match control.put_flags(document).await {
        Ok(taken) => Json(taken).into_response(),
        Err(why) => unpublished(why),
    }
}

/// As [`generation`], it holds keys.
async fn flags(State(control): State<Arc<Control>>) -> Response {
    Json(control.flags().await).into_response()
}

async fn flag_status(State(control): State<Arc<Control>>) -> Response {
    Json(control.flag_status().await).into_response()
}

async fn recent_contexts(
    State(control): State<Arc<Control>>,
    Json(asked): Json<AskContexts>,
) -> Response {
    Json(control.recent_contexts(&asked.environment)).into_response()
}

async fn kill_flags(State(control): State<Arc<Control>>, Json(asked): Json<FlagKill>) -> Response {
    match control.kill_flags(asked).await {
        Ok(killed) => Json(killed).into_response(),
        Err(why) => unpublished(why),
    }
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
    let slices = tokio::select! {
        biased;
        () = control.away() => return away(),
        slices = control.store.wait_after(asked.after, wait) => slices,
    };
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
    control.acknowledge(ack);
    StatusCode::NO_CONTENT.into_response()
}

async fn heartbeat(
    State(control): State<Arc<Control>>,
    Json(heartbeat): Json<Heartbeat>,
) -> Response {
    match control.heartbeat(heartbeat).await {
        Ok(status) => Json(status).into_response(),
        Err(why) => unpublished(why),
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
