//! What a crash of the control plane, or a version that was there before, changes for
//! users: nothing.

use crate::world::{
    BY_HAND, ERRORS_ONLY, Shop, ends, phase, plane, promote, until_listens, version,
};
use esclusa_testkit::demo::{DemoApp, WebConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_killed_in_the_middle_goes_on() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;
    let plan = shop.plan(&format!(
        "{ERRORS_ONLY}stages: [ {{ to: 25%, for: 30s }}, {{ to: 100%, watch: 5s }} ]\n"
    ));
    let release = plane.release(&plan, "v2").await;
    let load = shop.load(80.0);
    phase(&plane, &release, "stage 1").await;
    plane.kill();
    // Users are served, by both versions, with nobody in charge.
    let alone = load.snapshot();
    esclusa_testkit::wait_until("traffic without control", crate::world::LONG, async || {
        let now = load.snapshot();
        let more = |version| now.requests_of(version) > alone.requests_of(version) + 20;
        (more("v1") && more("v2")).then_some(())
    })
    .await
    .unwrap();
    plane.restart();
    ends(&plane, &release, "promoted").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    assert!(load.by_version["v2"].last_sent_ms > load.by_version["v1"].last_sent_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_version_is_taken_over() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    let old = DemoApp::start(WebConfig::good("v1")).await.unwrap();
    let new = DemoApp::start(WebConfig::good("v2")).await.unwrap();
    let plan = format!(
        "{}address: {{ url: 'http://{}', ready: {{ http: /health }} }}\n\
         take-over: {{ version: v1, url: 'http://{}' }}\n{BY_HAND}",
        shop.head(),
        new.address(),
        old.address()
    );
    let release = plane.release(&plan, "v2").await;
    until_listens(shop.address()).await;
    let load = shop.load(60.0);
    phase(&plane, &release, "stage 1").await;
    let both = esclusa_testkit::wait_until("both versions", crate::world::LONG, async || {
        let now = load.snapshot();
        (now.requests_of("v1") > 20 && now.requests_of("v2") > 20).then_some(())
    });
    both.await.unwrap();
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    let (_, service) = plane.get("/api/v1/services/shop").await;
    assert_eq!(service["stable"]["name"], "v2", "{service:#}");
    // What others started is theirs to stop.
    assert!(crate::world::listens(old.address()));
}
