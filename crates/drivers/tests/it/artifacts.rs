//! Versions by content.

use esclusa_drivers::run::{ArtifactError, Stored, store_artifact, unchanged_copy};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The digest of [`tree`], computed once by an independent program from the rules in
/// the module's documentation. It names versions in stores that exist.
const GOLDEN: &str = "sha256:637ba1e25e6eddfdbad875daf855f18174799f5a46c0618099b87b5a04a19264";

fn tree(root: &Path) -> PathBuf {
    let dir = root.join("tree");
    fs::create_dir_all(dir.join("bin")).expect("folder");
    fs::create_dir_all(dir.join("empty")).expect("folder");
    fs::write(dir.join("bin/run"), "#!/bin/sh\nexit 0\n").expect("writes");
    fs::set_permissions(dir.join("bin/run"), Permissions::from_mode(0o750)).expect("mode");
    fs::write(dir.join("bin.txt"), "").expect("writes");
    fs::write(dir.join("größe.txt"), "content").expect("writes");
    symlink("bin/run", dir.join("run")).expect("link");
    dir
}

fn writable(dir: &Path) {
    fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("mode");
}

fn store(source: &Path, root: &Path) -> Result<Stored, ArtifactError> {
    store_artifact(source, &root.join("versions"))
}

fn tar(root: &Path, name: &str, option: &str) -> PathBuf {
    let archive = root.join(name);
    let status = std::process::Command::new("tar")
        .arg(option)
        .arg(&archive)
        .args(["-C".as_ref(), root.join("tree").as_os_str()])
        .arg(".")
        .status();
    assert!(status.is_ok_and(|s| s.success()));
    archive
}

#[test]
fn the_digest_is_a_contract() {
    let root = tempfile::tempdir().expect("folder");
    let stored = store(&tree(root.path()), root.path()).expect("kept");
    assert_eq!(stored.digest.to_string(), GOLDEN);
    assert_eq!(
        stored.dir,
        root.path().join("versions").join(stored.digest.hex())
    );
}

#[test]
fn a_folder_and_archives_of_it_are_one_version() {
    let root = tempfile::tempdir().expect("folder");
    let folder = store(&tree(root.path()), root.path()).expect("kept");
    let plain = store(&tar(root.path(), "a.tar", "-cf"), root.path()).expect("kept");
    let zipped = store(&tar(root.path(), "b.tar.gz", "-czf"), root.path()).expect("kept");
    assert_eq!([&plain, &zipped], [&folder, &folder]);
}

#[test]
fn what_changes_a_program_changes_its_digest() {
    let root = tempfile::tempdir().expect("folder");
    let source = tree(root.path());
    let mut seen = vec![store(&source, root.path()).expect("kept").digest];
    let mut changed = |change: &dyn Fn()| {
        change();
        let digest = store(&source, root.path()).expect("kept").digest;
        assert!(!seen.contains(&digest));
        seen.push(digest);
    };
    changed(&|| fs::write(source.join("bin.txt"), "x").expect("writes"));
    changed(&|| fs::rename(source.join("bin.txt"), source.join("c.txt")).expect("renames"));
    changed(&|| {
        let mode = Permissions::from_mode(0o640);
        fs::set_permissions(source.join("bin/run"), mode).expect("mode");
    });
    changed(&|| fs::remove_dir(source.join("empty")).expect("removes"));
    changed(&|| {
        fs::remove_file(source.join("run")).expect("removes");
        symlink("bin", source.join("run")).expect("link");
    });
    // Group and other permissions differ between machines with the same content.
    let mode = Permissions::from_mode(0o600);
    fs::set_permissions(source.join("c.txt"), mode).expect("mode");
    let same = store(&source, root.path()).expect("kept").digest;
    assert_eq!(Some(&same), seen.last());
}

#[test]
fn a_single_file_keeps_its_name() {
    let root = tempfile::tempdir().expect("folder");
    let file = root.path().join("checkout-2.4.1");
    fs::write(&file, "program").expect("writes");
    fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("mode");
    let stored = store(&file, root.path()).expect("kept");
    let kept = stored.dir.join("checkout-2.4.1");
    assert_eq!(fs::read(&kept).expect("kept"), b"program");
    let mode = fs::metadata(&kept).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o555);
}

#[test]
fn a_kept_version_that_was_changed_is_not_run() {
    let root = tempfile::tempdir().expect("folder");
    let source = tree(root.path());
    let first = store(&source, root.path()).expect("kept");
    assert_eq!(store(&source, root.path()).expect("kept"), first);
    writable(&first.dir);
    writable(&first.dir.join("bin"));
    fs::write(first.dir.join("bin/cache"), "left by a run").expect("writes");
    let second = store(&source, root.path()).expect("kept again");
    assert_eq!(second.digest, first.digest);
    assert_ne!(second.dir, first.dir, "a clean copy");
    assert!(!second.dir.join("bin/cache").exists());
    assert!(
        first.dir.join("bin/cache").exists(),
        "others may run from it"
    );
    assert_eq!(store(&source, root.path()).expect("kept"), second);
    // What its own program added does not keep a version from starting again.
    let start = |dir: &Path| unchanged_copy(dir).ok();
    assert_eq!(start(&first.dir), Some(first.dir.clone()));
    fs::remove_file(first.dir.join("bin.txt")).expect("removes");
    assert_eq!(start(&first.dir), Some(second.dir.clone()));
    fs::remove_file(second.dir.join("run")).expect("removes");
    symlink("bin", second.dir.join("run")).expect("link");
    assert_eq!(start(&first.dir), None);
    let list = root
        .path()
        .join(format!("versions/{}.list", first.digest.hex()));
    fs::write(&list, "bin\0").expect("writes");
    assert_eq!(start(&first.dir), None, "a shorter list does not help");
}

#[test]
fn many_at_once_keep_one_copy() {
    let root = tempfile::tempdir().expect("folder");
    let source = tree(root.path());
    let stored: Vec<Stored> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| store(&source, root.path()).expect("kept")))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    });
    assert!(stored.iter().all(|s| s == &stored[0]), "{stored:?}");
    let kept = fs::read_dir(root.path().join("versions")).expect("folder");
    assert_eq!(kept.count(), 2, "one folder, its list, nothing temporary");
}

#[test]
fn links_that_leave_the_artifact_are_refused() {
    for leads in [
        "../outside",
        "bin/../../outside",
        "..",
        "/tmp/../TREE/bin.txt",
    ] {
        let root = tempfile::tempdir().expect("folder");
        let source = tree(root.path());
        let own = source.canonicalize().expect("exists").join("bin.txt");
        let leads = if leads.contains("TREE") {
            own
        } else {
            leads.into()
        };
        symlink(&leads, source.join("bad")).expect("link");
        let error = store(&source, root.path()).expect_err("refused");
        assert!(matches!(&error, ArtifactError::Unusable { path, .. } if path.ends_with("bad")));
    }
    let root = tempfile::tempdir().expect("folder");
    let source = tree(root.path());
    symlink("/usr/bin/env", source.join("interpreter")).expect("link");
    store(&source, root.path()).expect("the system's own may be named");
}

#[test]
fn archives_write_nothing_outside() {
    let root = tempfile::tempdir().expect("folder");
    let evil = root.path().join("evil.tar");
    for name in ["../escaped", "a/../../escaped"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        // The safe setter refuses such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let mut builder = tar::Builder::new(fs::File::create(&evil).expect("file"));
        builder.append(&header, &b"evil"[..]).expect("appends");
        builder.finish().expect("ends");
        let error = store(&evil, root.path()).expect_err("refused");
        assert!(error.to_string().contains("leads out"), "{error}");
        assert!(!root.path().join("escaped").exists());
        assert!(!root.path().join("versions/escaped").exists());
    }
    // A link, and then a file through it.
    let mut builder = tar::Builder::new(fs::File::create(&evil).expect("file"));
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder
        .append_link(&mut link, "door", root.path().join("versions"))
        .expect("appends");
    let mut file = tar::Header::new_gnu();
    file.set_size(4);
    file.set_mode(0o644);
    builder
        .append_data(&mut file, "door/escaped", &b"evil"[..])
        .expect("appends");
    builder.finish().expect("ends");
    assert!(store(&evil, root.path()).is_err());
    assert!(!root.path().join("versions/escaped").exists());
}

#[test]
fn what_is_missing_or_no_file_is_named() {
    let root = tempfile::tempdir().expect("folder");
    let error = store(&root.path().join("none"), root.path()).expect_err("missing");
    assert!(error.to_string().contains("none"), "{error}");
    let source = tree(root.path());
    let made = std::process::Command::new("mkfifo")
        .arg(source.join("pipe"))
        .status();
    assert!(made.is_ok_and(|s| s.success()));
    let error = store(&source, root.path()).expect_err("a pipe");
    assert!(error.to_string().contains("pipe"), "{error}");
}
