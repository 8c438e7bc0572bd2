//! Each step of the order of choice beats all that come after it.

use crate::flag_world::{context, snapshot};
use esclusa_flags::Kills;
use proptest::prelude::*;
use serde_json::json;

/// The steps, highest first, and the variant that each serves.
const STEPS: [(&str, &str); 10] = [
    ("killed", "off"),
    ("disabled", "off"),
    ("prerequisite unmet", "off"),
    ("tester", "tester"),
    ("user", "user"),
    ("tenant", "tenant"),
    ("rule", "rule"),
    ("share", "share"),
    ("environment", "environment"),
    ("flag", "flag"),
];

fn served(active: &[bool; 10]) -> (String, bool) {
    let variants: serde_json::Map<_, _> = STEPS
        .iter()
        .map(|(_, name)| ((*name).to_owned(), json!(*name)))
        .collect();
    let mut rules = Vec::new();
    if active[6] {
        rules.push(json!({ "when": "country == 'es'", "variant": "rule" }));
    }
    if active[7] {
        rules.push(json!({ "share": { "basis-points": 10000 }, "variant": "share" }));
    }
    let mut settings = json!({ "rules": rules });
    if active[1] {
        settings["state"] = json!("disabled");
    }
    if active[4] {
        settings["users"] = json!({ "u": "user" });
    }
    if active[5] {
        settings["tenants"] = json!({ "t": "tenant" });
    }
    if active[8] {
        settings["default"] = json!("environment");
    }
    let mut flag = json!({
        "type": "string", "variants": variants,
        "prerequisites": [{ "flag": "parent", "variant": if active[2] { "on" } else { "off" } }],
        "environments": { "production": settings },
    });
    if active[9] {
        flag["default"] = json!("flag");
    }
    let mut snapshot = snapshot(json!({
        "environments": ["production"],
        "attributes": { "country": { "type": "string" } },
        "flags": { "f": flag, "parent": { "type": "boolean" } },
    }));
    if active[0] {
        let mut kills = Kills::default();
        kills.kill(Some("f"));
        snapshot.merge_kills(&kills);
    }
    let who = json!({ "targetingKey": "u", "tenant": "t", "country": "es" });
    let mut context = context(&snapshot, &who);
    if active[3] {
        assert!(context.grant("f", "tester"));
    }
    let answer = context.evaluate("f");
    let explained = context.explain("f");
    let same = explained.variant.as_deref() == answer.variant
        && explained.reason == answer.reason
        && explained.detail == answer.detail.to_string();
    (answer.variant.expect("a flag").to_owned(), same)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    // FLAG-04: one chain.
    #[test]
    fn the_highest_step_decides(active: [bool; 10]) {
        let highest = STEPS.iter().zip(active).find(|(_, active)| *active);
        let expected = highest.map_or("off", |((_, variant), _)| variant);
        let (variant, explained_alike) = served(&active);
        prop_assert_eq!(variant, expected);
        prop_assert!(explained_alike);
    }
}

#[test]
fn a_tester_token_names_what_exists() {
    let snapshot = snapshot(json!({
        "environments": ["production"], "flags": { "f": { "type": "boolean" } },
    }));
    let mut context = snapshot.context();
    assert!(!context.grant("g", "on") && !context.grant("f", "maybe"));
    assert!(context.grant("f", "on") && context.evaluate("f").is_on());
}
