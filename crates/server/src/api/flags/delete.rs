//! Deleting a flag that nothing needs any more.

use super::looks::find;
use super::set::changed;
use super::views::{ChangedView, DeleteFlag};
use crate::api::ApiState;
use crate::api::answer::{Body, Named};
use crate::api::commands::check_words;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorKind};
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_flags::{Change, Patch, flag_uses};
use esclusa_model::ReleaseId;
use esclusa_plan::FlagTurns;

/// Deletes a flag that neither the set nor a release needs, under way or in line
#[utoipa::path(
    post, path = "/api/v1/flags/{name}/delete", tag = "flags", operation_id = "delete_flag",
    params(("name" = String, Path, description = "The flag's key")),
    request_body = DeleteFlag,
    responses(
        (status = 200, body = ChangedView),
        (status = 404, body = ApiError),
        (status = 409, description = "Something needs it", body = ApiError),
    )
)]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(key): Named<String>,
    Body(asked): Body<DeleteFlag>,
) -> Result<Json<ChangedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let flag = find(&set, &key)?;
    let mut needed_by = flag_uses(&set, &key);
    needed_by.extend(releases(&state, &key).await?);
    if !needed_by.is_empty() {
        return Err(needed(&key, needed_by));
    }
    let path = format!("/flags/{}", key.replace('~', "~0").replace('/', "~1"));
    let patch = Patch {
        revision: set.revision,
        changes: vec![Change {
            path,
            before: serde_json::to_value(flag).ok(),
            after: None,
        }],
    };
    let made = flags.change(patch, &asked.reason, &caller.actor).await?;
    Ok(Json(changed(flags, made).await))
}

/// The releases that turn a flag: those under way, also before anybody has it, and those
/// in line.
async fn releases(state: &ApiState, key: &str) -> Result<Vec<String>, ApiError> {
    let turns = |flags: Option<FlagTurns>| {
        flags.is_some_and(|flags| flags.set.iter().any(|turn| turn.flag == key))
    };
    let mut found = Vec::new();
    for service in state.app.services().await {
        for waiting in service.queue.iter().filter_map(|id| named(id)) {
            let plan = state.app.asked_for(&waiting).await?;
            if turns(plan.and_then(|plan| plan.flags)) {
                found.push(format!("release {waiting} in line"));
            }
        }
        let under_way = service.release.filter(|release| release.outcome.is_none());
        let turning = under_way.filter(|release| release.flags.is_some());
        let Some(id) = turning.and_then(|view| named(&view.release)) else {
            continue;
        };
        if turns(state.app.release(&id).await?.requested.plan.flags) {
            found.push(format!("release {id}"));
        }
    }
    Ok(found)
}

fn named(id: &str) -> Option<ReleaseId> {
    ReleaseId::new(id).ok()
}

fn needed(key: &str, by: Vec<String>) -> ApiError {
    let mut error = ApiError::new(
        ErrorKind::Conflict,
        "ESC-0751",
        format!("{key} cannot be deleted, it is needed by {}", by.join(", ")),
        "nothing was changed; take it out there or wait for the release's end, and delete it then",
    );
    error.details = by.into_iter().map(Into::into).collect();
    error
}
