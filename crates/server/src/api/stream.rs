//! What changes, as it changes (server-sent events).
//!
//! A stream is level-triggered: it sends what is so now and again when it is not so any
//! more. A notice that was lost costs a second, never a change.

use super::ApiState;
use super::answer::{Named, Params};
use super::events::EventView;
use crate::error::ApiError;
use crate::live::VersionTraffic;
use crate::view::{ReleaseView, ServiceView};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use esclusa_model::{ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

/// How often a stream looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a stream says something when there is nothing to tell: a reader takes longer
/// silence for the loss of the stream.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Messages that wait for a slow reader; then the stream waits too.
const AHEAD: usize = 32;

type Messages =
    Sse<axum::response::sse::KeepAliveStream<ReceiverStream<Result<Event, Infallible>>>>;

/// How a release ended, the last message of its stream.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EndView {
    /// The outcome.
    pub outcome: String,
    /// Why, in words.
    pub reason: String,
}

/// Traffic at a second.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficView {
    /// By version.
    pub versions: Vec<VersionTraffic>,
    /// The newest second known, since 1970.
    pub second: Option<i64>,
}

/// From where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only events behind this position; the header `Last-Event-ID` comes before it.
    after: Option<u64>,
}

/// Services as they change: message `service`, each a whole ServiceView
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "services",
    responses((status = 200, content_type = "text/event-stream", body = ServiceView), (status = 503, body = ApiError))
)]
pub(super) async fn services(State(state): State<ApiState>) -> Result<Messages, ApiError> {
    let place = state.stream_place()?;
    Ok(stream(place, |sender| services_into(state, sender)))
}

/// A release as it goes: messages `event` (EventView), `release` (ReleaseView), `traffic`
/// (TrafficView), `queued` while it waits in line, at last `outcome` (EndView)
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/stream", tag = "releases",
    params(("id" = String, Path, description = "The release's id"), Since),
    responses(
        (status = 200, content_type = "text/event-stream", body = ReleaseView),
        (status = 404, body = ApiError), (status = 503, body = ApiError)
    )
)]
pub(super) async fn release(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
    Params(since): Params<Since>,
    headers: HeaderMap,
) -> Result<Messages, ApiError> {
    let place = state.stream_place()?;
    state.app.release_view(&id).await?;
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let after = last.or(since.after).unwrap_or(0);
    Ok(stream(place, move |sender| async move {
        let mut follow = Follow {
            state,
            id,
            after,
            sent: Sent::default(),
            out: sender,
        };
        // The end of the reader is the end of the stream.
        let _ = follow.run().await;
    }))
}

fn stream<F, Fut>(place: OwnedSemaphorePermit, run: F) -> Messages
where
    F: FnOnce(Out) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    let work = run(Out(sender));
    tokio::spawn(async move {
        work.await;
        drop(place);
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(ALIVE_EVERY))
}

/// The reader is gone, or what was to be sent cannot be written as JSON.
struct Gone;

/// Where messages go.
struct Out(mpsc::Sender<Result<Event, Infallible>>);

impl Out {
    async fn send<T: Serialize>(&self, kind: &str, value: &T) -> Result<(), Gone> {
        self.send_at(kind, value, None).await
    }

    async fn send_at<T: Serialize>(
        &self,
        kind: &str,
        value: &T,
        id: Option<u64>,
    ) -> Result<(), Gone> {
        let mut event = Event::default().event(kind);
        if let Some(id) = id {
            event = event.id(id.to_string());
        }
        let event = event.json_data(value).map_err(|_| Gone)?;
        self.0.send(Ok(event)).await.map_err(|_| Gone)
    }
}

/// Waits until there may be something new; false when the stream is to end.
async fn next(
    out: &Out,
    ending: &mut watch::Receiver<bool>,
    changes: &mut broadcast::Receiver<ServiceName>,
) -> bool {
    tokio::select! {
        () = out.0.closed() => false,
        // An error means that the program is ending.
        _ = ending.wait_for(|ending| *ending) => false,
        // Notices that were missed are made up for by looking.
        _ = changes.recv() => true,
        () = tokio::time::sleep(LOOK_EVERY) => true,
    }
}

async fn services_into(state: ApiState, out: Out) {
    let mut ending = state.ending.clone();
    let mut changes = state.app.changes();
    let mut sent: BTreeMap<String, ServiceView> = BTreeMap::new();
    loop {
        for view in state.app.services().await {
            if sent.get(&view.service) == Some(&view) {
                continue;
            }
            if out.send("service", &view).await.is_err() {
                return;
            }
            sent.insert(view.service.clone(), view);
        }
        if !next(&out, &mut ending, &mut changes).await {
            return;
        }
    }
}

/// What was sent last.
#[derive(Default)]
struct Sent {
    queued: bool,
    release: Option<ReleaseView>,
    traffic: Option<TrafficView>,
}

/// Follows one release.
struct Follow {
    state: ApiState,
    id: ReleaseId,
    after: u64,
    sent: Sent,
    out: Out,
}

impl Follow {
    async fn run(&mut self) -> Result<(), Gone> {
        let mut ending = self.state.ending.clone();
        let mut changes = self.state.app.changes();
        loop {
            let view = match self.state.app.release_view(&self.id).await {
                Ok(view) => view,
                Err(error) => return self.out.send("error", &error).await,
            };
            let waits = view.place_in_line.is_some();
            let over = self.tell(view).await?;
            if waits && !self.sent.queued {
                let line = serde_json::json!({ "release": self.id });
                self.out.send("queued", &line).await?;
                self.sent.queued = true;
            }
            if over || !next(&self.out, &mut ending, &mut changes).await {
                return Ok(());
            }
        }
    }

    /// Sends what is new; true once the release is over.
    async fn tell(&mut self, view: ReleaseView) -> Result<bool, Gone> {
        loop {
            let events = match self.state.app.events(&self.id, self.after).await {
                Ok(events) if events.is_empty() => break,
                Ok(events) => events,
                Err(error) => {
                    self.out.send("error", &error).await?;
                    break;
                }
            };
            for event in events {
                self.after = event.position;
                let position = event.position;
                self.out
                    .send_at("event", &EventView::from(event), Some(position))
                    .await?;
            }
        }
        if let Some(traffic) = self.traffic(&view).await
            && self.sent.traffic.as_ref() != Some(&traffic)
        {
            self.out.send("traffic", &traffic).await?;
            self.sent.traffic = Some(traffic);
        }
        if self.sent.release.as_ref() != Some(&view) {
            self.out.send("release", &view).await?;
        }
        let end = view.outcome.clone().map(|outcome| EndView {
            outcome,
            reason: view.reason.clone().unwrap_or_default(),
        });
        self.sent.release = Some(view);
        if let Some(end) = &end {
            self.out.send("outcome", end).await?;
        }
        Ok(end.is_some())
    }

    /// The traffic of the release's service while it is the release under way.
    async fn traffic(&self, view: &ReleaseView) -> Option<TrafficView> {
        let name = ServiceName::new(view.service.as_str()).ok()?;
        let service = self.state.app.service(&name).await.ok()?;
        let ours = service
            .release
            .as_ref()
            .is_some_and(|now| now.release == view.release);
        ours.then_some(TrafficView {
            versions: service.traffic,
            second: service.traffic_second,
        })
    }
}
