//! What is wrong with a definition, where, and what was meant.

use crate::flag_world::{compile, problems, set, shop};
use esclusa_flags::{FlagSet, MAX_NESTING, ProblemCode, Snapshot, validate};
use serde_json::{Map, Value, json};

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = problems(json!({
        "environments": ["production"],
        "attributes": {
            "country": { "type": "string" }, "tenant": { "type": "string" },
            "not a name": { "type": "string" }, "land": { "type": "string", "key": "country" },
            "beta": { "type": "boolean" }, "seats": { "type": "integer", "source": "tenant" },
        },
        "segments": {
            "team": { "keys": ["a"], "of": "beta", "segments": ["taem"] },
            "loop": { "segments": ["pool"] },
            "pool": { "segments": ["loop"], "when": "contry == 'es'" },
        },
        "tenants": { "acme": { "attributes": { "seats": "many" } } },
        "flags": {
            "bad key": { "type": "boolean" },
            "checkout/new": {
                "type": "integer",
                "variants": { "few": 10, "many": "100" },
                "off": "fwe", "safe": "few", "default": "none",
                "prerequisites": [{ "flag": "serch", "variant": "on" }, { "flag": "search", "variant": "onn" }],
                "environments": {
                    "prodution": {},
                    "production": {
                        "users": { "u": "maybe" },
                        "rules": [
                            { "share": { "basis-points": 10, "of": "beta" }, "variant": "few" },
                            { "segment": "teem", "variant": "few" },
                            { "when": "country = 'es'", "variant": "few" },
                            { "when": "country == 3 && age > 1", "variant": "few" },
                            { "variant": "few", "distribution": { "weights": [] } },
                            { "when": "has(country)" },
                            { "share": { "basis-points": 10, "salt": "x y" }, "variant": "few" },
                        ],
                    },
                },
            },
            "search": {
                "type": "boolean",
                "prerequisites": [{ "flag": "search", "variant": "on" }],
                "environments": { "production": { "rules": [
                    { "share": { "basis-points": 5000, "salt": "s" }, "distribution": { "salt": "s", "weights": [
                        { "variant": "on", "basis-points": 5000 }, { "variant": "off", "basis-points": 4000 },
                    ] } },
                ] } },
            },
            "empty": { "type": "object" },
        },
    }));
    let lines: Vec<String> = found.iter().map(|p| format!("{:?} {p}", p.code)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn shapes_are_refused_with_their_place() {
    for (json, path, part) in [
        (
            json!({ "flag": {} }),
            "/flag",
            r#"there is no field "flag""#,
        ),
        (
            json!({ "flags": { "a/b": { "type": "bool" } } }),
            "/flags/a~1b/type",
            r#""bool" is not known"#,
        ),
        (
            json!({ "flags": { "a": {} } }),
            "/flags/a",
            r#"the field "type" is missing"#,
        ),
        (
            json!({ "flags": { "a": { "type": "boolean", "environments": { "p": { "rules": [
                { "share": { "basis-points": 70000 } }] } } } } }),
            "/flags/a/environments/p/rules/0/share/basis-points",
            "70000 basis points are no share",
        ),
        (
            json!({ "flags": { "a": { "type": "boolean", "lifetime": { "kind": "ops", "expires": "soon" } } } }),
            "/flags/a/lifetime/expires",
            "not a day",
        ),
    ] {
        let found = problems(json);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].code, ProblemCode::Format);
        assert_eq!(found[0].path, path);
        assert!(found[0].message.contains(part), "{}", found[0].message);
    }
}

// BLD-09
#[test]
fn cycles_are_refused_with_their_path() {
    let flag = |needs: &str| json!({ "type": "boolean", "prerequisites": [{ "flag": needs, "variant": "on" }] });
    let found = problems(json!({ "flags": { "a": flag("b"), "b": flag("c"), "c": flag("a") } }));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code, ProblemCode::Cycle);
    assert!(
        found[0].message.contains("a -> b -> c -> a"),
        "{}",
        found[0]
    );
}

fn chain(n: usize) -> Value {
    let flags: Map<String, Value> = (0..n)
        .map(|i| {
            let needs =
                (i > 0).then(|| json!({ "flag": format!("f{:05}", i - 1), "variant": "on" }));
            let needs: Vec<Value> = needs.into_iter().collect();
            (
                format!("f{i:05}"),
                json!({ "type": "boolean", "default": "on", "prerequisites": needs }),
            )
        })
        .collect();
    json!({ "flags": flags })
}

#[test]
fn nesting_has_a_limit_and_no_chain_breaks_the_stack() {
    assert_eq!(problems(chain(MAX_NESTING)), []);
    let deep = compile(&set(chain(MAX_NESTING)));
    assert!(deep.context().evaluate("f00031").is_on());
    let found = problems(chain(10_000));
    assert_eq!(found.first().map(|p| p.code), Some(ProblemCode::TooDeep));
}

/// design 8, with every segment in the next ones and every flag on two others: decided
/// one by one this would be 2^30 steps.
#[test]
fn ten_thousand_flags_and_a_thousand_segments_are_fine() {
    let mut segments = Map::new();
    for i in 0..1_000usize {
        let row = i / 40;
        let inner: Vec<String> = match row % 25 {
            0 => Vec::new(),
            _ => (0..40)
                .map(|n| format!("s{:04}", (row - 1) * 40 + n))
                .collect(),
        };
        segments.insert(
            format!("s{i:04}"),
            json!({ "keys": [format!("u{i}")], "segments": inner }),
        );
    }
    let mut flags = Map::new();
    for i in 0..10_000usize {
        let row = i / 400;
        let needs: Vec<Value> = match row % 25 {
            0 => Vec::new(),
            _ => (0..3)
                .map(|n| json!({ "flag": format!("f{:05}", (row - 1) * 400 + (i * 7 + n) % 400), "variant": "off" }))
                .collect(),
        };
        let rules = json!([
            { "segment": format!("s{:04}", i % 1_000), "variant": "on" },
            { "share": { "basis-points": 1000, "of": "tenant" }, "variant": "on" },
        ]);
        flags.insert(format!("f{i:05}"), json!({ "type": "boolean", "prerequisites": needs, "environments": { "production": { "rules": rules } } }));
    }
    let tenants: Map<String, Value> = (0..100).map(|i| (format!("t{i}"), json!({}))).collect();
    let set = set(
        json!({ "environments": ["production"], "tenants": tenants, "segments": segments, "flags": flags }),
    );
    let snapshot = Snapshot::compile(&set, "production").expect("compiles");
    let context =
        crate::flag_world::context(&snapshot, &json!({ "user": "nobody", "tenant": "t7" }));
    assert_eq!(context.evaluate_all().count(), 10_000);
}

#[test]
fn the_shop_is_in_order_and_round() {
    let shop = set(shop());
    assert_eq!(validate(&shop), []);
    assert_eq!(FlagSet::from_json(shop.to_json()), Ok(shop.clone()));
    let unknown = Snapshot::compile(&shop, "prodution").expect_err("no such environment");
    assert_eq!(
        unknown[0].hint.as_deref(),
        Some("did you mean \"production\"?")
    );
    let staging = Snapshot::compile(&shop, "staging").expect("compiles");
    assert!(!staging.context().evaluate("exec-reports").is_on());
    let info = staging.flag("exec-reports").expect("a flag");
    assert!(info.browsers && info.message == Some("ExecReports not available"));
}

// EMG-01: one name of a runbook may mean several flags, and never more than it says.
#[test]
fn aliases_name_flags_where_something_is_killed() {
    let reports = set(json!({ "flags": {
        "api": { "type": "boolean", "aliases": ["reports"] },
        "page": { "type": "boolean", "aliases": ["reports", "ui"] },
    } }));
    assert_eq!(reports.meant_by("reports"), ["api", "page"]);
    assert_eq!(reports.meant_by("ui"), ["page"]);
    assert_eq!(reports.meant_by("api"), ["api"]);
    assert!(reports.meant_by("other").is_empty());
    let wrong = problems(json!({ "flags": {
        "api": { "type": "boolean", "aliases": ["all", "page", "two words"] },
        "page": { "type": "boolean" },
    } }));
    let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "/flags/api/aliases: \"all\" means every flag already",
            "/flags/api/aliases: \"page\" is the key of a flag",
            "/flags/api/aliases: \"two words\" is no name",
        ]
    );
}
