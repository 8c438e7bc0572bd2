//! The JSON Schema and the parser come from one table: they must agree, and a validator
//! that knows nothing of plans must see it.

use crate::catalog;
use crate::good::{FILES, source};
use esclusa_plan::json_schema;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A YAML text as an editor's language server sees it; nothing where it cannot read it.
fn yaml(text: &str) -> Option<Value> {
    // Placeholders in braces without quotes are this language's own addition to YAML.
    let text = text.replace("./dist/${version}", "./dist/version");
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).ok()
}

fn validator() -> jsonschema::Validator {
    match jsonschema::validator_for(&json_schema(&catalog::sample())) {
        Ok(validator) => validator,
        Err(error) => panic!("not a schema: {error}"),
    }
}

#[test]
fn the_schema_is_a_contract_with_editors() {
    let schema = json_schema(&catalog::sample());
    assert!(
        jsonschema::meta::is_valid(&schema),
        "no JSON Schema 2020-12"
    );
    insta::assert_json_snapshot!("schema", schema);
}

#[test]
fn accepted_plans_fit_the_schema() {
    let validator = validator();
    for file in FILES {
        let value = yaml(&source(file).text).expect("valid YAML");
        let misfits: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(misfits, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn misspelt_and_misplaced_keys_do_not_fit() {
    let validator = validator();
    let text = source("single").text;
    for (right, wrong) in [
        ("service", "sevice"),
        ("template: minutes", "template: minute"),
        ("http: /health", "htp: /health"),
        ("listen:", "liste:"),
        ("artifact: ./dist/${version}", "instances: 0"),
        ("template: minutes", "stages: [{ to: 5, for: 30m }]"),
        ("template: minutes", "stages: [{ to: 5%%, for: 30m }]"),
        ("template: minutes", "stages: [{ to: 5%, for: 30 }]"),
        ("template: minutes", "stages: [{ to: 5%, for: soon }]"),
        ("template: minutes", "template: minutes\nstages: []"),
    ] {
        let value = yaml(&text.replace(right, wrong)).expect("valid YAML");
        assert!(!validator.is_valid(&value), "{wrong}");
    }
}

/// What an editor shows no red line for, because it depends on several places of a plan,
/// on what a text means, or on what a program can do: `plan check` has the last word.
const ONLY_THE_PROGRAM_KNOWS: [&str; 25] = [
    "ESC-0118", "ESC-0119", "ESC-0201", "ESC-0202", "ESC-0203", "ESC-0205", "ESC-0206", "ESC-0207",
    "ESC-0208", "ESC-0209", "ESC-0210", "ESC-0211", "ESC-0212", "ESC-0213", "ESC-0214", "ESC-0215",
    "ESC-0216", "ESC-0217", "ESC-0218", "ESC-0219", "ESC-0221", "ESC-0223", "ESC-0225", "ESC-0780",
    "ESC-0781",
];

/// What form cannot show either: free texts with a meaning, and tags, which an editor's
/// YAML applies and plans refuse.
const BEYOND_FORM: [&str; 4] = ["listen", "sticky-by-ip", "judge-sugar-twice", "tag"];

// Trap 17: what only a form can show is shown while it is typed.
#[test]
fn refused_plans_do_not_fit_unless_their_fault_is_one_of_meaning() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/bad");
    let (mut caught, mut missed) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder of wrong plans") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|ext| ext != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a wrong plan");
        let told = std::fs::read_to_string(path.with_extension("err")).expect("its messages");
        let codes: BTreeSet<&str> = told
            .match_indices("error[")
            .filter_map(|(at, _)| told.get(at + 6..at + 14))
            .collect();
        // What is no YAML, an editor's YAML shows.
        let Some(value) = yaml(&text) else {
            caught += 1;
            continue;
        };
        if validator.is_valid(&value) {
            let form = codes
                .iter()
                .any(|code| !ONLY_THE_PROGRAM_KNOWS.contains(code));
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            if form && !BEYOND_FORM.contains(&name) {
                missed.push(name.to_owned());
            }
        } else {
            caught += 1;
        }
    }
    assert!(caught >= 40, "only {caught} are shown by editors");
    assert!(missed.is_empty(), "not shown by editors: {missed:?}");
}
