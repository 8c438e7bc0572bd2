//! Backups: whole, of one moment, for their owner; and back, all of it or nothing.

use crate::world::{NOW, actor, event, folder, open, stream, tamper};
use esclusa_model::{Digest, Epoch};
use esclusa_store::backup::{BackupError, Content, Existing, Made, Put, Wanted, make, restore};
use esclusa_store::{NewToken, Store, StoreError};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ALL: Content = Content {
    slices: Wanted::With,
    artifacts: Wanted::With,
};

async fn back_up(dir: &Path, file: &Path) -> Result<Made, BackupError> {
    make(dir, file, ALL, Existing::Keep, NOW, Arc::new(|_| ())).await
}

async fn put_back(file: &Path, dir: &Path) -> Result<Put, BackupError> {
    restore(file, dir, NOW, Arc::new(|_| ())).await
}

/// A folder with events, a token, a key and a version of all kinds of entries.
async fn filled(dir: &Path) -> Store {
    let store = open(dir).await;
    let events = [event(1), event(2)];
    let appended = store.append(&stream("release/a"), 0, NOW, &events).await;
    appended.expect("appended");
    let ana = NewToken {
        name: &actor("ana"),
        roles: &["admin".to_owned()],
        hash: &Digest::of(b"secret"),
        person: None,
        expires: None,
        flags: None,
    };
    store.put_token(&ana, NOW).await.expect("stored");
    let put = store.put_setting("cookie-key/shop", &"k", NOW).await;
    put.expect("stored");
    let version = dir.join("versions/abc");
    let deep = version.join("a-folder-with-a-name-that-no-old-archive-could-hold/".repeat(4));
    fs::create_dir_all(&deep).expect("made");
    fs::write(deep.join("start"), "#!/bin/sh\n").expect("written");
    set_mode(&deep.join("start"), 0o555);
    symlink("a-folder", version.join("link")).expect("linked");
    set_mode(&version, 0o555);
    fs::write(dir.join("versions/abc.list"), "start\0").expect("written");
    fs::create_dir_all(dir.join("versions/.tmp-half")).expect("made");
    fs::create_dir_all(dir.join("instances/shop")).expect("made");
    store
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path)
        .expect("there")
        .permissions()
        .mode()
        & 0o777
}

/// Names in a folder, without the lock.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("listed");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_backed_up_beside_a_controller_is_put_back() {
    let (dir, out) = (folder(), folder());
    let store = filled(dir.path()).await;
    let file = out.path().join("state.backup");
    let made = back_up(dir.path(), &file).await.expect("made");
    assert_eq!(made.size, fs::metadata(&file).expect("there").len());
    let about = &made.manifest;
    assert_eq!((about.streams, about.events, about.epoch), (1, 2, Epoch(1)));
    assert_eq!((about.slices, about.artifacts), (true, Some(1)));
    assert_eq!((about.broken.as_slice(), about.left_out), (&[][..], 0));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(names(out.path()), ["state.backup"], "nothing is left over");
    // The controller goes on; what comes later is not in the backup.
    let later = store
        .append(&stream("release/a"), 2, NOW, &[event(3)])
        .await;
    later.expect("appended");

    let data = out.path().join("restored/data");
    let put = put_back(&file, &data).await.expect("put back");
    assert_eq!((put.artifacts, put.artifacts_there), (1, 0));
    assert_eq!(put.manifest, made.manifest);
    assert_eq!(names(&data), ["esclusa.db", "slices.db", "versions"]);
    assert_eq!(mode(&data), 0o700);
    for name in ["esclusa.db", "slices.db"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    let restored = open(&data).await;
    assert_eq!(restored.epoch(), Epoch(2));
    let read = restored
        .read(&stream("release/a"), 0, 9)
        .await
        .expect("read");
    let known = store.read(&stream("release/a"), 0, 2).await.expect("read");
    assert_eq!(read, known);
    let found = restored.find_token(&Digest::of(b"secret")).await;
    assert_eq!(found.expect("read").expect("known").name, actor("ana"));
    let key: Option<String> = restored.setting("cookie-key/shop").await.expect("read");
    assert_eq!(key.as_deref(), Some("k"));
    assert_eq!(restored.verify().await.expect("verified").broken, []);

    assert_eq!(names(&data.join("versions")), ["abc", "abc.list"]);
    let version = data.join("versions/abc");
    let deep = version.join("a-folder-with-a-name-that-no-old-archive-could-hold/".repeat(4));
    let start = fs::read_to_string(deep.join("start")).expect("there");
    assert_eq!(
        (start.as_str(), mode(&deep.join("start"))),
        ("#!/bin/sh\n", 0o555)
    );
    assert_eq!(mode(&version), 0o555);
    let goal = fs::read_link(version.join("link")).expect("a link");
    assert_eq!(goal, PathBuf::from("a-folder"));
}

// Of one moment, however fast it grows meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_events_come_is_the_beginning_of_them() {
    let (dir, out) = (folder(), folder());
    let store = open(dir.path()).await;
    let (enough, stop) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn(async move {
        let mut position = 0;
        while !*stop.borrow() {
            for name in ["release/a", "release/b"] {
                let events = [event(position + 1), event(position + 2)];
                let appended = store.append(&stream(name), position, NOW, &events).await;
                appended.expect("appended");
            }
            position += 2;
        }
        position
    });
    for round in 0..4 {
        let file = out.path().join(format!("b{round}"));
        let about = back_up(dir.path(), &file).await.expect("made").manifest;
        let data = out.path().join(format!("data{round}"));
        put_back(&file, &data).await.expect("put back");
        let restored = open(&data).await;
        let found = restored.verify().await.expect("read");
        assert_eq!((found.events, found.broken), (about.events, Vec::new()));
        // Two events together or none of them, and never the second stream alone.
        let streams = restored.streams("").await.expect("listed");
        let ends: Vec<u64> = streams.iter().map(|(_, position)| *position).collect();
        let whole = match ends.as_slice() {
            [] => true,
            [a] => *a == 2,
            [a, b] => a % 2 == 0 && (*a == *b || *a == b + 2),
            _ => false,
        };
        assert!(whole, "{ends:?}");
    }
    enough.send(true).expect("it still runs");
    assert!(writer.await.expect("it ends") > 0);
}

#[tokio::test]
async fn the_log_alone_is_a_backup_too() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    let file = out.path().join("b");
    let content = Content {
        slices: Wanted::Without,
        artifacts: Wanted::Without,
    };
    let made = make(
        dir.path(),
        &file,
        content,
        Existing::Keep,
        NOW,
        Arc::new(|_| ()),
    )
    .await;
    let about = made.expect("made").manifest;
    assert_eq!((about.slices, about.artifacts), (false, None));
    let data = out.path().join("data");
    put_back(&file, &data).await.expect("put back");
    assert_eq!(names(&data), ["esclusa.db"]);
    open(&data).await;
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced_only_when_asked() {
    let (dir, out) = (folder(), folder());
    let _store = filled(dir.path()).await;
    let file = out.path().join("b");
    fs::write(&file, "mine").expect("written");
    let refused = back_up(dir.path(), &file).await.expect_err("refused");
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused:?}");
    assert_eq!(refused.code(), "ESC-0521");
    assert_eq!(fs::read(&file).expect("there"), b"mine");
    let made = make(
        dir.path(),
        &file,
        ALL,
        Existing::Replace,
        NOW,
        Arc::new(|_| ()),
    )
    .await;
    made.expect("made");
    put_back(&file, &out.path().join("data"))
        .await
        .expect("whole");
}

#[tokio::test]
async fn there_is_no_backup_of_nothing() {
    let (dir, out) = (folder(), folder());
    let file = out.path().join("b");
    let refused = back_up(dir.path(), &file).await.expect_err("refused");
    assert!(
        matches!(refused, BackupError::NoState { .. }),
        "{refused:?}"
    );
    assert!(!file.exists() && names(dir.path()).is_empty());
}

// A damaged record is kept as it is, and said.
#[tokio::test]
async fn a_damaged_record_is_backed_up_and_named() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    tamper(
        dir.path(),
        "update events set actor = 'x' where position = 2",
    )
    .await;
    let file = out.path().join("b");
    let made = back_up(dir.path(), &file).await.expect("made");
    assert_eq!(made.manifest.broken.len(), 1);
    assert!(
        made.manifest.broken[0].contains("release/a"),
        "{:?}",
        made.manifest
    );
    let put = put_back(&file, &out.path().join("data"))
        .await
        .expect("put back");
    assert_eq!(put.manifest.broken, made.manifest.broken);
}

/// Refused, and the folder is as it was before.
async fn refused(file: &Path, data: &Path) -> BackupError {
    let before = data.exists().then(|| names(data));
    let error = put_back(file, data).await.expect_err("refused");
    assert_eq!(data.exists().then(|| names(data)), before, "{error}");
    error
}

#[tokio::test]
async fn what_is_not_the_whole_file_as_it_was_written_is_refused() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    let file = out.path().join("b");
    back_up(dir.path(), &file).await.expect("made");
    let whole = fs::read(&file).expect("read");
    let (bad, data) = (out.path().join("bad"), out.path().join("data"));
    let at = |words: &[u8]| {
        let found = whole.windows(words.len()).position(|part| part == words);
        found.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(words)))
    };
    let mut trials: Vec<(&str, Vec<u8>)> = Vec::new();
    for cut in [0, 100, 512, 5_000, whole.len() / 2, at(b"sha256:")] {
        trials.push(("cut off", whole[..cut].to_vec()));
    }
    let changed = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes
    };
    // A database's page, a version's file, a mode in a header, a digest, the manifest.
    for place in [
        at(b"SQLite format 3") + 5_000,
        at(b"#!/bin/sh"),
        at(b"versions/abc.list") + 103,
        at(b"sha256:") + 20,
        at(b"\"made_at\"") + 12,
    ] {
        trials.push(("changed", changed(place)));
    }
    trials.push(("not a backup", b"PK\x03\x04".repeat(2_000)));
    for (what, bytes) in trials {
        fs::write(&bad, &bytes).expect("written");
        let error = refused(&bad, &data).await;
        assert!(
            matches!(error, BackupError::Damaged { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.code(), "ESC-0522");
    }
    let missing = refused(&out.path().join("none"), &data).await;
    assert!(matches!(missing, BackupError::File { .. }), "{missing:?}");
    let newer = String::from_utf8_lossy(&whole[512..540]).replace("backup 1", "backup 7");
    let mut bytes = whole.clone();
    bytes[512..540].copy_from_slice(newer.as_bytes());
    fs::write(&bad, &bytes).expect("written");
    let error = refused(&bad, &data).await;
    assert!(
        matches!(
            error,
            BackupError::TooNew {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    // The file that all of these came from is good.
    put_back(&file, &data).await.expect("put back");
}

#[tokio::test]
async fn a_folder_with_state_is_left_alone() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    let file = out.path().join("b");
    back_up(dir.path(), &file).await.expect("made");
    for name in ["esclusa.db", "slices.db", "esclusa.db-wal"] {
        let data = out.path().join(name);
        fs::create_dir(&data).expect("made");
        fs::write(data.join(name), "").expect("written");
        let error = refused(&file, &data).await;
        assert!(
            matches!(&error, BackupError::HasState { path } if path.ends_with(name)),
            "{error:?}"
        );
        assert_eq!(error.code(), "ESC-0523");
    }
    // Nor is one that somebody runs on.
    let running = folder();
    let _store = open(running.path()).await;
    let error = refused(&file, running.path()).await;
    assert!(
        matches!(error, BackupError::Store(StoreError::Locked { .. })),
        "{error:?}"
    );
}

// What a proxy and versions need stays; versions that are there are not replaced.
#[tokio::test]
async fn what_runs_in_the_folder_stays() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    let file = out.path().join("b");
    back_up(dir.path(), &file).await.expect("made");
    fs::create_dir_all(dir.path().join("proxy")).expect("made");
    fs::write(dir.path().join("proxy/state"), "serving").expect("written");
    // A reader beside nobody may leave an empty journal.
    for name in names(dir.path()) {
        if name.starts_with("esclusa.db") || name.starts_with("slices.db") {
            fs::remove_file(dir.path().join(name)).expect("lost");
        }
    }
    let put = put_back(&file, dir.path()).await.expect("put back");
    assert_eq!((put.artifacts, put.artifacts_there), (0, 1));
    let state = fs::read(dir.path().join("proxy/state")).expect("there");
    assert_eq!(state, b"serving");
    let there = names(dir.path());
    assert_eq!(
        there,
        ["esclusa.db", "instances", "proxy", "slices.db", "versions"]
    );
}

// Cut short between its renames: nobody starts on half a state, and the next one mends it.
#[tokio::test]
async fn an_interrupted_restore_is_noticed_and_begun_anew() {
    let (dir, out) = (folder(), folder());
    filled(dir.path()).await.close().await;
    let file = out.path().join("b");
    back_up(dir.path(), &file).await.expect("made");
    let data = out.path().join("data");
    fs::create_dir_all(data.join(".restore-abc/versions")).expect("made");
    fs::write(data.join("restoring"), "").expect("written");
    fs::write(data.join("slices.db"), "half").expect("written");
    let error = Store::open(&data, NOW).await.expect_err("half");
    assert!(
        matches!(error, StoreError::HalfRestored { .. }),
        "{error:?}"
    );
    assert_eq!(error.code(), "ESC-0908");
    assert!(
        error.next_step().contains("restore-state"),
        "{}",
        error.next_step()
    );
    let error = back_up(&data, &out.path().join("c"))
        .await
        .expect_err("half");
    assert_eq!(error.code(), "ESC-0908");
    put_back(&file, &data).await.expect("put back");
    assert_eq!(names(&data), ["esclusa.db", "slices.db", "versions"]);
    assert_eq!(open(&data).await.verify().await.expect("read").events, 2);
}
