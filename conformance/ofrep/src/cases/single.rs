//! One flag at a time.

use super::{REASONS, Seen, USER, expect, flag};
use crate::client::{Client, Reply};
use serde_json::{Value, json};

async fn answers(client: &Client<'_>, key: &str, body: &str, value: &Value) -> Seen {
    let reply = flag(client, key, body).await?;
    let good = reply.status == 200 && reply.json()["value"] == *value;
    expect(good, &format!("expected the value {value}"), &reply)
}

pub(super) async fn single_boolean(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-boolean", USER).await?;
    let json = reply.json();
    let good = reply.status == 200
        && json["key"] == "conformance-boolean"
        && json["value"] == true
        && json["reason"].is_string()
        && json["variant"] == "on";
    expect(good, "expected true as variant on", &reply)
}

pub(super) async fn single_string(client: &Client<'_>) -> Seen {
    answers(
        client,
        "conformance-string",
        USER,
        &json!("hello \"world\""),
    )
    .await
}

pub(super) async fn single_object(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_integer(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-integer", USER).await?;
    expect(raw(&reply) == "10", "expected 10", &reply)
}

pub(super) async fn single_float(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-float", USER).await?;
    expect(
        raw(&reply) == "10.0",
        "expected 10.0: the Python client refuses 10",
        &reply,
    )
}

pub(super) async fn single_content_type(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-boolean", USER).await?;
    let good = reply.header("content-type").starts_with("application/json");
    expect(good, "expected application/json", &reply)
}

pub(super) async fn single_has_all_fields(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_targeting(client: &Client<'_>) -> Seen {
    let spain = r#"{"context":{"targetingKey":"user-1","country":"es"}}"#;
    answers(client, "conformance-targeting", spain, &json!(true)).await?;
    let france = r#"{"context":{"targetingKey":"user-1","country":"fr"}}"#;
    answers(client, "conformance-targeting", france, &json!(false)).await
}

pub(super) async fn single_static_is_honest(client: &Client<'_>) -> Seen {
    let reply = flag(client, "conformance-targeting", USER).await?;
    expect(
        reply.json()["reason"] != "STATIC",
        "a flag with a rule is not STATIC",
        &reply,
    )
}

pub(super) async fn single_disabled(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_empty_context(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_missing_flag(client: &Client<'_>) -> Seen {
    fails(
        client,
        "conformance-missing",
        USER,
        404,
        &["FLAG_NOT_FOUND"],
    )
    .await
}

pub(super) async fn single_missing_key(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_parse_error(client: &Client<'_>) -> Seen {
    fails(
        client,
        "conformance-boolean",
        "{\"context\":",
        400,
        &["PARSE_ERROR"],
    )
    .await
}

pub(super) async fn single_bad_context(client: &Client<'_>) -> Seen {
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

pub(super) async fn single_slash_raw(client: &Client<'_>) -> Seen {
    answers(client, "conformance/with:slash", USER, &json!(true)).await
}

pub(super) async fn single_slash_encoded(client: &Client<'_>) -> Seen {
    answers(client, "conformance%2Fwith%3Aslash", USER, &json!(true)).await
}

pub(super) async fn single_unknown_fields(client: &Client<'_>) -> Seen {
    let body = r#"{"context":{"targetingKey":"user-1","x":{"y":[1]}},"later":true}"#;
    answers(client, "conformance-boolean", body, &json!(true)).await
}
