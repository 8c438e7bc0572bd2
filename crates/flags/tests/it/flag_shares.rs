//! Shares of flags: exact over a directory, sticky, independent, never nobody.

use crate::flag_world::{ask, snapshot};
use crate::world::{Family, ids};
use esclusa_flags::{FlagReason, Snapshot, tenants_by_variant};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

fn flag(bp: u16, of: &str, salt: Option<&str>) -> Value {
    let mut share = json!({ "basis-points": bp, "of": of });
    if let Some(salt) = salt {
        share["salt"] = json!(salt);
    }
    json!({ "type": "boolean", "environments": { "production": {
        "rules": [{ "share": share, "variant": "on" }],
    } } })
}

fn with_tenants(n: usize, flags: &Value) -> Snapshot {
    let tenants: Map<String, Value> = (0..n)
        .map(|i| (format!("tenant-{i:04}"), json!({})))
        .collect();
    snapshot(json!({ "environments": ["production"], "tenants": tenants, "flags": flags }))
}

fn exposed(snapshot: &Snapshot, key: &str) -> BTreeSet<String> {
    let counted = tenants_by_variant(snapshot, key);
    let on = counted.into_iter().find(|(variant, _)| variant == "on");
    on.map(|(_, ids)| ids.into_iter().collect())
        .unwrap_or_default()
}

// ROL-02, ROL-06, trap 20: 5, 25, 50 % of 1,000 tenants, each holding the one before.
#[test]
fn shares_of_the_directory_are_exact_growing_subsets() {
    for key in ["exec-reports", "master-reports", "reports-ui"] {
        let mut before = BTreeSet::new();
        for (bp, n) in [(500, 50), (2_500, 250), (5_000, 500), (10_000, 1_000)] {
            let snapshot = with_tenants(1_000, &json!({ key: flag(bp, "tenant", None) }));
            let now = exposed(&snapshot, key);
            assert_eq!(now.len(), n, "{key} at {bp}");
            assert!(before.is_subset(&now), "{key} at {bp}");
            before = now;
        }
        // ... and down again.
        let back = with_tenants(1_000, &json!({ key: flag(500, "tenant", None) }));
        assert!(exposed(&back, key).is_subset(&before));
    }
}

// ROL-02, ROL-04: a floor of one, and everybody includes whoever comes later.
#[test]
fn few_tenants_are_not_nobody_and_everybody_is_everybody() {
    let few = with_tenants(12, &json!({ "f": flag(500, "tenant", None) }));
    assert_eq!(exposed(&few, "f").len(), 1);
    let all = with_tenants(12, &json!({ "f": flag(10_000, "tenant", None) }));
    assert!(ask(&all, "f", &json!({ "tenant": "created-later" })).is_on());
    let none = with_tenants(12, &json!({ "f": flag(0, "tenant", None) }));
    assert_eq!(exposed(&none, "f").len(), 0);
    assert_eq!(ask(&none, "f", &json!({})).reason, FlagReason::Default);
}

// Two flags are independent; one named salt makes them choose the same.
#[test]
fn flags_choose_independently_unless_they_name_one_salt() {
    let n = 1_000;
    let snapshot = with_tenants(
        n,
        &json!({
            "a": flag(5_000, "tenant", None), "b": flag(5_000, "tenant", None),
            "c": flag(5_000, "tenant", Some("together")), "d": flag(5_000, "tenant", Some("together")),
        }),
    );
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|key| exposed(&snapshot, key));
    assert_eq!(c, d);
    // Hypergeometric: mean 250, standard deviation 7.9.
    let both = a.intersection(&b).count();
    assert!((250 - 36..=250 + 36).contains(&both), "{both}");
}

// design 6.4, over unknown units.
#[test]
fn shares_of_unknown_units_are_unbiased() {
    let keys: Vec<String> = (0..100).map(|i| format!("flag-{i}")).collect();
    for family in [Family::Sequential, Family::TimeUuids, Family::Emails] {
        let ids = ids(family, 20_000);
        for bp in [500, 5_000] {
            let flags: Map<String, Value> = keys
                .iter()
                .map(|key| (key.clone(), flag(bp, "targetingKey", None)))
                .collect();
            let snapshot = with_tenants(0, &Value::Object(flags));
            let mut counts = vec![0u32; keys.len()];
            let mut buffer = esclusa_flags::ContextBuffer::default();
            for id in &ids {
                let mut context = snapshot.context_in(buffer);
                context.set("targetingKey", esclusa_flags::AttributeValue::Text(id));
                for (count, (_, answer)) in counts.iter_mut().zip(context.evaluate_all()) {
                    *count += u32::from(answer.is_on());
                }
                buffer = context.into_buffer();
            }
            let (n, p) = (ids.len() as f64, f64::from(bp) / 10_000.0);
            let z = |count: &u32| (f64::from(*count) - n * p) / (n * p * (1.0 - p)).sqrt();
            let far = counts.iter().filter(|count| z(count).abs() >= 3.0).count();
            let worst = counts
                .iter()
                .map(|count| z(count).abs())
                .fold(0.0, f64::max);
            assert!(
                far <= 2 && worst < 4.5,
                "{family:?} {bp}: {far} far, worst {worst}"
            );
        }
    }
}

#[test]
fn a_distribution_inside_a_share_uses_all_of_its_variants() {
    let snapshot = snapshot(json!({
        "environments": ["production"],
        "flags": { "f": {
            "type": "string", "variants": { "off": "", "a": "a", "b": "b" },
            "environments": { "production": { "rules": [{
                "share": { "basis-points": 5000 },
                "distribution": { "weights": [
                    { "variant": "a", "basis-points": 5000 }, { "variant": "b", "basis-points": 5000 },
                ] },
            }] } },
        } },
    }));
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    for id in ids(Family::Sequential, 10_000) {
        let answer = ask(&snapshot, "f", &json!({ "targetingKey": id }));
        *counts
            .entry(answer.variant.expect("a flag").to_owned())
            .or_default() += 1;
    }
    // Standard deviation of each part of a quarter: 43.
    for (variant, mean) in [("off", 5_000), ("a", 2_500), ("b", 2_500)] {
        assert!(counts[variant].abs_diff(mean) < 220, "{counts:?}");
    }
}

proptest! {
    // design 6.4: everyone of p stays in q > p, known or not.
    #[test]
    fn whoever_is_in_stays_in_while_a_share_grows(
        n in 0usize..40, unit in "tenant-00[0-5][0-9]|[a-z]{1,8}", a in 0u16..=10_000, b in 0u16..=10_000,
    ) {
        let at = |bp| with_tenants(n, &json!({ "f": flag(bp, "tenant", None) }));
        let who = json!({ "tenant": unit });
        let (small, large) = (at(a.min(b)), at(a.max(b)));
        prop_assert!(!ask(&small, "f", &who).is_on() || ask(&large, "f", &who).is_on());
    }
}
