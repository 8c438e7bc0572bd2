//! The cases. Each asks, looks, and says what it saw.

use crate::client::{Client, Reply};
use crate::report::{Case, Outcome};
use serde_json::{Value, json};
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
    ($client:ident; $($name:ident, $basis:literal, $expects:literal;)*) => {
        vec![$(Case {
            name: stringify!($name),
            basis: $basis,
            expects: $expects,
            outcome: match $name($client).await {
                Ok(()) => Outcome::Passed,
                Err(Not::Failed(detail)) => Outcome::Failed(detail),
                Err(Not::Skipped(why)) => Outcome::Skipped(why),
            },
        }),*]
    };
}

pub(crate) async fn all(client: &Client<'_>) -> Vec<Case> {
    cases! { client;
        single_boolean, "protocol", "200 with key, value, reason and variant";
        single_string, "protocol", "a string flag answers a string";
        single_object, "protocol", "an object flag answers an object";
        single_integer, "clients", "an integer flag answers 10, without decimals";
        single_float, "clients", "a float flag answers 10.0, with decimals";
        single_content_type, "clients", "JSON says that it is JSON";
        single_has_all_fields, "clients", "value and variant are there, reason is a known one, metadata is an object";
        single_targeting, "protocol", "a rule decides by the context";
        single_static_is_honest, "clients", "STATIC is only said of what no context changes";
        single_disabled, "clients", "a disabled flag answers off or no value, never an error";
        single_empty_context, "clients", "an empty context is a context";
        single_missing_flag, "protocol", "404 with FLAG_NOT_FOUND, key and errorDetails";
        single_missing_key, "protocol", "400 with TARGETING_KEY_MISSING where a share needs one";
        single_parse_error, "protocol", "400 with PARSE_ERROR for what is no JSON";
        single_bad_context, "protocol", "400 with INVALID_CONTEXT, or PARSE_ERROR, for a context that is no object";
        single_slash_raw, "clients", "a key with a slash is found as it stands";
        single_slash_encoded, "clients", "a key with a slash is found encoded";
        single_unknown_fields, "protocol", "fields that are not known are passed over";
        bulk_all, "protocol", "200 with a list of all flags";
        bulk_trailing_slash, "clients", "a slash at the end changes nothing";
        bulk_inner_errors, "protocol", "an error of one flag stays with that flag";
        bulk_agrees, "protocol", "a flag answers alike alone and among all";
        bulk_parse_error, "protocol", "400 with errorCode for what is no JSON";
        etag_same, "protocol", "a second request with If-None-Match is 304 without body";
        etag_context, "protocol", "another context has another ETag, or a body";
        etag_wrong, "protocol", "a tag of something else is 200";
        refetch_query, "protocol", "flagConfigEtag and flagConfigLastModified are accepted";
        streams_shape, "protocol", "eventStreams are of a type, with url or endpoint";
        streams_open, "protocol", "a stream opens without headers, as text/event-stream";
        streams_event, "clients", "an event is a message with refetchEvaluation as JSON";
        streams_forged, "protocol", "a stream whose address was changed does not open";
        unauthorised, "protocol", "401 or 403 without a token and with a wrong one";
        api_key, "protocol", "X-API-Key is as good as Authorization";
        method, "protocol", "GET evaluates nothing";
        cors_preflight, "clients", "a browser's preflight is answered";
        cors_exposes_etag, "clients", "a page can read the ETag";
        large_body, "clients", "a body of 10 MB is refused, and the server goes on";
    }
}

fn path(key: &str) -> String {
    format!("{BULK}/{key}")
}

async fn flag(client: &Client<'_>, key: &str, body: &str) -> Result<Reply, Not> {
    Ok(client.post(&path(key), body).await?)
}

async fn answers(client: &Client<'_>, key: &str, body: &str, value: &Value) -> Seen {
    let reply = flag(client, key, body).await?;
    let good = reply.status == 200 && reply.json()["value"] == *value;
    expect(good, &format!("expected the value {value}"), &reply)
}

async fn single_boolean(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-boolean", USER).await?;
    let json = reply.json();
    let good = reply.status == 200
        && json["key"] == "conformance-boolean"
        && json["value"] == true
        && json["reason"].is_string()
        && json["variant"] == "on";
    expect(good, "expected true as variant on", &reply)
}

async fn single_string(client: &Client<'_>) -> Seen {
    answers(
        client,
        "conformance-string",
        USER,
        &json!("hello \"world\""),
    )
    .await
}

async fn single_object(client: &Client<'_>) -> Seen {
    answers(
        client,
        "conformance-object",
        USER,
        &json!({ "list": [1, 2.5, null], "deep": { "a": true } }),
    )
    .await
}

/// The value as it is written.
fn raw(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body).replace(' ', "");
    let rest = text.split_once("\"value\":").map_or("", |(_, rest)| rest);
    rest.split([',', '}']).next().unwrap_or_default().to_owned()
}

async fn single_integer(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-integer", USER).await?;
    expect(raw(&reply) == "10", "expected 10", &reply)
}

async fn single_float(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-float", USER).await?;
    expect(
        raw(&reply) == "10.0",
        "expected 10.0: the Python client refuses 10",
        &reply,
    )
}

async fn single_content_type(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-boolean", USER).await?;
    let good = reply.header("content-type").starts_with("application/json");
    expect(good, "expected application/json", &reply)
}

async fn single_has_all_fields(client: &Client<'_>) -> Seen {
    for key in [
        "conformance-boolean",
        "conformance-string",
        "conformance-targeting",
    ] {
        let reply = flag(client, key, USER).await?;
        let json = reply.json();
        let reason = json["reason"].as_str().unwrap_or_default();
        let good = !json["value"].is_null()
            && json["variant"].is_string()
            && REASONS.contains(&reason)
            && (json["metadata"].is_object() || json["metadata"].is_null());
        expect(
            good,
            "expected value, variant, a known reason and metadata",
            &reply,
        )?;
    }
    Ok(())
}

async fn single_targeting(client: &Client<'_>) -> Seen {
    let spain = r#"{"context":{"targetingKey":"user-1","country":"es"}}"#;
    answers(client, "conformance-targeting", spain, &json!(true)).await?;
    let france = r#"{"context":{"targetingKey":"user-1","country":"fr"}}"#;
    answers(client, "conformance-targeting", france, &json!(false)).await
}

async fn single_static_is_honest(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-targeting", USER).await?;
    expect(
        reply.json()["reason"] != "STATIC",
        "a flag with a rule is not STATIC",
        &reply,
    )
}

async fn single_disabled(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-disabled", USER).await?;
    let json = reply.json();
    let off = json["value"] == false || json.get("value").is_none();
    let good = reply.status == 200 && off && json["reason"] == "DISABLED";
    expect(
        good,
        "expected DISABLED, with off or without a value",
        &reply,
    )
}

async fn single_empty_context(client: &Client<'_>) -> Seen {
    answers(
        client,
        "conformance-boolean",
        r#"{"context":{}}"#,
        &json!(true),
    )
    .await
}

async fn fails(client: &Client<'_>, key: &str, body: &str, status: u16, codes: &[&str]) -> Seen {
    let reply = flag(client, key, body).await?;
    let json = reply.json();
    let good = reply.status == status
        && codes.contains(&json["errorCode"].as_str().unwrap_or_default())
        && json["key"] == key
        && json["errorDetails"].is_string();
    let what = format!(
        "expected {status} with key, errorDetails and {}",
        codes.join(" or ")
    );
    expect(good, &what, &reply)
}

async fn single_missing_flag(client: &Client<'_>) -> Seen {
    fails(
        client,
        "conformance-missing",
        USER,
        404,
        &["FLAG_NOT_FOUND"],
    )
    .await
}

async fn single_missing_key(client: &Client<'_>) -> Seen {
    let body = r#"{"context":{}}"#;
    fails(
        client,
        "conformance-share",
        body,
        400,
        &["TARGETING_KEY_MISSING"],
    )
    .await
}

async fn single_parse_error(client: &Client<'_>) -> Seen {
    fails(
        client,
        "conformance-boolean",
        "{\"context\":",
        400,
        &["PARSE_ERROR"],
    )
    .await
}

async fn single_bad_context(client: &Client<'_>) -> Seen {
    let codes = ["INVALID_CONTEXT", "PARSE_ERROR"];
    fails(
        client,
        "conformance-boolean",
        r#"{"context":[]}"#,
        400,
        &codes,
    )
    .await
}

async fn single_slash_raw(client: &Client<'_>) -> Seen {
    answers(client, "conformance/with:slash", USER, &json!(true)).await
}

async fn single_slash_encoded(client: &Client<'_>) -> Seen {
    answers(client, "conformance%2Fwith%3Aslash", USER, &json!(true)).await
}

async fn single_unknown_fields(client: &Client<'_>) -> Seen {
    let body = r#"{"context":{"targetingKey":"user-1","x":{"y":[1]}},"later":true}"#;
    answers(client, "conformance-boolean", body, &json!(true)).await
}

async fn bulk(client: &Client<'_>, headers: &[(&str, &str)], body: &str) -> Result<Reply, Not> {
    Ok(client.post_with(BULK, headers, body).await?)
}

fn of(json: &Value, key: &str) -> Value {
    let flags = json["flags"].as_array();
    let found = flags.and_then(|flags| flags.iter().find(|flag| flag["key"] == key));
    found.cloned().unwrap_or_default()
}

async fn bulk_all(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[], USER).await?;
    let json = reply.json();
    let there = |key: &str| !of(&json, key).is_null();
    let good = reply.status == 200
        && [
            "conformance-boolean",
            "conformance-integer",
            "conformance/with:slash",
        ]
        .map(there)
            == [true; 3];
    expect(good, "expected the flags of the fixture", &reply)
}

async fn bulk_trailing_slash(client: &Client<'_>) -> Seen {
    let reply = client.post("/ofrep/v1/evaluate/flags/", USER).await?;
    expect(
        reply.status == 200 && reply.json()["flags"].is_array(),
        "expected a list",
        &reply,
    )
}

async fn bulk_inner_errors(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[], r#"{"context":{}}"#).await?;
    let share = of(&reply.json(), "conformance-share");
    let good = reply.status == 200 && share["errorCode"] == "TARGETING_KEY_MISSING";
    expect(
        good,
        "expected 200, and TARGETING_KEY_MISSING with the flag",
        &reply,
    )
}

async fn bulk_agrees(client: &Client<'_>) -> Seen {
    let json = bulk(client, &[], USER).await?.json();
    for key in [
        "conformance-boolean",
        "conformance-share",
        "conformance-object",
    ] {
        let alone = flag(client, key, USER).await?;
        let (single, among) = (alone.json(), of(&json, key));
        let same = ["value", "variant", "reason"]
            .iter()
            .all(|field| single[*field] == among[*field]);
        expect(same, &format!("among all it is {among}"), &alone)?;
    }
    Ok(())
}

async fn bulk_parse_error(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[], "{").await?;
    let good = reply.status == 400 && reply.json()["errorCode"].is_string();
    expect(good, "expected 400 with an errorCode", &reply)
}

/// The tag of a context's answer; servers may have none.
async fn etag(client: &Client<'_>, body: &str) -> Result<String, Not> {
    let reply = bulk(client, &[], body).await?;
    match reply.header("etag") {
        "" => skip("the server gives no ETag"),
        tag => Ok(tag.to_owned()),
    }
}

async fn etag_same(client: &Client<'_>) -> Seen {
    let tag = etag(client, USER).await?;
    let reply = bulk(client, &[("if-none-match", &tag)], USER).await?;
    expect(
        reply.status == 304 && reply.body.is_empty(),
        "expected 304 without body",
        &reply,
    )
}

async fn etag_context(client: &Client<'_>) -> Seen {
    let tag = etag(client, USER).await?;
    let other = r#"{"context":{"targetingKey":"user-2","country":"es"}}"#;
    let reply = bulk(client, &[("if-none-match", &tag)], other).await?;
    expect(
        reply.status == 200,
        "these are other answers: expected 200",
        &reply,
    )
}

async fn etag_wrong(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[("if-none-match", "\"nothing-of-yours\"")], USER).await?;
    expect(reply.status == 200, "expected 200", &reply)
}

async fn refetch_query(client: &Client<'_>) -> Seen {
    let target = format!("{BULK}?flagConfigEtag=%22x%22&flagConfigLastModified=1771622898");
    let reply = client.post(&target, USER).await?;
    expect(
        reply.status == 200 && reply.json()["flags"].is_array(),
        "expected a list",
        &reply,
    )
}

/// The request target of the first stream of server-sent events on the same server.
async fn stream(client: &Client<'_>) -> Result<String, Not> {
    let reply = bulk(client, &[], USER).await?;
    let json = reply.json();
    let Some(streams) = json["eventStreams"].as_array() else {
        return skip("the server offers no event streams");
    };
    let sse = streams.iter().find(|stream| stream["type"] == "sse");
    let endpoint = sse.map(|stream| &stream["endpoint"]);
    match endpoint.and_then(|e| e["requestUri"].as_str().filter(|_| e["origin"].is_null())) {
        Some(target) => Ok(target.to_owned()),
        None => skip("its streams are on another server"),
    }
}

async fn streams_shape(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[], USER).await?;
    let json = reply.json();
    let Some(streams) = json["eventStreams"].as_array() else {
        return skip("the server offers no event streams");
    };
    let good = streams.iter().all(|stream| {
        let one = stream["url"].is_string() != stream["endpoint"]["requestUri"].is_string();
        stream["type"].is_string() && one
    });
    expect(
        good,
        "expected a type, and either url or endpoint.requestUri",
        &reply,
    )
}

async fn streams_open(client: &Client<'_>) -> Seen {
    let target = stream(client).await?;
    let (reply, _) = client.first_event(&target).await?;
    let good = reply.status == 200
        && reply
            .header("content-type")
            .starts_with("text/event-stream");
    expect(good, "expected 200 and text/event-stream", &reply)
}

async fn streams_event(client: &Client<'_>) -> Seen {
    let target = stream(client).await?;
    let (reply, text) = client.first_event(&target).await?;
    let Some(data) = text.lines().find_map(|line| line.strip_prefix("data:")) else {
        return skip("the stream says nothing before a change");
    };
    let kind = text.lines().find_map(|line| line.strip_prefix("event:"));
    let json: Value = serde_json::from_str(data).unwrap_or_default();
    let good =
        kind.is_none_or(|kind| kind.trim() == "message") && json["type"] == "refetchEvaluation";
    expect(
        good,
        &format!("expected a message with refetchEvaluation, got {text:?}"),
        &reply,
    )
}

async fn streams_forged(client: &Client<'_>) -> Seen {
    if client.token().is_none() {
        return skip("there is no --token");
    }
    let target = stream(client).await?;
    let Some((path, query)) = target.split_once('?') else {
        return skip("the address carries no token");
    };
    let (reply, _) = client
        .first_event(&format!(
            "{path}?{}",
            query.replace(|c: char| c.is_ascii_digit(), "0")
        ))
        .await?;
    expect(reply.status >= 400, "expected a refusal", &reply)
}

async fn unauthorised(client: &Client<'_>) -> Seen {
    if client.token().is_none() {
        return skip("there is no --token");
    }
    let wrong = [("authorization", "Bearer nobody-has-this-token")];
    for headers in [&[][..], &wrong] {
        let reply = client
            .ask("POST", &path("conformance-boolean"), headers, USER)
            .await?;
        expect(
            [401, 403].contains(&reply.status),
            "expected 401 or 403",
            &reply,
        )?;
    }
    Ok(())
}

async fn api_key(client: &Client<'_>) -> Seen {
    let Some(token) = client.token() else {
        return skip("there is no --token");
    };
    let headers = [("x-api-key", token), ("content-type", "application/json")];
    let reply = client
        .ask("POST", &path("conformance-boolean"), &headers, USER)
        .await?;
    expect(reply.status == 200, "expected 200", &reply)
}

async fn method(client: &Client<'_>) -> Seen {
    let bearer = client.token().map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    let reply = client.ask("GET", BULK, &headers, "").await?;
    expect(
        [404, 405].contains(&reply.status),
        "expected 405 or 404",
        &reply,
    )
}

const PAGE: (&str, &str) = ("origin", "http://localhost:3000");

async fn cors_preflight(client: &Client<'_>) -> Seen {
    let headers = [
        PAGE,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,if-none-match",
        ),
    ];
    let reply = client.ask("OPTIONS", BULK, &headers, "").await?;
    if reply.header("access-control-allow-origin").is_empty() {
        return skip("the server is not for browsers of other origins");
    }
    let allowed = reply
        .header("access-control-allow-headers")
        .to_ascii_lowercase();
    let good = (200..300).contains(&reply.status)
        && allowed.contains("authorization")
        && allowed.contains("if-none-match");
    expect(
        good,
        "expected Authorization and If-None-Match to be allowed",
        &reply,
    )
}

async fn cors_exposes_etag(client: &Client<'_>) -> Seen {
    let reply = bulk(client, &[PAGE], USER).await?;
    if reply.header("access-control-allow-origin").is_empty() || reply.header("etag").is_empty() {
        return skip("the server is not for browsers of other origins, or gives no ETag");
    }
    let exposed = reply
        .header("access-control-expose-headers")
        .to_ascii_lowercase();
    expect(
        exposed.contains("etag") || exposed == "*",
        "expected ETag to be exposed",
        &reply,
    )
}

async fn large_body(client: &Client<'_>) -> Seen {
    let body = format!(r#"{{"context":{{"x":"{}"}}}}"#, "x".repeat(10_000_000));
    // A server may close the connection before it has read all of it.
    if let Ok(reply) = client.post(&path("conformance-boolean"), &body).await {
        expect(reply.status >= 400, "expected a refusal", &reply)?;
    }
    single_boolean(client).await
}
