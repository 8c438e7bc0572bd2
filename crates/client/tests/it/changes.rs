//! How a client learns of changes.

use crate::stub::{Fault, LIMIT, Stub, becomes};
use esclusa_client::{Client, Context, Origin};
use serde_json::json;
use std::time::Duration;

// BLD-07: a change is pushed; nobody has to ask for it to arrive.
#[tokio::test]
async fn the_stream_brings_a_change_to_all_that_is_remembered() {
    let stub = Stub::start(&[("a", json!(true)), ("b", json!("x"))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let people: Vec<Context> = (0..50).map(|i| Context::of(i.to_string())).collect();
    for who in &people {
        assert!(client.get("a", who, false).await);
        assert_eq!(client.get("b", who, String::new()).await, "x");
    }
    stub.set("a", json!(false));
    stub.tell();
    // `peek` asks nobody: what it sees came by itself.
    for who in &people {
        becomes(Some(false), async || client.peek::<bool>("a", who)).await;
    }
    let world = stub.world();
    let told = "flagConfigEtag=r1&flagConfigLastModified=7";
    assert!(
        world.queries.iter().any(|query| query == told),
        "{:?}",
        world.queries
    );
}

#[tokio::test]
async fn while_it_is_renewed_the_old_value_is_given_at_once() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    stub.world().single = Fault::Silent;
    let asked = stub.asked();
    stub.set("a", json!(false));
    stub.tell();
    stub.until("the renewal is on its way", |world| {
        world.asked.len() > asked
    })
    .await;
    // Nobody answers the renewal, and nobody waits for it.
    let details = client.details("a", &ana, false).await;
    assert_eq!((details.value, details.origin), (true, Origin::Stale));
}

// Many who use old answers at once must not make renewals wait for each other until they
// are late, and the server look as if it were gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_old_answers_are_renewed_while_they_are_used() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    stub.world().single = Fault::Slow(Duration::from_millis(100));
    let config = stub.config().timeout(Duration::from_millis(600));
    let client = Client::start(config).expect("it starts");
    assert!(client.ready(LIMIT).await.is_ready());
    stub.until_streams(1).await;
    let people: Vec<Context> = (0..500).map(|i| Context::of(i.to_string())).collect();
    for some in people.chunks(50) {
        let mut all = tokio::task::JoinSet::new();
        for who in some {
            let (client, who) = (client.clone(), who.clone());
            all.spawn(async move { client.get("a", &who, false).await });
        }
        while all.join_next().await.is_some() {}
    }
    let count = |value: bool| {
        let known = people.iter().map(|who| client.peek::<bool>("a", who));
        known.filter(|known| *known == Some(value)).count()
    };
    let before = count(true);
    stub.set("a", json!(false));
    stub.tell();
    // Each look uses all of them.
    becomes((0, before), async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (count(true), count(false))
    })
    .await;
}

// A renewal that fails is made up for, without anybody asking for the flag.
#[tokio::test]
async fn a_renewal_that_fails_is_tried_again() {
    for fault in [
        Fault::Status(429, vec![("retry-after", "0")]),
        Fault::Status(500, vec![]),
        Fault::Body("nonsense"),
    ] {
        let stub = Stub::start(&[("a", json!(true))]).await;
        let client = stub.client().await;
        stub.until_streams(1).await;
        let ana = Context::of("ana");
        assert!(client.get("a", &ana, false).await);
        let asked = stub.asked();
        stub.world().single = fault;
        stub.set("a", json!(false));
        stub.tell();
        let failed = |world: &crate::stub::World| world.asked.len() >= asked + 5;
        stub.until("five renewals", failed).await;
        stub.world().single = Fault::None;
        let again = stub.asked();
        stub.until("one more", |world| world.asked.len() > again)
            .await;
        becomes(Some(false), async || client.peek::<bool>("a", &ana)).await;
    }
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_and_nothing_is_missed() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    stub.tell();
    stub.until("the event is heard", |world| !world.queries.is_empty())
        .await;
    stub.break_streams();
    // Said by nobody.
    stub.set("a", json!(false));
    becomes(Some(false), async || client.peek::<bool>("a", &ana)).await;
    stub.until_streams(1).await;
    assert_eq!(stub.world().last_ids, [None, Some("0".to_owned())]);
    assert!(client.state().is_ready());
}

#[tokio::test]
async fn a_stream_of_garbage_is_left() {
    for garbage in ["data: {\"type\":\n\n", "data: \u{0}\n\n"] {
        let stub = Stub::start(&[("a", json!(true))]).await;
        let _client = stub.client().await;
        stub.until_streams(1).await;
        stub.say("data: {\"type\":\"somethingElse\"}\n\n");
        stub.say(garbage);
        stub.until("a second stream", |world| world.last_ids.len() == 2)
            .await;
    }
}

#[tokio::test]
async fn a_stream_without_a_sign_of_life_is_left() {
    let stub = Stub::start(&[]).await;
    let config = stub.config().silence(Duration::from_millis(50));
    let _client = Client::start(config).expect("it starts");
    stub.until("a second stream", |world| world.last_ids.len() == 2)
        .await;
}

#[tokio::test]
async fn without_a_stream_the_server_is_polled() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    stub.world().offers_stream = false;
    let client = stub.client().await;
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    stub.until("polls are answered with 304", |world| {
        world.not_modified >= 3
    })
    .await;
    let asked = stub.asked();
    assert!(asked <= 2, "304 renews nothing: {asked} questions");
    stub.set("a", json!(false));
    becomes(Some(false), async || client.peek::<bool>("a", &ana)).await;
    assert!(stub.world().last_ids.is_empty());
}

#[tokio::test]
async fn an_answer_that_grows_old_is_renewed() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let config = stub.config().max_age(Duration::ZERO);
    let client = Client::start(config).expect("it starts");
    assert!(client.ready(LIMIT).await.is_ready());
    let ana = Context::of("ana");
    assert!(client.get("a", &ana, false).await);
    // Without any word of a change.
    stub.world().flags.insert("a".to_owned(), json!(false));
    becomes(false, async || client.get("a", &ana, true).await).await;
}
