//! Days on which nothing can be written: whoever has to be taken back is taken back, at
//! once, and the store learns of it later.
//!
//! Three services live through each of them. A person aborts the release of the first,
//! the judge finds the second one's version broken, and the third was promoted and is
//! rolled back.

use crate::world::{
    BY_HAND, ERRORS_ONLY, LONG, Shop, ends, esclusa, events, phase, promote, version,
};
use esclusa_testkit::disk::Disk;
use esclusa_testkit::load::{LoadHandle, LoadReport};
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::wait_until;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long somebody who asks for something that has to be recorded is listened to.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
    Frozen,
    Moved,
}

/// A control plane whose data folder is in for trouble.
struct Day {
    plane: ControlPlane,
    trouble: Trouble,
    disk: Option<Disk>,
}

impl Day {
    /// Nothing where this machine cannot have such trouble, with a word on why.
    fn dawns(trouble: Trouble) -> Option<Self> {
        let prepare = |data: &Path| match trouble {
            Trouble::Moved => Ok(None),
            Trouble::Full | Trouble::ReadOnly | Trouble::Frozen => Disk::mount(data).map(Some),
        };
        match ControlPlane::start_on(esclusa(), prepare) {
            Ok((plane, disk)) => Some(Self {
                plane,
                trouble,
                disk,
            }),
            Err(why) => {
                eprintln!("{trouble:?}: not shown on this machine: {why}");
                None
            }
        }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a disk")
    }

    fn begins(&self) {
        match self.trouble {
            Trouble::Full => self.disk().fill().unwrap(),
            Trouble::ReadOnly => self.disk().forbid_writes().unwrap(),
            Trouble::Frozen => self.disk().freeze().unwrap(),
            Trouble::Moved => self.move_database("esclusa.db", "away.db"),
        }
    }

    fn ends(&self) {
        match self.trouble {
            Trouble::Full => self.disk().make_room().unwrap(),
            Trouble::ReadOnly => self.disk().allow_writes().unwrap(),
            Trouble::Frozen => self.disk().thaw().unwrap(),
            Trouble::Moved => self.move_database("away.db", "esclusa.db"),
        }
    }

    fn move_database(&self, from: &str, to: &str) {
        let data = self.plane.data();
        std::fs::rename(data.join(from), data.join(to)).unwrap();
    }

    /// Records what concerns no release until that is refused. The database's log may have
    /// room within itself on a full disk, when it begins to be written anew.
    async fn uses_up_the_rest(&self) {
        let url = format!("{}/api/v1/flag-set", self.plane.url());
        let http = reqwest::Client::new();
        for n in 0..500 {
            let keys: Vec<String> = (0..200)
                .map(|k| format!("{n} {k} {}", "x".repeat(100)))
                .collect();
            let set = json!({ "segments": { "some": { "keys": keys } } });
            let asked = http
                .put(&url)
                .json(&json!({ "set": set, "reason": "ballast" }))
                .send();
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) if answer.status() == 200 => {}
                _ => return,
            }
        }
        panic!("a full disk takes ten megabytes more");
    }

    /// Nothing can be recorded now: a pause, which is nothing else, is not granted.
    async fn nothing_is_recorded(&self, release: &str) {
        if self.trouble == Trouble::Full {
            self.uses_up_the_rest().await;
        }
        let asked = tokio::time::timeout(PATIENCE, self.plane.ask(release, "pause")).await;
        assert!(
            !matches!(asked, Ok((200, _))),
            "{:?} is no trouble: {asked:?}",
            self.trouble
        );
    }

    /// Asks for what takes users back; how long the answer took, and when it came.
    async fn takes_back(&self, release: &str, verb: &str) -> (Duration, i64) {
        let asked = Instant::now();
        let (status, body) = self.plane.ask(release, verb).await;
        assert_eq!(status, 200, "{verb}: {body:#}\n{}", self.plane.log());
        (asked.elapsed(), now_ms())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Waits until nobody is sent to a version any more.
async fn until_deserted(load: &LoadHandle, version: &str) -> LoadReport {
    let mut since = load.snapshot();
    wait_until("nobody meets the version", LONG, async || {
        let now = load.snapshot();
        if now.requests_of(version) != since.requests_of(version) {
            since = now;
            return None;
        }
        (now.ok > since.ok + 100).then_some(now)
    })
    .await
    .unwrap()
}

async fn until_met(load: &LoadHandle, version: &str) {
    wait_until("users of the version", LONG, async || {
        (load.snapshot().requests_of(version) > 20).then_some(())
    })
    .await
    .unwrap();
}

/// The one decision to go back, as it was recorded.
async fn decision(plane: &ControlPlane, release: &str) -> Value {
    let mut found = events(plane, release, "return_decided").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

async fn lowering_does_not_wait(trouble: Trouble) {
    let Some(day) = Day::dawns(trouble) else {
        return;
    };
    let [aborted, judged, promoted] = ["aborted", "judged", "promoted"].map(Shop::new);
    let trigger = day.plane.work().join("trigger");
    let failing = format!(
        "--behaviour failing --fail-after-file {}",
        trigger.display()
    );
    for (name, more) in [("v1", ""), ("v2", ""), ("broken", failing.as_str())] {
        version(&day.plane, name, more);
    }
    for shop in [&aborted, &judged, &promoted] {
        shop.first(&day.plane, "v1").await;
    }
    let loads = [&aborted, &judged, &promoted].map(|shop| shop.load(40.0));
    let plan = |shop: &Shop| shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let third = day.plane.release(&plan(&promoted), "v2").await;
    promote(&day.plane, &third).await;
    ends(&day.plane, &third, "promoted_early").await;
    let first = day.plane.release(&plan(&aborted), "v2").await;
    let second = day.plane.release(&plan(&judged), "broken").await;
    for (release, load, version) in [(&first, &loads[0], "v2"), (&second, &loads[1], "broken")] {
        phase(&day.plane, release, "stage 1").await;
        until_met(load, version).await;
    }

    day.begins();
    day.nothing_is_recorded(&first).await;
    let (abort_took, abort_at) = day.takes_back(&first, "abort").await;
    let (rollback_took, rollback_at) = day.takes_back(&third, "rollback").await;
    std::fs::write(&trigger, "").unwrap();
    let harmed = now_ms();
    wait_until("a failure", LONG, async || {
        (loads[1].snapshot().failed > 0).then_some(())
    })
    .await
    .unwrap();
    let after_judge = until_deserted(&loads[1], "broken").await;
    let after_abort = until_deserted(&loads[0], "v2").await;
    let after_rollback = until_deserted(&loads[2], "v2").await;
    for (what, report, at) in [
        ("abort", &after_abort, abort_at),
        ("rollback", &after_rollback, rollback_at),
    ] {
        let last = report.by_version["v2"].last_sent_ms;
        assert!(last <= at, "{what}: met {} ms later: {report}", last - at);
    }
    // None of it is known to the store.
    let told = tokio::time::timeout(PATIENCE, day.plane.events(&first)).await;
    let told = told.unwrap_or_default();
    let known = |event: &Value| event["kind"] == "return_decided";
    assert!(!told.iter().any(known), "{told:#?}");
    let in_force = now_ms();
    day.ends();

    for (release, outcome) in [
        (&first, "aborted"),
        (&second, "rolled_back"),
        (&third, "rolled_back"),
    ] {
        ends(&day.plane, release, outcome).await;
        let decided = decision(&day.plane, release).await;
        let at = decided["at_us"].as_i64().expect("a time") / 1_000;
        assert!(at <= in_force, "decided after the trouble: {decided:#}");
    }
    let broken = &after_judge.by_version["broken"];
    eprintln!(
        "{trouble:?}: abort answered in {abort_took:?}, rollback in {rollback_took:?}; the judge \
         took its version back {} ms after it broke, with {} failed",
        broken.last_sent_ms - harmed,
        after_judge.failed
    );
    let [load, _, back] = loads;
    for load in [load.stop().await, back.stop().await] {
        assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    }
    let (status, audit) = day.plane.get("/api/v1/audit/verify").await;
    assert_eq!(status, 200, "{audit:#}");
    assert_eq!(audit["broken"], Value::Array(Vec::new()), "{audit:#}");
}

// RBK-10, RBK-11, EMG-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_delays_no_way_back() {
    lowering_does_not_wait(Trouble::Full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_refuses_writes_delays_no_way_back() {
    lowering_does_not_wait(Trouble::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_delays_no_way_back() {
    lowering_does_not_wait(Trouble::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_delays_no_way_back() {
    lowering_does_not_wait(Trouble::Moved).await;
}

/// A release of `v2` that half of the users meet, and load on it.
async fn half_way(day: &Day, shop: &Shop, plan: &str) -> (String, LoadHandle) {
    version(&day.plane, "v1", "");
    version(&day.plane, "v2", "");
    shop.first(&day.plane, "v1").await;
    let load = shop.load(40.0);
    let release = day.plane.release(plan, "v2").await;
    phase(&day.plane, &release, "stage 1").await;
    until_met(&load, "v2").await;
    (release, load)
}

// RBK-06, RBK-10: what was taken back and not recorded is known after a crash too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_record_raises_nobody_again() {
    let mut day = Day::dawns(Trouble::Moved).expect("it needs nothing");
    let shop = Shop::new("shop");
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let (release, load) = half_way(&day, &shop, &plan).await;
    day.begins();
    day.nothing_is_recorded(&release).await;
    let (_, at) = day.takes_back(&release, "abort").await;
    day.plane.kill();
    day.ends();
    day.plane.restart();
    ends(&day.plane, &release, "aborted").await;
    let decided = decision(&day.plane, &release).await;
    assert_eq!(decided["actor"], "dev", "{decided:#}");
    let decided_at = decided["at_us"].as_i64().expect("a time") / 1_000;
    assert!(decided_at <= at, "{decided:#}");
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    let last = load.by_version["v2"].last_sent_ms;
    assert!(last <= at, "met {} ms later: {load}", last - at);
}

// TRF-08: nobody controls it and nothing can be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_man_needs_no_disk() {
    let Some(mut day) = Day::dawns(Trouble::Full) else {
        return;
    };
    let shop = Shop::new("shop");
    let alone = "lost-control: { after: 3s, then: return }";
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let plan = plan.replace(" }\nartifact", &format!(", {alone} }}\nartifact"));
    assert!(plan.contains(alone), "{plan}");
    let (release, load) = half_way(&day, &shop, &plan).await;
    day.begins();
    day.nothing_is_recorded(&release).await;
    let killed = now_ms();
    day.plane.kill();
    let report = until_deserted(&load, "v2").await;
    let last = report.by_version["v2"].last_sent_ms;
    eprintln!(
        "dead-man: the last user met it {} ms after the crash",
        last - killed
    );
    day.ends();
    day.plane.restart();
    // It waits for a person, and is not raised by itself.
    let held = |view: &Value| {
        view["hold"]
            .as_str()
            .is_some_and(|hold| hold.contains("proxy"))
    };
    day.plane.until(&release, LONG, held).await;
    day.takes_back(&release, "abort").await;
    ends(&day.plane, &release, "aborted").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    assert_eq!(load.by_version["v2"].last_sent_ms, last, "{load}");
}

// EMG-04: the control plane is dead and the disk is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_needs_neither_control_plane_nor_disk() {
    let Some(mut day) = Day::dawns(Trouble::Full) else {
        return;
    };
    let shop = Shop::new("shop");
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let (release, load) = half_way(&day, &shop, &plan).await;
    day.begins();
    day.plane.kill();
    let asked = Instant::now();
    let killed = crate::esclusa(&day.plane.work())
        .env("ESCLUSA_DATA", day.plane.data())
        .args(["kill", "shop", "--reason", "it burns"])
        .output()
        .unwrap();
    let (took, at) = (asked.elapsed(), now_ms());
    assert_eq!(crate::told(&killed).0, 0, "{:?}", crate::told(&killed));
    let report = until_deserted(&load, "v2").await;
    let last = report.by_version["v2"].last_sent_ms;
    assert!(last <= at, "met {} ms later: {report}", last - at);
    eprintln!("kill answered in {took:?}");
    day.ends();
    day.plane.restart();
    ends(&day.plane, &release, "aborted").await;
    let decided = decision(&day.plane, &release).await;
    let reason = decided["payload"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("it burns"), "{decided:#}");
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
    assert_eq!(load.by_version["v2"].last_sent_ms, last, "{load}");
}

// LOG-01: content that is no event of ours, and content that is nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_something_else_raises_nobody_and_stops_nobody_else() {
    damaged_by(r#"{"to":"nowhere"}"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_record_raises_nobody_and_stops_nobody_else() {
    damaged_by("{").await;
}

// One service's damaged record is no reason to leave the others alone, and none to
// leave its users on a version that nobody watches.
async fn damaged_by(payload: &str) {
    let mut day = Day::dawns(Trouble::Moved).expect("it needs nothing");
    let (shop, other) = (Shop::new("shop"), Shop::new("other"));
    let plan = shop.plan(&format!("{ERRORS_ONLY}{BY_HAND}"));
    let (release, load) = half_way(&day, &shop, &plan).await;
    other.first(&day.plane, "v1").await;
    day.plane.kill();
    let url = format!("sqlite:{}", day.plane.data().join("esclusa.db").display());
    let mut tool = SqliteConnection::connect(&url).await.unwrap();
    let edit = "update events set payload = $2 where stream = $1 and kind = 'advanced'";
    let edited = sqlx::query(edit)
        .bind(format!("release/{release}"))
        .bind(payload.to_owned())
        .execute(&mut tool)
        .await
        .unwrap();
    assert!(edited.rows_affected() > 0);
    tool.close().await.unwrap();
    day.plane.restart();

    until_deserted(&load, "v2").await;
    let refused = day
        .plane
        .try_release(&plan, "v2", serde_json::json!({}))
        .await;
    assert_eq!(
        (refused.0, &refused.1["code"]),
        (503, &Value::from("ESC-0909")),
        "{refused:?}"
    );
    let (_, audit) = day.plane.get("/api/v1/audit/verify").await;
    assert!(
        !audit["broken"].as_array().expect("a list").is_empty(),
        "{audit:#}"
    );
    // The neighbour is released as ever.
    let next = day
        .plane
        .release(&other.plan(&format!("{ERRORS_ONLY}{BY_HAND}")), "v2")
        .await;
    promote(&day.plane, &next).await;
    ends(&day.plane, &next, "promoted_early").await;
    let load = load.stop().await;
    assert_eq!((load.failed, load.not_sent), (0, 0), "{load}");
}
