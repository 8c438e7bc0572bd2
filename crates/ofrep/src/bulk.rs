//! `POST /ofrep/v1/evaluate/flags`: every flag that somebody may see.

use crate::answer::{Said, push_open, said};
use crate::context::BadBody;
use crate::reply::{self, Reply};
use crate::shared::Shared;
use crate::single::sees;
use crate::table::{Access, FlagTable, hash_of};
use crate::tester;
use esclusa_wire::ExposureSource;
use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

/// Answers for all flags, or says that nothing has changed for this client.
pub(crate) fn evaluate(
    shared: &Shared,
    table: &FlagTable,
    access: &Access,
    headers: &HeaderMap,
    body: &[u8],
    second: u64,
) -> Reply {
    let Some(snapshot) = table.environment(&access.scope.environment) else {
        return reply::empty(StatusCode::FORBIDDEN);
    };
    let context = match context(body) {
        Ok(context) => context,
        Err(bad) => {
            return reply::bulk_error(StatusCode::BAD_REQUEST, bad.code(), bad.details());
        }
    };
    let streams = access.streams(second);
    // Keys of an object are sorted, so that one context has one spelling. A client whose
    // stream's address has run out must not keep it.
    let address = std::str::from_utf8(&streams.json).unwrap_or_default();
    // A tester's token that has run out makes another answer.
    let grants = table.grants(headers, body, snapshot);
    let of = hash_of(&(table.state.tag, access.mark, address, &context, &grants));
    let etag = format!("\"{of:016x}\"");
    let asked = headers.get_all(IF_NONE_MATCH);
    if asked.iter().any(|tags| names(tags, &etag)) {
        return with_etag(reply::empty(StatusCode::NOT_MODIFIED), &etag);
    }
    let mut asking = snapshot.context();
    asking.set_all(&context);
    tester::show(&mut asking, &grants);
    let mut body = Vec::with_capacity(4_096);
    body.extend_from_slice(b"{\"flags\":[");
    let mut first = true;
    for (flag, answer) in asking.evaluate_all() {
        if !sees(access, &flag) {
            continue;
        }
        if !std::mem::take(&mut first) {
            body.push(b',');
        }
        push_open(&mut body, flag.key, &said(&answer, access.scope.strict));
        body.push(b'}');
    }
    if !access.scope.watcher {
        shared.exposed(table, &asking, ExposureSource::OfrepBulk, |take| {
            for (flag, answer) in asking.evaluate_all().filter(|(flag, _)| sees(access, flag)) {
                // What leaves the value to the application exposes nobody.
                if matches!(said(&answer, access.scope.strict), Said::Value(..)) {
                    take(flag.key, &answer);
                }
            }
        });
    }
    body.extend_from_slice(b"],\"metadata\":{\"revision\":");
    let kills = table.state.kill_epoch;
    body.extend_from_slice(format!("{},\"kills\":{kills}", table.revision).as_bytes());
    body.push(b'}');
    body.extend_from_slice(&streams.json);
    body.push(b'}');
    with_etag(reply::json(StatusCode::OK, body), &etag)
}

fn with_etag(mut reply: Reply, etag: &str) -> Reply {
    // Cannot fail: a tag is hex digits between quotes.
    if let Ok(value) = HeaderValue::from_str(etag) {
        reply.headers_mut().insert(ETAG, value);
    }
    let headers: &mut Response<_> = &mut reply;
    reply::not_stored(headers);
    reply
}

/// Whether `If-None-Match` names this tag; a weak one is as good.
fn names(tags: &HeaderValue, etag: &str) -> bool {
    let Ok(tags) = tags.to_str() else {
        return false;
    };
    tags.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag == etag || tag == etag.trim_matches('"')
    })
}

/// How a bulk request's body is taken: nothing, or the error's code.
pub fn fuzz_bulk(body: &[u8]) -> Option<&'static str> {
    context(body).err().map(|bad| bad.code())
}

/// The context of a body: nothing at all, `null` and no context are an empty one.
fn context(body: &[u8]) -> Result<Map<String, Value>, BadBody> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let json: Value =
        serde_json::from_slice(body).map_err(|error| BadBody::Parse(error.to_string()))?;
    let Value::Object(mut request) = json else {
        return Err(BadBody::Parse(
            "this is no object with a context".to_owned(),
        ));
    };
    let context = match request.remove("context") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => {
            return Err(BadBody::Context("the context is no object".to_owned()));
        }
    };
    match context.get("targetingKey") {
        None | Some(Value::String(_) | Value::Null) => Ok(context),
        Some(Value::Number(number)) if number.as_i64().is_some() => Ok(context),
        Some(_) => Err(BadBody::Context("the targeting key is not text".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_as_clients_spell_it() {
        for (tags, named) in [
            ("\"a1\"", true),
            ("W/\"a1\"", true),
            ("a1", true),
            ("\"x\", \"a1\"", true),
            ("*", true),
            ("\"a2\"", false),
            ("", false),
        ] {
            assert_eq!(
                names(&HeaderValue::from_static(tags), "\"a1\""),
                named,
                "{tags}"
            );
        }
    }

    #[test]
    fn a_context_is_an_object_or_absent() {
        for body in [
            "",
            " ",
            "{}",
            "{\"context\":{}}",
            "{\"context\":null}",
            "{\"x\":1}",
        ] {
            assert_eq!(context(body.as_bytes()), Ok(Map::new()), "{body}");
        }
        let code = |body: &str| context(body.as_bytes()).map_err(|bad| bad.code());
        for body in ["{", "[]", "1", "null", "{\"context\":{}} x"] {
            assert_eq!(code(body), Err("PARSE_ERROR"), "{body}");
        }
        for body in [
            "{\"context\":[]}",
            "{\"context\":\"x\"}",
            "{\"context\":{\"targetingKey\":[]}}",
        ] {
            assert_eq!(code(body), Err("INVALID_CONTEXT"), "{body}");
        }
    }
}
