//! The care of the data folder's own state: backups beside a running server and back, a
//! record that was changed, a database that goes away.

use super::run;
use crate::world::{BY_HAND, LONG, Shop, phase, plane, version};
use esclusa_model::{StreamId, Timestamp};
use esclusa_store::{NewEvent, Store};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::Value;
use std::path::Path;

/// Says something in a stream that no release reads, and closes the folder again.
async fn record(data: &Path) {
    let now = Timestamp(1_790_000_000_000_000);
    let store = Store::open(data, now).await.expect("opens");
    let events: Vec<NewEvent> = (1..=3)
        .map(|number| NewEvent {
            actor: "ana".parse().expect("a name"),
            kind: "said".into(),
            payload: format!("words of event {number}").into(),
        })
        .collect();
    let stream = StreamId::new("other/a").expect("a name");
    store
        .append(&stream, 0, now, &events)
        .await
        .expect("appended");
    store.close().await;
}

fn on<'a>(data: &'a Path, words: &[&'a str]) -> Vec<&'a str> {
    let data = ["--data", data.to_str().expect("UTF-8")];
    words.iter().copied().chain(data).collect()
}

/// Removes both databases and their journals.
fn lose_state(data: &Path) {
    for entry in std::fs::read_dir(data).expect("listed") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("esclusa.db") || name.starts_with("slices.db") {
            std::fs::remove_file(entry.path()).expect("lost");
        }
    }
}

async fn ready(plane: &ControlPlane, wanted: impl Fn(u16, &Value) -> bool) -> Value {
    let found = wait_until("the probe", LONG, async || {
        let (status, body) = plane.get("/readyz").await;
        wanted(status, &body).then_some(body)
    });
    match found.await {
        Ok(found) => found,
        Err(error) => panic!("{error}: {:?}\n{}", plane.get("/readyz").await, plane.log()),
    }
}

// What was recorded outlives the folder, also in the middle of a release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_the_middle_of_a_release_is_put_back_and_gone_on_with() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    version(&plane, "vault-v1", "");
    version(&plane, "vault-v2", "");
    let first = shop.first(&plane, "vault-v1").await;
    let release = plane.release(&shop.plan(BY_HAND), "vault-v2").await;
    phase(&plane, &release, "stage 1").await;
    let (data, work) = (plane.data(), plane.work());
    let asked = on(
        &data,
        &["backup-state", "state.backup", "--with-artifacts", "--json"],
    );
    let (code, made, talk) = run(&work, &asked);
    assert_eq!(code, 0, "{talk}");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["manifest"]["artifacts"], 2, "{made:#}");

    plane.kill();
    lose_state(&data);
    let (code, put, talk) = run(
        &work,
        &on(&data, &["restore-state", "state.backup", "--json"]),
    );
    assert_eq!(code, 0, "{talk}");
    let put: Value = serde_json::from_str(&put).expect("JSON");
    assert_eq!(put["manifest"], made["manifest"]);
    assert_eq!(put["artifacts_there"], 2, "{put:#}");

    plane.restart();
    let found = ready(&plane, |_, body| body["audit"] != "unknown").await;
    assert_eq!(found["audit"], "pass", "{found:#}");
    assert_eq!(plane.show(&first).await["outcome"], "promoted");
    phase(&plane, &release, "stage 1").await;
    plane.ask(&release, "abort").await;
    let view = plane.outcome(&release, LONG).await;
    assert_eq!(view["outcome"], "aborted", "{view:#}");
}

// CHK-14: a record that was changed is told at the start, and keeps nobody from work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_record_is_told_by_the_server_that_starts_on_it() {
    let (mut plane, shop) = (plane(), Shop::new("shop"));
    let found = ready(&plane, |_, body| body["audit"] == "pass").await;
    assert_eq!(found["audit_broken"], Value::Array(Vec::new()), "{found:#}");
    version(&plane, "vault-w1", "");
    shop.first(&plane, "vault-w1").await;
    plane.kill();
    record(&plane.data()).await;
    let file = plane.data().join("esclusa.db");
    let mut bytes = std::fs::read(&file).expect("the record");
    let said = b"words of event 2";
    let at = bytes.windows(said.len()).position(|part| part == said);
    bytes[at.expect("the words")] = b'W';
    std::fs::write(&file, bytes).expect("written");

    plane.restart();
    let found = ready(&plane, |_, body| body["audit"] == "fail").await;
    assert_eq!(found["ready"], true, "{found:#}");
    let first = found["audit_broken"][0].as_str().expect("a misfit");
    assert!(first.contains("other/a") && first.contains('2'), "{first}");
    let log = plane.log();
    assert!(log.contains("ERROR") && log.contains("ESC-0901"), "{log}");
    let (_, metrics) = plane.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    assert!(metrics.contains("\nesclusa_audit_broken 1\n"), "{metrics}");
    // The backup says so too, and is made.
    let asked = on(file.parent().expect("data"), &["backup-state", "b"]);
    let (code, _, talk) = run(&plane.work(), &asked);
    assert_eq!(code, 1, "{talk}");
    assert!(
        talk.contains("damaged") && talk.contains("other/a"),
        "{talk}"
    );
    // Work goes on.
    version(&plane, "vault-w2", "");
    let release = plane.release(&shop.plan(BY_HAND), "vault-w2").await;
    phase(&plane, &release, "stage 1").await;
    plane.ask(&release, "abort").await;
    let view = plane.outcome(&release, LONG).await;
    assert_eq!(view["outcome"], "aborted", "{view:#}");
}

/// State as the first build with backups wrote it.
const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../store/golden/state-1.backup"
);

// RBK-10: a server of today takes up releases in the middle of which an earlier
// build left them, and each of them ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_an_earlier_build_is_taken_up_by_a_server() {
    let mut plane = plane();
    plane.kill();
    let data = plane.data();
    lose_state(&data);
    let (code, _, talk) = run(&plane.work(), &on(&data, &["restore-state", GOLDEN]));
    assert_eq!(code, 0, "{talk}");
    plane.restart();
    for (release, outcome) in [
        ("shop-1", "promoted"),
        ("shop-2", "rolled_back"),
        ("shop-3", "rollback_failed"),
        ("desk-1", "aborted"),
        ("till-1", "promoted"),
    ] {
        let view = plane.show(release).await;
        assert_eq!(view["outcome"], outcome, "{view:#}");
    }
    // Their deadlines passed long ago, so they may be on their way back already.
    for release in ["shop-4", "till-2", "desk-2"] {
        plane.ask(release, "abort").await;
        let view = plane.outcome(release, LONG).await;
        let end = view["outcome"].as_str().unwrap_or_default();
        assert!(matches!(end, "aborted" | "rolled_back"), "{view:#}");
    }
    let (_, found) = plane.get("/api/v1/audit/verify").await;
    assert_eq!(found["intact"], true, "{found:#}");
}

// A database that was moved away is noticed, and moved back it is used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_is_told_and_not_written() {
    let (plane, shop) = (plane(), Shop::new("shop"));
    ready(&plane, |status, _| status == 200).await;
    let (file, aside) = (plane.data().join("esclusa.db"), plane.data().join("aside"));
    std::fs::rename(&file, &aside).expect("moved");
    let found = ready(&plane, |status, _| status == 503).await;
    assert_eq!(
        (&found["ready"], &found["store"]),
        (&false.into(), &"fail".into())
    );
    let trouble = found["store_trouble"].as_str().expect("words");
    assert!(
        trouble.contains("esclusa.db") && trouble.contains("move"),
        "{trouble}"
    );
    version(&plane, "vault-x1", "");
    let plan = shop.plan(crate::world::FIRST);
    let (status, body) = plane
        .try_release(&plan, "vault-x1", serde_json::json!({}))
        .await;
    assert!(status >= 500, "{status} {body:#}");
    assert!(!file.exists(), "made anew");
    std::fs::rename(&aside, &file).expect("moved back");
    ready(&plane, |status, _| status == 200).await;
    shop.first(&plane, "vault-x1").await;
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_told_with_the_next_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let (code, _, talk) = run(dir.path(), &["backup-state", "b"]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("ESC-0521") && talk.contains("--data"),
        "{talk}"
    );
    assert!(!data.exists());
    record(&data).await;
    let (code, told, talk) = run(dir.path(), &["backup-state", "b"]);
    assert_eq!(code, 0, "{talk}");
    assert!(told.contains("3 events in 1 streams"), "{told}");
    let (code, _, talk) = run(dir.path(), &["backup-state", "b"]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("ESC-0521") && talk.contains("--force"),
        "{talk}"
    );
    let (code, _, talk) = run(
        dir.path(),
        &["backup-state", "b", "--force", "--without-slices"],
    );
    assert_eq!(code, 0, "{talk}");
    let (code, _, talk) = run(dir.path(), &["restore-state", "b"]);
    assert_eq!(code, 2, "{talk}");
    assert!(
        talk.contains("ESC-0523") && talk.contains("esclusa.db"),
        "{talk}"
    );
    let other = dir.path().join("other");
    std::fs::write(dir.path().join("cut"), "x").expect("written");
    let (code, _, talk) = run(dir.path(), &on(&other, &["restore-state", "cut"]));
    assert_eq!(code, 2, "{talk}");
    assert!(talk.contains("ESC-0522"), "{talk}");
    assert!(!other.exists());
    let (code, told, talk) = run(dir.path(), &on(&other, &["restore-state", "b"]));
    assert_eq!(code, 0, "{talk}");
    assert!(
        told.contains("restored") && talk.contains("esclusa serve"),
        "{told} {talk}"
    );
    let (code, found, _) = run(dir.path(), &on(&other, &["audit", "verify"]));
    assert_eq!(code, 0, "{found}");
    std::fs::write(other.join("restoring"), "").expect("written");
    let (code, _, talk) = run(dir.path(), &on(&other, &["serve", "--dev"]));
    assert_eq!(code, 1, "{talk}");
    assert!(talk.contains("ESC-0908"), "{talk}");
}
