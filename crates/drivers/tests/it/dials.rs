//! Dials that obey, lie, hang, overshoot and refuse.

use esclusa_drivers::Fault;
use esclusa_drivers::traffic::{DialRequest, DialState, DialVersion, TrafficDial, dial};
use esclusa_model::{BasisPoints, Digest, Millis, ReleaseId, ServiceName, VersionName, VersionRef};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn bp(value: u16) -> BasisPoints {
    BasisPoints::new(value).expect("in range")
}

fn request(dir: &Path) -> DialRequest {
    let side = |name: &str, url: &str| DialVersion {
        version: VersionRef {
            name: VersionName::new(name).expect("valid"),
            digest: Digest::of(name.as_bytes()),
            verified: false,
        },
        urls: vec![url.into()],
    };
    // Dials take turns by service: each test has its own.
    let service = dir.file_name().expect("named").to_string_lossy();
    let service: String = service
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    DialRequest {
        service: ServiceName::new(service).expect("valid"),
        release: ReleaseId::new("r1").expect("valid"),
        step: "stage-1".into(),
        stable: side("1.0", "http://127.0.0.1:1"),
        canary: side("2.0", "http://127.0.0.1:2"),
        base_dir: dir.to_owned(),
    }
}

fn scripts(set: &str, read: &str) -> Arc<dyn TrafficDial> {
    let config = json!({
        "set": ["/bin/sh", "-c", set],
        "read": ["/bin/sh", "-c", read],
        "timeout": 2_000,
    });
    dial("command", &config).expect("fits")
}

#[tokio::test]
async fn an_honest_dial_converges() {
    let dir = tempfile::tempdir().expect("folder");
    let dial = scripts(
        "echo \"$ESCLUSA_STABLE $ESCLUSA_CANARY $ESCLUSA_RELEASE $ESCLUSA_STEP $ESCLUSA_SHARE_BP\" > told; echo $ESCLUSA_SHARE > share",
        "cat share",
    );
    let request = request(dir.path());
    for share in [bp(50), bp(500), bp(10_000), BasisPoints::ZERO] {
        let reading = dial.set(&request, share).await.expect("works");
        assert_eq!(reading.state, DialState::Converged, "{reading:?}");
        assert_eq!(reading.achieved, Some(share));
        assert!(!reading.exceeds(share));
    }
    let told = std::fs::read_to_string(dir.path().join("told")).expect("told");
    assert_eq!(told, "1.0 2.0 r1 stage-1 0\n");
}

#[tokio::test]
async fn a_dial_that_lies_never_converges() {
    let dir = tempfile::tempdir().expect("folder");
    let dial = scripts("exit 0", "echo 1%");
    let request = request(dir.path());
    for _ in 0..2 {
        let reading = dial.set(&request, bp(500)).await.expect("answers");
        assert_eq!(reading.state, DialState::Pending, "{reading:?}");
        assert_eq!(reading.achieved, Some(bp(100)));
    }
}

#[tokio::test]
async fn an_overshoot_is_told() {
    let dir = tempfile::tempdir().expect("folder");
    let dial = scripts("exit 0", "echo 10%");
    let reading = dial.set(&request(dir.path()), bp(500)).await;
    let reading = reading.expect("answers");
    assert_eq!(reading.state, DialState::Overshoot, "{reading:?}");
    assert!(reading.exceeds(bp(500)));
}

#[tokio::test]
async fn a_dial_that_hangs_is_unknown_until_a_reading_settles_it() {
    let dir = tempfile::tempdir().expect("folder");
    let dial = scripts(
        "echo $ESCLUSA_SHARE > share; sleep 1000 & echo $! > child; wait",
        "cat share",
    );
    let request = request(dir.path());
    let reading = dial.set(&request, bp(500)).await.expect("no error");
    assert_eq!(
        (reading.state, reading.achieved),
        (DialState::Unknown, None)
    );
    assert!(!reading.exceeds(bp(500)), "unknown is not known to exceed");
    let child = std::fs::read_to_string(dir.path().join("child")).expect("ran");
    assert!(!crate::world::is_alive(
        child.trim().parse().expect("number")
    ));
    let settled = dial.read(&request, bp(500)).await.expect("reads");
    assert_eq!(settled.state, DialState::Converged, "it had taken effect");
}

/// A caller that gives up does not leave a script that overlaps with the next.
#[tokio::test]
async fn calls_never_overlap_even_when_their_callers_give_up() {
    let dir = tempfile::tempdir().expect("folder");
    // Two dials of one service: the turn is the service's.
    let script = "mkdir busy || touch overlap; touch begun; sleep 0.3; rmdir busy; echo $ESCLUSA_SHARE > share";
    let (first, second) = (scripts(script, "cat share"), scripts(script, "cat share"));
    let request = request(dir.path());
    let begun = dir.path().join("begun");
    tokio::select! {
        _ = first.set(&request, bp(100)) => panic!("it was given up before"),
        () = async { while !begun.exists() { tokio::task::yield_now().await; } } => {}
    }
    let before = Instant::now();
    let (a, b) = tokio::join!(first.set(&request, bp(200)), second.set(&request, bp(300)));
    a.expect("works");
    b.expect("works");
    assert!(
        before.elapsed() >= Millis(600).as_std(),
        "one after the other"
    );
    assert!(!dir.path().join("overlap").exists());
    let last = second.read(&request, bp(300)).await.expect("reads");
    assert_eq!(last.state, DialState::Converged);
}

#[tokio::test]
async fn a_dial_that_refuses_or_babbles_is_its_own_fault() {
    let dir = tempfile::tempdir().expect("folder");
    let request = request(dir.path());
    let refused = scripts("echo no such route >&2; exit 4", "echo 0");
    let error = refused.set(&request, bp(500)).await.expect_err("refused");
    assert_eq!(error.fault, Fault::Target);
    assert!(error.message.contains("exit code 4"), "{error}");
    assert_eq!(error.output, "no such route\n");
    let babbles = scripts("exit 0", "echo weight: 5 of 100");
    let error = babbles
        .read(&request, bp(500))
        .await
        .expect_err("unreadable");
    assert!(error.output.contains("weight"), "{error:?}");
}

#[test]
fn the_built_in_proxy_is_not_driven_from_here() {
    assert!(dial("proxy", &json!({})).is_err());
    assert!(dial("no-such", &json!({})).is_err());
}
