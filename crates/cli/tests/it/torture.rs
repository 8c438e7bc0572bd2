//! A few releases of real processes under real load while everything around them is
//! killed: the same program that `make torture` runs for an hour. What is asked is how
//! each ends and whether every request is accounted for, never how fast anything was.

use crate::world::esclusa;
use esclusa_testkit::torture::{Harms, Pace, Plan, ProxyHarm, run_kills, torture};
use std::time::Duration;

/// A developer build on a busy machine: less load, the same stages.
fn pace(rate: f64) -> Pace {
    Pace {
        rate,
        users: 1_000,
        stages: vec![100, 500, 2_500, 5_000, 10_000],
        watch: Duration::from_millis(2_000),
        deadline: Duration::from_secs(240),
    }
}

// RBK-10, RBK-14, TRF-10: kill -9 of the control plane changes nothing for anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_serve_three_times() {
    let seed = 3;
    let (all, verdict) = run_kills(esclusa(), pace(60.0), seed, 3, |killed| {
        println!("{}", serde_json::to_string(killed).unwrap_or_default());
    })
    .await
    .unwrap();
    assert_eq!(verdict.trouble, Vec::<String>::new(), "{:?}", verdict.kept);
    assert_eq!(all.len(), 3);
    for killed in all {
        let ran = killed.ran;
        assert_eq!(ran.wrong, Vec::<String>::new(), "{:?}", verdict.kept);
        assert_eq!(ran.outcome, "promoted");
        assert_eq!(ran.seen.failed(), 0, "{:?}", ran.seen);
        assert!(ran.seen.sent > 0);
        // Each stage's exposure was read back, and the witness saw the same.
        assert!(ran.read_backs.0 >= 5, "{:?}", ran.read_backs);
        assert!(killed.recovery.heartbeat_ms.is_some());
    }
}

// RBK-10..12, RBK-14, TRF-07..10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_releases_in_a_storm() {
    let plan = Plan {
        seed: 11,
        releases: 10,
        services: 3,
        pace: pace(25.0),
        harms: Harms::All,
        proxy: ProxyHarm::Restart,
        pause_ms: (3_000, 9_000),
    };
    let session = torture(esclusa(), &plan, |ran| {
        println!("{}", serde_json::to_string(ran).unwrap_or_default());
    })
    .await
    .unwrap();
    let kept = &session.verdict.kept;
    assert_eq!(session.verdict.trouble, Vec::<String>::new(), "{kept:?}");
    assert_eq!(session.ran.len(), 10);
    for ran in &session.ran {
        let planned = &ran.planned;
        assert_eq!(ran.wrong, Vec::<String>::new(), "{planned}; {kept:?}");
    }
    assert!(!session.blows.is_empty());
}
