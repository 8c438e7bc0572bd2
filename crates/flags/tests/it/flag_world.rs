//! Sets of flags to test with.

use esclusa_flags::{Answer, Context, FlagSet, Problem, Snapshot, validate};
use serde_json::{Map, Value, json};

pub(crate) fn set(json: Value) -> FlagSet {
    FlagSet::from_json(json).expect("a set of flags")
}

pub(crate) fn snapshot(json: Value) -> Snapshot {
    compile(&set(json))
}

/// The first environment, compiled.
pub(crate) fn compile(set: &FlagSet) -> Snapshot {
    let environment = set.environments.first().map_or("", String::as_str);
    Snapshot::compile(set, environment).expect("a set in order")
}

pub(crate) fn problems(json: Value) -> Vec<Problem> {
    match FlagSet::from_json(json) {
        Ok(set) => validate(&set),
        Err(problem) => vec![problem],
    }
}

pub(crate) fn object(json: &Value) -> Map<String, Value> {
    json.as_object().expect("an object").clone()
}

pub(crate) fn context<'s>(snapshot: &'s Snapshot, json: &Value) -> Context<'s> {
    let mut context = snapshot.context();
    context.set_all(&object(json));
    context
}

pub(crate) fn ask<'s>(snapshot: &'s Snapshot, flag: &str, json: &Value) -> Answer<'s> {
    context(snapshot, json).evaluate(flag)
}

/// A shop with everything that a set can say.
pub(crate) fn shop() -> Value {
    json!({
        "revision": 12,
        "environments": ["production", "staging"],
        "attributes": {
            "country": { "type": "string" },
            "age": { "type": "integer" },
            "score": { "type": "float", "key": "risk.score" },
            "beta": { "type": "boolean" },
            "size": { "type": "string", "source": "tenant" },
            "seats": { "type": "integer", "source": "tenant" },
        },
        "segments": {
            "team": { "keys": ["ana@example.com", "luis@example.com"] },
            "iberia": { "when": "country in ['es', 'pt']" },
            "first": { "segments": ["team", "iberia"] },
            "small": { "when": "size == 'small' && seats <= 50" },
        },
        "tenants": {
            "acme": { "attributes": { "size": "small", "seats": 12 } },
            "umbrella": { "attributes": { "size": "large", "seats": 900 } },
            "initech": {},
        },
        "flags": {
            "reports-api": {
                "type": "boolean",
                "environments": { "production": { "default": "on" } },
            },
            "exec-reports": {
                "type": "boolean",
                "owner": "reports",
                "message": "ExecReports not available",
                "browsers": true,
                "lifetime": { "kind": "release", "expires": "2026-12-31" },
                "prerequisites": [{ "flag": "reports-api", "variant": "on" }],
                "environments": {
                    "production": {
                        "users": { "eve@example.com": "off" },
                        "tenants": { "umbrella": "off" },
                        "rules": [
                            { "name": "first ring", "segment": "first", "variant": "on" },
                            { "when": "beta && age >= 18", "variant": "on" },
                            { "name": "quarter", "share": { "of": "tenant", "basis-points": 2500 }, "variant": "on" },
                        ],
                    },
                    "staging": { "state": "disabled" },
                },
            },
            "page-size": {
                "type": "integer",
                "variants": { "few": 10, "many": 100 },
                "off": "few",
                "environments": {
                    "production": {
                        "rules": [{
                            "distribution": {
                                "weights": [
                                    { "variant": "few", "basis-points": 5000 },
                                    { "variant": "many", "basis-points": 5000 },
                                ],
                            },
                        }],
                    },
                },
            },
        },
    })
}
