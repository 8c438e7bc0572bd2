//! Kills: in force before they are recorded, found at a proxy, and lifted by whom they are known to.

use super::*;

// EMG-01, EMG-02, RBK-09, BLD-07: a kill is in force before it is recorded, and survives a restart.
#[tokio::test]
async fn a_kill_acts_first_and_is_kept() {
    let world = World::start().await;
    world.define(reports()).await;
    let meant = world.flags.meant(&["reports".into()]).expect("an alias");
    assert_eq!(meant, ["exec", "master"]);
    let unknown = world.flags.meant(&["reprots".into()]).expect_err("unknown");
    assert_eq!(unknown.code, "ESC-0742");
    assert!(unknown.help.contains("reports"), "{}", unknown.help);

    fake(&world.proxy).streams = vec![
        stream("web", Some((1, 1))),
        stream("slow", Some((1, 0))),
        stream("silent", None),
    ];
    let done = world.flags.kill(Some(meant), "errors", &ana()).await;
    assert_eq!(
        (done.epoch, done.in_force.clone(), done.recorded),
        (1, Ok(()), true)
    );
    assert_eq!(
        (done.confirmed, done.unconfirmed),
        (1, vec!["slow".to_owned(), "silent".into()])
    );
    assert!(world.at_proxy(|now| now.kills.of("exec").is_some()));
    let calls = world.at_proxy(|now| now.calls.clone());
    assert!(calls.contains(&"kill 1".to_owned()), "{calls:?}");
    fake(&world.proxy).streams.clear();

    let World {
        dir,
        proxy,
        store,
        flags,
    } = world;
    drop((flags, store));
    // The tasks of the first life hold the folder no longer than the runtime lets them:
    // what they had recorded is read from a copy.
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["esclusa.db", "esclusa.db-wal"] {
        let from = dir.path().join(file);
        if from.exists() {
            std::fs::copy(from, copy.path().join(file)).expect("copied");
        }
    }
    let (store, flags) = flags_in(copy.path()).await;
    assert!(flags.kills().of("master").is_some());
    let entries = flags.history(Some("master"), 10).await.expect("read");
    assert_eq!(entries.len(), 2);
    assert_eq!(store.verify().await.expect("read").broken, []);
    drop(proxy);
}

fn stream(who: &str, fetched: Option<(u64, u64)>) -> FlagStream {
    FlagStream {
        who: who.into(),
        since: Timestamp(1),
        told: (1, 1),
        fetched,
    }
}

// EMG-04: what was killed at the proxy while nobody was in charge is taken over with its
// author and time, also when the proxy knows later epochs than the record.
#[tokio::test]
async fn decisions_found_at_the_proxy_are_recorded() {
    let dir = tempfile::tempdir().expect("a folder");
    let proxy = start_proxy(dir.path());
    let kill = at_night();
    killed_at(&proxy, &kill);
    let (_store, flags) = flags_in(dir.path()).await;
    flags.publish().await.expect("published");
    assert!(flags.kills().of("exec").is_some());
    until("it is recorded", || flags.unrecorded() == 0).await;
    let entries = flags.history(Some("exec"), 10).await.expect("read");
    let super::super::FlagEvent::Killed(found) = &entries[0].event else {
        panic!("a kill");
    };
    assert_eq!(found, &kill);
    assert_eq!(entries[0].actor.as_str(), "root");
    // Lifted above that epoch: recorded first, in force then.
    let lifted = flags.lift(kill.flags, "fixed", &ana()).await;
    let lifted = lifted.expect("recorded");
    assert_eq!((lifted.epoch, lifted.in_force), (8, Ok(())));
    assert_eq!(fake(&proxy).kills.of("exec"), None);
}

// EMG-04: whoever lifts at once when the server is back lifts what was killed without it.
#[tokio::test]
async fn a_lifting_stands_above_what_was_killed_without_a_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let proxy = start_proxy(dir.path());
    let kill = at_night();
    killed_at(&proxy, &kill);
    let (_store, flags) = flags_in(dir.path()).await;
    let lifted = flags.lift(kill.flags, "fixed", &ana()).await;
    let lifted = lifted.expect("recorded");
    assert_eq!((lifted.epoch, &lifted.in_force), (8, &Ok(())));
    assert_eq!(fake(&proxy).kills.of("exec"), None);
    let lifted = FlagKill {
        flags: lifted.flags,
        killed: false,
        epoch: lifted.epoch,
        ..at_night()
    };
    // A kill that comes while it is lifted stands, and that is said.
    let between = FlagKill {
        epoch: 100,
        ..at_night()
    };
    killed_at(&proxy, &between);
    let one = |kill: &FlagKill| {
        let mut live = super::super::live::Live::default();
        live.adopt_one(kill.clone());
        super::super::kill::still_killed(&live, &lifted)
    };
    assert!(one(&between) && !one(&lifted));
}

// EMG-04, RBK-23: a rule lifts what it knows of. A kill that a person made at the proxy while no
// server ran stands, though the rule's time to lift its own is over.
#[tokio::test]
async fn a_rule_does_not_lift_what_it_does_not_know() {
    let world = World::start().await;
    world.define(reports()).await;
    let exec = Some(vec!["exec".to_owned()]);
    let rule = super::super::standing::actor();
    let own = world
        .flags
        .kill(exec.clone(), "rule r: errors", &rule)
        .await;
    killed_at(&world.proxy, &at_night());
    let lift = |known| {
        let exec = exec.clone();
        world
            .flags
            .lift_known(exec, "rule r: again", &rule, Some(known))
    };
    let refused = lift(own.epoch).await.expect_err("it stands");
    assert_eq!(refused.code, "ESC-0741");
    assert_eq!(world.flags.kills().of("exec"), Some(at_night().epoch));
    let lifted = lift(at_night().epoch).await.expect("known");
    assert_eq!(lifted.flags, exec);
    assert_eq!(world.flags.kills().of("exec"), None);
}

// BLD-07: what is not killed is not lifted, and what stays killed is named.
#[tokio::test]
async fn a_lifting_says_what_it_did_not_open() {
    let world = World::start().await;
    world.define(reports()).await;
    let one = |key: &str| Some(vec![key.to_owned()]);
    let lift = async |flags| world.flags.lift(flags, "", &ana()).await.expect("done");
    world.flags.kill(one("exec"), "", &ana()).await;
    world.flags.kill(None, "", &ana()).await;
    let none = lift(one("master")).await;
    assert_eq!((none.flags, none.epoch), (Some(Vec::new()), 2));
    assert_eq!(
        (none.not_killed, none.still.all),
        (vec!["master".into()], true)
    );
    let all = lift(None).await;
    assert_eq!(
        (all.flags, all.epoch, all.not_killed),
        (None, 3, Vec::new())
    );
    assert_eq!(
        (all.still.all, all.still.flags),
        (false, vec!["exec".into()])
    );
    let again = lift(None).await;
    assert_eq!((again.epoch, again.not_killed), (3, vec!["all".into()]));
    let both = lift(Some(vec!["exec".into(), "master".into()])).await;
    assert_eq!((both.flags, both.epoch), (one("exec"), 4));
    assert_eq!(
        (both.not_killed, both.still.flags),
        (vec!["master".into()], Vec::new())
    );
}

// EMG-04: a proxy that is gone is asked again while it comes back, and finds the kill in its
// folder when it starts.
#[tokio::test]
async fn a_kill_waits_for_a_proxy_that_comes_back() {
    let mut world = World::without_proxy().await;
    let flags = Arc::clone(&world.flags);
    let kill = tokio::spawn(async move { flags.kill(None, "now", &ana()).await });
    let folder = world.dir.path().to_owned();
    let left = || {
        let files = std::fs::read_dir(&folder).expect("a folder").flatten();
        let ours = files.filter(|f| f.file_name().to_string_lossy().starts_with("kill-"));
        let texts = ours.map(|file| std::fs::read_to_string(file.path()).expect("text"));
        let kills = texts.map(|text| LeftKill::decode(&text).expect("a kill"));
        kills.filter_map(|left| left.flags).next()
    };
    until("it is left", || left().is_some()).await;
    let found = left().expect("left");
    assert_eq!((found.epoch, found.by), (1, ana()));
    world.begin_proxy(Kills::default());
    let done = kill.await.expect("done");
    assert_eq!(done.in_force, Ok(()));
    assert!(world.at_proxy(|now| now.kills.all.killed));
    // One that does not come back: that it needs nobody's help is said.
    let alone = World::without_proxy().await;
    let done = alone.flags.kill(None, "now", &ana()).await;
    let why = done.in_force.expect_err("nobody answers");
    assert!(why.contains("it comes by itself"), "{why}");
}

// EMG-04: a store that cannot be written keeps nobody from killing.
#[tokio::test]
async fn a_kill_works_with_a_dead_store() {
    let world = World::start().await;
    world.define(reports()).await;
    // Nothing can be written any more, as on a disk that is gone.
    std::fs::remove_file(world.dir.path().join("esclusa.db")).expect("removed");
    let described = Patch {
        revision: 1,
        changes: vec![change("/flags/exec/description", None, Some(json!("x")))],
    };
    let refused = world.flags.change(described, "", &ana()).await;
    assert!(refused.is_err());
    let done = world.flags.kill(None, "the disk is gone", &ana()).await;
    assert_eq!((done.in_force.clone(), done.recorded), (Ok(()), false));
    assert!(world.at_proxy(|now| now.kills.all.killed));
    // Whoever comes after this program finds it with what is published.
    until("it stands in the journal", || {
        world.at_proxy(|now| {
            let document = now.document.as_ref();
            document.is_some_and(|document| document.journal.iter().any(|k| k.flags.is_none()))
        })
    })
    .await;
    // Nothing is opened again that cannot be recorded.
    assert!(world.flags.lift(None, "", &ana()).await.is_err());
    assert!(world.flags.kills().all.killed);
}

// EMG-01, BLD-09: a release hears of kills of what its flag needs, and of kills that were lifted
// since it began.
#[tokio::test]
async fn releases_hear_of_kills_of_what_they_need() {
    let world = World::start().await;
    let mut set = reports();
    set["flags"]["board"] = json!({ "type": "boolean",
        "prerequisites": [{ "flag": "exec", "variant": "on" }] });
    world.define(set).await;
    let turns = |flag: &str| {
        vec![esclusa_plan::FlagTurn {
            flag: flag.into(),
            variant: "on".into(),
        }]
    };
    let killed = |flag: &str, since| world.flags.kill_of(&turns(flag), since);
    let before = Some(clock::now());
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(killed("board", before), None);
    let exec = Some(vec!["exec".to_owned()]);
    world.flags.kill(exec.clone(), "errors", &ana()).await;
    let found = killed("board", None).expect("what it needs is killed");
    assert_eq!((found.flags, found.by), (exec.clone(), ana()));
    assert_eq!(killed("master", before), None);
    let lifted = world.flags.lift(exec, "over", &ana()).await;
    lifted.expect("lifted").in_force.expect("in force");
    assert_eq!(killed("board", None), None);
    assert!(killed("board", before).is_some() && killed("exec", before).is_some());
    assert_eq!(killed("board", Some(clock::now())), None);
}

// A lifting that only the proxy knew does not undo a kill that comes after it.
#[tokio::test]
async fn a_kill_is_above_everything_that_the_proxy_knows() {
    let world = World::start().await;
    world.define(reports()).await;
    let lifted = FlagKill {
        flags: Some(vec!["exec".into()]),
        killed: false,
        epoch: 50,
        by: ana(),
        reason: String::new(),
        at: Timestamp(1),
    };
    fake(&world.proxy)
        .kills
        .merge(&super::super::ledger::marks(&lifted));
    let done = world
        .flags
        .kill(Some(vec!["exec".into()]), "", &ana())
        .await;
    assert!(done.epoch > 50, "{}", done.epoch);
    assert!(world.at_proxy(|now| now.kills.of("exec").is_some()));
}
