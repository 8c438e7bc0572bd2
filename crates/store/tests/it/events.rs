//! Append, read, conflict, verification.

use crate::world::{NOW, actor, event, folder, open, stream, tamper};
use esclusa_model::{Envelope, verify_chain};
use esclusa_store::{
    AppendError, MAX_APPEND_EVENTS, MAX_PAYLOAD_BYTES, NewEvent, StoreError, Verification,
    verify_folder,
};
use proptest::prelude::*;

#[tokio::test]
async fn what_is_appended_is_read_back_after_a_restart() {
    let dir = folder();
    let store = open(dir.path()).await;
    let first = store
        .append(&stream("release/a"), 0, NOW, &[event(1), event(2)])
        .await
        .expect("appended");
    let second = store
        .append(&stream("release/a"), 2, NOW, &[event(3)])
        .await
        .expect("appended");
    store.close().await;

    let store = open(dir.path()).await;
    let all: Vec<Envelope> = first.into_iter().chain(second).collect();
    let read = store
        .read(&stream("release/a"), 0, 100)
        .await
        .expect("read");
    assert_eq!(read, all);
    assert_eq!(verify_chain(&read), Ok(()));
    let tail = store.read(&stream("release/a"), 1, 1).await.expect("read");
    assert_eq!(tail, all[1..2]);
    let none = store.read(&stream("release/b"), 0, 1).await.expect("read");
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_stale_writer_gets_a_conflict_and_changes_nothing() {
    let dir = folder();
    let store = open(dir.path()).await;
    let name = stream("release/a");
    store
        .append(&name, 0, NOW, &[event(1)])
        .await
        .expect("appended");
    for expected in [0, 2, u64::MAX] {
        let refused = store.append(&name, expected, NOW, &[event(9)]).await;
        assert!(
            matches!(refused, Err(AppendError::Conflict { actual: 1, .. })),
            "{refused:?}"
        );
    }
    assert_eq!(store.streams("").await.expect("listed"), [(name, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_writers_exactly_one_wins_each_position() {
    let dir = folder();
    let store = open(dir.path()).await;
    let name = stream("release/race");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, name) = (store.clone(), name.clone());
            tokio::spawn(async move {
                let (mut won, mut expected) = (0_u64, 0_u64);
                while won < 10 {
                    match store.append(&name, expected, NOW, &[event(writer)]).await {
                        Ok(_) => {
                            won += 1;
                            expected += 1;
                        }
                        Err(AppendError::Conflict { actual, .. }) => expected = actual,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    let all = store.read(&name, 0, 100).await.expect("read");
    assert_eq!(all.len(), 40);
    assert_eq!(verify_chain(&all), Ok(()));
}

#[tokio::test]
async fn streams_are_listed_by_prefix_taken_literally() {
    let dir = folder();
    let store = open(dir.path()).await;
    for name in ["release/b", "release/a", "releasex", "service/_"] {
        store
            .append(&stream(name), 0, NOW, &[event(1)])
            .await
            .expect("appended");
    }
    let names = |listed: Vec<(esclusa_model::StreamId, u64)>| -> Vec<String> {
        listed
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect()
    };
    let listed = names(store.streams("release/").await.expect("listed"));
    assert_eq!(listed, ["release/a", "release/b"]);
    let listed = names(store.streams("service/_").await.expect("listed"));
    assert_eq!(listed, ["service/_"]);
    assert_eq!(
        names(store.streams("service/%").await.expect("listed")).len(),
        0
    );
}

#[tokio::test]
async fn limits_are_refused_before_anything_is_stored() {
    let dir = folder();
    let store = open(dir.path()).await;
    let many = vec![event(1); MAX_APPEND_EVENTS + 1];
    let long = [NewEvent {
        payload: "x".repeat(MAX_PAYLOAD_BYTES).into(),
        ..event(1)
    }];
    for events in [many.as_slice(), &long] {
        let refused = store.append(&stream("s"), 0, NOW, events).await;
        assert!(
            matches!(refused, Err(AppendError::Store(StoreError::Refused { .. }))),
            "{refused:?}"
        );
    }
    assert_eq!(store.streams("").await.expect("listed"), []);
}

// FLAG-15, CHK: edit one byte of the audit trail and it is named.
#[tokio::test]
async fn every_edit_of_the_file_is_found() {
    let edits = [
        (
            "update events set payload = '{\"number\":9}' where position = 2",
            2,
        ),
        ("update events set actor = 'nobody' where position = 2", 2),
        ("update events set at = at + 1 where position = 1", 1),
        (
            "update events set payload = 'no json' where position = 3",
            3,
        ),
        ("update events set v = 2 where position = 3", 3),
        ("update events set hash = prev where position = 2", 2),
        ("delete from events where position = 2", 2),
        ("delete from events where position = 3", 3),
        ("delete from streams where stream = 'release/a'", 3),
        (
            "update streams set position = 2 where stream = 'release/a'",
            3,
        ),
        ("delete from events where stream = 'release/a'", 1),
    ];
    for (sql, position) in edits {
        let dir = folder();
        let store = open(dir.path()).await;
        for name in ["release/a", "service/whole"] {
            let events = [event(1), event(2), event(3)];
            store
                .append(&stream(name), 0, NOW, &events)
                .await
                .expect("appended");
        }
        let clean = store.verify().await.expect("verified");
        let expected = Verification {
            streams: 2,
            events: 6,
            broken: Vec::new(),
        };
        assert_eq!(clean, expected);
        // Only the first stream is meant where the statement names none.
        tamper(
            dir.path(),
            "create table kept as select * from events where stream != 'release/a'",
        )
        .await;
        assert!(tamper(dir.path(), sql).await > 0, "{sql}");
        tamper(dir.path(), "delete from events where stream != 'release/a'").await;
        tamper(dir.path(), "insert into events select * from kept").await;

        let found = store.verify().await.expect("verified");
        let broken: Vec<_> = found
            .broken
            .iter()
            .map(|damage| (damage.stream.as_str(), damage.position))
            .collect();
        assert_eq!(broken, [("release/a", position)], "{sql}: {found:?}");
        assert_eq!((found.streams, found.events), (2, 3), "{sql}");
    }
}

/// What grows while it is looked at is whole at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_grows_meanwhile_is_intact() {
    let dir = folder();
    let store = open(dir.path()).await;
    let name = stream("release/a");
    let whole: Vec<NewEvent> = (0..900).map(event).collect();
    store.append(&name, 0, NOW, &whole).await.expect("appended");
    let writer = tokio::spawn({
        let (store, name) = (store.clone(), name.clone());
        async move {
            for position in 900.. {
                let more = [event(position)];
                let appended = store.append(&name, position, NOW, &more).await;
                appended.expect("appended");
            }
        }
    });
    let mut seen = 900;
    while seen < 1_100 {
        let found = store.verify().await.expect("verified");
        assert_eq!(found.broken, []);
        assert!(found.events >= seen, "{} after {seen}", found.events);
        seen = found.events;
    }
    writer.abort();
}

// CHK: the record can be proved where nothing runs, and is not touched.
#[tokio::test]
async fn a_folder_without_an_owner_is_verified_as_it_lies() {
    let dir = folder();
    assert_eq!(verify_folder(dir.path()).await.expect("looked"), None);
    assert!(!dir.path().join("esclusa.db").exists(), "made by a reader");
    let store = open(dir.path()).await;
    for name in ["release/a", "service/whole"] {
        let events = [event(1), event(2), event(3)];
        store
            .append(&stream(name), 0, NOW, &events)
            .await
            .expect("appended");
    }
    let whole = Verification {
        streams: 2,
        events: 6,
        broken: Vec::new(),
    };
    // Beside its owner, whose last events lie in the log beside the file.
    let found = verify_folder(dir.path()).await.expect("verified");
    assert_eq!(found.as_ref(), Some(&whole));
    store.close().await;
    let file = || std::fs::read(dir.path().join("esclusa.db")).expect("read");
    let before = file();
    let found = verify_folder(dir.path()).await.expect("verified");
    assert_eq!(found.as_ref(), Some(&whole));
    assert!(before == file(), "reading changed the file");

    tamper(
        dir.path(),
        "update events set payload = '{\"number\":9}' where position = 2 and stream = 'release/a'",
    )
    .await;
    let found = verify_folder(dir.path()).await.expect("verified");
    let broken = found.expect("a record").broken;
    assert_eq!(
        (broken[0].stream.as_str(), broken[0].position),
        ("release/a", 2)
    );
    assert_eq!(broken.len(), 1);
}

#[tokio::test]
async fn an_unknown_envelope_version_is_not_read() {
    let dir = folder();
    let store = open(dir.path()).await;
    store
        .append(&stream("s"), 0, NOW, &[event(1)])
        .await
        .expect("appended");
    tamper(dir.path(), "update events set v = 2").await;
    let read = store.read(&stream("s"), 0, 1).await;
    assert!(
        matches!(read, Err(StoreError::TooNew { found: 2, .. })),
        "{read:?}"
    );
}

/// Ten pages of a chain: paging of the verification, and that nothing is quadratic.
#[tokio::test]
async fn a_long_stream_is_read_and_verified() {
    let dir = folder();
    let store = open(dir.path()).await;
    let name = stream("flags/changes");
    let events: Vec<NewEvent> = (0..1_000).map(event).collect();
    for page in 0..10 {
        store
            .append(&name, page * 1_000, NOW, &events)
            .await
            .expect("appended");
    }
    let found = store.verify().await.expect("verified");
    assert_eq!((found.events, found.broken), (10_000, Vec::new()));
    let last = store.read(&name, 9_999, 10).await.expect("read");
    assert_eq!(last.len(), 1);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Whatever a payload holds (floats to the last bit, any text), its hash still
    /// fits after a journey through the file.
    #[test]
    fn any_payload_survives(payloads in prop::collection::vec(any_json(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let dir = folder();
            let store = open(dir.path()).await;
            let events: Vec<NewEvent> = payloads
                .into_iter()
                .map(|payload| NewEvent { actor: actor("a"), kind: "k \u{0}ü".into(), payload })
                .collect();
            let sealed = store.append(&stream("s"), 0, NOW, &events).await.expect("appended");
            let read = store.read(&stream("s"), 0, 100).await.expect("read");
            assert_eq!(read, sealed);
            assert_eq!(store.verify().await.expect("verified").broken, []);
        });
    }
}
