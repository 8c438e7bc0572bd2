//! What a plan requires before anybody is exposed.

use crate::world::{
    BY_HAND, LONG, Shop, address, ask, ends, events, listens, phase, plane, version,
};
use esclusa_testkit::plane::ControlPlane;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requires() {
    let plane = plane();
    version(&plane, "v1", "");
    version(&plane, "v2", "--ready-after 0s");
    tokio::join!(
        a_failing_check(&plane),
        an_unknown_answer(&plane),
        a_canary_that_fails_its_check(&plane),
        people(&plane),
    );
}

/// Brings v1, and asks for v2 with these requirements.
async fn asked(plane: &ControlPlane, shop: &Shop, requires: &str) -> String {
    shop.first(plane, "v1").await;
    plane
        .release(
            &shop.plan(&format!("requires: [ {requires} ]\n{BY_HAND}")),
            "v2",
        )
        .await
}

/// Refused, with nobody exposed and nothing left.
async fn refused(plane: &ControlPlane, release: &str, because: &str) {
    let view = ends(plane, release, "refused").await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(because), "{view:#}");
    let stages = view["stages"].as_array().unwrap();
    assert!(
        stages.iter().all(|stage| stage["entered_at_us"].is_null()),
        "{view:#}"
    );
    assert!(events(plane, release, "dial_confirmed").await.is_empty());
}

async fn a_failing_check(plane: &ControlPlane) {
    let shop = Shop::new("failing");
    let address = shop.address();
    let check = format!("{{ http: {{ url: 'http://{address}/nothing-here' }} }}");
    let release = asked(plane, &shop, &check).await;
    refused(plane, &release, "404").await;
    assert!(events(plane, &release, "deployed").await.is_empty());
}

async fn an_unknown_answer(plane: &ControlPlane) {
    let shop = Shop::new("unknown");
    let check = "{ command: { run: 'echo nobody can tell; exit 75' } }";
    let release = asked(plane, &shop, check).await;
    refused(plane, &release, "nobody can tell").await;
    assert!(events(plane, &release, "deployed").await.is_empty());
}

async fn a_canary_that_fails_its_check(plane: &ControlPlane) {
    let shop = Shop::new("canary");
    let check = "{ http: { url: '${canary}/health', contains: 'splendid' } }";
    let release = asked(plane, &shop, check).await;
    refused(plane, &release, "splendid").await;
    let deployed = events(plane, &release, "deployed").await;
    let url = deployed[0]["payload"]["instances"][0]["url"]
        .as_str()
        .unwrap();
    assert!(!listens(address(url)), "the canary is gone");
}

async fn people(plane: &ControlPlane) {
    let shop = Shop::new("people");
    let checks = "{ command: { run: 'true' } }, { http: { url: '${canary}/health' } }, \
                  { sign-off: { roles: [tech-lead, security] } }";
    let release = asked(plane, &shop, checks).await;
    let waits = plane.until(&release, LONG, |view| view["hold"].is_string());
    let view = waits.await;
    assert_eq!(
        view["missing_sign_offs"],
        json!(["tech-lead", "security"]),
        "{view:#}"
    );
    let path = format!("/api/v1/releases/{release}/sign-offs");
    let words = |role: &str| json!({ "role": role, "reason": format!("seen by {role}") });
    let sign = async |role: &str| plane.post(&path, words(role)).await.0;
    assert_eq!(sign("gardener").await, 409);
    assert_eq!(sign("tech-lead").await, 200);
    let view = plane.show(&release).await;
    assert_eq!(view["missing_sign_offs"], json!(["security"]), "{view:#}");
    assert_eq!(view["phase"], "preflight", "{view:#}");
    assert_eq!(sign("security").await, 200);
    // CHK-14: who agreed, when, and in which words.
    let signed = events(plane, &release, "signed_off").await;
    let words: Vec<_> = signed
        .iter()
        .map(|event| &event["payload"]["comment"])
        .collect();
    assert_eq!(words, ["seen by tech-lead", "seen by security"]);
    phase(plane, &release, "stage 1").await;
    ask(plane, &release, "abort").await;
    ends(plane, &release, "aborted").await;
}
