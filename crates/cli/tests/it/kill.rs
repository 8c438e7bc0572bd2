//! `esclusa kill`: users are back at their stable version, with a control plane or without.

use crate::world::{BY_HAND, ERRORS_ONLY, Shop, ends, phase, plane, version};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::Value;

/// Runs the command beside a control plane, for programs.
fn kill(plane: &ControlPlane, service: &str) -> (i32, Value, String) {
    let data = plane.data();
    let folder = data.parent().expect("a folder");
    let args = ["kill", service, "--reason", "it hurts", "--json"];
    let (code, told, talk) = tokio::task::block_in_place(|| super::run(folder, &args));
    (
        code,
        serde_json::from_str(&told).unwrap_or(Value::Null),
        talk,
    )
}

/// Many users who come for the first time; each is answered by this version.
async fn all_are_at(shop: &Shop, version: &str) {
    for n in 0..200 {
        let request = http::Request::get("/").body("").expect("a request");
        let answer = esclusa_testkit::fetch(shop.address(), request)
            .await
            .expect("an answer");
        assert_eq!(answer.header("x-demo-version"), version, "user {n}");
    }
}

// RBK-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_aborted_and_all_are_back_when_it_answers() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;
    let (code, told, talk) = kill(&plane, "shop");
    assert_eq!(
        (code, &told["services"][0]["release"]),
        (0, &Value::Null),
        "{talk}"
    );
    let release = plane.release(&shop.plan(BY_HAND), "v2").await;
    phase(&plane, &release, "stage 1").await;
    let (code, told, talk) = kill(&plane, "all");
    assert_eq!(code, 0, "{told:#} {talk}");
    all_are_at(&shop, "v1").await;
    let killed = &told["services"][0];
    assert_eq!(
        (&told["answered_by"], &killed["release"], &killed["share"]),
        (&"server".into(), &release.as_str().into(), &"50%".into()),
        "{told:#}"
    );
    assert_eq!(killed["at_stable"], true, "{told:#}");
    let view = ends(&plane, &release, "aborted").await;
    assert!(
        view["reason"]
            .as_str()
            .is_some_and(|r| r.contains("it hurts")),
        "{view:#}"
    );
    let (code, _, talk) = kill(&plane, "shoo");
    assert!(code == 2 && talk.contains("ESC-0510"), "{code} {talk}");
}

// EMG-04, RBK-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_goes_back_while_the_control_plane_is_dead() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;
    let stages = "stages: [ { to: 25%, for: 10m }, { to: 100%, watch: 10m } ]\n";
    let plan = shop.plan(&format!("{ERRORS_ONLY}{stages}"));
    let release = plane.release(&plan, "v2").await;
    let load = shop.load(40.0);
    phase(&plane, &release, "stage 1").await;
    plane.kill();
    let alone = load.snapshot().requests_of("v2");
    wait_until("users at the canary", crate::world::LONG, async || {
        (load.snapshot().requests_of("v2") > alone + 10).then_some(())
    })
    .await
    .unwrap();

    let (code, told, talk) = kill(&plane, "shop");
    assert_eq!(code, 0, "{told:#} {talk}");
    all_are_at(&shop, "v1").await;
    assert!(talk.contains("ESC-0501"), "{talk}");
    let killed = &told["services"][0];
    assert_eq!(
        (&told["answered_by"], &killed["release"], &killed["share"]),
        (&"proxy".into(), &release.as_str().into(), &"25%".into()),
        "{told:#}"
    );
    // Those who were at the canary are back too, and were served all the while.
    let back = load.snapshot();
    wait_until("users who are back", crate::world::LONG, async || {
        (load.snapshot().requests_of("v1") > back.requests_of("v1") + 50).then_some(())
    })
    .await
    .unwrap();
    let (code, told, _) = kill(&plane, "all");
    assert_eq!(
        (code, &told["services"][0]["release"]),
        (0, &release.into())
    );
    let (code, _, talk) = kill(&plane, "shoo");
    assert!(code == 2 && talk.contains("ESC-0510"), "{code} {talk}");

    // A control plane that comes back exposes nobody again.
    plane.restart();
    all_are_at(&shop, "v1").await;
    let (code, told, talk) = kill(&plane, "shop");
    assert_eq!(code, 0, "{told:#} {talk}");
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
}

// EMG-04: nobody answers is no success.
#[test]
fn without_server_and_proxy_it_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, talk) = super::run(dir.path(), &["kill", "all"]);
    assert!(code == 1 && talk.contains("ESC-0501"), "{code} {talk}");
    let (code, _, talk) = super::run(dir.path(), &["kill", "No Name"]);
    assert!(code == 2 && talk.contains("ESC-0510"), "{code} {talk}");
}
