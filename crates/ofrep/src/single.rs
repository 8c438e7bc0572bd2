//! `POST /ofrep/v1/evaluate/flags/{key}`.

use crate::answer::{Said, push_open, said};
use crate::context::read;
use crate::reply::{self, Reply};
use crate::shared::Shared;
use crate::table::{Access, FlagTable};
use crate::tester;
use esclusa_flags::{ContextBuffer, EvaluationError, FlagInfo};
use esclusa_wire::ExposureSource;
use http::{HeaderMap, StatusCode};
use std::cell::Cell;

thread_local! {
    /// The memory of the last evaluation on this thread.
    static MEMORY: Cell<ContextBuffer> = Cell::default();
}

/// Whether somebody may know of a flag at all.
pub(crate) fn sees(access: &Access, flag: &FlagInfo<'_>) -> bool {
    let scope = &access.scope;
    (flag.browsers || !scope.browsers_only)
        && scope
            .project
            .as_deref()
            .is_none_or(|project| flag.project == Some(project))
}

/// Answers for one flag.
pub(crate) fn evaluate(
    shared: &Shared,
    table: &FlagTable,
    access: &Access,
    path: &str,
    (headers, body): (&HeaderMap, &[u8]),
    second: u64,
) -> Reply {
    let Some(snapshot) = table.environment(&access.scope.environment) else {
        return reply::empty(StatusCode::FORBIDDEN);
    };
    // Decoded once: clients differ in whether they encode a slash. A key has no percent sign.
    let key = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    if !snapshot.flag(&key).is_some_and(|flag| sees(access, &flag)) {
        // A flag that somebody may not see is as one that is not there.
        let missing = EvaluationError::FlagNotFound;
        let (code, details) = (missing.code(), missing.to_string());
        return reply::flag_error(StatusCode::NOT_FOUND, &key, code, &details);
    }
    let mut context = snapshot.context_in(MEMORY.take());
    if let Err(bad) = read(body, &mut context) {
        MEMORY.set(context.into_buffer());
        let status = StatusCode::BAD_REQUEST;
        return reply::flag_error(status, &key, bad.code(), bad.details());
    }
    tester::show(&mut context, &table.grants(headers, body, snapshot));
    let answer = context.evaluate(&key);
    let said = said(&answer, access.scope.strict);
    let status = match &said {
        Said::Error(EvaluationError::FlagNotFound) => StatusCode::NOT_FOUND,
        Said::Error(_) => StatusCode::BAD_REQUEST,
        Said::Value(..) | Said::Nothing(_) => StatusCode::OK,
    };
    // What leaves the value to the application exposes nobody.
    if matches!(said, Said::Value(..)) && !access.scope.watcher {
        shared.exposed(table, &context, ExposureSource::Ofrep, |take| {
            take(&key, &answer);
        });
    }
    let streams = access.streams(second);
    let mut body = Vec::with_capacity(192 + streams.json.len());
    push_open(&mut body, &key, &said);
    if status == StatusCode::OK {
        body.extend_from_slice(&streams.json);
    }
    body.push(b'}');
    MEMORY.set(context.into_buffer());
    reply::json(status, body)
}
