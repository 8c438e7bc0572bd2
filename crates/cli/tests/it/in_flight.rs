//! Requests that are on their way when a version is stopped: all of them are answered.

use crate::world::{
    ERRORS_ONLY, LONG, Shop, ask, ends, first, phase, plane, processes_named, promote, version,
};
use esclusa_testkit::load::LoadHandle;
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;

/// Versions that answer in seconds and end at once when they are told to, whatever they
/// still have to answer.
fn plan(shop: &Shop, more: &str) -> String {
    format!(
        "{}artifact: ./dist/${{version}}\nprocess:\n  \
         command: [\"${{dir}}/start\", \"${{port}}\"]\n  \
         ready: {{ http: /health, within: 2m }}\n  drain: 30s\n  stop-signal: usr2\n\
         {ERRORS_ONLY}{more}",
        shop.head()
    )
}

const STAGES: &str = "stages: [ { to: 50%, for: 10m }, { to: 100%, watch: 10m } ]\n";

async fn in_flight_to(load: &LoadHandle, version: &str) {
    wait_until("answers of the version", LONG, async || {
        (load.snapshot().requests_of(version) > 10).then_some(())
    })
    .await
    .unwrap();
}

async fn stopped(plane: &ControlPlane, version: &str) {
    let gone = wait_until("the version's end", LONG, async || {
        processes_named(version).is_empty().then_some(())
    });
    assert!(gone.await.is_ok(), "{version} still runs\n{}", plane.log());
}

// RBK-14, TRF-08: on abort, on rollback after 100 %, and when the version before is
// stopped for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_in_flight_is_cut_off() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    for name in ["inflight-1", "inflight-2", "inflight-3", "inflight-4"] {
        version(&plane, name, "--latency 2s");
    }
    let only = "stages: [ { to: 100%, watch: 1s } ]\n";
    first(&plane, &plan(&shop, only), "inflight-1").await;
    let load = shop.load(15.0);

    let release = plane.release(&plan(&shop, STAGES), "inflight-2").await;
    phase(&plane, &release, "stage 1").await;
    in_flight_to(&load, "inflight-2").await;
    ask(&plane, &release, "abort").await;
    ends(&plane, &release, "aborted").await;
    stopped(&plane, "inflight-2").await;

    let release = plane.release(&plan(&shop, STAGES), "inflight-3").await;
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    in_flight_to(&load, "inflight-3").await;
    ask(&plane, &release, "rollback").await;
    ends(&plane, &release, "rolled_back").await;
    stopped(&plane, "inflight-3").await;

    // The version before goes while users still wait for what it was asked last.
    let more = format!("keep-warm: {{ for: 100ms }}\n{STAGES}");
    let release = plane.release(&plan(&shop, &more), "inflight-4").await;
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    stopped(&plane, "inflight-1").await;

    let load = load.stop().await;
    assert!(load.transport.is_empty(), "{load}");
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    for version in ["inflight-1", "inflight-2", "inflight-3", "inflight-4"] {
        assert!(load.requests_of(version) > 0, "{version}: {load}");
    }
}
