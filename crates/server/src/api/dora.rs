//! Delivery figures from the record.

use super::ApiState;
use super::answer::{Params, bad_input};
use crate::actor::{fold, read_all};
use crate::clock;
use crate::dora::{Dora, Window, figures};
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use esclusa_model::ServiceName;
use serde::Deserialize;
use utoipa::IntoParams;

/// Most releases that one answer looks at.
const MOST: usize = 2_000;
const DEFAULT_DAYS: u16 = 30;
const MAX_DAYS: u16 = 366;
/// How long before the window a release may have begun that ended within it.
const LONGEST_US: i64 = 31 * 86_400 * 1_000_000;

/// Of what, and over which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only this service; all when absent.
    #[param(value_type = Option<String>)]
    service: Option<ServiceName>,
    /// Over how many days up to now, 1 to 366; 30 when absent.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u16>,
}

/// Delivery figures: deployment frequency, lead time, change failure rate, time to restore
#[utoipa::path(
    get, path = "/api/v1/dora", tag = "services", params(Which),
    responses((status = 200, body = Dora), (status = 400, body = ApiError))
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Params(which): Params<Which>,
) -> Result<Json<Dora>, ApiError> {
    let days = which.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let why = format!("days is not 1 to {MAX_DAYS}");
        return Err(bad_input("ESC-0408", why));
    }
    let window = Window {
        to: clock::now(),
        days,
    };
    let store = &state.app.shared.store;
    let mut streams = store.streams("release/").await?;
    // Ids sort by time.
    streams.sort_by(|a, b| b.0.cmp(&a.0));
    let cut_short = streams.len() > MOST;
    let (mut releases, mut looked_at) = (Vec::new(), 0);
    for (stream, _) in streams.into_iter().take(MOST) {
        let Some(release) = fold(&read_all(store, &stream).await?)? else {
            continue;
        };
        looked_at += 1;
        if release.requested_at.0 < window.from().0 - LONGEST_US {
            break;
        }
        let wanted = which.service.as_ref();
        if wanted.is_none_or(|name| *name == release.requested.service) {
            releases.push(release);
        }
    }
    let cut_short = cut_short && looked_at == MOST;
    Ok(Json(figures(&releases, window, cut_short)))
}
