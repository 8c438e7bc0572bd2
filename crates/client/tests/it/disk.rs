//! Starts without a server.

use crate::stub::{LIMIT, Stub};
use esclusa_client::{Client, Context, Origin, State};
use serde_json::json;
use std::time::Duration;

// FLAG-02: last known, then safe.
#[tokio::test]
async fn last_known_values_outlive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flags.json");
    let stub = Stub::start(&[("a", json!(true))]).await;
    let config = stub.config().disk(&path);
    let ana = Context::of("ana@example.com");
    let client = Client::start(config.clone()).expect("it starts");
    assert!(client.get("a", &ana, false).await);
    client.get("nope", &ana, false).await;
    client.save().await.expect("written");
    drop(client);
    let text = std::fs::read_to_string(&path).expect("there");
    assert!(!text.contains("ana") && !text.contains("\"a\""), "{text}");
    stub.end();

    let client = Client::start(config.clone()).expect("it starts");
    let known = client.details("a", &ana, false).await;
    assert_eq!((known.value, known.origin), (true, Origin::Disk));
    assert_eq!(known.variant.as_deref(), Some("v"));
    let state = client.ready(LIMIT).await;
    assert!(matches!(state, State::Stale { .. }), "{state:?}");
    assert!(!client.get("a", &Context::of("tom"), false).await);
    // Saved without having heard from the server, nothing is lost.
    client.save().await.expect("written");
    drop(client);

    let old = config.clone().disk_max_age(Duration::ZERO);
    let client = Client::start(old).expect("it starts");
    assert!(!client.get("a", &ana, false).await, "too old");
    let other = config.token("of another environment").expect("a token");
    let client = Client::start(other).expect("it starts");
    assert!(!client.get("a", &ana, false).await, "somebody else's");
}

// What the server says counts more than what the disk has.
#[tokio::test]
async fn the_disk_is_asked_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flags.json");
    let stub = Stub::start(&[("a", json!(true))]).await;
    let config = stub.config().disk(&path);
    let ana = Context::of("ana");
    let client = Client::start(config.clone()).expect("it starts");
    assert!(client.get("a", &ana, false).await);
    client.save().await.expect("written");
    drop(client);
    stub.set("a", json!(false));
    let client = Client::start(config).expect("it starts");
    assert!(!client.get("a", &ana, true).await);
}

#[tokio::test]
async fn a_broken_file_is_no_reason_to_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flags.json");
    std::fs::write(&path, "{").expect("written");
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = Client::start(stub.config().disk(&path)).expect("it starts");
    assert!(client.get("a", &Context::of("ana"), false).await);
    client.save().await.expect("written");
    let nowhere = stub.config().disk(path.join("below/a/file"));
    let client = Client::start(nowhere).expect("it starts");
    assert!(client.get("a", &Context::of("ana"), false).await);
    assert!(client.save().await.is_err());
}
