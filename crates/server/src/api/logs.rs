//! What a release's steps and versions have printed.
//!
//! A log is asked for by its name in the list, which is compared and never made into a
//! path: what is not listed is not there.

use super::ApiState;
use super::answer::{Named, Params, bad_input};
use super::series::release_and_events;
use crate::actor::load_service;
use crate::error::{ApiError, ErrorKind};
use crate::world::{Log, Writer, logs};
use axum::Json;
use axum::extract::State;
use esclusa_model::ReleaseId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most logs in one answer.
const MOST: usize = 500;
/// Most bytes of a log in one answer.
const MAX_LIMIT: u32 = 1 << 18;
const DEFAULT_LIMIT: u32 = 1 << 16;

/// Who printed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// A step of the plan.
    Step,
    /// An instance of the version that is released.
    Canary,
    /// An instance of the version before.
    Stable,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogView {
    /// Its name within the release.
    pub log: String,
    /// Who printed it.
    pub kind: LogKind,
    /// For people: the step in the plan's words, or the instance.
    pub title: String,
    /// The step's name, such as `before/0`; absent for versions.
    pub task: Option<String>,
    /// The step's try.
    pub attempt: Option<u32>,
    /// The instance's component; absent for steps.
    pub component: Option<String>,
    /// People's name for the instance's version.
    pub version: Option<String>,
    /// How often a part was put aside since this was written: 0 is what is written now.
    pub age: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogText {
    /// The log.
    pub log: String,
    /// The byte at which the text begins; less than what was asked for when the log was cut
    /// meanwhile.
    pub from: u64,
    /// Where to go on: `after` of the next question.
    pub next: u64,
    /// The log's size in bytes.
    pub size: u64,
    /// The text. Secrets that their names give away are hidden, bytes that are no text
    /// replaced.
    pub text: String,
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// From which byte on; 0 when absent.
    after: Option<u64>,
    /// At most this many bytes, 1 to 262,144; 65,536 when absent.
    #[param(minimum = 1, maximum = 262_144)]
    limit: Option<u32>,
}

/// What the steps and both versions of a release have printed: the logs there are
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/logs", tag = "releases",
    params(("id" = String, Path, description = "The release's id")),
    responses((status = 200, body = Vec<LogView>), (status = 404, body = ApiError))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Named(id): Named<ReleaseId>,
) -> Result<Json<Vec<LogView>>, ApiError> {
    let mut found = Vec::new();
    for log in all(&state, &id).await? {
        for (age, size) in log.kept.files().await {
            found.push(view(&log, age, size));
        }
        if found.len() >= MOST {
            break;
        }
    }
    found.truncate(MOST);
    Ok(Json(found))
}

/// A part of a log's text
#[utoipa::path(
    get, path = "/api/v1/releases/{id}/logs/{log}", tag = "releases",
    params(
        ("id" = String, Path, description = "The release's id"),
        ("log" = String, Path, description = "The log's name in the list"),
        Part
    ),
    responses(
        (status = 200, body = LogText),
        (status = 400, body = ApiError), (status = 404, body = ApiError)
    )
)]
pub(super) async fn text(
    State(state): State<ApiState>,
    Named((id, name)): Named<(ReleaseId, String)>,
    Params(part): Params<Part>,
) -> Result<Json<LogText>, ApiError> {
    let limit = part.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let why = format!("limit is not 1 to {MAX_LIMIT}");
        return Err(bad_input("ESC-0408", why));
    }
    for log in all(&state, &id).await? {
        for (age, _) in log.kept.files().await {
            if file_name(&log, age) != name {
                continue;
            }
            let read = log.kept.read(age, part.after.unwrap_or(0), limit).await;
            let read = read.map_err(|error| unreadable(&error.message))?;
            if let Some(read) = read {
                return Ok(Json(LogText {
                    log: name,
                    from: read.from,
                    next: read.next,
                    size: read.size,
                    text: read.text,
                }));
            }
        }
    }
    Err(ApiError::new(
        ErrorKind::NotFound,
        "ESC-0417",
        format!("release {id} has no log of this name"),
        "see its list of logs; a log begins when something is printed, and old ones are removed",
    ))
}

async fn all(state: &ApiState, id: &ReleaseId) -> Result<Vec<Log>, ApiError> {
    let shared = &state.app.shared;
    let (release, _) = release_and_events(state, id).await?;
    let (service, _) = load_service(&shared.store, &release.requested.service).await?;
    Ok(logs(shared, &release, &service))
}

/// A log's name, and how often it was put aside behind a dot.
fn file_name(log: &Log, age: u32) -> String {
    match age {
        0 => log.name.clone(),
        age => format!("{}.{age}", log.name),
    }
}

fn view(log: &Log, age: u32, size: u64) -> LogView {
    let empty = LogView {
        log: file_name(log, age),
        kind: LogKind::Step,
        title: String::new(),
        task: None,
        attempt: None,
        component: None,
        version: None,
        age,
        size,
    };
    match &log.writer {
        Writer::Step {
            task,
            attempt,
            title,
        } => LogView {
            title: title.clone(),
            task: Some(task.to_string()),
            attempt: Some(*attempt),
            ..empty
        },
        Writer::Version {
            component,
            instance,
            version,
            is_canary,
        } => LogView {
            kind: if *is_canary {
                LogKind::Canary
            } else {
                LogKind::Stable
            },
            title: instance.to_string(),
            component: Some(component.to_string()),
            version: Some(version.to_string()),
            ..empty
        },
    }
}

fn unreadable(why: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        "ESC-0418",
        format!("the log cannot be read: {why}"),
        "look at the disk and the permissions of the data folder",
    )
}
