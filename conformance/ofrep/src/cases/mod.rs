//! The cases. Each asks, looks, and says what it saw.

mod bulk;
mod door;
mod single;
mod streams;

use crate::client::{Client, Reply};
use crate::report::{Case, Outcome};
use serde_json::Value;
use std::io;

const BULK: &str = "/ofrep/v1/evaluate/flags";
const USER: &str = r#"{"context":{"targetingKey":"user-1"}}"#;
/// Reasons that released clients know.
const REASONS: [&str; 6] = [
    "STATIC",
    "TARGETING_MATCH",
    "SPLIT",
    "DISABLED",
    "DEFAULT",
    "UNKNOWN",
];

/// Why a case did not pass.
enum Not {
    Failed(String),
    Skipped(String),
}

impl From<io::Error> for Not {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

type Seen = Result<(), Not>;

/// Fails with what came, unless it holds.
fn expect(holds: bool, what: &str, reply: &Reply) -> Seen {
    if holds {
        return Ok(());
    }
    let body: String = String::from_utf8_lossy(&reply.body)
        .chars()
        .take(200)
        .collect();
    Err(Not::Failed(format!(
        "{what}; status {}, body {body:?}",
        reply.status
    )))
}

fn skip<T>(why: &str) -> Result<T, Not> {
    Err(Not::Skipped(why.to_owned()))
}

macro_rules! cases {
    ($client:ident; $($part:ident::$name:ident, $basis:literal, $expects:literal;)*) => {
        vec![$(Case {
            name: stringify!($name),
            basis: $basis,
            expects: $expects,
            outcome: match $part::$name($client).await {
                Ok(()) => Outcome::Passed,
                Err(Not::Failed(detail)) => Outcome::Failed(detail),
                Err(Not::Skipped(why)) => Outcome::Skipped(why),
            },
        }),*]
    };
}

pub(crate) async fn all(client: &Client<'_>) -> Vec<Case> {
    cases! { client;
        single::single_boolean, "protocol", "200 with key, value, reason and variant";
        single::single_string, "protocol", "a string flag answers a string";
        single::single_object, "protocol", "an object flag answers an object";
        single::single_integer, "clients", "an integer flag answers 10, without decimals";
        single::single_float, "clients", "a float flag answers 10.0, with decimals";
        single::single_content_type, "clients", "JSON says that it is JSON";
        single::single_has_all_fields, "clients", "value and variant are there, reason is a known one, metadata is an object";
        single::single_targeting, "protocol", "a rule decides by the context";
        single::single_static_is_honest, "clients", "STATIC is only said of what no context changes";
        single::single_disabled, "clients", "a disabled flag answers off or no value, never an error";
        single::single_empty_context, "clients", "an empty context is a context";
        single::single_missing_flag, "protocol", "404 with FLAG_NOT_FOUND, key and errorDetails";
        single::single_missing_key, "protocol", "400 with TARGETING_KEY_MISSING where a share needs one";
        single::single_parse_error, "protocol", "400 with PARSE_ERROR for what is no JSON";
        single::single_bad_context, "protocol", "400 with INVALID_CONTEXT, or PARSE_ERROR, for a context that is no object";
        single::single_slash_raw, "clients", "a key with a slash is found as it stands";
        single::single_slash_encoded, "clients", "a key with a slash is found encoded";
        single::single_unknown_fields, "protocol", "fields that are not known are passed over";
        bulk::bulk_all, "protocol", "200 with a list of all flags";
        bulk::bulk_trailing_slash, "clients", "a slash at the end changes nothing";
        bulk::bulk_inner_errors, "protocol", "an error of one flag stays with that flag";
        bulk::bulk_agrees, "protocol", "a flag answers alike alone and among all";
        bulk::bulk_parse_error, "protocol", "400 with errorCode for what is no JSON";
        bulk::etag_same, "protocol", "a second request with If-None-Match is 304 without body";
        bulk::etag_context, "protocol", "another context has another ETag, or a body";
        bulk::etag_wrong, "protocol", "a tag of something else is 200";
        bulk::refetch_query, "protocol", "flagConfigEtag and flagConfigLastModified are accepted";
        streams::streams_shape, "protocol", "eventStreams are of a type, with url or endpoint";
        streams::streams_open, "protocol", "a stream opens without headers, as text/event-stream";
        streams::streams_event, "clients", "an event is a message with refetchEvaluation as JSON";
        streams::streams_forged, "protocol", "a stream whose address was changed does not open";
        door::unauthorised, "protocol", "401 or 403 without a token and with a wrong one";
        door::api_key, "protocol", "X-API-Key is as good as Authorization";
        door::method, "protocol", "GET evaluates nothing";
        door::cors_preflight, "clients", "a browser's preflight is answered";
        door::cors_exposes_etag, "clients", "a page can read the ETag";
        door::large_body, "clients", "a body of 10 MB is refused, and the server goes on";
    }
}

fn path(key: &str) -> String {
    format!("{BULK}/{key}")
}

async fn flag(client: &Client<'_>, key: &str, body: &str) -> Result<Reply, Not> {
    Ok(client.post(&path(key), body).await?)
}

async fn ask_bulk(client: &Client<'_>, headers: &[(&str, &str)], body: &str) -> Result<Reply, Not> {
    Ok(client.post_with(BULK, headers, body).await?)
}

fn of(json: &Value, key: &str) -> Value {
    let flags = json["flags"].as_array();
    let found = flags.and_then(|flags| flags.iter().find(|flag| flag["key"] == key));
    found.cloned().unwrap_or_default()
}
