//! A second release of a service that has one under way.

use crate::world::{BY_HAND, LONG, Shop, ask, ends, phase, plane, version};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_release_is_refused_queued_or_supersedes() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    for name in ["v1", "v2", "v3", "v4", "v5"] {
        version(&plane, name, "");
    }
    shop.first(&plane, "v1").await;
    let plan = shop.plan(BY_HAND);
    let second = plane.release(&plan, "v2").await;
    phase(&plane, &second, "stage 1").await;

    let (status, body) = plane.try_release(&plan, "v3", json!({})).await;
    assert_eq!(
        (status, &body["code"]),
        (409, &json!("ESC-0301")),
        "{body:#}"
    );
    let queue = json!({ "on_conflict": "queue" });
    let (status, third) = plane.try_release(&plan, "v3", queue.clone()).await;
    assert_eq!((status, &third["queued"]), (201, &json!(true)), "{third:#}");
    let (status, fourth) = plane.try_release(&plan, "v4", queue).await;
    assert_eq!(status, 201, "{fourth:#}");
    let third = third["release"].as_str().unwrap().to_owned();
    let fourth = fourth["release"].as_str().unwrap().to_owned();
    line_is(&plane, &[&third, &fourth]).await;
    in_line(&plane, &third, "v3", 1).await;
    in_line(&plane, &fourth, "v4", 2).await;
    let (_, history) = plane.get("/api/v1/releases?service=shop&limit=2").await;
    let newest: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!(
        (&newest[0]["release"], &newest[1]["release"]),
        (&json!(fourth), &json!(third)),
        "{history:#}"
    );

    // Out of the line again, without anything having happened.
    ask(&plane, &fourth, "abort").await;
    line_is(&plane, &[&third]).await;
    let view = plane.show(&fourth).await;
    assert_eq!(view["outcome"], "aborted", "{view:#}");
    assert_eq!(view["place_in_line"], json!(null), "{view:#}");

    // The end of the first begins the next.
    ask(&plane, &second, "abort").await;
    ends(&plane, &second, "aborted").await;
    phase(&plane, &third, "stage 1").await;

    let supersede = json!({ "on_conflict": "supersede" });
    let (status, fifth) = plane.try_release(&plan, "v5", supersede).await;
    assert_eq!(status, 201, "{fifth:#}");
    let fifth = fifth["release"].as_str().unwrap().to_owned();
    let view = ends(&plane, &third, "aborted").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("v5"), "{view:#}");
    plane
        .until(&fifth, LONG, |view| view["phase"] == "stage 1")
        .await;
    ask(&plane, &fifth, "abort").await;
    ends(&plane, &fifth, "aborted").await;
}

/// One in line is shown as what it will be.
async fn in_line(plane: &ControlPlane, release: &str, version: &str, place: u64) {
    let (status, view) = plane.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!(status, 200, "{view:#}");
    assert_eq!(view["phase"], "queued", "{view:#}");
    assert_eq!(view["place_in_line"], json!(place), "{view:#}");
    assert_eq!(view["version"], version, "{view:#}");
    assert_eq!(view["requested_by"], "dev", "{view:#}");
    assert!(view["requested_at_us"].as_i64().unwrap() > 0, "{view:#}");
    let digest = view["plan_digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{view:#}");
    assert_eq!(view["stages"][0]["to"], "50%", "{view:#}");
    let (status, events) = plane
        .get(&format!("/api/v1/releases/{release}/events"))
        .await;
    assert_eq!((status, events), (200, json!([])));
}

async fn line_is(plane: &ControlPlane, wanted: &[&str]) {
    let found = wait_until("the line", LONG, async || {
        let (_, service) = plane.get("/api/v1/services/shop").await;
        (service["queue"] == json!(wanted)).then_some(())
    });
    let (_, service) = (found.await, plane.get("/api/v1/services/shop").await.1);
    assert_eq!(service["queue"], json!(wanted), "{service:#}");
}
