//! An evaluation as OFREP writes it.
//!
//! What released clients cannot do without is always there: `key`, `value`, `reason`,
//! `variant`, `metadata`. An integer flag is written `10`, a float flag `10.0`.

use esclusa_flags::{Answer, Detail, EvaluationError, FlagReason, FlagValue};

/// Writes a text as JSON.
pub(crate) fn push_text(body: &mut Vec<u8>, text: &str) {
    push(body, text);
}

fn push(body: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Cannot fail: a vector takes everything, and all keys are text.
    let _ = serde_json::to_writer(body, value);
}

/// What there is to say of one flag.
pub(crate) enum Said<'s> {
    Value(&'s FlagValue, &'s str, FlagReason),
    /// The application's own default.
    Nothing(FlagReason),
    Error(EvaluationError<'s>),
}

/// Reads an answer. A `strict` reader gets no value from a flag that is not in use. Kills and
/// prerequisites that are not met are not that: they say off.
pub(crate) fn said<'s>(answer: &Answer<'s>, strict: bool) -> Said<'s> {
    match (answer.error(), answer.value, answer.variant) {
        (Some(error), _, _) => Said::Error(error),
        _ if strict && answer.detail == Detail::Disabled => Said::Nothing(answer.reason),
        (None, Some(value), Some(variant)) => Said::Value(value, variant, answer.reason),
        // Only a flag that does not exist lacks them.
        (None, _, _) => Said::Error(EvaluationError::FlagNotFound),
    }
}

/// Writes what was said as an object without its end.
pub(crate) fn push_open(body: &mut Vec<u8>, key: &str, said: &Said<'_>) {
    body.extend_from_slice(b"{\"key\":");
    push(body, key);
    match said {
        Said::Value(value, variant, reason) => {
            body.extend_from_slice(b",\"value\":");
            match value {
                FlagValue::Boolean(true) => body.extend_from_slice(b"true"),
                FlagValue::Boolean(false) => body.extend_from_slice(b"false"),
                value => push(body, value),
            }
            body.extend_from_slice(b",\"reason\":\"");
            body.extend_from_slice(word(*reason).as_bytes());
            body.extend_from_slice(b"\",\"variant\":");
            push(body, *variant);
            body.extend_from_slice(b",\"metadata\":{}");
        }
        Said::Nothing(reason) => {
            body.extend_from_slice(b",\"reason\":\"");
            body.extend_from_slice(word(*reason).as_bytes());
            body.extend_from_slice(b"\",\"metadata\":{}");
        }
        Said::Error(error) => {
            body.extend_from_slice(b",\"errorCode\":\"");
            body.extend_from_slice(error.code().as_bytes());
            body.extend_from_slice(b"\",\"errorDetails\":");
            push(body, &error.to_string());
            body.extend_from_slice(b",\"metadata\":{}");
        }
    }
}

fn word(reason: FlagReason) -> &'static str {
    match reason {
        FlagReason::Static => "STATIC",
        FlagReason::TargetingMatch => "TARGETING_MATCH",
        FlagReason::Split => "SPLIT",
        FlagReason::Disabled => "DISABLED",
        FlagReason::Default => "DEFAULT",
        FlagReason::Error => "ERROR",
    }
}
