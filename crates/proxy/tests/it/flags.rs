//! Flag documents and kills at a proxy: what it takes, keeps and hands on.

use crate::hand_over::take_over;
use crate::support::{KEY, StuckDisk, World, eventually};
use esclusa_flags::{FlagSet, Kills};
use esclusa_model::{Epoch, GenerationId, Timestamp};
use esclusa_proxy::client::ControlError;
use esclusa_proxy::{leave_kill, saved_flags};
use esclusa_wire::{FlagDocument, FlagKill, FlagsKilled, LeftKill, WIRE_VERSION};
use serde_json::{Value, json};

/// A document of one epoch.
pub(crate) fn document(epoch: u64, number: u64, set: Value) -> FlagDocument {
    FlagDocument {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(epoch),
            number,
        },
        set: FlagSet::from_json(set).expect("a set"),
        kills: Kills::default(),
        rollouts: Vec::new(),
        tokens: Vec::new(),
        key: KEY.into(),
        journal: Vec::new(),
    }
}

fn set() -> Value {
    json!({
        "revision": 7,
        "environments": ["production", "staging"],
        "flags": { "reports": { "type": "boolean", "default": "on" },
                   "exports": { "type": "boolean", "default": "on" } },
    })
}

pub(crate) fn kill(flags: Option<&[&str]>, killed: bool) -> FlagKill {
    FlagKill {
        flags: flags.map(|flags| flags.iter().map(|f| (*f).to_owned()).collect()),
        killed,
        epoch: 0,
        by: "ana".parse().expect("name"),
        reason: "it hurts".into(),
        at: Timestamp(0),
    }
}

async fn put(world: &World, document: &FlagDocument) -> Result<u64, String> {
    match world.control.put_flags(document).await {
        Ok(taken) => Ok(taken.revision),
        Err(ControlError::Refused(refusal)) => Err(refusal.reason),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) async fn killed(world: &World, asked: &FlagKill) -> FlagsKilled {
    world.control.kill_flags(asked).await.expect("killed")
}

// FLAG-02
#[tokio::test]
async fn a_document_is_taken_whole_once_and_in_order() {
    let mut world = World::new().await;
    assert_eq!(world.control.flags().await.expect("answer"), None);
    let first = document(2, 1, set());
    assert_eq!(put(&world, &first).await, Ok(7));
    assert_eq!(put(&world, &first).await, Ok(7), "the same is read back");
    let back = world.control.flags().await.expect("answer");
    assert_eq!(back.as_ref(), Some(&first));

    let mut other = set();
    other["revision"] = json!(8);
    let refused = put(&world, &document(2, 1, other.clone())).await;
    assert!(
        refused
            .expect_err("other content")
            .contains("other content")
    );
    assert_eq!(put(&world, &document(2, 2, other.clone())).await, Ok(8));
    let refused = put(&world, &document(2, 1, set())).await;
    assert!(refused.expect_err("older").contains("older"));
    // A controller whose time is over may publish neither flags nor generations.
    let refused = put(&world, &document(1, 9, set())).await;
    assert!(
        refused
            .expect_err("an old controller")
            .contains("epoch 1 is over")
    );
    let service = world.service(0);
    let mut generation = world.generation(vec![service]);
    assert!(world.control.publish(&generation).await.is_err());
    generation.id.epoch = Epoch(3);
    world.control.publish(&generation).await.expect("published");
    let refused = put(&world, &document(2, 3, set())).await;
    assert!(
        refused
            .expect_err("an old controller")
            .contains("epoch 2 is over")
    );
    let status = world.control.flag_status().await.expect("status");
    assert_eq!((status.id.number, status.revision), (2, 8));
}

#[tokio::test]
async fn what_is_not_valid_is_refused_with_all_that_is_wrong() {
    let world = World::new().await;
    put(&world, &document(1, 1, set())).await.expect("taken");
    let mut wrong = set();
    wrong["flags"]["reports"]["default"] = json!("onn");
    wrong["flags"]["exports"]["prerequisites"] = json!([{ "flag": "report", "variant": "on" }]);
    let told = put(&world, &document(1, 2, wrong))
        .await
        .expect_err("wrong");
    for part in [
        "/flags/reports/default",
        "onn",
        "/flags/exports/prerequisites/0",
        "did you mean \"reports\"?",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let status = world.control.flag_status().await.expect("status");
    assert_eq!(status.id.number, 1);
}

// EMG-04
#[tokio::test]
async fn kills_only_grow_and_are_told_until_a_controller_knows_them() {
    let mut world = World::patient().await;
    // Before there is any document.
    let early = killed(&world, &kill(Some(&["reports"]), true)).await;
    assert_eq!(early.unknown, ["reports"]);
    assert_eq!(early.kills.of("reports"), Some(1));
    put(&world, &document(1, 1, set())).await.expect("taken");
    let again = killed(&world, &kill(Some(&["reports"]), true)).await;
    assert_eq!(again.kills, early.kills, "asking again changes nothing");
    assert!(again.unknown.is_empty() && again.persisted);
    let all = killed(&world, &kill(None, true)).await;
    assert_eq!(all.kills.of("exports"), Some(2));
    let lifted = killed(&world, &kill(Some(&["reports"]), false)).await;
    assert_eq!(lifted.kills.flags["reports"].epoch, 3);
    assert_eq!(lifted.kills.of("reports"), Some(2), "all are killed");

    let status = world.control.flag_status().await.expect("status");
    let epochs: Vec<u64> = status.killed_here.iter().map(|k| k.epoch).collect();
    assert_eq!(epochs, [1, 2, 3]);
    assert!(status.killed_here.iter().all(|k| k.at > Timestamp(0)));
    // A document that knows two of them, and an older kill of another.
    let mut next = document(1, 2, set());
    next.kills.kill(None);
    next.kills.kill(None);
    next.kills
        .flags
        .insert("reports".into(), early.kills.flags["reports"]);
    put(&world, &next).await.expect("taken");
    let status = world.control.flag_status().await.expect("status");
    assert_eq!(status.kills, lifted.kills, "nothing is lost");
    let epochs: Vec<u64> = status.killed_here.iter().map(|k| k.epoch).collect();
    assert_eq!(epochs, [3]);
    let mut next = document(1, 3, set());
    next.kills = status.kills.clone();
    put(&world, &next).await.expect("taken");
    let status = world.control.flag_status().await.expect("status");
    assert!(status.killed_here.is_empty());
    // A given epoch, later and earlier.
    let mut given = kill(Some(&["exports"]), true);
    given.epoch = 40;
    killed(&world, &given).await;
    given.epoch = 39;
    given.killed = false;
    let kills = killed(&world, &given).await.kills;
    assert_eq!(kills.flags["exports"].epoch, 40);
    world.stop().await;
}

// EMG-04: who kills what is killed already decides that anew: what a rule killed, the rule
// may lift, and what a person killed, it may not.
#[tokio::test]
async fn a_kill_of_what_is_killed_is_a_decision_of_its_own() {
    let world = World::new().await;
    let mut by_rule = kill(Some(&["reports"]), true);
    by_rule.by = "rule".parse().expect("name");
    by_rule.epoch = 5;
    let mut known = document(1, 1, set());
    known.kills.merge(&killed(&world, &by_rule).await.kills);
    put(&world, &known).await.expect("taken");
    let own = killed(&world, &kill(Some(&["reports", "exports"]), true)).await;
    assert_eq!(own.kills.flags["reports"].epoch, 6);
    let mut other = kill(Some(&["reports"]), true);
    other.reason = "means it".into();
    let other = killed(&world, &other).await;
    assert_eq!(other.kills.flags["reports"].epoch, 7);
    // The same once more, as a client asks that lost the answer.
    let all = killed(&world, &kill(None, true)).await;
    assert_eq!(killed(&world, &kill(None, true)).await.kills, all.kills);
    let status = world.control.flag_status().await.expect("status");
    let told: Vec<_> = status
        .killed_here
        .iter()
        .map(|kill| (kill.epoch, kill.reason.as_str()))
        .collect();
    assert_eq!(told, [(6, "it hurts"), (7, "means it"), (8, "it hurts")]);
}

// EMG-04: what is left while no proxy runs holds before anybody is answered, and is told to
// whoever comes to be in charge.
#[tokio::test]
async fn a_kill_that_is_left_holds_from_the_start() {
    let mut world = World::new().await;
    put(&world, &document(1, 1, set())).await.expect("taken");
    world.stop().await;
    let data = world.dir.path().join("data");
    let left = |flag: &str| LeftKill {
        flags: Some(kill(Some(&[flag]), true)),
        take_back: None,
    };
    leave_kill(&data, &left("reports")).expect("left");
    let saved = saved_flags(&data).expect("saved");
    assert_eq!(saved.kills.of("reports"), Some(1), "as the next one has it");
    world.start();
    let first = world.control.flag_status().await.expect("status");
    assert_eq!(first.kills.of("reports"), Some(1));
    let [told] = first.killed_here.as_slice() else {
        panic!("{first:?}");
    };
    assert_eq!((told.by.as_str(), &*told.reason), ("ana", "it hurts"));
    let gone = || async {
        let files = std::fs::read_dir(&data).expect("a folder").flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| name.contains("kill-")).collect();
        left.is_empty().then_some(())
    };
    eventually(gone).await;
    // One that runs takes it soon: it may have hung when somebody asked.
    leave_kill(&data, &left("exports")).expect("left");
    eventually(|| async {
        let status = world.control.flag_status().await.expect("status");
        status.kills.of("exports")
    })
    .await;
    eventually(gone).await;
    let before = world.control.flag_status().await.expect("status");
    world.restart().await;
    assert_eq!(world.control.flag_status().await.expect("status"), before);
}

// FLAG-02, EMG-04
#[tokio::test]
async fn a_restart_without_anybody_keeps_flags_and_kills() {
    let mut world = World::new().await;
    put(&world, &document(1, 1, set())).await.expect("taken");
    killed(&world, &kill(Some(&["reports"]), true)).await;
    let before = world.control.flag_status().await.expect("status");
    let known = world.control.flags().await.expect("answer");
    world.restart().await;
    assert_eq!(world.control.flag_status().await.expect("status"), before);
    assert_eq!(world.control.flags().await.expect("answer"), known);
    assert!(put(&world, &document(1, 0, set())).await.is_err());
    // A damaged file gives way to the one before, which has the kill too.
    world.stop().await;
    let data = world.dir.path().join("data");
    std::fs::write(data.join("flags"), "esclusa-flags 1 sha256:00\n{}\n").expect("written");
    world.start();
    assert_eq!(world.control.flag_status().await.expect("status"), before);
}

#[tokio::test]
async fn a_kill_waits_for_no_disk() {
    let world = World::new().await;
    put(&world, &document(1, 1, set())).await.expect("taken");
    let data = world.dir.path().join("data");
    eventually(|| async { saved_flags(&data)?.document.map(drop) }).await;
    let stuck = StuckDisk::at(&world, "flags").await;
    let told = killed(&world, &kill(None, true)).await;
    assert!(!told.persisted);
    assert_eq!(told.kills.of("reports"), Some(1));
    stuck.mend();
    eventually(|| async {
        let text = std::fs::read_to_string(data.join("flags")).expect("flags");
        let file = esclusa_wire::FlagsFile::decode(&text).expect("readable");
        (file.kills == told.kills).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_has_flags_and_kills() {
    let mut world = World::new().await;
    world.share(0).await;
    put(&world, &document(1, 1, set())).await.expect("taken");
    killed(&world, &kill(Some(&["reports"]), true)).await;
    let before = world.control.flag_status().await.expect("status");
    let _old = take_over(&mut world);
    assert_eq!(world.control.flag_status().await.expect("status"), before);
    put(&world, &document(1, 2, set())).await.expect("taken");
    world.restart().await;
    let status = world.control.flag_status().await.expect("status");
    assert_eq!((status.id.number, status.kills), (2, before.kills));
}
