//! Everything ends at once: control plane, proxy, supervisors, versions. What is on disk
//! is all there is, and it is enough.

use crate::care::{instance, serves, until_served};
use crate::world::{BY_HAND, ERRORS_ONLY, Shop, ends, phase, plane, promote, version};
use esclusa_testkit::wait_until;

// RBK-06, HLT-07, TRF-09: traps 16 and 37. Versions and the proxy are there again before
// anybody asks for anything, and the release under way goes on to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_failure_users_are_served_and_the_release_ends() {
    let (mut plane, shop, other) = (plane(), Shop::new("shop"), Shop::new("other"));
    for name in ["re-v1", "re-v2", "re-v3", "re-o1"] {
        version(&plane, name, "");
    }
    other.first(&plane, "re-o1").await;
    shop.first(&plane, "re-v1").await;
    let second = plane.release(&shop.plan(BY_HAND), "re-v2").await;
    promote(&plane, &second).await;
    ends(&plane, &second, "promoted_early").await;

    // A new release retires the warm version at its first stage, so it is looked at first.
    plane.power_failure();
    plane.restart();
    assert!(serves(&other, "re-o1").await && serves(&shop, "re-v2").await);
    instance(&plane, "warm", |one| one["state"] == "up").await;
    let (_, service) = plane.get("/api/v1/services/shop").await;
    assert_eq!(service["can_return"], true, "{service:#}");

    let plan = shop.plan(&format!(
        "{ERRORS_ONLY}stages: [ {{ to: 25%, for: 25s }}, {{ to: 100%, watch: 5s }} ]\n"
    ));
    let release = plane.release(&plan, "re-v3").await;
    let load = shop.load(60.0);
    phase(&plane, &release, "stage 1").await;
    plane.power_failure();
    plane.restart();
    until_served(&other, "re-o1").await;
    let alive = load.snapshot();
    let both = wait_until("both versions", crate::world::LONG, async || {
        let now = load.snapshot();
        let more = |version| now.requests_of(version) > alive.requests_of(version) + 10;
        (more("re-v2") && more("re-v3")).then_some(now)
    });
    let since = both.await.unwrap();
    ends(&plane, &release, "promoted").await;
    let load = load.stop().await;
    assert_eq!(
        load.failed, since.failed,
        "failures after the recovery: {load}"
    );
    assert!(serves(&shop, "re-v3").await);
}

// RBK-10, RBK-12: what a canary did before the power failed is not forgotten, and what
// the failure did to it is not held against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_cannot_come_back_takes_its_release_back() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "re-w1", "");
    version(&plane, "re-w2", "");
    shop.first(&plane, "re-w1").await;
    let gate = plane.work().join("no-more");
    let app = esclusa_testkit::process::built_binary("esclusa-demo-app").expect("built");
    let script = format!(
        "#!/bin/sh\nif [ -e {} ]; then echo 'the licence has run out' >&2; exit 7; fi\n\
         exec {} --port \"$1\" --version-name re-w2\n",
        gate.display(),
        app.display()
    );
    crate::world::program(&plane.work().join("dist/re-w2/start"), &script);
    let release = plane.release(&shop.plan(BY_HAND), "re-w2").await;
    phase(&plane, &release, "stage 1").await;
    plane.power_failure();
    std::fs::write(&gate, "").expect("written");
    plane.restart();
    let view = ends(&plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("could not be started again") && reason.contains("the licence has run out"),
        "{reason}"
    );
    until_served(&shop, "re-w1").await;
}
