//! Plans that are accepted, and exactly what they become.

use crate::catalog;
use esclusa_plan::{Parsed, Plan, SourceFile, parse, render_all};
use std::path::Path;

pub(crate) fn source(file: &str) -> SourceFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans")
        .join(file);
    let text = std::fs::read_to_string(&path).expect("a plan of this folder");
    SourceFile::new(file.rsplit('/').next().unwrap_or(file), text)
}

pub(crate) fn accepted(source: &SourceFile) -> Parsed {
    match parse(source, &catalog::sample()) {
        Ok(parsed) => parsed,
        Err(found) => panic!("refused:\n{}", render_all(source, &found)),
    }
}

// ORD-01, PRE-25: one plan holds the whole order, with timeouts and undo.
#[test]
fn the_design_example_becomes_a_plan() {
    let source = source("good/checkout.yaml");
    let parsed = accepted(&source);
    insta::assert_json_snapshot!("checkout_plan", parsed.plan);
    insta::assert_snapshot!("checkout_warnings", render_all(&source, &parsed.warnings));
}

// The plan is stored in events: it must be read back as it was written.
#[test]
fn a_stored_plan_is_read_back() {
    for file in ["good/checkout.yaml", "good/single.yaml"] {
        let plan = accepted(&source(file)).plan;
        let text = serde_json::to_string(&plan).expect("plans are serialisable");
        let back: Plan = serde_json::from_str(&text).expect("a stored plan");
        assert_eq!(back, plan, "{file}");
    }
}
