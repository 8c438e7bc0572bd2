//! The way back after 100 %: as short as a way can be.

use crate::world::{BY_HAND, Shop, ask, ends, events, lines, plane, promote, version};
use esclusa_proxy::client::ControlClient;

// TRF-07, RBK-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_promotion_rollback_is_one_generation() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "v1", "");
    version(&plane, "v2", "");
    shop.first(&plane, "v1").await;
    let step = |name: &str| {
        format!("{{ command: 'echo {name} >> log', undo: 'echo undo-{name} >> log' }}")
    };
    let (first, second, last) = (step("first"), step("second"), step("last"));
    let plan = shop.plan(&format!(
        "before: [ {first}, {second} ]\n{BY_HAND}after: [ {last} ]\n"
    ));
    let load = shop.load(60.0);
    let release = plane.release(&plan, "v2").await;
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    let log = plane.work().join("log");
    assert_eq!(lines(&log), ["first", "second", "last"]);

    let proxy = ControlClient::new(plane.data().join("proxy/proxy.sock"));
    let before = proxy.status().await.unwrap().generation;
    let (_, service) = plane.get("/api/v1/services/shop").await;
    assert_eq!(service["can_return"], true, "{service:#}");
    ask(&plane, &release, "rollback").await;
    let view = ends(&plane, &release, "rolled_back").await;

    // All users were moved by the one generation that followed.
    let confirmed = events(&plane, &release, "dial_confirmed").await;
    let back = &confirmed.last().unwrap()["payload"];
    assert_eq!(back["achieved"], 0, "{view:#}");
    assert_eq!(back["generation"]["number"], before.number + 1, "{view:#}");
    let back_at = confirmed.last().unwrap()["at"].clone();
    let undone = [
        "first",
        "second",
        "last",
        "undo-last",
        "undo-second",
        "undo-first",
    ];
    assert_eq!(lines(&log), undone);

    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    let (old, new) = (&load.by_version["v1"], &load.by_version["v2"]);
    assert!(old.last_sent_ms > new.last_sent_ms, "{load} {back_at}");
    let ended_ms = view["ended_at_us"].as_i64().unwrap() / 1_000;
    assert!(new.last_sent_ms < ended_ms, "{load}");
    let (_, service) = plane.get("/api/v1/services/shop").await;
    assert_eq!(service["stable"]["name"], "v1", "{service:#}");
}
