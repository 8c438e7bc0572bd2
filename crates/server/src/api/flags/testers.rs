//! Tokens that show testers a variant before anybody else has it.

use super::environment;
use super::views::{GrantTester, GrantedView, micros};
use crate::api::ApiState;
use crate::api::answer::{Body, bad_input};
use crate::api::commands::check_words;
use crate::auth::Caller;
use crate::clock;
use crate::error::{ApiError, ErrorKind};
use crate::flags::no_flag;
use axum::extract::State;
use axum::{Extension, Json};
use esclusa_flags::FlagSet;
use esclusa_model::Millis;
use esclusa_wire::{TESTER_NAME, TesterGrant};

/// Longest time for which a token counts, in seconds.
const LONGEST_S: u64 = 30 * 86_400;
/// Most flags of one token, which has to fit a header.
const MOST_FLAGS: usize = 20;
/// Longest name of a tester, in characters.
const LONGEST_NAME: usize = 100;

fn check(set: &FlagSet, asked: &GrantTester) -> Result<(), ApiError> {
    let refuse = |why: String| Err(bad_input("ESC-0408", &why));
    if asked.who.trim().is_empty() || asked.who.chars().count() > LONGEST_NAME {
        return refuse(format!("who: a name of 1 to {LONGEST_NAME} characters"));
    }
    if asked.variants.is_empty() || asked.variants.len() > MOST_FLAGS {
        return refuse(format!("variants: 1 to {MOST_FLAGS} flags"));
    }
    if asked.for_s == 0 || asked.for_s > LONGEST_S {
        let asked = Millis::from_secs(asked.for_s);
        return Err(ApiError::new(
            ErrorKind::BadInput,
            "ESC-0408",
            format!("a tester's token cannot count for {asked}"),
            "give one for 1s to 30d, such as `--for 8h`, and another one when it runs out",
        ));
    }
    for (key, variant) in &asked.variants {
        let Some(flag) = set.flags.get(key) else {
            let mut error = no_flag(set, key);
            error.kind = ErrorKind::BadInput;
            return Err(error);
        };
        let variants = flag.effective_variants();
        if !variants.contains_key(variant) {
            let known: Vec<&str> = variants.keys().map(String::as_str).collect();
            return Err(ApiError::new(
                ErrorKind::BadInput,
                "ESC-0408",
                format!("{key} has no variant {variant}"),
                format!("it has {}", known.join(", ")),
            ));
        }
    }
    Ok(())
}

/// Gives a tester a token that shows variants of flags; who and why is recorded
#[utoipa::path(
    post, path = "/api/v1/flag-set/testers", tag = "flags", operation_id = "grant_tester",
    request_body = GrantTester,
    responses(
        (status = 200, body = GrantedView, description = "The token is nowhere else"),
        (status = 400, description = "There is no such flag, variant or environment", body = ApiError),
    )
)]
pub(crate) async fn grant(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<GrantTester>,
) -> Result<Json<GrantedView>, ApiError> {
    check_words(&asked.reason)?;
    let flags = &state.app.shared.flags;
    let set = flags.set()?;
    let environment = environment(&set, asked.environment.as_deref())?;
    check(&set, &asked)?;
    let now = u64::try_from(clock::now().0 / 1_000_000).unwrap_or_default();
    let grant = TesterGrant {
        who: asked.who.trim().to_owned(),
        environment,
        variants: asked.variants,
        until: now + asked.for_s,
    };
    let until_us = micros(grant.until);
    let token = flags.grant(grant, asked.reason, &caller.actor).await?;
    Ok(Json(GrantedView {
        token,
        name: TESTER_NAME.to_owned(),
        until_us,
    }))
}
