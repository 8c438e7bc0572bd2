//! What the load generator counts is what happened.

use crate::fake::{listener, on_request, sticky};
use esclusa_testkit::demo::{DemoApp, WebConfig};
use esclusa_testkit::load::{Arrivals, Load, LoadConfig, LoadReport, Protocol, RequestTemplate};
use esclusa_testkit::wait_until;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const BOUND: Duration = Duration::from_secs(20);

/// A hundred requests within a second.
fn hundred(target: SocketAddr) -> LoadConfig {
    LoadConfig {
        rate: 200.0,
        duration: Some(Duration::from_millis(500)),
        users: 10,
        timeout: Duration::from_secs(5),
        ..LoadConfig::on(target)
    }
}

async fn run(config: LoadConfig) -> LoadReport {
    let load = Load::start(config).expect("a load");
    let report = load.finished().await;
    assert_consistent(&report);
    report
}

/// The sums that must agree whatever happened.
fn assert_consistent(report: &LoadReport) {
    assert_eq!(report.sent, report.ok + report.failed + report.under_way);
    let replies: u64 = report.by_status.values().sum();
    let broken: u64 = report.transport.values().sum();
    assert_eq!(report.ok + report.failed, replies + broken);
    let by_version: u64 = report.by_version.values().map(|v| v.ok + v.failed).sum();
    assert_eq!(by_version, replies);
    let by_second: u64 = report.timeline.iter().map(|s| s.ok + s.failed).sum();
    assert_eq!(by_second, replies + broken);
    assert_eq!(report.failed > 0, report.first_failure_ms.is_some());
}

// TRF: the client's count equals the server's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_and_server_count_the_same() {
    let app = DemoApp::start(WebConfig::good("1.0.0"))
        .await
        .expect("started");
    for arrivals in [Arrivals::Even, Arrivals::Poisson] {
        let before: u64 = app.answers().values().sum();
        let report = run(LoadConfig {
            arrivals,
            ..hundred(app.address())
        })
        .await;
        let after: u64 = app.answers().values().sum();
        assert_eq!(report.failed, 0, "{report}");
        assert_eq!(report.requests_of("1.0.0"), after - before, "{report}");
        assert_eq!(report.share_of("1.0.0"), Some(1.0));
        match arrivals {
            Arrivals::Even => assert_eq!(report.sent, 100),
            // Standard deviation 10.
            Arrivals::Poisson => assert!((50..=150).contains(&report.sent), "{report}"),
        }
        assert!(report.connections < report.sent, "kept alive: {report:?}");
        let version = &report.by_version["1.0.0"];
        assert!(version.p50_us <= version.p99_us && version.p50_us > Some(1_000));
        assert!(version.first_ms >= report.started_ms && version.last_sent_ms <= version.last_ms);
    }
}

#[tokio::test]
async fn failing_replies_are_counted_by_status_and_time() {
    let app = DemoApp::start(WebConfig::good("bad"))
        .await
        .expect("started");
    let load = Load::start(LoadConfig {
        duration: None,
        ..hundred(app.address())
    })
    .expect("a load");
    let healthy = wait_until("replies", BOUND, async || {
        Some(load.snapshot()).filter(|report| report.ok >= 20)
    });
    assert_eq!(healthy.await.expect("in time").failed, 0);
    app.fail(1.0);
    let failures = wait_until("failures", BOUND, async || {
        Some(load.snapshot()).filter(|report| report.failed >= 20)
    });
    failures.await.expect("in time");
    let report = load.stop().await;
    assert_consistent(&report);
    assert_eq!(report.under_way, 0);
    assert_eq!(report.by_status[&500], report.failed);
    assert_eq!(report.by_version["bad"].failed, report.failed);
    assert_eq!(
        report.by_version["bad"].first_failure_ms,
        report.first_failure_ms
    );
    assert_eq!(report.by_status, app.answers());
    assert!(report.to_string().contains("failed"), "{report}");
}

/// Open model: nobody answers, and the schedule does not care.
#[tokio::test]
async fn replies_that_never_come_do_not_slow_the_schedule() {
    let silent = on_request(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let report = run(LoadConfig {
        timeout: Duration::from_millis(800),
        ..hundred(silent)
    })
    .await;
    assert_eq!((report.sent, report.ok), (100, 0), "{report}");
    assert_eq!(report.transport["timeout"], 100);
    // None finished before the last was sent, so none waited for another.
    assert_eq!(report.connections, 100);
}

#[tokio::test]
async fn what_is_over_the_limit_is_counted_as_not_sent() {
    let silent = on_request(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let report = run(LoadConfig {
        timeout: Duration::from_millis(800),
        max_under_way: 30,
        ..hundred(silent)
    })
    .await;
    assert_eq!((report.sent, report.not_sent), (30, 70), "{report}");
}

#[tokio::test]
async fn broken_connections_are_failures_by_kind() {
    let closes = on_request(|stream| async move { drop(stream) }).await;
    assert_eq!(run(hundred(closes)).await.transport["reset"], 100);

    let half = on_request(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        stream.write_all(head).await.expect("written");
    })
    .await;
    assert_eq!(run(hundred(half)).await.transport["body"], 100);

    let (gone, address) = listener().await;
    drop(gone);
    let report = run(hundred(address)).await;
    assert_eq!(report.transport["connect"], 100);
    assert!(!report.examples.is_empty());
}

/// A server that closes each connection after its answer, without saying so: the next
/// request goes to a new one and was never sent on the old.
#[tokio::test]
async fn a_connection_closed_while_idle_is_no_failure() {
    let address = on_request(|mut stream| async move {
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(reply).await.expect("written");
    })
    .await;
    // Far enough apart that each close is seen before the next request.
    let report = run(LoadConfig {
        rate: 20.0,
        duration: Some(Duration::from_millis(500)),
        requests: vec![RequestTemplate::get("/")],
        ..hundred(address)
    })
    .await;
    assert_eq!((report.ok, report.failed), (10, 0), "{report}");
    assert_eq!(report.connections, 10);
}

// TRF: sticky users never flip; the witness must see it over both protocols.
#[tokio::test]
async fn people_keep_their_cookies() {
    for protocol in [Protocol::H1, Protocol::H2c] {
        let address = sticky(protocol == Protocol::H2c).await;
        let report = run(LoadConfig {
            protocol,
            ..hundred(address)
        })
        .await;
        assert_eq!((report.ok, report.failed), (100, 0), "{report}");
        assert_eq!((report.users_switched, report.switches), (0, 0), "{report}");
        // Ten people, ten requests each, one of two versions by turns.
        assert_eq!(report.requests_of("v0"), 50, "{report}");
        assert_eq!(report.requests_of("v1"), 50, "{report}");
        if protocol == Protocol::H2c {
            assert!(report.connections <= 4, "{report:?}");
        }
    }
}

/// The same server behind a cookie of a request's own, which hides the person's: each
/// request is a new person there, and the version changes every time.
#[tokio::test]
async fn people_who_change_version_are_seen() {
    let address = sticky(false).await;
    let mut stranger = RequestTemplate::get("/");
    let nobody = http::HeaderValue::from_static("other=1");
    stranger.headers.insert(http::header::COOKIE, nobody);
    let report = run(LoadConfig {
        users: 1,
        rate: 50.0,
        requests: vec![stranger],
        duration: Some(Duration::from_millis(200)),
        ..hundred(address)
    })
    .await;
    assert_eq!((report.ok, report.users_switched), (10, 1), "{report}");
    assert_eq!(report.switches, 9, "{report}");
}

#[test]
fn a_load_without_content_is_refused() {
    let target = SocketAddr::from(([127, 0, 0, 1], 1));
    let empty = [
        LoadConfig {
            rate: 0.0,
            ..LoadConfig::on(target)
        },
        LoadConfig {
            rate: f64::NAN,
            ..LoadConfig::on(target)
        },
        LoadConfig {
            users: 0,
            ..LoadConfig::on(target)
        },
        LoadConfig {
            requests: Vec::new(),
            ..LoadConfig::on(target)
        },
    ];
    for config in empty {
        assert!(Load::start(config).is_err());
    }
}

#[tokio::test]
async fn the_report_is_read_back_from_json() {
    let app = DemoApp::start(WebConfig::good("1.0.0"))
        .await
        .expect("started");
    let report = run(hundred(app.address())).await;
    let text = serde_json::to_string(&report).expect("written");
    let back: LoadReport = serde_json::from_str(&text).expect("read");
    assert_eq!(back, report);
}
