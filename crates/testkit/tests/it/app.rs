//! The demo shop's contract: its routes, its version, its control.

use esclusa_testkit::demo::{
    Behaviour, BehaviourKind, DemoApp, FailAfter, VERSION_HEADER, WebConfig,
};
use esclusa_testkit::{Fetched, TempDir, fetch, wait_until};
use http::{Request, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(20);

async fn ask(app: &DemoApp, method: &str, path: &str, body: &'static str) -> Fetched {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .expect("a request");
    fetch(app.address(), request).await.expect("an answer")
}

#[tokio::test]
async fn each_answer_names_its_version() {
    let app = DemoApp::start(WebConfig::good("2.0.0"))
        .await
        .expect("started");
    let routes = [
        ("GET", "/", 200),
        ("GET", "/cart", 200),
        ("GET", "/item/7", 200),
        ("POST", "/checkout", 200),
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/checkout", 405),
    ];
    for (method, path, status) in routes {
        let answer = ask(&app, method, path, "").await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header(VERSION_HEADER), "2.0.0", "{path}");
    }
    let item = ask(&app, "GET", "/item/7", "").await.json();
    assert_eq!(
        (&item["version"], &item["id"]),
        (&"2.0.0".into(), &"7".into())
    );
    let order = ask(&app, "POST", "/checkout", "12345").await.json();
    assert_eq!(order["bytes"], 5);
    // Health checks are not counted.
    let expected = BTreeMap::from([(200, 6), (404, 1), (405, 1)]);
    assert_eq!(app.answers(), expected);
}

#[tokio::test]
async fn the_control_endpoint_breaks_and_heals_it() {
    let app = DemoApp::start(WebConfig::good("2.0.0"))
        .await
        .expect("started");
    for bad in ["", "{}", "{\"rate\":2}", "{\"rate\":\"x\"}"] {
        let answer = ask(&app, "POST", "/__demo/fail", bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    for (order, status) in [("{\"rate\":1}", 500), ("{\"rate\":0}", 200)] {
        let answer = ask(&app, "POST", "/__demo/fail", order).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(ask(&app, "GET", "/", "").await.status.as_u16(), status);
        let health = ask(&app, "GET", "/health", "").await;
        assert_eq!(health.status, StatusCode::OK, "health never tells");
    }
    let stats = ask(&app, "GET", "/__demo/stats", "").await.json();
    let expected = serde_json::json!({ "200": 1, "500": 1 });
    assert_eq!(stats["answers"], expected);
}

#[tokio::test]
async fn a_trigger_file_breaks_it() {
    let folder = TempDir::new("trigger").expect("a folder");
    let file = folder.join("now");
    let app = DemoApp::start(WebConfig {
        behaviour: Behaviour {
            kind: BehaviourKind::Failing,
            fail_rate: 1.0,
            fail_after: FailAfter::File,
            ..Behaviour::default()
        },
        trigger_file: Some(file.clone()),
        ..WebConfig::good("bad")
    })
    .await
    .expect("started");
    assert_eq!(ask(&app, "GET", "/", "").await.status, StatusCode::OK);
    std::fs::write(file, "").expect("written");
    let broken = wait_until("a failure", BOUND, async || {
        let status = ask(&app, "GET", "/", "").await.status;
        (status == StatusCode::INTERNAL_SERVER_ERROR).then_some(())
    });
    broken.await.expect("in time");
}

#[tokio::test]
async fn people_trigger_a_failure_and_controllers_do_not() {
    let app = DemoApp::start(WebConfig {
        behaviour: Behaviour {
            kind: BehaviourKind::Failing,
            fail_rate: 1.0,
            fail_after: FailAfter::Organic(Duration::ZERO),
            ..Behaviour::default()
        },
        ..WebConfig::good("bad")
    })
    .await
    .expect("started");
    for header in [("user-agent", "esclusa/0.1"), ("x-esclusa-synthetic", "x")] {
        let request = Request::builder()
            .header(header.0, header.1)
            .body("")
            .expect("a request");
        let answer = fetch(app.address(), request).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK);
    }
    let answer = ask(&app, "GET", "/", "").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn readiness_comes_after_its_time() {
    let app = DemoApp::start(WebConfig {
        ready_after: Duration::from_millis(300),
        ..WebConfig::good("late")
    })
    .await
    .expect("started");
    let early = ask(&app, "GET", "/health", "").await.status;
    assert_eq!(early, StatusCode::SERVICE_UNAVAILABLE);
    let ready = wait_until("readiness", BOUND, async || {
        let status = ask(&app, "GET", "/health", "").await.status;
        (status == StatusCode::OK).then_some(())
    });
    ready.await.expect("in time");
}
