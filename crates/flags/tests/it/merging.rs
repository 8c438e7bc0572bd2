//! A file in a set: what it writes, and all else as it was.

use crate::flag_world::{set, shop};
use esclusa_flags::{FlagSet, Patch, diff, overwritten};
use proptest::prelude::*;
use serde_json::{Value, json};

const OVERRIDES: &str = "/flags/exec-reports/environments/production/tenants";

fn merged(set: &FlagSet, given: &Value) -> FlagSet {
    set.merged(given).expect("merges")
}

fn lines(old: &FlagSet, new: &FlagSet) -> Vec<String> {
    diff(old, new).iter().map(ToString::to_string).collect()
}

// FLAG-05: the file that flags came from undoes no rollout and no override.
#[test]
fn what_a_file_does_not_write_of_a_flag_stays() {
    let mut file = shop();
    file["flags"]["exec-reports"] = json!({ "type": "boolean", "message": "later" });
    assert_eq!(
        lines(&set(shop()), &merged(&set(shop()), &file)),
        [r#"~ /flags/exec-reports/message: "ExecReports not available" -> "later""#]
    );
    let file = json!({ "flags": { "exec-reports": { "environments": { "production": {
        "tenants": { "acme": "on" }, "rules": [] } } } } });
    let after = merged(&set(shop()), &file);
    let found = diff(&set(shop()), &after);
    assert_eq!(
        found[0].path,
        "/flags/exec-reports/environments/production/rules"
    );
    assert_eq!(found[1].to_string(), format!("+ {OVERRIDES}/acme: \"on\""));
    assert_eq!(found.len(), 2);
}

#[test]
fn what_is_one_field_is_taken_over_whole() {
    let file = json!({
        "environments": ["qa"],
        "flags": { "page-size": { "variants": { "few": 10, "many": 50 } } },
        "segments": { "team": { "keys": ["ana@example.com"] } },
        "tenants": { "acme": {} },
        "exposures": { "environments": { "production": { "basis-points": 100 } } },
    });
    let mut stored = shop();
    stored["exposures"] = json!({ "keep-days": 30 });
    let after = merged(&set(stored), &file).to_json();
    assert_eq!(
        after["environments"],
        json!(["production", "qa", "staging"])
    );
    assert_eq!(after["flags"]["page-size"]["variants"]["many"], 50);
    assert_eq!(after["segments"]["team"], file["segments"]["team"]);
    assert_eq!(after["tenants"]["acme"], json!({}));
    // Not the value that stands for a missing one.
    assert_eq!(after["exposures"]["keep-days"], 30);
}

#[test]
fn null_takes_a_field_away() {
    let file = json!({ "guards": null, "flags": { "page-size": null, "exec-reports": {
        "owner": null, "environments": { "staging": null, "production": {
            "tenants": { "umbrella": null, "nobody": null } } } },
        "new": { "type": "boolean", "owner": null } } });
    let after = merged(&set(shop()), &file);
    let paths: Vec<String> = diff(&set(shop()), &after)
        .into_iter()
        .map(|change| format!("{} {}", change.path, change.after.is_some()))
        .collect();
    assert_eq!(
        paths,
        [
            format!("{OVERRIDES} false").as_str(),
            "/flags/exec-reports/environments/staging false",
            "/flags/exec-reports/owner false",
            "/flags/new true",
            "/flags/page-size false",
        ]
    );
}

#[test]
fn what_is_no_set_is_refused_with_all_that_is_wrong() {
    let refused = |file: Value| -> Vec<String> {
        let problems = set(shop()).merged(&file).expect_err("no set");
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        refused(json!([])),
        [": a set of flags is an object, and this is a list (it begins like {\"flags\": {}})"]
    );
    assert_eq!(
        refused(json!(null)),
        [": a set of flags is an object, and this is empty (it begins like {\"flags\": {}})"]
    );
    assert_eq!(
        refused(json!({
            "tenants": { "acme": [] },
            "flags": {
                "a": { "type": "bool", "environments": { "production": {
                    "rules": [{ "whenn": "x" }, { "variant": 3 },
                              { "share": { "basis-points": 20_000 }, "variant": "on" }] } } },
                "b": { "type": "boolean", "descripton": "b", "default": true, "aliases": 1 },
                "c": {},
                "page-size": { "lifetime": ["release"] },
            },
        })),
        [
            "/flags/a/environments/production/rules/0/whenn: there is no field \"whenn\" (did you mean \"when\"?)",
            "/flags/a/environments/production/rules/1/variant: a text belongs here, and this is 3",
            "/flags/a/environments/production/rules/2/share/basis-points: 20000 basis points are no share: write a whole number from 0 to 10000 (100%)",
            "/flags/a/type: \"bool\" is not known here (known are boolean, string, integer, float, object)",
            "/flags/b/aliases: a list belongs here, and this is 1",
            "/flags/b/default: a text belongs here, and this is true",
            "/flags/b/descripton: there is no field \"descripton\" (did you mean \"description\"?)",
            "/flags/c: the field \"type\" is missing",
            "/flags/page-size/lifetime: an object belongs here, and this is a list",
            "/tenants/acme: an object belongs here, and this is a list",
        ]
    );
}

// FLAG-15: nothing that others did since is lost unseen.
#[test]
fn what_a_file_would_set_back_is_seen() {
    let read = set(shop());
    let mut now = shop();
    now["flags"]["page-size"]["environments"]["staging"] = json!({ "default": "many" });
    now["flags"]["exec-reports"]["environments"]["production"]["tenants"]["acme"] = json!("on");
    now["environments"] = json!(["production", "qa", "staging"]);
    let now = set(now);
    let mut file = shop();
    file["flags"]["exec-reports"]["message"] = json!("later");
    file["environments"] = json!(["dev", "production", "staging"]);
    assert_eq!(overwritten(&read, &now, &merged(&now, &file)), []);
    file["flags"]["page-size"]["environments"]["staging"] = json!({ "default": "few" });
    let lost = |wanted: &FlagSet| -> Vec<String> {
        let lost = overwritten(&read, &now, wanted);
        lost.into_iter().map(|change| change.path).collect()
    };
    let staging = "/flags/page-size/environments/staging";
    assert_eq!(lost(&merged(&now, &file)), [format!("{staging}/default")]);
    // A file that is the whole set takes away what came since.
    assert_eq!(
        lost(&set(shop())),
        ["/environments", &format!("{OVERRIDES}/acme"), staging]
    );
}

// FLAG-05: a pilot at each tenant is a change of its own, whoever is first.
#[test]
fn overrides_come_and_go_by_themselves() {
    let leaf = |tenant: &str| esclusa_flags::Change {
        path: format!("/flags/page-size/environments/staging/tenants/{tenant}"),
        before: None,
        after: Some(json!("many")),
    };
    let before = set(shop());
    let patch = |tenant| Patch {
        revision: 12,
        changes: vec![leaf(tenant)],
    };
    let one = before.patched(&patch("acme")).expect("the first");
    let two = one.patched(&patch("initech")).expect("the second");
    // As it is recorded: the object came with its first member.
    let recorded = Patch {
        revision: 13,
        changes: diff(&before, &one),
    };
    assert_eq!(
        recorded.changes[0].path,
        "/flags/page-size/environments/staging"
    );
    let back = two.patched(&recorded.inverse(14)).expect("the first alone");
    assert_eq!(lines(&before, &back).len(), 1);
    let last = patch("initech").inverse(15);
    let empty = back.patched(&last).expect("the last too");
    assert_eq!(lines(&before, &empty), [""; 0]);
    // A flag is no such object: without a type it is none.
    let nowhere = Patch {
        revision: 12,
        changes: vec![esclusa_flags::Change {
            path: "/flags/nope/environments/staging/tenants/acme".into(),
            ..leaf("acme")
        }],
    };
    let refused = before.patched(&nowhere).expect_err("no such flag");
    assert_eq!(
        refused[0].to_string(),
        "/flags/nope/environments/staging/tenants/acme: there is no object at \"/flags/nope\" to change"
    );
}

/// Some of a set: each object with some of its members, some of them `null`.
fn some_of(given: &Value, choices: &mut impl Iterator<Item = u8>) -> Value {
    let Value::Object(all) = given else {
        return given.clone();
    };
    let mut some = serde_json::Map::new();
    for (key, value) in all {
        match choices.next().unwrap_or(0) {
            0..=4 => drop(some.insert(key.clone(), some_of(value, choices))),
            5 => drop(some.insert(key.clone(), Value::Null)),
            _ => {}
        }
    }
    Value::Object(some)
}

/// The fields that a file writes, each by its pointer; what is taken over whole is one.
fn written(steps: &[&str], file: &Value, found: &mut Vec<String>) {
    let whole = match steps {
        [top, _] => *top != "flags",
        [_, _, field] => *field != "environments",
        _ => false,
    };
    match file {
        Value::Object(members) if !whole && !members.is_empty() => {
            for (key, value) in members {
                written(&[steps, &[key]].concat(), value, found);
            }
        }
        _ => found.push(format!("/{}", steps.join("/"))),
    }
}

fn is_within(inner: &str, outer: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

proptest! {
    #[test]
    fn a_file_twice_is_the_file_once(choices in proptest::collection::vec(0_u8..10, 200)) {
        let file = some_of(&shop(), &mut choices.into_iter());
        let before = set(shop());
        prop_assert_eq!(before.merged(&before.to_json()), Ok(before.clone()), "an export");
        let Ok(once) = before.merged(&file) else { return Ok(()) };
        prop_assert_eq!(once.merged(&file), Ok(once.clone()));
        // Each field that changed is one that the file writes, or came or went with one.
        let mut fields = Vec::new();
        written(&[], &file, &mut fields);
        for change in diff(&before, &once) {
            let path = &change.path;
            let is_written = |field: &String| is_within(path, field) || is_within(field, path);
            prop_assert!(fields.iter().any(is_written), "{change} is not written");
        }
    }
}
