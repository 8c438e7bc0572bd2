//! How messages get to people: the lines of all channels, a test, another try.

use super::ApiState;
use super::answer::{MaybeBody, Named};
use crate::auth::Caller;
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use crate::notify::{ChannelStatus, TestError, success_percent};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use esclusa_store::Retried;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most dead letters of one answer.
const MAX_DEAD: usize = 100;

/// How deliveries go.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NotificationsView {
    /// Every channel of the file, and those of which messages are remembered.
    pub channels: Vec<ChannelView>,
    /// What was given up, newest first.
    pub dead: Vec<DeadLetterView>,
    /// Whether all that is recorded until now stands in the channels' lines.
    #[serde(default)]
    pub caught_up: bool,
    /// Why the file as it is now is not in force.
    pub trouble: Option<String>,
}

/// One channel.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChannelView {
    /// Its name.
    pub channel: String,
    /// Its kind, such as `slack`; absent for one that is not in the file any more.
    pub kind: Option<String>,
    /// Whether anything is sent to it.
    pub enabled: bool,
    /// Messages that wait.
    pub waiting: u64,
    /// Since when the oldest of them waits, microseconds since 1970.
    pub oldest_waiting_us: Option<i64>,
    /// Messages that were delivered and are still remembered.
    pub delivered: u64,
    /// Messages that were given up and are still remembered.
    pub dead: u64,
    /// How much of both was delivered; absent where there is nothing yet.
    pub success_percent: Option<u64>,
    /// What went wrong last with anything that is not delivered.
    pub last_error: Option<String>,
    /// When that was, microseconds since 1970.
    pub last_error_us: Option<i64>,
}

/// A message that was given up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterView {
    /// Its id, for another try.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// When it was given up, microseconds since 1970.
    pub at_us: i64,
    /// Tries that were made.
    pub attempts: u32,
    /// Why.
    pub error: Option<String>,
}

/// Which channel is tested.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestNotification {
    /// Its name; all that are turned on when absent.
    #[serde(default)]
    pub channel: Option<String>,
}

/// What became of a test message.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Tested {
    /// The channel.
    pub channel: String,
    /// Whether it was taken.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}

/// The state of every channel
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "notifications",
    responses((status = 200, body = NotificationsView))
)]
pub(super) async fn status(
    State(state): State<ApiState>,
) -> Result<Json<NotificationsView>, ApiError> {
    let notifier = &state.app.notifier;
    // In this order: what is put in line meanwhile is seen to wait.
    let caught_up = notifier.caught_up().await?;
    let channels = notifier.status().await?;
    let dead = state.app.shared.store.dead_letters(MAX_DEAD).await?;
    Ok(Json(NotificationsView {
        channels: channels.into_iter().map(ChannelView::from).collect(),
        dead: dead
            .into_iter()
            .map(|letter| DeadLetterView {
                id: letter.id,
                channel: letter.channel,
                at_us: letter.at.0,
                attempts: letter.attempts,
                error: letter.error,
            })
            .collect(),
        caught_up,
        trouble: notifier.loaded().trouble.clone(),
    }))
}

impl From<ChannelStatus> for ChannelView {
    fn from(status: ChannelStatus) -> Self {
        let line = status.line;
        Self {
            channel: status.name,
            kind: status.kind.map(str::to_owned),
            enabled: status.enabled,
            waiting: line.waiting,
            oldest_waiting_us: line.oldest.map(|at| at.0),
            delivered: line.delivered,
            dead: line.dead,
            success_percent: success_percent(&line),
            last_error_us: line.last_error.as_ref().map(|(_, at)| at.0),
            last_error: line.last_error.map(|(error, _)| error),
        }
    }
}

/// Sends a test message now, to one channel or to all
#[utoipa::path(
    post, path = "/api/v1/notifications/test", tag = "notifications",
    request_body(content = Option<TestNotification>, description = "May be left out"),
    responses(
        (status = 200, body = Vec<Tested>, description = "One entry a channel"),
        (status = 404, body = ApiError),
    )
)]
pub(super) async fn test(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    MaybeBody(asked): MaybeBody<TestNotification>,
) -> Result<Json<Vec<Tested>>, ApiError> {
    let tested = state
        .app
        .notifier
        .test(asked.channel.as_deref(), &caller.actor);
    let results = Box::pin(tested).await.map_err(|error| match error {
        TestError::NoChannels => ApiError::new(
            ErrorKind::NotFound,
            "ESC-0706",
            "no channel is set up",
            "write a file that `esclusa notify lint` accepts, name it with `serve --notify`, and \
             send the server SIGHUP or start it again",
        ),
        TestError::Unknown(names) => ApiError::new(
            ErrorKind::NotFound,
            "ESC-0706",
            "there is no channel of that name",
            format!("there are {}", names.join(", ")),
        ),
    })?;
    let tested = results.into_iter().map(|result| Tested {
        channel: result.channel,
        delivered: result.error.is_none(),
        error: result.error,
    });
    Ok(Json(tested.collect()))
}

/// Puts a message that was given up to the end of its channel's line
#[utoipa::path(
    post, path = "/api/v1/notifications/{id}/retry", tag = "notifications",
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = 204),
        (status = 404, body = ApiError),
        (status = 409, description = "It was not given up", body = ApiError),
    )
)]
pub(super) async fn retry(
    State(state): State<ApiState>,
    Named(id): Named<String>,
) -> Result<StatusCode, ApiError> {
    match state
        .app
        .shared
        .store
        .retry_letter(&id, clock::now())
        .await?
    {
        Retried::Again(_) => {
            state.app.notifier.poke();
            Ok(StatusCode::NO_CONTENT)
        }
        Retried::NotDead => Err(ApiError::new(
            ErrorKind::Conflict,
            "ESC-0708",
            format!("message {id} was not given up: it waits, or was delivered"),
            "see `esclusa notify status`",
        )),
        Retried::Unknown => Err(ApiError::new(
            ErrorKind::NotFound,
            "ESC-0708",
            format!("no message {id} is remembered"),
            "see `esclusa notify status` for those that were given up",
        )),
    }
}
