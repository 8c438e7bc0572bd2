//! How long flags take to arrive, measured by the server's own subscriber over the network.

use super::esclusa;
use esclusa_testkit::plane::ControlPlane;
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A proxy that the test starts and ends itself.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn proxy(plane: &ControlPlane, flags: &str) -> Proxy {
    let log = plane.work().join("proxy.log");
    let child = esclusa(&plane.work())
        .args([
            "proxy",
            "--id",
            "edge",
            "--workers",
            "1",
            "--flags-listen",
            flags,
            "--data",
        ])
        .arg(plane.data().join("proxy"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).expect("a log"))
        .spawn();
    Proxy(child.expect("starts"))
}

async fn measured(plane: &ControlPlane) -> Value {
    let (status, body) = plane.get("/api/v1/flag-set/status").await;
    assert_eq!(status, 200, "{body}");
    body["measured"][0].clone()
}

async fn until(plane: &ControlPlane, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let found = esclusa_testkit::wait_until(what, LONG, async || {
        let measured = measured(plane).await;
        holds(&measured).then_some(measured)
    });
    match found.await {
        Ok(measured) => measured,
        Err(_) => panic!("{what}: {}\n{}", measured(plane).await, plane.log()),
    }
}

async fn change(plane: &ControlPlane, default: &str) {
    let flags = json!({ "environments": ["production"],
        "flags": { "mail": { "type": "boolean", "default": default } } });
    let file = plane.work().join("flags.json");
    std::fs::write(&file, flags.to_string()).expect("written");
    let done = esclusa(&plane.work())
        .args([
            "--server",
            plane.url(),
            "flag",
            "apply",
            "flags.json",
            "--yes",
            "--reason",
            "test",
        ])
        .output()
        .expect("runs");
    assert!(done.status.success(), "{done:?}");
}

// FLAG-06: a change and a kill are measured from their record or order to a subscriber
// that asks over the network; nothing is said of what nobody measured.
#[tokio::test(flavor = "multi_thread")]
async fn changes_and_kills_are_measured_until_the_proxy_is_gone() {
    let address = free_address();
    let plane = ControlPlane::start_with(
        super::world::esclusa(),
        &["--external-proxy", "--flags-listen", &address],
    );
    let alone = until(&plane, "nobody answers", |m| !m["trouble"].is_null()).await;
    assert_eq!(alone["connected"], false);
    assert_eq!(alone["address"], address.as_str());
    for kind in ["changes", "kills"] {
        assert_eq!(
            alone[kind],
            json!({ "told": null, "seen": null }),
            "{alone}"
        );
    }

    let proxy = proxy(&plane, &address);
    let met = until(&plane, "connected", |m| m["connected"] == true).await;
    assert_eq!(met["proxy"], "edge");
    change(&plane, "on").await;
    change(&plane, "off").await;
    let (status, body) = plane
        .post(
            "/api/v1/flag-set/kill",
            json!({ "names": ["mail"], "reason": "bad" }),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let has = |m: &Value, kind: &str| m[kind]["seen"]["count"].as_u64();
    let all = until(&plane, "measured", |m| {
        has(m, "changes") >= Some(2) && has(m, "kills") >= Some(1)
    })
    .await;
    for kind in ["changes", "kills"] {
        let (told, seen) = (&all[kind]["told"], &all[kind]["seen"]);
        for name in ["p50_ms", "p99_ms", "max_ms", "last_ms"] {
            let (told, seen) = (told[name].as_f64(), seen[name].as_f64());
            assert!(
                told > Some(0.0) && seen < Some(10_000.0),
                "{kind} {name}: {all}"
            );
        }
        assert!(told["p50_ms"].as_f64() <= seen["p50_ms"].as_f64(), "{all}");
    }
    // It is a reader of nothing: nobody waits for it.
    let (_, status) = plane.get("/api/v1/flag-set/status").await;
    assert_eq!(
        (&status["streams"], &status["behind"]),
        (&json!(0), &json!([]))
    );
    let (_, metrics) = plane.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    for line in [
        "esclusa_flag_subscriber_connected{proxy=\"edge\"} 1",
        "esclusa_flag_propagation_seconds_count{proxy=\"edge\",kind=\"kill\",to=\"seen\"} 1",
        "esclusa_flag_propagation_seconds_bucket{proxy=\"edge\",kind=\"change\",to=\"told\",le=\"+Inf\"} 2",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}:\n{metrics}"
        );
    }

    drop(proxy);
    let lost = until(&plane, "lost", |m| m["connected"] == false).await;
    assert!(
        lost["since_us"].as_i64() > met["since_us"].as_i64(),
        "{lost}"
    );
    let said = esclusa(&plane.work())
        .args(["--server", plane.url(), "flag", "status"])
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("not connected since "), "{said}");
    assert!(said.contains("kills: told p50 "), "{said}");

    // What is changed meanwhile is measured by how long it really took.
    change(&plane, "on").await;
    let waits = until(&plane, "under way", |m| m["under_way"] == 1).await;
    assert_eq!(has(&waits, "changes"), has(&all, "changes"));
    let _again = self::proxy(&plane, &address);
    let back = until(&plane, "arrived", |m| {
        m["connected"] == true && has(m, "changes") > has(&all, "changes")
    })
    .await;
    assert_eq!(back["under_way"], 0);
}

// The page says what was measured, and a dash for what was not.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_was_measured() {
    let address = free_address();
    let args = ["--proxy-workers", "1", "--flags-listen", &address];
    let plane = ControlPlane::start_with(super::world::esclusa(), &args);
    until(&plane, "connected", |m| m["connected"] == true).await;
    change(&plane, "on").await;
    until(&plane, "measured", |m| m["changes"]["seen"]["count"] == 1).await;
    let mut browser = super::browser::Browser::start();
    browser.open(&format!("{}/#/flags", plane.url()));
    browser.wait("[data-test=measured][data-connected=true]");
    let line = browser.text("[data-test=measured]");
    assert!(line.contains(" ms"), "{line}");
    assert!(
        line.contains("a kill after \u{2013} (p99 \u{2013})"),
        "{line}"
    );
}

// A server that was not told where flags are answered measures nothing, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_nothing_is_measured() {
    let plane = super::world::plane();
    let (_, status) = plane.get("/api/v1/flag-set/status").await;
    assert_eq!(status["measured"], json!([]), "{status}");
    let (_, metrics) = plane.get("/metrics").await;
    assert!(!metrics.to_string().contains("esclusa_flag_subscriber"));
}
