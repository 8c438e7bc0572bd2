//! One owner of a data folder at a time, and what a second one is told.

use crate::world::{NOW, event, folder, open, stream, tamper};
use esclusa_model::Epoch;
use esclusa_store::{AppendError, Store, StoreError};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_second_opener_is_refused_with_the_holders_pid() {
    let dir = folder();
    let store = open(dir.path()).await;
    let refused = Store::open(dir.path(), NOW).await.expect_err("refused");
    assert!(
        matches!(&refused, StoreError::Locked { pid: Some(pid), .. } if *pid == std::process::id()),
        "{refused:?}"
    );
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string()),
        "{refused}"
    );
    assert!(
        refused.next_step().contains("--data"),
        "{}",
        refused.next_step()
    );
    drop(store);
    open(dir.path()).await;
}

#[tokio::test]
async fn each_opening_gets_a_higher_epoch() {
    let dir = folder();
    for epoch in 1..4 {
        let store = open(dir.path()).await;
        assert_eq!(store.epoch(), Epoch(epoch));
        store.close().await;
    }
}

/// Somebody removed the lock file: the lock no longer tells the two apart, the epoch does.
#[tokio::test]
async fn an_overtaken_controller_can_no_longer_write() {
    let dir = folder();
    let old = open(dir.path()).await;
    old.append(&stream("s"), 0, NOW, &[event(1)])
        .await
        .expect("appended");
    std::fs::remove_file(dir.path().join("lock")).expect("removed");
    let new = open(dir.path()).await;
    let refused = old.append(&stream("s"), 1, NOW, &[event(2)]).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Store(StoreError::Superseded {
                ours: 1,
                current: 2
            }))
        ),
        "{refused:?}"
    );
    let refused = old.put_setting("a", &1, NOW).await;
    assert!(
        matches!(refused, Err(StoreError::Superseded { .. })),
        "{refused:?}"
    );
    new.append(&stream("s"), 1, NOW, &[event(2)])
        .await
        .expect("appended");
}

#[tokio::test]
async fn the_folder_is_its_owners_alone() {
    let dir = folder();
    let data = dir.path().join("deep/data");
    let _store = open(&data).await;
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path)
            .expect("exists")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).expect("listed") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn data_of_a_newer_build_is_refused_and_left_alone() {
    let dir = folder();
    open(dir.path()).await.close().await;
    tamper(
        dir.path(),
        "insert into schema_steps (number, digest, at) values (99, 'x', 0)",
    )
    .await;
    let refused = Store::open(dir.path(), NOW).await.expect_err("refused");
    assert!(
        matches!(
            refused,
            StoreError::TooNew {
                found: 99,
                known: 4,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage() {
    let dir = folder();
    std::fs::write(dir.path().join("esclusa.db"), "no database".repeat(200)).expect("written");
    let refused = Store::open(dir.path(), NOW).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_path_that_is_a_file_is_named() {
    let dir = folder();
    let file = dir.path().join("plain");
    std::fs::write(&file, "x").expect("written");
    let refused = Store::open(&file, NOW).await.expect_err("refused");
    assert!(refused.to_string().contains("plain"), "{refused}");
}
