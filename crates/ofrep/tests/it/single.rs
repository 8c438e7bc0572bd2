//! `POST /ofrep/v1/evaluate/flags/{key}`.

use crate::world::{document, flags, open_world, start, token};
use esclusa_wire::FlagTokenKind;
use serde_json::{Value, json};

/// What every answer has.
fn without_streams(mut json: Value) -> Value {
    let object = json.as_object_mut().expect("an object");
    object.remove("eventStreams");
    json
}

// FLAG-06, FLAG-12
#[tokio::test]
async fn an_answer_has_all_that_released_clients_need() {
    let world = open_world();
    let yes = world
        .flag("exec", r#"{"context":{"targetingKey":"u","country":"es"}}"#)
        .await;
    assert_eq!(yes.status, 200);
    assert_eq!(yes.header("content-type"), "application/json");
    let expected = json!({ "key": "exec", "value": true, "reason": "TARGETING_MATCH",
        "variant": "on", "metadata": {} });
    assert_eq!(without_streams(yes.json()), expected);
    let streams = &yes.json()["eventStreams"];
    assert_eq!(streams[0]["type"], "sse");
    let target = streams[0]["endpoint"]["requestUri"].as_str().expect("one");
    assert!(target.starts_with("/ofrep/v1/events?ticket="), "{target}");
    for (key, value, reason, variant) in [
        ("plain", json!(true), "STATIC", "on"),
        ("word", json!("h\"i"), "STATIC", "hi"),
        ("thing", json!({ "b": [1, 2.5, null] }), "STATIC", "a"),
        ("exec", json!(false), "DEFAULT", "off"),
        ("unused", json!(false), "DISABLED", "off"),
        ("needs", json!(false), "DISABLED", "off"),
    ] {
        let json = world.flag(key, "{}").await.json();
        assert_eq!(
            (&json["value"], &json["reason"], &json["variant"]),
            (&value, &json!(reason), &json!(variant)),
            "{key}"
        );
    }
}

// The declared type decides: a Python client refuses `10` for a float and `10.0` for a whole number.
#[tokio::test]
async fn numbers_are_written_as_their_type_says() {
    let world = open_world();
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).expect("text");
    assert!(text(&world.flag("ten", "").await.body).contains("\"value\":10,"));
    assert!(text(&world.flag("tenth", "").await.body).contains("\"value\":10.0,"));
}

#[tokio::test]
async fn bodies_that_clients_send_are_understood() {
    let world = open_world();
    for body in ["", "{}", r#"{"context":{}}"#, r#"{"context":null}"#, "  "] {
        assert_eq!(world.flag("plain", body).await.status, 200, "{body}");
    }
    for (body, code) in [
        ("{", "PARSE_ERROR"),
        ("[]", "PARSE_ERROR"),
        ("nonsense", "PARSE_ERROR"),
        (r#"{"context":{}} more"#, "PARSE_ERROR"),
        (r#"{"context":[]}"#, "INVALID_CONTEXT"),
        (r#"{"context":"x"}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"targetingKey":{}}}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"targetingKey":true}}"#, "INVALID_CONTEXT"),
    ] {
        let answer = world.flag("plain", body).await;
        assert_eq!(answer.status, 400, "{body}");
        let json = answer.json();
        assert_eq!(
            (&json["key"], &json["errorCode"]),
            (&json!("plain"), &json!(code)),
            "{body}"
        );
        assert!(json["errorDetails"].is_string());
    }
}

// Released JS and Python clients send the slash as it is, newer ones encode it.
#[tokio::test]
async fn keys_are_found_however_they_are_encoded() {
    let world = open_world();
    for key in [
        "weird+key/with:chars",
        "weird+key%2Fwith:chars",
        "weird%2Bkey%2fwith%3Achars",
    ] {
        assert_eq!(world.flag(key, "{}").await.status, 200, "{key}");
    }
    // Decoded once, not twice.
    assert_eq!(world.flag("weird+key%252Fwith:chars", "").await.status, 404);
    let missing = world.flag("no/such", "{}").await;
    assert_eq!(missing.status, 404);
    let json = missing.json();
    assert_eq!(json["errorCode"], "FLAG_NOT_FOUND");
    assert_eq!(json["key"], "no/such");
    assert!(json["errorDetails"].is_string());
}

#[tokio::test]
async fn a_share_without_a_unit_is_an_error() {
    let world = open_world();
    let missing = world.flag("half", r#"{"context":{}}"#).await;
    assert_eq!(missing.status, 400);
    assert_eq!(missing.json()["errorCode"], "TARGETING_KEY_MISSING");
    let given = world
        .flag("half", r#"{"context":{"targetingKey":"u"}}"#)
        .await;
    assert_eq!(given.status, 200);
    let number = world
        .flag("half", r#"{"context":{"targetingKey":7}}"#)
        .await;
    assert_eq!(number.status, 200);
}

// Old clients need a value; a strict one gets the protocol's own "use your default". A kill is
// no such thing: an application's own default may be on.
#[tokio::test]
async fn a_strict_token_gets_no_value_of_a_flag_that_is_not_in_use() {
    let mut strict = token("strict", FlagTokenKind::Server, "production");
    strict.strict = true;
    let world = start(&document(1, flags(), vec![strict]));
    let ask = async |key: &str| {
        let target = format!("/ofrep/v1/evaluate/flags/{key}");
        let headers = [("authorization", "Bearer secret-of-strict")];
        without_streams(world.call("POST", &target, &headers, "{}").await.json())
    };
    let unused = json!({ "key": "unused", "reason": "DISABLED", "metadata": {} });
    assert_eq!(ask("unused").await, unused);
    assert_eq!(ask("needs").await["value"], false);
    let mut kills = esclusa_flags::Kills::default();
    kills.kill(Some("plain"));
    world.shared.merge_kills(&kills);
    assert_eq!(ask("plain").await["value"], false);
    assert_eq!(ask("plain").await["reason"], "DISABLED");
}

// FLAG-11: a kill is there for the very next evaluation, and a document that does not know it
// does not lift it.
#[tokio::test]
async fn kills_are_merged_into_every_table() {
    let world = open_world();
    assert_eq!(world.flag("plain", "").await.json()["value"], true);
    let mut kills = esclusa_flags::Kills::default();
    kills.kill(None);
    world.shared.merge_kills(&kills);
    assert_eq!(world.flag("plain", "").await.json()["value"], false);
    world
        .shared
        .publish(crate::world::table(&document(2, flags(), Vec::new())));
    assert_eq!(world.flag("plain", "").await.json()["value"], false);
    kills.lift(None);
    world.shared.merge_kills(&kills);
    assert_eq!(world.flag("plain", "").await.json()["value"], true);
}
