//! What people ask of a release. Whether it can be done is the engine's to say.

use super::ApiState;
use super::answer::{Body, MaybeBody, Named, bad_input};
use crate::app::Ask;
use crate::auth::Caller;
use crate::error::ApiError;
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_model::ReleaseId;
use esclusa_release::ItemDone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reason or comment in characters.
const MAX_WORDS: usize = 2_000;

/// Why.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// In words, recorded with the decision; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// An agreement.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignOffRequest {
    /// The role in which the caller agrees; one that the token has.
    pub role: String,
    /// In words; may be empty. Also read under the name `reason`, as other commands
    /// call it.
    #[serde(default, alias = "reason")]
    pub comment: String,
    /// The plan's checklist for that role, every item of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemRequest>,
}

/// An item of a checklist.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemRequest {
    /// The item, in the plan's words.
    pub item: String,
    /// Whether it is done. One that is not stands against the sign-off.
    pub done: bool,
    /// Words to it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What was asked is recorded or in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Asked {
    /// The release.
    pub release: String,
}

/// The handlers of commands, each under its own address. All take a reason, and a body
/// that is not sent is one without words.
macro_rules! command {
    ($name:ident, $path:literal, $ask:ident, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(
                    post, path = $path, tag = "releases",
                    request_body(content = Option<Reason>, description = "Why, in words; may be left out"),
                    params(("id" = String, Path, description = "The release's id")),
                    responses(
                        (status = 200, body = Asked),
                        (status = 404, body = ApiError),
                        (status = 409, description = "Not possible in this state", body = ApiError),
                        (status = 503, description = "It could not be recorded", body = ApiError),
                    )
                )]
        pub(super) async fn $name(
            State(state): State<ApiState>,
            Extension(caller): Extension<Caller>,
            Named(id): Named<ReleaseId>,
            MaybeBody(Reason { reason }): MaybeBody<Reason>,
        ) -> Result<Json<Asked>, ApiError> {
            check_words(&reason)?;
            ask(&state, &id, Ask::$ask { reason }, &caller).await
        }
    };
}

command!(
    pause,
    "/api/v1/releases/{id}/pause",
    Pause,
    "Stops the advance; the judge goes on watching"
);
command!(
    resume,
    "/api/v1/releases/{id}/resume",
    Resume,
    "Lets the release advance again"
);
command!(
    skip,
    "/api/v1/releases/{id}/skip",
    Skip,
    "Passes what is left of the present stage"
);
command!(
    promote,
    "/api/v1/releases/{id}/promote",
    Promote,
    "Goes to 100 % now"
);
command!(
    abort,
    "/api/v1/releases/{id}/abort",
    Abort,
    "Returns everything that the release changed"
);
command!(
    rollback,
    "/api/v1/releases/{id}/rollback",
    Rollback,
    "Returns everything, also after 100 %"
);

/// Agrees in a role
#[utoipa::path(
    post, path = "/api/v1/releases/{id}/sign-offs", tag = "releases", request_body = SignOffRequest,
    params(("id" = String, Path, description = "The release's id")),
    responses(
        (status = 200, body = Asked),
        (status = 400, description = "An item of the checklist is not done", body = ApiError),
        (status = 404, body = ApiError),
        (status = 409, description = "The plan does not ask for it", body = ApiError),
    )
)]
pub(super) async fn sign_off(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<ReleaseId>,
    Body(asked): Body<SignOffRequest>,
) -> Result<Json<Asked>, ApiError> {
    check_words(&asked.comment)?;
    for item in &asked.items {
        check_words(&item.note)?;
    }
    caller.may_sign_off(&asked.role)?;
    // What is not done is missing, and refused by its name.
    let done = asked.items.into_iter().filter(|item| item.done);
    let agreed = Ask::SignOff {
        role: asked.role,
        comment: asked.comment,
        items: done
            .map(|ItemRequest { item, note, .. }| ItemDone { item, note })
            .collect(),
        hands: caller.hands(),
    };
    ask(&state, &id, agreed, &caller).await
}

async fn ask(
    state: &ApiState,
    id: &ReleaseId,
    ask: Ask,
    caller: &Caller,
) -> Result<Json<Asked>, ApiError> {
    state.app.ask(id, ask, &caller.actor).await?;
    Ok(Json(Asked {
        release: id.to_string(),
    }))
}

pub(super) fn check_words(words: &str) -> Result<(), ApiError> {
    if words.chars().count() <= MAX_WORDS {
        return Ok(());
    }
    Err(bad_input(
        "ESC-0408",
        format!("the words are longer than {MAX_WORDS} characters"),
    ))
}
