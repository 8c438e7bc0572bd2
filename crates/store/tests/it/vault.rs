//! The record's ends, files that go away, and the mark of a restored store.

use crate::world::{NOW, event, folder, open, stream, tamper};
use esclusa_model::Epoch;
use esclusa_store::backup::{Content, Existing, Tell, Wanted, make, restore};
use esclusa_store::{AppendError, Store, StoreError};
use std::path::Path;
use std::sync::Arc;

async fn three_events(dir: &Path) -> Store {
    let store = open(dir).await;
    for name in ["release/a", "release/b"] {
        let events = [event(1), event(2), event(3)];
        let appended = store.append(&stream(name), 0, NOW, &events).await;
        appended.expect("appended");
    }
    store
}

// CHK-14: what does not fit at a stream's end is found without reading the rest.
#[tokio::test]
async fn a_head_that_does_not_fit_its_last_event_is_found() {
    for (edit, position, what) in [
        (
            "update streams set hash = (select hash from events where position = 1 and stream = 'release/b') where stream = 'release/b'",
            3,
            "is not the event that the stream's head names",
        ),
        (
            "delete from events where stream = 'release/b' and position = 3",
            3,
            "the stream's end is missing",
        ),
        (
            "update streams set position = 2 where stream = 'release/b'",
            3,
            "is not the event that the stream's head names",
        ),
        (
            "delete from streams where stream = 'release/b'",
            1,
            "the stream's head is missing",
        ),
        (
            "update events set actor = 'mallory' where stream = 'release/b' and position = 3",
            3,
            "content does not match its hash",
        ),
        (
            "delete from events where stream = 'release/b'",
            3,
            "the stream's end is missing",
        ),
        (
            "update events set v = 99 where stream = 'release/b' and position = 3",
            3,
            "unknown envelope version",
        ),
    ] {
        let dir = folder();
        let store = three_events(dir.path()).await;
        let found = store.verify_heads().await.expect("read");
        assert_eq!((found.streams, found.events), (2, 2));
        assert_eq!(found.broken, []);
        assert_eq!(store.last_verification(), None, "not all was looked at");
        assert!(tamper(dir.path(), edit).await > 0, "{edit}");
        let found = store.verify_heads().await.expect("read");
        let [broken] = found.broken.as_slice() else {
            panic!("{edit}: {found:?}");
        };
        assert_eq!(
            (broken.stream.as_str(), broken.position, broken.what),
            ("release/b", position, what),
            "{edit}"
        );
        assert_eq!(store.last_verification(), Some(found), "it is remembered");
    }
}

// What lies before the end is the whole look's business, and its finding is remembered.
#[tokio::test]
async fn what_was_found_last_is_remembered() {
    let dir = folder();
    let store = three_events(dir.path()).await;
    let found = store.verify().await.expect("read");
    assert_eq!((found.events, found.broken.len()), (6, 0));
    assert_eq!(store.last_verification(), Some(found));
    let edit = "update events set actor = 'mallory' where position = 2 and stream = 'release/a'";
    assert_eq!(tamper(dir.path(), edit).await, 1);
    assert_eq!(store.verify_heads().await.expect("read").broken, []);
    let found = store.verify().await.expect("read");
    assert_eq!(found.broken.len(), 1);
    assert_eq!(store.last_verification(), Some(found));
}

// A file that is gone or another one is never written; once it is back, writing goes on.
#[tokio::test]
async fn nothing_is_written_into_a_file_that_was_removed_or_replaced() {
    let dir = folder();
    let store = three_events(dir.path()).await;
    let name = stream("release/a");
    let (log, aside) = (dir.path().join("esclusa.db"), dir.path().join("aside.db"));
    let refuses = async |store: &Store| {
        let refused = store.append(&name, 3, NOW, &[event(4)]).await;
        let Err(AppendError::Store(error)) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            matches!(&error, StoreError::Replaced { path } if *path == log),
            "{error:?}"
        );
        assert_eq!(error.code(), "ESC-0907");
        assert!(error.next_step().contains("esclusa.db"), "{error}");
        assert!(!error.is_transient());
        let refused = store.put_setting("a", &1, NOW).await;
        assert!(
            matches!(refused, Err(StoreError::Replaced { .. })),
            "{refused:?}"
        );
        assert!(store.check_in_place().is_err());
    };
    std::fs::rename(&log, &aside).expect("moved");
    refuses(&store).await;
    std::fs::copy(&aside, &log).expect("replaced");
    refuses(&store).await;
    std::fs::rename(&aside, &log).expect("moved back");
    store.check_in_place().expect("in place");
    let appended = store.append(&name, 3, NOW, &[event(4)]).await;
    appended.expect("appended");
    assert_eq!(store.verify().await.expect("read").broken, []);

    let slices = dir.path().join("slices.db");
    std::fs::remove_file(&slices).expect("removed");
    let refused = store.check_in_place();
    assert!(
        matches!(&refused, Err(StoreError::Replaced { path }) if *path == slices),
        "{refused:?}"
    );
}

/// A store that came from a backup of one at this epoch, at the epoch after it.
async fn restored(dir: &Path, epoch: u64) -> Store {
    let from = folder();
    for _ in 1..epoch {
        open(from.path()).await.close().await;
    }
    three_events(from.path()).await.close().await;
    let file = dir.join("backup");
    let content = Content {
        slices: Wanted::With,
        artifacts: Wanted::Without,
    };
    let quiet: Tell = Arc::new(|_| ());
    make(
        from.path(),
        &file,
        content,
        Existing::Keep,
        NOW,
        quiet.clone(),
    )
    .await
    .expect("made");
    let data = dir.join("data");
    restore(&file, &data, NOW, quiet).await.expect("restored");
    open(&data).await
}

#[tokio::test]
async fn a_restored_store_raises_its_epoch_once() {
    let dir = folder();
    let store = restored(dir.path(), 3).await;
    assert_eq!(store.epoch(), Epoch(4));
    let mark = store.restored().await.expect("read").expect("marked");
    assert_eq!((mark.epoch, mark.made_at, mark.at), (Epoch(3), NOW, NOW));
    assert!(store.is_restored().await.expect("read"));
    // What is as high already changes nothing, and uses nothing up.
    for low in [1, 4] {
        let raised = store.raise_epoch_to(Epoch(low), NOW).await;
        assert_eq!(raised.expect("as high"), Epoch(4));
    }
    let absurd = store.raise_epoch_to(Epoch(u64::MAX), NOW).await;
    assert!(
        matches!(absurd, Err(StoreError::Refused { .. })),
        "{absurd:?}"
    );
    let raised = store.raise_epoch_to(Epoch(90), NOW).await;
    assert_eq!(raised.expect("raised"), Epoch(90));
    assert_eq!(store.epoch(), Epoch(90));
    // It goes on to write, in this epoch.
    let appended = store
        .append(&stream("release/a"), 3, NOW, &[event(4)])
        .await;
    appended.expect("appended");
    assert!(!store.is_restored().await.expect("read"));
    let again = store.raise_epoch_to(Epoch(91), NOW).await;
    assert!(
        matches!(
            again,
            Err(StoreError::NotRestored {
                ours: 90,
                known: 91
            })
        ),
        "{again:?}"
    );
    store.close().await;
    let store = open(&dir.path().join("data")).await;
    assert_eq!(store.epoch(), Epoch(91));
    let mark = store.restored().await.expect("read").expect("marked");
    assert_eq!(mark.settled.map(|settled| settled.epoch), Some(Epoch(90)));
}

#[tokio::test]
async fn a_store_that_a_proxy_has_heard_is_like_any_other() {
    let dir = folder();
    let store = restored(dir.path(), 1).await;
    store.settle_restored(NOW).await.expect("settled");
    store.settle_restored(NOW).await.expect("nothing to do");
    assert!(!store.is_restored().await.expect("read"));
    let refused = store.raise_epoch_to(Epoch(9), NOW).await;
    assert!(
        matches!(refused, Err(StoreError::NotRestored { ours: 2, known: 9 })),
        "{refused:?}"
    );
    assert_eq!(store.epoch(), Epoch(2));
}

#[tokio::test]
async fn a_store_that_was_not_restored_never_raises_its_epoch() {
    let dir = folder();
    let store = open(dir.path()).await;
    assert_eq!(store.restored().await.expect("read"), None);
    let refused = store
        .raise_epoch_to(Epoch(7), NOW)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), "ESC-0906");
    assert!(
        refused.to_string().contains("another controller"),
        "{refused}"
    );
    assert_eq!(store.epoch(), Epoch(1));
    store
        .put_setting("a", &1, NOW)
        .await
        .expect("still in charge");
    store.settle_restored(NOW).await.expect("nothing to do");
    assert_eq!(store.restored().await.expect("read"), None);
}
