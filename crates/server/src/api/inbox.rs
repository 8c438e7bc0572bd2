//! The inbox: what was told, for whoever may look, with marks of each caller.

use super::ApiState;
use super::answer::{Named, Params, bad_input};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorKind};
use crate::notify::Notice;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use esclusa_drivers::notify::{Audience, Language, Severity};
use esclusa_store::InboxEntry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most entries of one answer.
const MAX_LIMIT: usize = 200;
const DEFAULT_LIMIT: usize = 50;

/// Which entries, in which language.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichEntries {
    /// Only those that this caller has not read.
    #[serde(default)]
    unread: bool,
    /// At most this many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `en` or `es`; `en` when absent.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    lang: Language,
}

/// What a caller finds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct InboxView {
    /// Entries that this caller has not read, all of them.
    pub unread: u64,
    /// Newest first.
    pub entries: Vec<InboxEntryView>,
}

/// One entry.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct InboxEntryView {
    /// Its number.
    pub id: u64,
    /// When what it tells of happened, microseconds since 1970.
    pub at_us: i64,
    /// The kind of event, such as `release.held`.
    pub event: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// The service; empty for what concerns all.
    pub service: String,
    /// The release, where it tells of one.
    pub release: Option<String>,
    /// One line.
    pub title: String,
    /// A sentence or two.
    pub text: String,
    /// How many identical alarms it stands for.
    pub count: u64,
    /// Whether this caller has read it.
    pub read: bool,
}

/// What was told, newest first
#[utoipa::path(
    get, path = "/api/v1/inbox", tag = "inbox", params(WhichEntries),
    responses((status = 200, body = InboxView), (status = 400, body = ApiError))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Params(which): Params<WhichEntries>,
) -> Result<Json<InboxView>, ApiError> {
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("limit is not 1 to {MAX_LIMIT}");
        return Err(bad_input("ESC-0408", message));
    }
    let store = &state.app.shared.store;
    let found = store.inbox(&caller.actor, which.unread, limit).await?;
    let entries = found
        .entries
        .into_iter()
        .map(|entry| view(entry, which.lang));
    Ok(Json(InboxView {
        unread: found.unread,
        entries: entries.collect(),
    }))
}

fn view(entry: InboxEntry, language: Language) -> InboxEntryView {
    let InboxEntry {
        id,
        at,
        seen,
        notice,
        read,
    } = entry;
    let blank = InboxEntryView {
        id,
        at_us: at.0,
        event: String::new(),
        severity: Severity::Info.to_string(),
        service: String::new(),
        release: None,
        title: "an entry that this version cannot read".to_owned(),
        text: String::new(),
        count: seen,
        read,
    };
    let Ok(notice) = serde_json::from_value::<Notice>(notice) else {
        return blank;
    };
    let message = notice.message(language, Audience::Team, "", &[]);
    InboxEntryView {
        event: message.event,
        severity: message.severity.to_string(),
        service: message.service,
        release: message.release,
        title: message.title,
        text: message.text,
        ..blank
    }
}

/// Marks all entries as read by this caller
#[utoipa::path(
    post, path = "/api/v1/inbox/read", tag = "inbox",
    responses((status = 204))
)]
pub(super) async fn read_all(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, ApiError> {
    let store = &state.app.shared.store;
    store.read_all_entries(&caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Marks an entry as read by this caller
#[utoipa::path(
    post, path = "/api/v1/inbox/{id}/read", tag = "inbox",
    params(("id" = u64, Path, description = "The entry's number")),
    responses((status = 204), (status = 404, body = ApiError))
)]
pub(super) async fn read(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<u64>,
) -> Result<StatusCode, ApiError> {
    let store = &state.app.shared.store;
    found(id, store.read_entry(&caller.actor, id).await?)
}

/// Takes an entry out of this caller's sight
#[utoipa::path(
    delete, path = "/api/v1/inbox/{id}", tag = "inbox",
    params(("id" = u64, Path, description = "The entry's number")),
    responses((status = 204), (status = 404, body = ApiError))
)]
pub(super) async fn remove(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<u64>,
) -> Result<StatusCode, ApiError> {
    let store = &state.app.shared.store;
    found(id, store.remove_entry(&caller.actor, id).await?)
}

fn found(id: u64, there: bool) -> Result<StatusCode, ApiError> {
    if there {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::new(
        ErrorKind::NotFound,
        "ESC-0707",
        format!("the inbox has no entry {id}"),
        "old entries are forgotten; ask for the list again",
    ))
}
