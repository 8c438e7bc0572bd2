//! Plans that are refused, and plans that are accepted with a warning, with exactly what
//! their authors are told.
//!
//! One file each in `tests/plans/bad` and `tests/plans/odd`, the messages beside it as
//! `.err`. Set `UPDATE_GOLDEN=1` to write them anew, and read the difference: whoever
//! reads a message has no documentation at hand.

use crate::{catalog, good};
use esclusa_model::Fraction;
use esclusa_plan::{
    CODES, Diagnostic, Severity, SourceFile, Traffic, parse, parse_with_traffic, render_all,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans")
        .join(kind);
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

/// What a plan's first line says of its service's traffic: `# 2 requests/s`.
fn traffic(source: &SourceFile) -> Option<Traffic> {
    let first = source.text.lines().next()?.strip_prefix("# ")?;
    let rps = first.strip_suffix(" requests/s")?.parse().ok()?;
    Some(Traffic {
        rps,
        error_rate: Fraction::from_per_100k(100),
        units: None,
    })
}

/// What is said of a plan, whether it is accepted or not.
fn findings(source: &SourceFile) -> (bool, Vec<Diagnostic>) {
    let parsed = match traffic(source) {
        Some(traffic) => parse_with_traffic(source, &catalog::sample(), &traffic),
        None => parse(source, &catalog::sample()),
    };
    match parsed {
        Ok(parsed) => (true, parsed.warnings),
        Err(found) => (false, found),
    }
}

/// What keeps a finding from being of use to whoever has only the message.
fn useless(source: &SourceFile, found: &Diagnostic) -> Option<&'static str> {
    let end = found.span.offset + found.span.len;
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{}.md", found.code));
    let page = std::fs::read_to_string(page).unwrap_or_default();
    if found.help.trim().is_empty() {
        Some("no next step")
    } else if found.line == 0 || found.column == 0 {
        Some("no place")
    } else if source.text.get(found.span.offset..end).is_none() {
        Some("a place outside of the file")
    } else if !CODES.iter().any(|(code, _)| *code == found.code) {
        Some("an unlisted code")
    } else if !page.starts_with(&format!("# {}: ", found.code)) {
        Some("no page that names the code")
    } else if !page.contains("**Next step.**") {
        Some("a page without a next step")
    } else {
        None
    }
}

fn compare(kind: &str, accepted: bool, least: usize) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    let files = files(kind);
    assert!(files.len() >= least, "only {} plans in {kind}", files.len());
    for path in files {
        let source = source(&path);
        let (was_accepted, found) = findings(&source);
        assert_eq!(was_accepted, accepted, "{}", source.name);
        assert!(!found.is_empty(), "nothing is said of {}", source.name);
        let refused = found.iter().any(|d| d.severity == Severity::Error);
        assert_ne!(refused, accepted, "{}", source.name);
        for diagnostic in &found {
            assert_eq!(useless(&source, diagnostic), None, "{diagnostic:?}");
        }
        let rendered = render_all(&source, &found);
        let golden = path.with_extension("err");
        if update {
            std::fs::write(&golden, &rendered).expect("the golden file is written");
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(rendered.as_str()) {
            different.push(format!("{}:\n{rendered}", golden.display()));
        }
        // In the text too: file, line and what to do.
        let place = format!("{}:{}:", source.name, found.first().map_or(0, |d| d.line));
        assert!(
            rendered.contains(&place) && rendered.contains("\n  help: "),
            "{rendered}"
        );
    }
    assert!(
        different.is_empty(),
        "messages changed:\n{}",
        different.join("\n")
    );
}

// ROL-05, traps 17 and 50: what is wrong is told before anything starts.
#[test]
fn every_wrong_plan_is_told_what_and_where_and_how_to_mend_it() {
    compare("bad", false, 120);
}

// Traps 7, 50 and 53: what may be meant, and is a slip more often.
#[test]
fn every_odd_plan_is_accepted_with_a_warning() {
    compare("odd", true, 8);
}

#[test]
fn a_finding_without_help_place_or_page_would_be_noticed() {
    let source = SourceFile::new("x.yaml", "esclusa: 2\n");
    let (_, found) = findings(&source);
    let good = found.first().expect("a finding").clone();
    assert_eq!(useless(&source, &good), None);
    let mut mute = good.clone();
    mute.help.clear();
    let mut lost = good.clone();
    lost.span.offset = 99;
    let mut nameless = good;
    nameless.code = "ESC-0999";
    for bad in [mute, lost, nameless] {
        assert!(useless(&source, &bad).is_some(), "{bad:?}");
    }
}

// A wall of results is cut, and says that it was.
#[test]
fn more_findings_than_help_anybody_are_counted() {
    let text = format!(
        "esclusa: 1\nservice: shop\npopulation: [{}]\n",
        "'', ".repeat(150)
    );
    let (_, found) = findings(&SourceFile::new("x.yaml", text));
    assert_eq!(found.len(), 101);
    let last = found.last().expect("the rest");
    assert_eq!(last.code, "ESC-0107");
    assert!(last.message.contains("more findings"), "{last:?}");
}

#[test]
fn every_code_is_shown_by_a_wrong_plan_or_a_warning() {
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for path in files("bad").into_iter().chain(files("odd")) {
        shown.extend(findings(&source(&path)).1.iter().map(|d| d.code));
    }
    for file in good::FILES {
        let warnings = good::accepted(&good::source(file)).warnings;
        shown.extend(warnings.iter().map(|d| d.code));
    }
    // Too deep and too large: shown by tests of the reader. The layout's own by its tests,
    // the count of what is not shown by the one above.
    shown.extend(["ESC-0103", "ESC-0105", "ESC-0106", "ESC-0107"]);
    let missing: Vec<&str> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !shown.contains(code))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
