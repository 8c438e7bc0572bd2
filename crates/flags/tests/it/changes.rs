//! Changes: seen before they are made, made whole or not at all, taken back.

use crate::flag_world::{compile, object, set, shop};
use esclusa_flags::{
    Change, FlagSet, Patch, ProblemCode, Unknown, dependents, diff, import_env, off_with,
    parse_assignments, segment_use, stale, tenants_by_variant, who_would_change,
};
use esclusa_model::Timestamp;
use serde_json::{Value, json};

const DEFAULT: &str = "/flags/reports-api/environments/production/default";

fn change(path: &str, before: Value, after: Value) -> Change {
    let some = |value: Value| (!value.is_null()).then_some(value);
    Change {
        path: path.into(),
        before: some(before),
        after: some(after),
    }
}

fn patch(changes: Vec<Change>) -> Patch {
    Patch {
        revision: 12,
        changes,
    }
}

// FLAG-05, FLAG-15: one field, the others untouched, and the previous value is real.
#[test]
fn a_field_is_changed_by_compare_and_set() {
    let before = set(shop());
    let off = patch(vec![change(DEFAULT, json!("on"), json!("off"))]);
    let after = before.patched(&off).expect("applies");
    assert_eq!(after.revision, 13);
    assert_eq!(diff(&before, &after), off.changes);
    // Read at revision 12 and applied at 13: another field, so that both stay.
    let message = patch(vec![change(
        "/flags/exec-reports/message",
        json!("ExecReports not available"),
        Value::Null,
    )]);
    let both = after.patched(&message).expect("applies");
    assert_eq!(diff(&before, &both).len(), 2);
    // The same field again: somebody was first.
    let refused = after.patched(&off).expect_err("a conflict");
    assert_eq!(refused[0].code, ProblemCode::Conflict);
    assert_eq!(refused[0].path, DEFAULT);
    // ... and back.
    let back = after.patched(&off.inverse(13)).expect("applies");
    assert_eq!(
        FlagSet {
            revision: 12,
            ..back
        },
        before
    );
}

// FLAG-09: a list as one step, or nothing of it.
#[test]
fn many_fields_change_together_or_not_at_all() {
    let before = set(shop());
    let refused = before
        .patched(&patch(vec![
            change(DEFAULT, json!("on"), json!("off")),
            change("/flags/job_queue/default", Value::Null, json!("on")),
            change("/flags/page-size/off", json!("many"), json!("few")),
            change("/revision", json!(12), json!(40)),
            change("flags", Value::Null, json!({})),
        ]))
        .expect_err("not all of them exist");
    let codes: Vec<_> = refused.iter().map(|p| p.code).collect();
    assert_eq!(
        codes,
        [
            ProblemCode::Format,
            ProblemCode::Conflict,
            ProblemCode::Format,
            ProblemCode::Format
        ]
    );
    let invalid = before
        .patched(&patch(vec![change(DEFAULT, json!("on"), json!("onn"))]))
        .expect_err("no such variant");
    assert_eq!(invalid[0].hint.as_deref(), Some("did you mean \"on\"?"));
    let future = Patch {
        revision: 13,
        changes: Vec::new(),
    };
    assert_eq!(
        before.patched(&future).expect_err("later")[0].code,
        ProblemCode::Conflict
    );
}

#[test]
fn a_whole_set_is_a_patch_too() {
    let before = set(shop());
    let mut json = shop();
    json["flags"]["new"] = json!({ "type": "boolean" });
    json["flags"]["page-size"]["variants"]["all"] = json!(1_000);
    let wanted = set(json);
    let after = before.patched(&before.patch_to(&wanted)).expect("applies");
    assert_eq!(diff(&after, &wanted), []);
    let lines: Vec<String> = diff(&before, &wanted)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "+ /flags/new: {\"type\":\"boolean\"}",
            "+ /flags/page-size/variants/all: 1000"
        ]
    );
}

fn reports() -> FlagSet {
    set(json!({
        "environments": ["production"],
        "flags": {
            "execReportsEnabled": { "type": "boolean" },
            "job_queue": { "type": "boolean", "environments": { "production": { "default": "on" } } },
            "limit": { "type": "integer", "variants": { "off": 1 } },
        },
    }))
}

// FLAG-03, trap 25: nothing is silently off.
#[test]
fn lists_of_flags_are_read_or_refused() {
    let read = parse_assignments(" a=true, b = false ,,").expect("a list");
    assert_eq!(
        read,
        [("a".to_owned(), true), ("b".to_owned(), false)].into()
    );
    let refused = parse_assignments("a,b=1,c=TRUE,d=true,d=false").expect_err("no list");
    let paths: Vec<_> = refused.iter().map(|p| p.path.as_str()).collect();
    let names = ["a", "b", "c", "d"].map(|n| format!("/ESCLUSA_FLAGS/{n}"));
    assert_eq!(paths, names);
}

// FLAG-10
#[test]
fn variables_become_defaults_and_show_their_drift() {
    let set = reports();
    let variables = [
        ("PATH", "/bin"),
        ("FEATURE_EXEC_REPORTS_ENABLED", "true"),
        ("FEATURE_JOB_QUEUE", "true"),
    ];
    let import = import_env(&set, "production", variables, Unknown::Refuse).expect("imports");
    assert_eq!(import.created, [""; 0]);
    assert_eq!(
        import.drift.len(),
        1,
        "job_queue is on already: {:?}",
        import.drift
    );
    assert!(
        compile(&import.set)
            .context()
            .evaluate("execReportsEnabled")
            .is_on()
    );
    // The list counts more, and new flags are made only when asked for.
    let more = [
        ("FEATURE_SCHEDULER", "true"),
        ("ESCLUSA_FLAGS", "job_queue=false"),
        ("FEATURE_JOB_QUEUE", "true"),
    ];
    let import = import_env(&set, "production", more, Unknown::Create).expect("imports");
    assert_eq!(import.created, ["scheduler"]);
    assert!(compile(&import.set).context().evaluate("scheduler").is_on());
    assert!(!compile(&import.set).context().evaluate("job_queue").is_on());
    // What a flag serves anyway is no difference, though its environment says nothing.
    let mut quiet = set.clone();
    for flag in quiet.flags.values_mut() {
        flag.environments.clear();
    }
    let off = [("FEATURE_EXEC_REPORTS_ENABLED", "false")];
    let import = import_env(&quiet, "production", off, Unknown::Refuse).expect("imports");
    assert_eq!((import.drift, &import.set), (vec![], &quiet));
    let twice = [("FEATURE_JOB_QUEUE", "true"), ("FEATURE_JOBQUEUE", "false")];
    let refused = import_env(&set, "production", twice, Unknown::Refuse).expect_err("both");
    assert_eq!(refused[0].path, "/FEATURE_JOBQUEUE");
    assert!(refused[0].message.contains("FEATURE_JOB_QUEUE"));
    let no_key = [("FEATURE_A B", "true")];
    let refused = import_env(&set, "production", no_key, Unknown::Create).expect_err("no key");
    assert_eq!(refused[0].path, "/FEATURE_A B");
    let refused = import_env(
        &set,
        "production",
        [
            ("FEATURE_JOB_QUEU", "true"),
            ("FEATURE_LIMIT", "true"),
            ("FEATURE_JOB_QUEUE", "yes"),
            ("ESCLUSA_FLAGS", "jobqueue=true"),
        ],
        Unknown::Refuse,
    )
    .expect_err("all are wrong");
    let codes: Vec<_> = refused.iter().map(|p| p.code).collect();
    assert_eq!(
        codes,
        [
            ProblemCode::UnknownFlag,
            ProblemCode::BadValue,
            ProblemCode::BadValue,
            ProblemCode::UnknownFlag
        ]
    );
    assert_eq!(
        refused[0].hint.as_deref(),
        Some("did you mean \"job_queue\"?")
    );
}

#[test]
fn who_would_change_is_known_before() {
    let before = set(shop());
    let mut json = shop();
    json["segments"]["iberia"]["when"] = json!("country in ['es', 'pt', 'fr']");
    json["flags"]["page-size"]["default"] = json!("many");
    let after = set(json);
    let contexts: Vec<_> = [
        json!({ "country": "fr", "tenant": "umbrella", "targetingKey": "a" }),
        json!({ "country": "fr", "user": "u", "targetingKey": "a" }),
        json!({ "country": "es", "targetingKey": "a" }),
    ]
    .iter()
    .map(object)
    .collect();
    let changed = who_would_change(&compile(&before), &compile(&after), &contexts);
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (changed[0].context, changed[0].flag.as_str()),
        (1, "exec-reports")
    );
    assert_eq!(
        changed[0].after.as_ref().map(|o| o.variant.as_str()),
        Some("on")
    );
    // ROL-07: real tenants behind the percentage.
    let on = |set: &FlagSet| {
        let counted = tenants_by_variant(&compile(set), "exec-reports");
        counted
            .into_iter()
            .find(|(v, _)| v == "on")
            .map_or(0, |(_, ids)| ids.len())
    };
    // A quarter of three is the one tenant that an override keeps out.
    assert_eq!(on(&before), 0);
    let mut json = shop();
    json["flags"]["exec-reports"]["environments"]["production"]["rules"][2]["share"]["basis-points"] =
        json!(10_000);
    assert_eq!(on(&set(json)), 2);
}

// BLD-09: seen before something is disabled.
#[test]
fn dependents_and_uses_are_listed() {
    let shop = set(shop());
    let found = dependents(&shop, "reports-api");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, ["exec-reports", "reports-api"]);
    assert_eq!(dependents(&shop, "page-size"), []);
    let used = segment_use(&shop, "team");
    assert_eq!(used.segments, ["first".to_owned()].into());
    assert_eq!(used.flags["exec-reports"], ["production".to_owned()].into());
}

// BLD-09, EMG-01: what goes off with a kill, and nothing that the off variant serves.
#[test]
fn what_goes_off_with_a_kill_is_what_needs_it() {
    let needs = |flag: &str, variant: &str| json!([{ "flag": flag, "variant": variant }]);
    let set = set(json!({ "flags": {
        "reports": { "type": "boolean" },
        "api": { "type": "boolean", "prerequisites": needs("reports", "on") },
        "ui": { "type": "boolean", "prerequisites": needs("api", "on") },
        "fallback": { "type": "boolean", "prerequisites": needs("reports", "off") },
        "search": { "type": "boolean" },
    } }));
    let off = |flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|key| (*key).to_owned()).collect();
        off_with(&set, &flags)
    };
    assert_eq!(off(&["reports"]), ["api", "ui"]);
    assert_eq!(off(&["api", "reports"]), ["ui"]);
    assert!(off(&["ui"]).is_empty() && off(&["nowhere"]).is_empty());
}

#[test]
fn flags_past_their_day_are_stale() {
    let shop = set(shop());
    let at = |second: i64| stale(&shop, Timestamp(second * 1_000_000));
    assert_eq!(at(1_798_761_599), []);
    let found = at(1_798_761_600);
    assert_eq!(found[0].flag, "exec-reports");
    assert_eq!(found[0].owner.as_deref(), Some("reports"));
}
