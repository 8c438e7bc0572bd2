//! Good versions reach everybody, bad ones come back by themselves.

use crate::world::{
    ERRORS_ONLY, LONG, Shop, address, answered, ask, break_version, ends, esclusa, events, listens,
    phase, plan_file, plane, url, version,
};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::process::Running;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::time::Duration;

/// Requests by version as the release's report has them.
fn counted(report: &Value, version: &str) -> u64 {
    let versions = report["traffic"]["versions"].as_array();
    let found = versions
        .into_iter()
        .flatten()
        .find(|entry| entry["name"] == version);
    found
        .and_then(|entry| entry["requests"].as_u64())
        .unwrap_or(0)
}

/// The judge's words are those of now, not those of the last change that was recorded.
async fn judged_now(plane: &ControlPlane, release: &str) {
    let now = wait_until("the judge's present words", LONG, async || {
        let view = plane.show(release).await;
        let words = view["judged"].as_str()?.to_owned();
        let recorded = events(plane, release, "judged").await;
        let known = |event: &Value| event["payload"]["summary"] == words.as_str();
        (!recorded.is_empty() && !recorded.iter().any(known)).then_some(())
    });
    now.await.unwrap();
}

// CAN-07, TRF-01: what the proxy counts is what the client saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_version_reaches_everybody() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;

    let plan = shop.plan(&format!(
        "{ERRORS_ONLY}stages: [ {{ to: 25%, for: 30s }}, {{ to: 100%, watch: 10s }} ]\n\
         after: [ {{ command: 'while [ ! -e go ]; do sleep 0.2; done', undo: none }} ]\n"
    ));
    let release = plane.release(&plan, "v2").await;
    let load = shop.load(100.0);
    phase(&plane, &release, "stage 1").await;
    judged_now(&plane, &release).await;
    let view = phase(&plane, &release, "after").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    // Whoever came after everybody was moved was answered by the new version.
    let moved_ms = view["stages"][1]["confirmed_at_us"].as_i64().unwrap() / 1_000;
    assert!(load.by_version["v1"].last_sent_ms <= moved_ms + 1, "{load}");
    assert!(load.by_version["v2"].last_sent_ms > moved_ms, "{load}");

    std::fs::write(plane.work().join("go"), "").unwrap();
    ends(&plane, &release, "promoted").await;
    let path = format!("/api/v1/releases/{release}/report");
    let wanted = (load.requests_of("v1"), load.requests_of("v2"));
    let agreed = wait_until("the counts", Duration::from_secs(30), async || {
        let report = plane.get(&path).await.1;
        let seen = (counted(&report, "v1"), counted(&report, "v2"));
        (seen == wanted).then_some(())
    });
    if agreed.await.is_err() {
        let report = plane.get(&path).await.1;
        panic!("wanted {wanted:?}: {:#}", report["traffic"]);
    }
}

// CAN-03, CAN-04, TRF-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_version_comes_back_by_itself() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;

    let plan = shop.plan(&format!(
        "{ERRORS_ONLY}stages: [ {{ to: 25%, for: 2m }}, {{ to: 100%, watch: 1m }} ]\n"
    ));
    let file = plan_file(&plane, &plan);
    let load = shop.load(100.0);
    let words = ["release", "start", "--version", "v2", "--wait", "--plan"];
    let mut command = tokio::process::Command::new(esclusa());
    command
        .args(["--server", plane.url()])
        .args(words)
        .arg(file);
    let mut start = Running::spawn(command).unwrap();
    let release = wait_until("the release", LONG, async || {
        let (_, service) = plane.get("/api/v1/services/shop").await;
        let release = &service["release"];
        (release["version"] == "v2").then(|| release["release"].as_str().map(str::to_owned))?
    })
    .await
    .unwrap();
    phase(&plane, &release, "stage 1").await;
    let canary = url(&plane, &release).await;
    break_version(&canary, 0.6).await;

    let ended = start.ended(LONG).await.unwrap();
    assert_eq!(ended.code(), Some(3), "{}", start.output());
    let view = ends(&plane, &release, "rolled_back").await;
    let returned = events(&plane, &release, "return_decided").await;
    assert_eq!(returned[0]["payload"]["cause"], "judge", "{view:#}");
    assert!(!listens(address(&canary)), "the canary is gone");

    let at_end = load.snapshot();
    wait_until("traffic after the end", LONG, async || {
        (load.snapshot().sent > at_end.sent + 200).then_some(())
    })
    .await
    .unwrap();
    let load = load.stop().await;
    let ended_ms = view["ended_at_us"].as_i64().unwrap() / 1_000;
    assert!(load.by_version["v2"].last_sent_ms < ended_ms, "{load}");
    assert!(load.by_version["v1"].last_sent_ms > ended_ms, "{load}");
    // Every failure was one of the canary's own answers.
    assert!(load.transport.is_empty(), "{load}");
    assert_eq!(load.failed, load.by_version["v2"].failed, "{load}");
    assert!(load.failed > 0);
}

// CAN-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_up_reaches_only_the_canary() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    let stable = shop.first(&plane, "v1").await;
    let stable = url(&plane, &stable).await;
    let before = answered(&stable).await;

    let plan = shop.plan(
        "stages:\n- warm-up: { get: [/, /cart], rate: 20/s, for: 3s }\n\
         - { to: 25%, for: 10m }\n- { to: 100%, watch: 10m }\n",
    );
    let release = plane.release(&plan, "v2").await;
    let load = shop.load(40.0);
    phase_of_warm_up(&plane, &release).await;
    // The advance is stopped, so that no user comes to the canary while we count.
    ask(&plane, &release, "pause").await;
    let done = plane.until(&release, LONG, |view| {
        let tasks = view["tasks"].as_array();
        tasks.into_iter().flatten().any(|task| {
            task["task"]
                .as_str()
                .is_some_and(|task| task.starts_with("warm"))
                && task["done"] == true
        })
    });
    let view = done.await;
    let canary = url(&plane, &release).await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.requests_of("v2")), (0, 0), "{load}");
    assert!(load.requests_of("v1") > 0, "{load}");
    assert_eq!(answered(&stable).await - before, load.sent, "users alone");
    let warmed = answered(&canary).await;
    assert!(warmed >= 10, "{warmed} requests; {view:#}");

    let report = plane
        .get(&format!("/api/v1/releases/{release}/report"))
        .await
        .1;
    assert_eq!(counted(&report, "v2"), 0, "no user among them: {report:#}");
    ask_abort(&plane, &release).await;
}

async fn phase_of_warm_up(plane: &ControlPlane, release: &str) {
    plane
        .until(release, LONG, |view| view["phase"] == "stage 1")
        .await;
}

async fn ask_abort(plane: &ControlPlane, release: &str) {
    ask(plane, release, "abort").await;
    ends(plane, release, "aborted").await;
}
