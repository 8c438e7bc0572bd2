//! What is asked, and what is not asked again.

use crate::stub::Stub;
use esclusa_client::{Client, Config, Context, Failure, FlagError, Origin, StartError};
use serde_json::{Map, Value, json};

// FLAG-12: every type, and what stands in the question.
#[tokio::test]
async fn each_type_is_read() {
    let stub = Stub::start(&[
        ("on", json!(true)),
        ("text", json!("blue")),
        ("ten", json!(10)),
        ("half", json!(0.5)),
        ("object", json!({ "a": 1 })),
        ("none", Value::Null),
    ])
    .await;
    let config = stub.config().token("secret").expect("a token");
    let client = Client::start(config).expect("it starts");
    let ana = Context::of("ana").tenant("acme").with("age", 30);
    assert!(client.get("on", &ana, false).await);
    assert_eq!(client.get("text", &ana, String::new()).await, "blue");
    assert_eq!(client.get("ten", &ana, 0i64).await, 10);
    assert_eq!(client.get("half", &ana, 0.0).await, 0.5);
    let object = client.get("object", &ana, Map::new()).await;
    assert_eq!(Value::from(object), json!({ "a": 1 }));
    {
        let world = stub.world();
        let context = json!({ "targetingKey": "ana", "tenant": "acme", "age": 30 });
        assert!(world.asked.iter().all(|(_, asked)| *asked == context));
        let headers = world.headers.clone().expect("asked");
        assert_eq!(headers["authorization"], "Bearer secret");
    }

    let wrong = client.details("on", &ana, "safe".to_owned()).await;
    assert_eq!(
        (wrong.value.as_str(), wrong.failure),
        ("safe", Some(Failure::Type))
    );
    let nothing = client.details("none", &ana, true).await;
    assert_eq!(
        (nothing.value, nothing.failure),
        (true, Some(Failure::NoValue))
    );
    assert_eq!(nothing.reason, "SPLIT");
}

#[tokio::test]
async fn a_known_answer_is_not_asked_again() {
    let stub = Stub::start(&[("a/b c", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    // What the client learned when its stream began may renew the first answer once.
    crate::stub::becomes(Origin::Memory, async || {
        client.details("a/b c", &ana, false).await.origin
    })
    .await;
    let asked = stub.asked();
    assert_eq!(stub.world().asked[0].0, "a/b c");
    for _ in 0..100 {
        let details = client.details("a/b c", &ana, false).await;
        assert!(details.value);
        assert_eq!(details.origin, Origin::Memory);
        assert_eq!(details.reason, "SPLIT");
        assert_eq!(details.variant.as_deref(), Some("v"));
    }
    assert_eq!(client.peek("a/b c", &ana), Some(true));
    assert_eq!(stub.asked(), asked);
    assert_eq!(client.peek::<bool>("a/b c", &Context::of("tom")), None);
}

#[tokio::test]
async fn many_who_wait_ask_once() {
    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    stub.until_streams(1).await;
    let ana = Context::of("ana");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (client, ana) = (client.clone(), ana.clone());
        all.spawn(async move { client.get("a", &ana, false).await });
    }
    while let Some(one) = all.join_next().await {
        assert!(one.expect("it answers"));
    }
    assert!(stub.asked() <= 2, "{} questions", stub.asked());
}

// FLAG-01: a flag that does not exist is the safe value, and is not asked for each time.
#[tokio::test]
async fn what_does_not_exist_is_remembered_too() {
    let stub = Stub::start(&[]).await;
    let client = stub.client().await;
    let ana = Context::of("ana");
    for flag in ["nope", "", ".."] {
        let details = client.details(flag, &ana, true).await;
        let not_found = Failure::Flag(FlagError::NotFound);
        assert_eq!((details.value, details.failure), (true, Some(not_found)));
        assert_eq!(
            (details.origin, details.reason.as_str()),
            (Origin::Safe, "ERROR")
        );
    }
    assert!(stub.world().asked.iter().all(|(flag, _)| flag == "nope"));
    stub.set("nope", json!(false));
    stub.tell();
    crate::stub::becomes(false, async || client.get("nope", &ana, true).await).await;
}

#[test]
fn outside_of_a_runtime_it_says_so() {
    let config = Config::new("http://127.0.0.1:1").expect("an address");
    assert_eq!(
        Client::start(config).expect_err("refused"),
        StartError::Runtime
    );
}

// An executor without timers is enough to ask.
#[test]
fn any_executor_may_ask() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let stub = runtime.block_on(Stub::start(&[("a", json!(true))]));
    let client = runtime.block_on(stub.client());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let ana = Context::of("ana");
            let mut asked = std::pin::pin!(client.get("a", &ana, false));
            let waker = std::task::Waker::noop();
            let mut cx = std::task::Context::from_waker(waker);
            loop {
                if let std::task::Poll::Ready(value) = asked.as_mut().poll(&mut cx) {
                    return value;
                }
                std::thread::yield_now();
            }
        });
        assert!(asked.join().expect("no panic"));
    });
    drop(runtime);
    // Its runtime is gone: an error, and no panic.
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    let tom = Context::of("tom");
    let mut asked = std::pin::pin!(client.details("a", &tom, false));
    let std::task::Poll::Ready(details) = asked.as_mut().poll(&mut cx) else {
        panic!("it waits for a runtime that is gone");
    };
    assert_eq!(details.failure, Some(Failure::Closed));
}
