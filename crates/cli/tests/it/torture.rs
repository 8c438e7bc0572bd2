//! Releases of real processes under real load while their control plane is killed: a part
//! of the program that `make torture` runs for an hour. What is asked is how each ends and
//! whether every request is accounted for, never how fast anything was.

use crate::world::esclusa;
use esclusa_testkit::torture::{Pace, run_kills};
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
