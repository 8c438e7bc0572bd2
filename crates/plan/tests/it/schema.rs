//! The JSON Schema and the parser come from one table: they must agree.

use crate::good::{FILES, source};
use crate::{catalog, mini};
use esclusa_plan::json_schema;

#[test]
fn the_schema_is_a_contract_with_editors() {
    insta::assert_json_snapshot!("schema", json_schema(&catalog::sample()));
}

#[test]
fn accepted_plans_fit_the_schema() {
    let schema = json_schema(&catalog::sample());
    for file in FILES {
        let value = mini::yaml(&source(file).text);
        assert_eq!(
            mini::misfits(&schema, &schema, &value, ""),
            Vec::<String>::new(),
            "{file}"
        );
    }
}

#[test]
fn misspelt_and_misplaced_keys_do_not_fit() {
    let schema = json_schema(&catalog::sample());
    let text = source("single").text;
    for (right, wrong) in [
        ("service", "sevice"),
        ("template: minutes", "template: minute"),
        ("http: /health", "htp: /health"),
        ("listen:", "liste:"),
        ("artifact: ./dist/${version}", "instances: 0"),
        ("template: minutes", "stages: [{ to: 5, for: 30m }]"),
        ("template: minutes", "template: minutes\nstages: []"),
    ] {
        let value = mini::yaml(&text.replace(right, wrong));
        assert!(
            !mini::misfits(&schema, &schema, &value, "").is_empty(),
            "{wrong}"
        );
    }
}
