//! Links: give one, show its page, act by it.

use super::ApiState;
use super::answer::{Body, Named};
use super::browser::Peer;
use crate::auth::{Caller, Who};
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use crate::links::{
    Came, Fault, Link, LinkAction, LinkAsk, Told, USUAL, ask_page, bad_link, items_of, link_words,
    policy, told_page,
};
use crate::view::ReleaseView;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use esclusa_model::{Millis, ReleaseId};
use esclusa_release::ItemDone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Longest form of a link's page in bytes; an address could hold no more.
const MAX_FORM: usize = 32 << 10;
/// Longest words of whoever acts by a link, in characters.
const MAX_WORDS: usize = 1_000;

/// A link that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateLink {
    /// What it lets its holder do.
    pub action: LinkAction,
    /// The role in which it signs off; one in which the caller may. Without it, an approval
    /// lets a release go on that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whom it is for; who acts by it is recorded as `link.` and this. The caller's own
    /// name unless given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How long it is good, in seconds: at most seven days; a day unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 604_800)]
    pub valid_for_s: Option<u64>,
}

/// A link. Whoever has it can act by it, once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedLink {
    /// Its path on this server.
    pub url_path: String,
    /// The whole address, where it is known under which name browsers reach this server.
    pub url: Option<String>,
    /// Who is recorded when it is used.
    pub recorded_as: String,
    /// From when on it is worthless, microseconds since 1970.
    pub expires_at_us: i64,
}

/// Gives a link that approves or aborts, once
#[utoipa::path(
    post, path = "/api/v1/releases/{id}/links", tag = "releases", request_body = CreateLink,
    params(("id" = String, Path, description = "The release's id")),
    responses(
        (status = 201, body = CreatedLink),
        (status = 400, body = ApiError),
        (status = 404, body = ApiError),
        (status = 409, description = "There is nothing for it to decide", body = ApiError),
    )
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<ReleaseId>,
    Body(asked): Body<CreateLink>,
) -> Result<(StatusCode, Json<CreatedLink>), ApiError> {
    let label = asked.label.unwrap_or_else(|| caller.actor.to_string());
    let person = state.auth.person_of(&label);
    let mut ask = LinkAsk::of(&caller, &id, asked.action, &label, person);
    ask.role = asked.role;
    ask.lasts = asked
        .valid_for_s
        .map_or(USUAL, |seconds| Millis(seconds.saturating_mul(1_000)));
    if let Some(role) = ask
        .role
        .as_ref()
        .filter(|_| ask.action == LinkAction::Approve)
    {
        caller.may_sign_off(role)?;
    }
    let issued = state.app.shared.links.issue(&ask, clock::now())?;
    makes_sense(&ask, &state.app.release_view(&id).await?)?;
    let recorded_as = format!("{}{label}", crate::auth::LINK_PREFIX);
    tracing::info!(actor = %caller.actor, release = %id, action = ?ask.action, to = label,
        "Somebody gave a link");
    let created = CreatedLink {
        url: state.app.shared.links.url(&issued.path),
        url_path: issued.path,
        recorded_as,
        expires_at_us: issued.expires.0,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Whether there is something for a link to decide, and whoever it is from may.
fn makes_sense(ask: &LinkAsk, view: &ReleaseView) -> Result<(), ApiError> {
    let conflict = |message: String, help: &str| {
        Err(ApiError::new(
            ErrorKind::Conflict,
            "ESC-0303",
            message,
            help,
        ))
    };
    if let Some(outcome) = &view.outcome {
        let message = format!("release {} is over: {outcome}", view.release);
        return conflict(message, "see `esclusa release history`");
    }
    match (ask.action, &ask.role) {
        (LinkAction::Abort, _) => Ok(()),
        (LinkAction::Approve, None) if !view.can_resume => conflict(
            "the release does not wait for somebody to let it go on".into(),
            "name the role that is to sign off, or give the link once the release is paused",
        ),
        (LinkAction::Approve, None) => Ok(()),
        (LinkAction::Approve, Some(role)) => {
            let found = view.sign_offs.iter().find(|one| one.role == *role);
            match found {
                None => Err(bad_link(format!(
                    "the plan asks for no sign-off by {role:?}"
                ))),
                Some(one) if one.by.is_some() => conflict(
                    format!("the sign-off of {role} is there already"),
                    "see `release status` for the roles that are missing",
                ),
                Some(one) if one.not_by_author && ask.is_by(view) => Err(ApiError::new(
                    ErrorKind::Forbidden,
                    "ESC-0432",
                    format!(
                        "{} asked for this release, and the plan wants somebody else as {role}",
                        view.requested_by
                    ),
                    "ask somebody else who has the role to sign off or to give the link",
                )),
                Some(_) => Ok(()),
            }
        }
    }
}

impl LinkAsk {
    /// Whether whoever asked for the release has a hand in this.
    fn is_by(&self, view: &ReleaseView) -> bool {
        let mut hands = self.hands.iter();
        hands.any(|hand| *hand == view.requested_by || Some(hand) == view.requested_person.as_ref())
    }
}

/// What a link will do. Looking at it does nothing: programs that read mail follow links.
pub(super) async fn show(
    State(state): State<ApiState>,
    peer: Peer,
    Named(text): Named<String>,
) -> Response {
    let link = match look(&state, &peer, &text) {
        Ok(link) => link,
        Err(came) => return document(told_page("", &came)),
    };
    match state.app.release_view(&link.release).await {
        Ok(view) => document(ask_page(&link, Some(&view))),
        // An abort does not wait for what cannot be read.
        Err(error) if link.action == LinkAction::Abort && error.kind != ErrorKind::NotFound => {
            document(ask_page(&link, None))
        }
        Err(error) => document(told_page("", &Came::Refused(error))),
    }
}

/// Does what a link is for, once.
pub(super) async fn act(
    State(state): State<ApiState>,
    peer: Peer,
    Named(text): Named<String>,
    form: Bytes,
) -> Response {
    let link = match look(&state, &peer, &text) {
        Ok(link) => link,
        Err(came) => return document(told_page("", &came)),
    };
    let form = match read_form(&form) {
        Ok(form) => form,
        Err(error) => return document(told_page("", &Came::Refused(error))),
    };
    let words: String = form
        .get("reason")
        .map(|words| words.chars().take(MAX_WORDS).collect())
        .unwrap_or_default();
    let items = match &link.role {
        Some(role) => match state.app.release_view(&link.release).await {
            Ok(view) => ticked(&form, &view, role),
            Err(error) => return document(told_page("", &Came::Refused(error))),
        },
        None => Vec::new(),
    };
    let came = state.app.act(&link, &words, items).await;
    document(told_page(link_words(&link), &came))
}

/// The items whose boxes were ticked.
fn ticked(form: &BTreeMap<String, String>, view: &ReleaseView, role: &str) -> Vec<ItemDone> {
    let items = items_of(Some(view), role).into_iter().enumerate();
    items
        .filter(|(index, _)| form.contains_key(&format!("item-{index}")))
        .map(|(_, item)| ItemDone {
            item: item.item.clone(),
            note: String::new(),
        })
        .collect()
}

/// The link that a text is, if it is good and its sender does not ask too often. An abort
/// is never too often.
fn look(state: &ApiState, peer: &Peer, text: &str) -> Result<Link, Came> {
    let now = clock::now();
    let read = state.app.shared.links.read(text, now);
    if !matches!(&read, Ok(link) if link.action == LinkAction::Abort)
        && !state.auth.rate.take(Who::Address(peer.address), now.0)
    {
        return Err(Came::Refused(super::scopes::too_often()));
    }
    let link = match read {
        Ok(link) => link,
        Err(Fault::Forged) => {
            state.auth.failed(peer.address).map_err(Came::Refused)?;
            return Err(Came::Not(Fault::Forged));
        }
        Err(fault) => return Err(Came::Not(fault)),
    };
    if state.app.is_used(&link) {
        return Err(Came::Not(Fault::Used));
    }
    Ok(link)
}

/// The fields of a form. They are written as the words behind an address's question mark,
/// and read as those.
fn read_form(form: &Bytes) -> Result<BTreeMap<String, String>, ApiError> {
    let bad = |message: &str| super::answer::bad_input("ESC-0408", message);
    if form.len() > MAX_FORM {
        return Err(bad("the form is too large"));
    }
    let text = std::str::from_utf8(form).map_err(|_| bad("the form is not text"))?;
    let uri: Uri = format!("/?{text}")
        .parse()
        .map_err(|_| bad("the form is not written as browsers write it"))?;
    let fields = Query::<BTreeMap<String, String>>::try_from_uri(&uri);
    fields
        .map(|Query(fields)| fields)
        .map_err(|error| bad(&error.body_text()))
}

fn document(told: Told) -> Response {
    let mut response = (told.status, told.html).into_response();
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    if let Ok(policy) = HeaderValue::from_str(policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
