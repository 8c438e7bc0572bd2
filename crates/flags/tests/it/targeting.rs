//! Rules, segments and attributes: who gets what, and what is not known.

use crate::flag_world::{ask, context, shop, snapshot};
use esclusa_flags::{AttributeValue, Detail, EvaluationError, FlagReason, FlagValue};
use serde_json::json;

// FLAG-06, ROL-01, ROL-03, BLD-08
#[test]
fn the_first_rule_that_applies_decides() {
    let shop = snapshot(shop());
    for (who, on, reason) in [
        (
            json!({ "targetingKey": "ana@example.com" }),
            true,
            FlagReason::TargetingMatch,
        ),
        (
            json!({ "user": "luis@example.com" }),
            true,
            FlagReason::TargetingMatch,
        ),
        (
            json!({ "user": "x", "country": "pt" }),
            true,
            FlagReason::TargetingMatch,
        ),
        (
            json!({ "beta": true, "age": 18 }),
            true,
            FlagReason::TargetingMatch,
        ),
        (
            json!({ "user": "eve@example.com", "country": "es" }),
            false,
            FlagReason::TargetingMatch,
        ),
        (
            json!({ "tenant": "umbrella", "country": "es" }),
            false,
            FlagReason::TargetingMatch,
        ),
    ] {
        let answer = ask(&shop, "exec-reports", &who);
        assert_eq!((answer.is_on(), answer.reason), (on, reason), "{who}");
    }
    assert_eq!(
        ask(&shop, "reports-api", &json!({})).reason,
        FlagReason::Static
    );
    let size = ask(&shop, "page-size", &json!({ "targetingKey": "x" }));
    assert_eq!(size.reason, FlagReason::Split);
    assert!(matches!(size.value, Some(FlagValue::Integer(10 | 100))));
}

// GRD-03, trap 22: nobody is treated as another tenant.
#[test]
fn a_missing_unit_is_the_safe_value_and_an_error() {
    let shop = snapshot(shop());
    for who in [
        json!({ "country": "fr" }),
        json!({ "tenant": "", "country": "fr" }),
        json!({ "tenant": null, "country": "fr" }),
        json!({ "tenant": { "id": 1 }, "country": "fr" }),
    ] {
        let answer = ask(&shop, "exec-reports", &who);
        assert!(!answer.is_on(), "{who}");
        assert_eq!(answer.reason, FlagReason::Error);
        let missing = EvaluationError::UnitMissing {
            attribute: "tenant",
        };
        assert_eq!(answer.error(), Some(missing));
    }
    let answer = ask(&shop, "page-size", &json!({}));
    assert_eq!(answer.error(), Some(EvaluationError::TargetingKeyMissing));
    assert_eq!(answer.variant, Some("few"));
    let nothing = ask(&shop, "pagesize", &json!({}));
    assert_eq!(nothing.error().map(|e| e.code()), Some("FLAG_NOT_FOUND"));
    assert_eq!((nothing.value, nothing.variant), (None, None));
}

#[test]
fn what_is_missing_or_of_another_type_makes_no_rule_apply() {
    let flag = |when: &str| {
        snapshot(json!({
            "environments": ["production"],
            "attributes": {
                "age": { "type": "integer" }, "score": { "type": "float" },
                "beta": { "type": "boolean" }, "country": { "type": "string" },
            },
            "flags": { "f": { "type": "boolean", "environments": { "production": {
                "rules": [{ "when": when, "variant": "on" }],
            } } } },
        }))
    };
    for (when, who, on) in [
        ("age > 3", json!({}), false),
        ("age != 3", json!({}), false),
        ("!(age == 3)", json!({}), false),
        ("!(age == 3)", json!({ "age": "4" }), false),
        ("!(age == 3)", json!({ "age": 4 }), true),
        ("age == 4", json!({ "age": 4.0 }), true),
        ("age == 4", json!({ "age": 4.5 }), false),
        ("age > 3", json!({ "age": u64::MAX }), false),
        ("age > 3", json!({ "age": i64::MAX }), true),
        ("age > 3", json!({ "age": 1e300 }), false),
        ("score > 3", json!({ "score": 1e300 }), true),
        ("score > 3", json!({ "score": 4 }), true),
        ("score > 3", json!({ "score": i64::MAX }), false),
        ("!has(country)", json!({ "country": ["es"] }), true),
        (
            "has(country) && country == ''",
            json!({ "country": "" }),
            true,
        ),
        ("country == 'es' || beta", json!({ "beta": true }), true),
    ] {
        assert_eq!(ask(&flag(when), "f", &who).is_on(), on, "{when} {who}");
    }
    let scored = flag("score == score || score < 1.0 || score >= 1.0");
    let mut nan = scored.context();
    nan.set("score", AttributeValue::Float(f64::NAN));
    assert!(!nan.evaluate("f").is_on());
}

// FLAG-17: the directory says what a tenant is, not whoever asks.
#[test]
fn tenants_are_what_the_directory_says() {
    let mut json = shop();
    json["flags"]["exec-reports"]["environments"]["production"]["rules"] =
        json!([{ "segment": "small", "variant": "on" }]);
    let shop = snapshot(json);
    for (who, on) in [
        (json!({ "tenant": "acme" }), true),
        (
            json!({ "tenant": "initech", "size": "small", "seats": 1 }),
            false,
        ),
        (json!({ "size": "small", "seats": 1 }), false),
        (
            json!({ "tenant": "unknown", "size": "small", "seats": 1 }),
            false,
        ),
    ] {
        assert_eq!(ask(&shop, "exec-reports", &who).is_on(), on, "{who}");
    }
    let mut who = context(&shop, &json!({ "tenant": "acme" }));
    assert!(who.evaluate("exec-reports").is_on());
    who.set("tenant", AttributeValue::Text("initech"));
    assert!(
        !who.evaluate("exec-reports").is_on(),
        "what was decided is forgotten"
    );
}

// BLD-09: transitive, on a variant, and the answer says which is unmet.
#[test]
fn an_unmet_prerequisite_serves_off_and_is_named() {
    let chain = |default: &str| {
        snapshot(json!({
            "environments": ["production"],
            "flags": {
                "a": { "type": "string", "variants": { "v1": "x", "v2": "y", "none": "" },
                       "off": "none", "default": default },
                "b": { "type": "boolean", "default": "on",
                       "prerequisites": [{ "flag": "a", "variant": "v2" }] },
                "c": { "type": "boolean", "default": "on",
                       "prerequisites": [{ "flag": "b", "variant": "on" }] },
            },
        }))
    };
    assert!(ask(&chain("v2"), "c", &json!({})).is_on());
    let unmet = chain("v1");
    let answer = ask(&unmet, "c", &json!({}));
    let flag = "b";
    assert_eq!(
        answer.detail,
        Detail::Prerequisite {
            flag,
            wanted: "on",
            got: Some("off")
        }
    );
    assert_eq!(
        (answer.is_on(), answer.reason),
        (false, FlagReason::Disabled)
    );
}

#[test]
fn numbers_may_name_tenants() {
    let shop = snapshot(json!({
        "environments": ["production"],
        "flags": { "f": { "type": "boolean", "environments": { "production": {
            "tenants": { "7": "on" },
        } } } },
    }));
    assert!(ask(&shop, "f", &json!({ "tenant": 7 })).is_on());
    assert!(ask(&shop, "f", &json!({ "tenant": "7" })).is_on());
    assert!(!ask(&shop, "f", &json!({ "tenant": 7.5 })).is_on());
    assert!(!ask(&shop, "f", &json!({ "tenant": 77 })).is_on());
}
