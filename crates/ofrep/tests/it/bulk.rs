//! `POST /ofrep/v1/evaluate/flags`.

use crate::world::{document, flags, open_world, start, table, token};
use esclusa_wire::FlagTokenKind;
use serde_json::{Value, json};

fn keys(json: &Value) -> Vec<&str> {
    let flags = json["flags"].as_array().expect("flags");
    flags
        .iter()
        .filter_map(|flag| flag["key"].as_str())
        .collect()
}

#[tokio::test]
async fn all_flags_come_at_once_and_errors_stay_with_their_flag() {
    let world = open_world();
    let answer = world.bulk(&[], r#"{"context":{"country":"es"}}"#).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let all = flags();
    let expected: Vec<&String> = all["flags"].as_object().expect("flags").keys().collect();
    assert_eq!(keys(&json), expected);
    let of = |key: &str| {
        let flags = json["flags"].as_array().expect("flags");
        flags
            .iter()
            .find(|f| f["key"] == key)
            .expect("there")
            .clone()
    };
    assert_eq!(of("half")["errorCode"], "TARGETING_KEY_MISSING");
    assert_eq!(
        of("exec"),
        json!({ "key": "exec", "value": true, "reason": "TARGETING_MATCH", "variant": "on", "metadata": {} })
    );
    assert_eq!(json["metadata"]["revision"], 1);
    assert_eq!(json["eventStreams"][0]["inactivityDelaySec"], 120);
    let slash = world
        .call(
            "POST",
            "/ofrep/v1/evaluate/flags/",
            &[("x-esclusa-environment", "production")],
            "",
        )
        .await;
    assert_eq!(keys(&slash.json()), expected);
    for (body, code) in [
        ("{", "PARSE_ERROR"),
        (r#"{"context":1}"#, "INVALID_CONTEXT"),
    ] {
        let bad = world.bulk(&[], body).await;
        assert_eq!((bad.status, &bad.json()["errorCode"]), (400, &json!(code)));
    }
}

// The tag follows everything that answers depend on, and nothing else.
#[tokio::test]
async fn nothing_is_sent_again_until_something_changes() {
    let world = open_world();
    let body = r#"{"context":{"targetingKey":"u","country":"es"}}"#;
    let etag = async |body: &str| world.bulk(&[], body).await.header("etag").to_owned();
    let first = etag(body).await;
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    let same = r#"{ "context": { "country": "es", "targetingKey": "u" } }"#;
    assert_eq!(etag(same).await, first, "one context, two spellings");
    assert_ne!(etag(r#"{"context":{"targetingKey":"v"}}"#).await, first);
    let again = world.bulk(&[("if-none-match", &first)], body).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), first);
    // As the web client asks after an event.
    let refetch = world
        .call(
            "POST",
            "/ofrep/v1/evaluate/flags?flagConfigEtag=%22r2%22&flagConfigLastModified=1795308411",
            &[
                ("x-esclusa-environment", "production"),
                ("if-none-match", &first),
            ],
            body,
        )
        .await;
    assert_eq!(refetch.status, 304);
    let staging = [
        ("x-esclusa-environment", "staging"),
        ("if-none-match", first.as_str()),
    ];
    let staging = world
        .call("POST", "/ofrep/v1/evaluate/flags", &staging, body)
        .await;
    assert_eq!(staging.status, 200, "another environment");
    let mut kills = esclusa_flags::Kills::default();
    kills.kill(Some("plain"));
    world.shared.merge_kills(&kills);
    let killed = etag(body).await;
    assert_ne!(killed, first);
    // The same document under a higher number is no change.
    world
        .shared
        .publish(table(&document(2, flags(), Vec::new())));
    assert_eq!(etag(body).await, killed);
    let mut rolling = document(3, flags(), Vec::new());
    rolling.rollouts =
        serde_json::from_value(json!([{ "release": "r-1", "environment": "production",
        "flags": { "exec": "on" }, "share": 500, "salt": "exec" }]))
        .expect("a rollout");
    world.shared.publish(table(&rolling));
    assert_ne!(etag(body).await, killed);
}

// BLD-07: nobody keeps the address of a stream that has run out because nothing changed.
#[tokio::test]
async fn tokens_see_what_they_may_and_have_tags_of_their_own() {
    let mut shop = token("shop", FlagTokenKind::Server, "production");
    shop.project = Some("shop".to_owned());
    let world = start(&document(
        1,
        flags(),
        vec![
            token("server", FlagTokenKind::Server, "production"),
            token("browser", FlagTokenKind::Client, "production"),
            shop,
        ],
    ));
    let ask = async |secret: &str| {
        let headers = [("x-api-key", secret)];
        world
            .call("POST", "/ofrep/v1/evaluate/flags", &headers, "{}")
            .await
    };
    let (server, browser, shop) = (
        ask("secret-of-server").await,
        ask("secret-of-browser").await,
        ask("secret-of-shop").await,
    );
    assert_eq!(keys(&server.json()).len(), 10);
    assert_eq!(keys(&browser.json()), ["exec", "plain"]);
    assert_eq!(keys(&shop.json()), ["word"]);
    assert_ne!(server.header("etag"), browser.header("etag"));
    assert_ne!(shop.header("etag"), browser.header("etag"));
    // One flag alone is no way around that.
    let headers = [("authorization", "secret-of-browser")];
    let hidden = world
        .call("POST", "/ofrep/v1/evaluate/flags/ten", &headers, "")
        .await;
    assert_eq!(hidden.status, 404);
    let missing = world
        .call("POST", "/ofrep/v1/evaluate/flags/nothing", &headers, "")
        .await;
    let details = |answer: &crate::world::Answer| answer.json()["errorDetails"].clone();
    assert_eq!(details(&hidden), details(&missing));
}
