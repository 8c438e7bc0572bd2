//! Plans that are refused, with exactly what their authors are told.
//!
//! One file each in `tests/plans/bad`, the messages beside it as `.err`. Set
//! `UPDATE_GOLDEN=1` to write them anew, and read the difference.

use crate::{catalog, good};
use esclusa_plan::{CODES, Severity, SourceFile, parse, render_all};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of wrong plans")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    files
}

fn source(path: &Path) -> SourceFile {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let text = std::fs::read_to_string(path).expect("a wrong plan");
    SourceFile::new(name.unwrap_or_default(), text)
}

// ROL-05, traps 17 and 50: what is wrong is told before anything starts.
#[test]
fn every_wrong_plan_is_told_what_and_where_and_how_to_mend_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    let files = files();
    assert!(files.len() >= 25, "only {} wrong plans", files.len());
    for path in files {
        let source = source(&path);
        let Err(found) = parse(&source, &catalog::sample()) else {
            panic!("{} was accepted", source.name);
        };
        assert!(
            found.iter().any(|d| d.severity == Severity::Error),
            "{}",
            source.name
        );
        for diagnostic in &found {
            assert!(!diagnostic.help.is_empty(), "no next step: {diagnostic:?}");
            assert!(
                CODES.iter().any(|(code, _)| *code == diagnostic.code),
                "unlisted code: {diagnostic:?}"
            );
            let end = diagnostic.span.offset + diagnostic.span.len;
            assert!(
                source.text.get(diagnostic.span.offset..end).is_some(),
                "{diagnostic:?}"
            );
        }
        let rendered = render_all(&source, &found);
        let golden = path.with_extension("err");
        if update {
            std::fs::write(&golden, &rendered).expect("the golden file is written");
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(rendered.as_str()) {
            different.push(format!("{}:\n{rendered}", golden.display()));
        }
    }
    assert!(
        different.is_empty(),
        "messages changed:\n{}",
        different.join("\n")
    );
}

#[test]
fn every_code_is_shown_by_a_wrong_plan_or_a_warning() {
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for path in files() {
        let found = parse(&source(&path), &catalog::sample())
            .err()
            .unwrap_or_default();
        shown.extend(found.iter().map(|d| d.code));
    }
    for file in good::FILES {
        let warnings = good::accepted(&good::source(file)).warnings;
        shown.extend(warnings.iter().map(|d| d.code));
    }
    // Too deep and too large: shown by tests of the reader. The layout's own: by its tests.
    shown.extend(["ESC-0103", "ESC-0105", "ESC-0106"]);
    let missing: Vec<&str> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !shown.contains(code))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
