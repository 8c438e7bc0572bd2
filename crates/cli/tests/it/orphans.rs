//! When a release is over, what it started is gone: counted in processes, not in words.

use crate::care::{kill_hard, only};
use crate::world::{BY_HAND, LONG, Shop, ask, ends, phase, plane, promote, version};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;

/// What serves users whatever the releases are: the proxy and what keeps its sockets.
const LASTING: [&str; 4] = [
    "/instances/proxy",
    "/instances/holder",
    " proxy --id ",
    " shim hold ",
];

/// Supervisors of versions, versions by name, and how many processes that are neither.
fn census(plane: &ControlPlane) -> (usize, Vec<String>, usize) {
    let mut all = plane.processes();
    all.retain(|one| !LASTING.iter().any(|part| one.words.contains(part)));
    let shims = all.iter().filter(|one| one.is_shim()).count();
    let mut versions: Vec<String> = all
        .iter()
        .filter_map(|one| Some(one.words.split_once("--version-name ")?.1.trim().to_owned()))
        .collect();
    versions.sort();
    let others = all.len() - shims - versions.len();
    (shims, versions, others)
}

/// Waits until exactly these versions run, each with its supervisor, beside one proxy.
async fn until_only(plane: &ControlPlane, versions: &[&str]) {
    let names = versions.iter().map(|name| (*name).to_owned()).collect();
    let expected = (versions.len(), names, 0);
    let there = wait_until("the processes", LONG, async || {
        (census(plane) == expected).then_some(())
    });
    if there.await.is_err() {
        panic!("{versions:?}: {:#?}\n{}", plane.processes(), plane.log());
    }
    let all = plane.processes();
    let proxies = all.iter().filter(|one| one.words.contains(" proxy --id "));
    assert_eq!(proxies.count(), 1, "{all:#?}");
}

// RBK-11, TRF-09, TRF-10: after each way a release can end, with crashes in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_release_that_is_over() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    for name in ["o-v1", "o-v2", "o-v3", "o-v4"] {
        version(&plane, name, "");
    }
    shop.first(&plane, "o-v1").await;
    until_only(&plane, &["o-v1"]).await;

    // Promoted: the version before is kept for its time and no longer.
    let plan = shop.plan(&format!("{BY_HAND}keep-warm: {{ for: 1s }}\n"));
    let release = plane.release(&plan, "o-v2").await;
    phase(&plane, &release, "stage 1").await;
    until_only(&plane, &["o-v1", "o-v2"]).await;
    plane.restart();
    promote(&plane, &release).await;
    ends(&plane, &release, "promoted_early").await;
    plane.restart();
    until_only(&plane, &["o-v2"]).await;

    // Aborted, with the control plane killed as soon as it has agreed.
    let release = plane.release(&shop.plan(BY_HAND), "o-v3").await;
    phase(&plane, &release, "stage 1").await;
    ask(&plane, &release, "abort").await;
    plane.restart();
    ends(&plane, &release, "aborted").await;
    until_only(&plane, &["o-v2"]).await;

    // Rolled back: the canary and then its supervisor die while nobody watches.
    let release = plane.release(&shop.plan(BY_HAND), "o-v4").await;
    phase(&plane, &release, "stage 1").await;
    plane.kill();
    kill_hard(only("o-v4").await);
    plane.restart();
    let view = ends(&plane, &release, "rolled_back").await;
    let reason = view["reason"].as_str().expect("a reason");
    assert!(reason.contains("it ended with signal SIGKILL"), "{reason}");
    until_only(&plane, &["o-v2"]).await;
}
