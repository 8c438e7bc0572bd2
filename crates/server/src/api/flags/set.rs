//! The set of flags as a whole: read, change, compare, take back.

use super::environment;
use super::guards::troubles;
use super::stale;
use super::views::{
    AppliedView, ApplyFlags, ChangeFlags, ChangedView, FlagEntryView, ImportEnv, ImportedView,
    RevertFlags, TesterGrantView, WhoWouldChange, WouldChangeView, micros,
};
use crate::api::ApiState;
use crate::api::answer::{Body, Params};
use crate::api::commands::check_words;
use crate::api::scopes;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorKind};
use crate::flags::{Entry, FlagEvent, Flags, Made, refused, refused_variables};
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_flags::{FlagSet, Patch, Unknown, import_env as import, who_would_change as compare};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

/// Most answers that are listed one by one.
const LISTED: usize = 1_000;
/// Most entries of a history.
const MOST: usize = 1_000;

/// How much of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// How many entries, 1 to 1,000; 50 when absent.
    limit: Option<usize>,
}

impl HistoryQuery {
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        match self.limit.unwrap_or(50) {
            limit if (1..=MOST).contains(&limit) => Ok(limit),
            limit => Err(ApiError::new(
                ErrorKind::BadInput,
                "ESC-0408",
                format!("a history of {limit} entries cannot be shown"),
                "ask for 1 to 1,000: `--limit 50`",
            )),
        }
    }
}

pub(super) fn entries(found: Vec<Entry>) -> Vec<FlagEntryView> {
    found.into_iter().map(entry).collect()
}

fn entry(found: Entry) -> FlagEntryView {
    let mut view = FlagEntryView {
        position: found.position,
        at_us: found.at.0,
        decided_at_us: None,
        actor: found.actor.to_string(),
        kind: "changed".into(),
        reason: String::new(),
        revision: None,
        changes: Vec::new(),
        flags: None,
        to: None,
        grant: None,
    };
    match found.event {
        FlagEvent::Changed(changed) => {
            view.reason = changed.reason;
            view.revision = Some(changed.revision);
            view.changes = changed.changes;
        }
        FlagEvent::Killed(kill) => {
            view.kind = if kill.killed { "killed" } else { "lifted" }.into();
            view.reason = kill.reason;
            view.flags = kill.flags;
            view.changes = found.kills;
            view.decided_at_us = Some(kill.at.0);
        }
        FlagEvent::Granted(granted) => {
            view.kind = "tester-granted".into();
            view.reason = granted.reason;
            let grant = granted.grant;
            view.flags = Some(grant.variants.keys().cloned().collect());
            view.to = Some(grant.who);
            view.grant = Some(TesterGrantView {
                variants: grant.variants,
                environment: grant.environment,
                until_us: micros(grant.until),
            });
        }
    }
    view
}

/// The whole set, to be kept or put elsewhere
#[utoipa::path(
    get, path = "/api/v1/flag-set", tag = "flags", operation_id = "export_flags",
    responses((status = 200, body = Object, description = "The set; it can be applied"))
)]
pub(crate) async fn export(State(state): State<ApiState>) -> Result<Json<Value>, ApiError> {
    Ok(Json(state.app.shared.flags.set()?.to_json()))
}

/// Changes fields of the set: all of them, or none
#[utoipa::path(
    patch, path = "/api/v1/flag-set", tag = "flags", operation_id = "change_flags",
    request_body = ChangeFlags,
    responses(
        (status = 200, body = ChangedView),
        (status = 400, description = "The set would not be valid", body = ApiError),
        (status = 409, description = "A field is not what was read", body = ApiError),
    )
)]
pub(crate) async fn change(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<ChangeFlags>,
) -> Result<Json<ChangedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let patch = Patch {
        revision: asked.revision,
        changes: asked.changes,
    };
    let made = flags.change(patch, &asked.reason, &caller.actor).await?;
    Ok(Json(changed(flags, made).await))
}

/// What was made, in force.
pub(super) async fn changed(flags: &Flags, made: Made) -> ChangedView {
    let published = flags.publish().await;
    ChangedView {
        revision: made.revision,
        changes: made.changes,
        in_force: published.is_ok(),
        note: published.err().map(|error| error.0),
    }
}

/// Makes the set, or the part of it that is given, what is wanted
#[utoipa::path(
    put, path = "/api/v1/flag-set", tag = "flags", operation_id = "apply_flags",
    request_body = ApplyFlags,
    responses(
        (status = 200, body = AppliedView),
        (status = 400, description = "The set would not be valid", body = ApiError),
        (status = 409, description = "It has another revision", body = ApiError),
    )
)]
pub(crate) async fn apply(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<ApplyFlags>,
) -> Result<Json<AppliedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    expected(&set, asked.revision)?;
    let read_at = asked.set.get("revision").and_then(Value::as_u64);
    let from = match asked.replace {
        true => &FlagSet::default(),
        false => &*set,
    };
    let wanted = from.merged(&asked.set).map_err(|all| refused(&all))?;
    if let Some(read_at) = read_at.filter(|read_at| *read_at < set.revision)
        && !asked.force
    {
        stale::refuse(flags, read_at, &set, &wanted).await?;
    }
    let mut applied = put(flags, &set, &wanted, asked.dry_run, &asked.reason, &caller).await?;
    // What the proxy has in force it can tell about, and about nothing else.
    let proxy = match applied.applied || applied.changes.is_empty() {
        true => flags.status().await.ok(),
        false => None,
    };
    applied.guards = troubles(&state.app, &wanted, proxy.as_ref());
    Ok(Json(applied))
}

/// Refuses what was decided at another revision.
fn expected(set: &FlagSet, expected: Option<u64>) -> Result<(), ApiError> {
    match expected {
        Some(expected) if expected != set.revision => Err(ApiError::new(
            ErrorKind::Conflict,
            "ESC-0741",
            format!(
                "the flags are at revision {}, and this was made for revision {expected}",
                set.revision
            ),
            "nothing was changed; read the flags again and decide anew",
        )),
        Some(_) | None => Ok(()),
    }
}

async fn put(
    flags: &Flags,
    set: &FlagSet,
    wanted: &FlagSet,
    dry_run: bool,
    reason: &str,
    caller: &Caller,
) -> Result<AppliedView, ApiError> {
    let patch = set.patch_to(wanted);
    if dry_run || patch.changes.is_empty() {
        set.patched(&patch).map_err(|problems| refused(&problems))?;
        return Ok(AppliedView {
            applied: false,
            revision: set.revision,
            changes: patch.changes,
            in_force: flags.contact().current,
            note: None,
            guards: Vec::new(),
        });
    }
    let made = flags.change(patch, reason, &caller.actor).await?;
    let done = changed(flags, made).await;
    Ok(AppliedView {
        applied: true,
        revision: done.revision,
        changes: done.changes,
        in_force: done.in_force,
        note: done.note,
        guards: Vec::new(),
    })
}

/// What became of all flags, newest first
#[utoipa::path(
    get, path = "/api/v1/flag-set/history", tag = "flags", operation_id = "flags_history",
    params(HistoryQuery),
    responses((status = 200, body = Vec<FlagEntryView>))
)]
pub(crate) async fn history(
    State(state): State<ApiState>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<Vec<FlagEntryView>>, ApiError> {
    let flags = &state.app.shared.flags;
    Ok(Json(entries(flags.history(None, query.limit()?).await?)))
}

/// Takes a change back, or goes back to a revision
#[utoipa::path(
    post, path = "/api/v1/flag-set/revert", tag = "flags", operation_id = "revert_flags",
    request_body = RevertFlags,
    responses(
        (status = 200, body = AppliedView),
        (status = 404, description = "No such revision", body = ApiError),
        (status = 409, description = "A field was changed since", body = ApiError),
    )
)]
pub(crate) async fn revert(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<RevertFlags>,
) -> Result<Json<AppliedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    expected(&set, asked.expected)?;
    let patch = match asked.everything {
        true => set.patch_to(&flags.set_at(asked.revision).await?),
        false => flags.undo(asked.revision).await?,
    };
    let wanted = set
        .patched(&patch)
        .map_err(|problems| stale::not_taken_back(asked.revision, &patch, &set, &problems))?;
    let reason = match (asked.reason.as_str(), asked.everything) {
        ("", true) => format!("back to revision {}", asked.revision),
        ("", false) => format!("takes back revision {}", asked.revision),
        (said, _) => said.to_owned(),
    };
    let applied = put(flags, &set, &wanted, asked.dry_run, &reason, &caller).await;
    applied.map(Json)
}

/// Takes environment variables over as the defaults of an environment
#[utoipa::path(
    post, path = "/api/v1/flag-set/import-env", tag = "flags", operation_id = "import_env",
    request_body = ImportEnv,
    responses(
        (status = 200, body = ImportedView),
        (status = 400, description = "An unknown name, or a value that is no boolean", body = ApiError),
    )
)]
pub(crate) async fn import_env(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<ImportEnv>,
) -> Result<Json<ImportedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let environment = environment(&set, asked.environment.as_deref())?;
    let unknown = match asked.create {
        true => Unknown::Create,
        false => Unknown::Refuse,
    };
    let variables = asked.variables.iter();
    let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
    let found = import(&set, &environment, variables, unknown);
    let found = found.map_err(|problems| {
        let help = "nothing was changed; mend the variables, or define their flags first \
                    (`create` makes those of FEATURE_* that are missing)";
        refused_variables(&problems, help)
    })?;
    let applied = put(
        flags,
        &set,
        &found.set,
        asked.dry_run,
        &asked.reason,
        &caller,
    )
    .await?;
    Ok(Json(ImportedView {
        created: found.created,
        applied,
    }))
}

/// Whose answers a change would change, before it is made
#[utoipa::path(
    post, path = "/api/v1/flag-set/who-would-change", tag = "flags",
    operation_id = "who_would_change", request_body = WhoWouldChange,
    responses(
        (status = 200, body = WouldChangeView),
        (status = 400, description = "The set would not be valid", body = ApiError),
    )
)]
pub(crate) async fn who_would_change(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<WhoWouldChange>,
) -> Result<Json<WouldChangeView>, ApiError> {
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let environment = environment(&set, asked.environment.as_deref())?;
    let patch = Patch {
        revision: set.revision,
        changes: asked.changes,
    };
    let wanted = set.patched(&patch).map_err(|problems| refused(&problems))?;
    let (old, new) = (
        flags.snapshot(&set, &environment)?,
        flags.snapshot(&wanted, &environment)?,
    );
    let (contexts, unknown) = match (asked.contexts, asked.recent) {
        (Some(_), true) => return Err(either()),
        (Some(contexts), false) => (contexts, None),
        (None, false) => (tenants(&wanted), None),
        (None, true) => {
            caller.may(scopes::OPERATE)?;
            match flags.recent_contexts(&environment).await {
                Ok(contexts) => (contexts, None),
                Err(why) => (Vec::new(), Some(why)),
            }
        }
    };
    let changed = compare(&old, &new, &contexts);
    let mut places: Vec<usize> = changed.iter().map(|changed| changed.context).collect();
    places.dedup();
    let listed = changed.iter().take(LISTED);
    Ok(Json(WouldChangeView {
        asked: contexts.len(),
        contexts: places.len(),
        changed: listed
            .map(|changed| {
                let mut view = serde_json::to_value(changed).unwrap_or_default();
                view["who"] = json!(contexts.get(changed.context));
                view
            })
            .collect(),
        unknown,
    }))
}

fn either() -> ApiError {
    ApiError::new(
        ErrorKind::BadInput,
        "ESC-0740",
        "`contexts` and `recent` are asked for at once",
        "ask about the contexts that are given, or about recent ones",
    )
}

/// Each tenant of the directory.
fn tenants(set: &FlagSet) -> Vec<Map<String, Value>> {
    let ids = set.tenants.keys();
    ids.map(|id| Map::from_iter([("tenant".to_owned(), json!(id))]))
        .collect()
}
