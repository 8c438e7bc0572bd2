//! Looking at flags.

use super::environment;
use super::set::{HistoryQuery, entries};
use super::views::{
    ExplainFlag, ExplainedView, FlagEntryView, FlagHere, FlagNeeds, FlagRow, FlagView, FlagsView,
    TurnedHere, VariantWho, WhoView,
};
use crate::api::ApiState;
use crate::api::answer::{Body, Named, Params};
use crate::clock;
use crate::error::ApiError;
use crate::flags::no_flag;
use axum::Json;
use axum::extract::State;
use esclusa_flags::{
    FlagDefinition, FlagSet, FlagState, Kills, Rollout, dependents, tenants_by_variant,
};
use esclusa_wire::TESTER_NAME;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which flags.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this project.
    project: Option<String>,
    /// Only those whose last day is over.
    #[serde(default)]
    stale: bool,
}

/// Which environment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Where {
    /// The environment; the only one there is when absent.
    environment: Option<String>,
}

/// What is known of flags at this moment.
struct Known {
    set: Arc<FlagSet>,
    kills: Kills,
    /// What releases turn.
    running: Vec<Rollout>,
}

impl Known {
    fn of(state: &ApiState) -> Result<Self, ApiError> {
        let shared = &state.app.shared;
        Ok(Self {
            set: shared.flags.set()?,
            kills: shared.flags.kills(),
            running: shared.flag_plane.running(),
        })
    }

    fn turned(&self, key: &str, environment: &str) -> Option<TurnedHere> {
        let mut running = self.running.iter();
        let running =
            running.find(|one| one.environment == environment && one.flags.contains_key(key))?;
        Some(TurnedHere {
            release: running.release.to_string(),
            variant: running.flags.get(key)?.clone(),
            share_bp: running.share.get(),
            segments: running.segments.clone(),
        })
    }
}

fn row(key: &str, flag: &FlagDefinition, known: &Known) -> FlagRow {
    let set = &known.set;
    let expires = flag.lifetime.and_then(|lifetime| lifetime.expires);
    let default = flag.default.as_ref().unwrap_or(&flag.off);
    let empty = esclusa_flags::FlagSettings::default();
    let environments = set.environments.iter().map(|name| {
        let here = flag.environments.get(name).unwrap_or(&empty);
        let view = FlagHere {
            enabled: here.state == FlagState::Enabled,
            default: here.default.as_ref().unwrap_or(default).clone(),
            rules: here.rules.len(),
            users: here.users.len(),
            tenants: here.tenants.len(),
            turned: known.turned(key, name),
        };
        (name.clone(), view)
    });
    FlagRow {
        key: key.to_owned(),
        ty: flag.ty.to_string(),
        description: flag.description.clone(),
        owner: flag.owner.clone(),
        project: flag.project.clone(),
        killed: known.kills.of(key).is_some(),
        stale: expires.is_some_and(|day| day.end() <= clock::now()),
        expires: expires.map(|day| day.to_string()),
        environments: environments.collect(),
    }
}

pub(super) fn find<'s>(set: &'s FlagSet, key: &str) -> Result<&'s FlagDefinition, ApiError> {
    set.flags.get(key).ok_or_else(|| no_flag(set, key))
}

/// All flags
#[utoipa::path(
    get, path = "/api/v1/flags", tag = "flags", operation_id = "list_flags", params(ListQuery),
    responses((status = 200, body = FlagsView))
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Params(query): Params<ListQuery>,
) -> Result<Json<FlagsView>, ApiError> {
    let known = Known::of(&state)?;
    let set = &known.set;
    let rows = set.flags.iter().map(|(key, flag)| row(key, flag, &known));
    let rows = rows.filter(|row| {
        let project = query.project.is_none() || query.project == row.project;
        project && (row.stale || !query.stale)
    });
    Ok(Json(FlagsView {
        revision: set.revision,
        environments: set.environments.iter().cloned().collect(),
        all_killed: known.kills.all.killed,
        flags: rows.collect(),
    }))
}

/// One flag, and which flags need it
#[utoipa::path(
    get, path = "/api/v1/flags/{name}", tag = "flags", operation_id = "get_flag",
    params(("name" = String, Path, description = "The flag's key")),
    responses((status = 200, body = FlagView), (status = 404, body = ApiError))
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Named(key): Named<String>,
) -> Result<Json<FlagView>, ApiError> {
    let known = Known::of(&state)?;
    let set = &known.set;
    let flag = find(set, &key)?;
    let needs = dependents(set, &key).into_iter().map(|needs| FlagNeeds {
        flag: needs.flag,
        path: needs.path,
    });
    Ok(Json(FlagView {
        revision: set.revision,
        flag: row(&key, flag, &known),
        definition: serde_json::to_value(flag).unwrap_or_default(),
        dependents: needs.collect(),
    }))
}

/// Which tenants of the directory a flag gives which variant
#[utoipa::path(
    get, path = "/api/v1/flags/{name}/who", tag = "flags", operation_id = "who_gets_flag",
    params(("name" = String, Path, description = "The flag's key"), Where),
    responses((status = 200, body = WhoView), (status = 404, body = ApiError))
)]
pub(crate) async fn who(
    State(state): State<ApiState>,
    Named(key): Named<String>,
    Params(at): Params<Where>,
) -> Result<Json<WhoView>, ApiError> {
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    find(&set, &key)?;
    let environment = environment(&set, at.environment.as_deref())?;
    let snapshot = flags.snapshot(&set, &environment)?;
    let variants = tenants_by_variant(&snapshot, &key);
    let variants = variants
        .into_iter()
        .map(|(variant, tenants)| VariantWho { variant, tenants });
    Ok(Json(WhoView {
        environment,
        revision: set.revision,
        variants: variants.collect(),
    }))
}

/// What a flag answers a context, and why
#[utoipa::path(
    post, path = "/api/v1/flags/{name}/explain", tag = "flags", operation_id = "explain_flag",
    request_body = ExplainFlag,
    params(("name" = String, Path, description = "The flag's key")),
    responses(
        (status = 200, body = ExplainedView, description = "Also of a flag that does not exist"),
        (status = 400, description = "The tester's token does not count", body = ApiError),
        (status = 404, body = ApiError),
    )
)]
pub(crate) async fn explain(
    State(state): State<ApiState>,
    Named(key): Named<String>,
    Body(asked): Body<ExplainFlag>,
) -> Result<Json<ExplainedView>, ApiError> {
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let environment = environment(&set, asked.environment.as_deref())?;
    let snapshot = flags.snapshot(&set, &environment)?;
    let mut context = snapshot.context();
    context.set_all(&asked.context);
    let within = asked.context.get(TESTER_NAME).and_then(Value::as_str);
    if let Some(token) = asked.tester.as_deref().or(within) {
        for (flag, variant) in flags.granted(token, &environment)?.variants {
            context.grant(&flag, &variant);
        }
    }
    let explanation = context.explain(&key);
    Ok(Json(ExplainedView {
        text: explanation.to_string(),
        explanation: serde_json::to_value(&explanation).unwrap_or_default(),
    }))
}

/// What became of a flag, newest first
#[utoipa::path(
    get, path = "/api/v1/flags/{name}/history", tag = "flags", operation_id = "flag_history",
    params(("name" = String, Path, description = "The flag's key"), HistoryQuery),
    responses((status = 200, body = Vec<FlagEntryView>))
)]
pub(crate) async fn history_of(
    State(state): State<ApiState>,
    Named(key): Named<String>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<Vec<FlagEntryView>>, ApiError> {
    let flags = &state.app.shared.flags;
    let found = entries(flags.history(Some(&key), query.limit()?).await?);
    if found.is_empty() {
        find(&*flags.set()?, &key)?;
    }
    Ok(Json(found))
}
