//! Arbitrary definitions and contexts: an answer or an error, never a panic. More cases
//! with `PROPTEST_CASES=1000000`.

use crate::flag_world::shop;
use esclusa_flags::{FlagSet, Kills, Rollout, Snapshot, import_env, parse_assignments, validate};
use esclusa_model::{BasisPoints, ReleaseId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "on",
        "off",
        "boolean",
        "integer",
        "tenant",
        "user",
        "targetingKey",
        "production",
        "a",
        "country == 'es'",
        "has(a",
        "a/b~c",
        "\u{0}é",
        "exec-reports",
        "reports-api",
        "team",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(10_000)),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a document.
fn places(json: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match json {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(value, &format!("{path}/{key}"), found);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| {
            places(value, &format!("{path}/{i}"), found);
        }),
        _ => {}
    }
}

fn contexts() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop::sample::select(vec![
        "targetingKey",
        "tenant",
        "user",
        "country",
        "age",
        "risk.score",
        "beta",
        "size",
        "x",
    ]);
    let map = prop::collection::btree_map(key.prop_map(str::to_owned), any_json(), 0..8);
    map.prop_map(|map| map.into_iter().collect())
}

fn answers(json: Value, context: &Map<String, Value>) -> Result<(), TestCaseError> {
    let Ok(set) = FlagSet::from_json(json) else {
        return Ok(());
    };
    let problems = validate(&set);
    for environment in set.environments.iter().map(String::as_str).chain([""]) {
        match Snapshot::compile(&set, environment) {
            Ok(mut snapshot) => {
                let mut kills = Kills::default();
                kills.kill(set.flags.keys().next().map(String::as_str));
                let mut asked = snapshot.context();
                asked.set_all(context);
                for (info, answer) in asked.evaluate_all() {
                    prop_assert!(
                        answer
                            .value
                            .is_some_and(|value| value.flag_type() == info.ty)
                    );
                    let explained = asked.explain(info.key);
                    prop_assert_eq!(explained.variant.as_deref(), answer.variant);
                    prop_assert!(explained.to_string().contains(info.key));
                }
                snapshot.merge_kills(&kills);
            }
            Err(found) => {
                prop_assert!(!found.is_empty());
                // Only what an undeclared environment says is not part of `validate`.
                prop_assert!(environment.is_empty() || !problems.is_empty());
            }
        }
    }
    Ok(())
}

/// A release that turns some flags of a set, each to some variant that it has.
fn rollout(set: &FlagSet, picks: &[prop::sample::Index; 4], share: u16, of: bool) -> Rollout {
    let turned = |(key, flag): (&String, &esclusa_flags::FlagDefinition)| {
        let variants: Vec<String> = flag.effective_variants().into_keys().collect();
        (!variants.is_empty()).then(|| (key.clone(), picks[0].get(&variants).clone()))
    };
    let segments: Vec<&String> = set.segments.keys().collect();
    let some = match segments.is_empty() {
        true => 0,
        false => picks[1].index(segments.len() + 1),
    };
    Rollout {
        release: ReleaseId::new("r-1").expect("valid"),
        environment: "production".into(),
        flags: set.flags.iter().filter_map(turned).collect(),
        segments: segments[..some].iter().map(|s| (*s).clone()).collect(),
        share: BasisPoints::new(share).expect("in range"),
        of: of.then(|| "tenant".to_owned()),
        salt: ["r-1", "exec-reports", "page-size/variants"][picks[2].index(3)].to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn any_document_is_an_error_or_answers(json in any_json(), context in contexts()) {
        answers(json, &context)?;
    }

    #[test]
    fn any_change_of_a_good_document_is_an_error_or_answers(
        at in any::<prop::sample::Index>(), more in any::<prop::sample::Index>(),
        with in any_json(), again in any_json(), context in contexts(),
    ) {
        let mut json = shop();
        let mut found = Vec::new();
        places(&json, "", &mut found);
        for (place, value) in [(at, with), (more, again)] {
            let path: &String = place.get(&found);
            if let Some(target) = json.pointer_mut(path) {
                *target = value;
            }
        }
        answers(json, &context)?;
    }

    #[test]
    fn any_context_is_answered(context in contexts()) {
        answers(shop(), &context)?;
    }

    #[test]
    fn any_variable_is_read_or_refused(name in "FEATURE_[A-Z_]{0,4}|ESCLUSA_FLAGS|.{0,4}", value in ".{0,12}|(reports-api=true,?){0,3}") {
        let set = crate::flag_world::set(shop());
        let _ = parse_assignments(&value);
        let import = import_env(&set, "production", [(name.as_str(), value.as_str())], esclusa_flags::Unknown::Create);
        if let Ok(import) = import {
            prop_assert_eq!(validate(&import.set), []);
        }
    }

    // ROL-01: whatever a set says that is in order, it is in order while releases run.
    #[test]
    fn no_running_release_breaks_a_good_set(
        at in any::<prop::sample::Index>(), with in any_json(), context in contexts(),
        picks in any::<[prop::sample::Index; 4]>(), again in any::<[prop::sample::Index; 4]>(),
        shares in (0u16..=10_000, 0u16..=10_000), of in any::<bool>(),
    ) {
        let mut json = shop();
        let mut found = Vec::new();
        places(&json, "", &mut found);
        let path: &String = at.get(&found);
        if let Some(target) = json.pointer_mut(path) {
            *target = with;
        }
        let set = FlagSet::from_json(json);
        let good = |set: &FlagSet| validate(set).is_empty();
        let set = set.ok().filter(good).unwrap_or_else(|| crate::flag_world::set(shop()));
        let one = rollout(&set, &picks, shares.0, of);
        let two = rollout(&set, &again, shares.1, !of);
        for running in [vec![one.clone()], vec![one, two]] {
            let during = set.while_running(&running);
            prop_assert_eq!(validate(&during), []);
            answers(during.to_json(), &context)?;
        }
        prop_assert_eq!(set.while_running(&[]), set);
    }
}
