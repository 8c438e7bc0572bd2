//! Scripts and their transcripts: the documentation of what happens when.
//!
//! `SIM_BLESS=1` writes the transcripts anew; read what changed before it goes in.

use crate::scenario::play;
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[test]
fn every_script_is_told_as_it_stands() {
    let bless = std::env::var_os("SIM_BLESS").is_some();
    let mut names: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{} scripts", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let text = fs::read_to_string(&path).expect("a script");
        let played = play(&text, None).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let told = path.with_extension("out");
        if bless {
            fs::write(&told, &played.transcript).expect("written");
        }
        let golden = fs::read_to_string(&told).unwrap_or_default();
        if golden != played.transcript || played.unmet.is_some() || played.broken.is_some() {
            wrong.push(format!(
                "{}: {:?} {:?}\n{}",
                path.display(),
                played.unmet,
                played.broken,
                played.transcript
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    for (script, line, part) in [
        ("start 1", 1, "no plan"),
        ("plan minutes\nstrt 1", 2, "strt"),
        ("plan hours", 1, "no template"),
        ("plan minutes\nwhen stage 0 abort", 2, "no stage"),
        ("plan minutes\nat soon abort", 2, "duration"),
        ("plan minutes\nabort --reason \"open", 2, "quote"),
        ("plan minutes\njudge shrugs", 2, "shrugs"),
        ("plan minutes\nexpect success", 2, "success"),
        ("plan minutes\nhold 5m", 2, "not complete"),
        ("hold 5m then rollback", 1, "plan first"),
        ("plan minutes\ntask dance fails", 2, "dance"),
        ("plan minutes\ndial sings", 2, "a dial"),
        ("plan minutes\ncrash near record", 2, "before or after"),
    ] {
        let error = play(script, None).expect_err(script);
        assert_eq!(error.line, line, "{script}");
        assert!(error.message.contains(part), "{script}: {}", error.message);
    }
}

#[test]
fn a_script_says_what_it_expected() {
    let played = play("plan blue-green\nstart 2\nexpect rolled_back", None).expect("a script");
    let unmet = played.unmet.expect("it was promoted");
    assert_eq!(unmet, "expected rolled_back, and it was promoted");
}
