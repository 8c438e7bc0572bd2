//! Turning features off for everybody, opening them again, and how far that has come.

use super::guards::troubles;
use super::measured;
use super::views::{
    ExposuresView, FlagStreamView, FlagsKilledView, FlagsLiftedView, KillFlags, PropagationView,
};
use crate::api::ApiState;
use crate::api::answer::{Body, bad_input};
use crate::api::commands::check_words;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::flags::{Flags, StandingView};
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_flags::off_with;

/// Most streams that are named.
const NAMED: usize = 100;

/// The flags that are meant; none for all of them.
fn meant(flags: &Flags, asked: &KillFlags) -> Result<Option<Vec<String>>, ApiError> {
    check_words(&asked.reason)?;
    match (asked.all, asked.names.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => flags.meant(&asked.names).map(Some),
        _ => Err(bad_input("ESC-0408", "either names of flags, or all: true")),
    }
}

/// Turns features off for everybody: in force first, recorded then
#[utoipa::path(
    post, path = "/api/v1/flag-set/kill", tag = "flags", operation_id = "kill_flags",
    request_body = KillFlags,
    responses(
        (status = 200, body = FlagsKilledView, description = "in_force says whether the proxy has it"),
        (status = 404, description = "Nothing has such a name", body = ApiError),
    )
)]
pub(crate) async fn kill(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<KillFlags>,
) -> Result<Json<FlagsKilledView>, ApiError> {
    let flags = &state.app.shared.flags;
    let meant = meant(flags, &asked)?;
    let done = flags.kill(meant, &asked.reason, &caller.actor).await;
    let set = done.flags.as_ref().zip(flags.set().ok());
    let off_with_it = set.map(|(killed, set)| off_with(&set, killed));
    Ok(Json(FlagsKilledView {
        flags: done.flags,
        off_with_it: off_with_it.unwrap_or_default(),
        epoch: done.epoch,
        in_force: done.in_force.is_ok(),
        note: done.in_force.err(),
        recorded: done.recorded,
        confirmed: done.confirmed,
        unconfirmed: done.unconfirmed,
        sinks_behind: done.sinks_behind,
    }))
}

/// Lifts kills: recorded first, in force then
#[utoipa::path(
    post, path = "/api/v1/flag-set/lift", tag = "flags", operation_id = "lift_flags",
    request_body = KillFlags,
    responses(
        (status = 200, body = FlagsLiftedView),
        (status = 404, description = "Nothing has such a name", body = ApiError),
    )
)]
pub(crate) async fn lift(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<KillFlags>,
) -> Result<Json<FlagsLiftedView>, ApiError> {
    let flags = &state.app.shared.flags;
    let meant = meant(flags, &asked)?;
    let lifted = flags.lift(meant, &asked.reason, &caller.actor).await?;
    Ok(Json(FlagsLiftedView {
        flags: lifted.flags,
        epoch: lifted.epoch,
        in_force: lifted.in_force.is_ok(),
        note: lifted.in_force.err(),
        not_killed: lifted.not_killed,
        all_killed: lifted.still.all,
        still_killed: lifted.still.flags,
    }))
}

/// What the standing rules see, and what they have done
#[utoipa::path(
    get, path = "/api/v1/flag-set/rules", tag = "flags", operation_id = "flag_rules",
    responses((status = 200, body = Vec<StandingView>))
)]
pub(crate) async fn rules(
    State(state): State<ApiState>,
) -> Result<Json<Vec<StandingView>>, ApiError> {
    let flags = &state.app.shared.flags;
    flags.set()?;
    Ok(Json(flags.standing()))
}

/// How far the flags have come: the proxy, and who follows them there
#[utoipa::path(
    get, path = "/api/v1/flag-set/status", tag = "flags", operation_id = "flags_status",
    responses((status = 200, body = PropagationView))
)]
pub(crate) async fn status(
    State(state): State<ApiState>,
) -> Result<Json<PropagationView>, ApiError> {
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let revision = set.revision;
    let kill_epoch = flags.kills().epoch();
    let asked = flags.status().await;
    let contact = flags.contact();
    let wanted = (revision, kill_epoch);
    let has = |seen: (u64, u64)| seen.0 >= wanted.0 && seen.1 >= wanted.1;
    let streams = asked.as_ref().map(|status| status.streams.as_slice());
    let streams = streams.unwrap_or_default();
    let behind = streams
        .iter()
        .filter(|stream| !stream.fetched.is_some_and(has));
    Ok(Json(PropagationView {
        revision,
        kill_epoch,
        unrecorded: flags.unrecorded(),
        in_force: contact
            .in_force
            .map(|id| format!("{}.{}", id.epoch.0, id.number)),
        current: contact.current && asked.is_ok(),
        trouble: asked
            .as_ref()
            .err()
            .map(|e| e.0.clone())
            .or(contact.trouble),
        streams: streams.len(),
        told: streams.iter().filter(|stream| has(stream.told)).count(),
        fetched: streams.len() - behind.clone().count(),
        behind: behind
            .take(NAMED)
            .map(|stream| FlagStreamView {
                who: stream.who.clone(),
                since_us: stream.since.0,
                told: stream.told,
                fetched: stream.fetched,
            })
            .collect(),
        exposures: asked
            .as_ref()
            .ok()
            .and_then(|status| status.exposures.as_ref())
            .map(|found| ExposuresView {
                environments: found.environments.clone(),
                recorded: found.recorded,
                repeated: found.repeated,
                dropped: found.dropped,
                unwritten: found.unwritten,
                trouble: found.trouble.clone(),
            }),
        measured: measured::views(&state.app),
        sinks: flags.sinks(),
        sinks_trouble: flags.sinks_trouble(),
        guards: troubles(&state.app, &set, asked.as_ref().ok()),
    }))
}
