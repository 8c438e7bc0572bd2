//! A server that is dead, slow, busy or talks nonsense.

use crate::stub::{Fault, LIMIT, Stub, becomes};
use esclusa_client::{Client, Config, Context, Failure, Origin, State};
use serde_json::json;
use std::time::{Duration, Instant};

const NONSENSE: [&str; 6] = [
    "",
    "<html>",
    "{\"key\":\"a\",\"value\":",
    "[]",
    "{\"key\":\"b\",\"value\":true}",
    "{\"key\":\"a\",\"value\":true,\"variant\":7}",
];

// FLAG-02: nothing is known, so that the safe value counts, whatever it is.
#[tokio::test]
async fn a_dead_server_is_the_safe_value() {
    let config = Config::new("http://127.0.0.1:1").expect("an address");
    let client = Client::start(config).expect("it starts");
    assert_eq!(client.state(), State::NotReady);
    let ana = Context::of("ana");
    for safe in [true, false] {
        let details = client.details("a", &ana, safe).await;
        assert_eq!((details.value, details.origin), (safe, Origin::Safe));
        assert!(
            matches!(details.failure, Some(Failure::Unreachable(_))),
            "{details:?}"
        );
    }
    let state = client.ready(LIMIT).await;
    assert!(
        matches!(&state, State::Error { why } if why.contains("refused")),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_timeout() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let world = || stub.world();
    (world().single, world().bulk) = (Fault::Silent, Fault::Silent);
    let config = stub.config().timeout(Duration::from_millis(50));
    let client = Client::start(config).expect("it starts");
    let mut failures = Vec::new();
    for i in 0..50 {
        let who = Context::of(i.to_string());
        let began = Instant::now();
        failures.extend(client.details("a", &who, false).await.failure);
        assert!(began.elapsed() < LIMIT);
    }
    assert_eq!(failures, vec![Failure::TimedOut; 50]);
    // After three in a row, nobody waits any more.
    assert!(stub.asked() < 40, "{} questions", stub.asked());
}

// Who was known stays known, at once, and is renewed when the server is back.
#[tokio::test]
async fn last_known_values_outlive_the_server() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    let address = stub.url.trim_start_matches("http://").to_owned();
    stub.end();
    let mut states = client.states();
    let stale = states.wait_for(|state| matches!(state, State::Stale { .. }));
    let stale = tokio::time::timeout(LIMIT, stale).await;
    assert!(stale.expect("in time").is_ok());
    let known = client.details("a", &ana, false).await;
    assert_eq!((known.value, known.origin), (true, Origin::Stale));
    let unknown = client.details("a", &Context::of("tom"), false).await;
    assert_eq!((unknown.value, unknown.origin), (false, Origin::Safe));

    let back = Stub::start_at(&address, &[("a", json!(false))]).await;
    let ready = tokio::time::timeout(LIMIT, states.wait_for(State::is_ready)).await;
    assert!(ready.expect("in time").is_ok());
    becomes(Some(false), async || client.peek::<bool>("a", &ana)).await;
    drop(back);
}

#[tokio::test]
async fn nonsense_replaces_nothing_that_is_known() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    becomes(Origin::Memory, async || {
        client.details("a", &ana, false).await.origin
    })
    .await;
    for (i, nonsense) in NONSENSE.into_iter().enumerate() {
        stub.world().single = Fault::Body(nonsense);
        let tom = Context::of(format!("tom {i}"));
        let failure = client.details("a", &tom, false).await.failure;
        let said = format!("{failure:?}");
        // Three in a row, and the server is left alone for a moment.
        assert!(
            matches!(failure, Some(Failure::Garbage(_))),
            "{nonsense}: {said}"
        );
    }
    stub.tell();
    stub.until("the event is heard", |world| !world.queries.is_empty())
        .await;
    assert!(client.get("a", &ana, false).await);
}

#[tokio::test]
async fn statuses_that_are_no_word_on_the_flag() {
    for status in [204, 301, 400, 401, 403, 404, 413, 500, 502, 503] {
        let stub = Stub::start(&[("a", json!(true))]).await;
        let client = stub.client().await;
        let ana = Context::of("ana");
        assert!(client.get("a", &ana, false).await);
        stub.world().single = Fault::Status(status, vec![("location", "/elsewhere")]);
        let tom = client.details("a", &Context::of("tom"), false).await;
        assert_eq!(tom.failure, Some(Failure::Refused(status)));
        assert!(client.get("a", &ana, false).await, "{status}");
    }
}

#[tokio::test]
async fn a_busy_server_is_left_alone_as_long_as_it_says() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    stub.world().single = Fault::Status(429, vec![("retry-after", "300")]);
    let busy = Some(Failure::Busy(Duration::from_secs(300)));
    let tom = client.details("a", &Context::of("tom"), false).await;
    assert_eq!(tom.failure, busy);
    stub.world().single = Fault::None;
    let asked = stub.asked();
    for i in 0..20 {
        let who = client
            .details("a", &Context::of(i.to_string()), false)
            .await;
        assert_eq!(who.failure, busy);
    }
    assert!(client.get("a", &ana, false).await);
    // That the stream still brings news is no reason to ask.
    stub.tell();
    stub.until("the event is heard", |world| !world.queries.is_empty())
        .await;
    assert!(client.get("a", &ana, false).await);
    assert_eq!(stub.asked(), asked);
}

// A server that answers questions and not the one who watches: values are still right.
#[tokio::test]
async fn without_a_watch_answers_are_renewed_when_they_are_used() {
    for fault in [
        Fault::Status(429, vec![("retry-after", "0")]),
        Fault::Status(401, vec![]),
        Fault::Body("nonsense"),
        Fault::Body("{\"flags\":7}"),
        Fault::Status(304, vec![]),
    ] {
        let stub = Stub::start(&[("a", json!(true))]).await;
        stub.world().bulk = fault.clone();
        let client = Client::start(stub.config()).expect("it starts");
        let state = client.ready(LIMIT).await;
        assert!(matches!(state, State::Error { .. }), "{fault:?}: {state:?}");
        let ana = Context::of("ana");
        becomes(true, async || client.get("a", &ana, false).await).await;
        stub.set("a", json!(false));
        becomes(false, async || client.get("a", &ana, true).await).await;
    }
}
