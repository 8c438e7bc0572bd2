//! The compiled evaluator against a slow one that reads definitions as they stand.

use crate::flag_world::{compile, context, set};
use esclusa_flags::{
    Context, FlagDefinition, FlagSet, FlagState, Kills, RuleDefinition, ShareDefinition, bucket,
    in_share,
};
use esclusa_model::{BasisPoints, Salt};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Conditions, and what they mean of a context.
type Meaning = fn(&Value) -> Option<bool>;
const CONDITIONS: [(&str, Meaning); 5] = [
    ("country == 'es'", |c| Some(c["country"].as_str()? == "es")),
    ("!(country == 'es')", |c| {
        Some(c["country"].as_str()? != "es")
    }),
    ("age > 3", |c| Some(c["age"].as_i64()? > 3)),
    ("has(country) && age <= 3", |c| {
        match (c["country"].is_string(), c["age"].as_i64()) {
            (false, _) => Some(false),
            (true, age) => Some(age? <= 3),
        }
    }),
    ("age > 3 || country != 'es'", |c| {
        let (age, country) = (c["age"].as_i64(), c["country"].as_str());
        match (age.map(|a| a > 3), country.map(|c| c != "es")) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }
    }),
];

struct Slow<'a> {
    set: &'a FlagSet,
    kills: &'a Kills,
    context: &'a Value,
}

/// The variant, or that only the safe one is left.
type Served = Result<String, String>;

impl Slow<'_> {
    fn unit(&self, of: &str) -> Option<&str> {
        let named = |key: &str| self.context[key].as_str().filter(|id| !id.is_empty());
        match of {
            "user" => named("user").or_else(|| named("targetingKey")),
            of => named(of),
        }
    }

    fn condition(&self, source: &str) -> Option<bool> {
        let (_, meaning) = CONDITIONS
            .iter()
            .find(|(s, _)| *s == source)
            .expect("known");
        meaning(self.context)
    }

    fn belongs(&self, name: &str) -> bool {
        let segment = &self.set.segments[name];
        let of = segment.of.as_deref().unwrap_or("user");
        self.unit(of)
            .is_some_and(|unit| segment.keys.contains(unit))
            || segment
                .when
                .as_deref()
                .is_some_and(|w| self.condition(w) == Some(true))
            || segment.segments.iter().any(|inner| self.belongs(inner))
    }

    fn drawn(&self, key: &str, flag: &FlagDefinition, share: &ShareDefinition) -> Option<bool> {
        if !share.basis_points.is_partial() {
            return Some(share.basis_points == BasisPoints::FULL);
        }
        let of = share.of.as_deref().unwrap_or("targetingKey");
        let salt = share
            .salt
            .as_deref()
            .or(flag.salt.as_deref())
            .unwrap_or(key);
        let salt = Salt::new(salt).expect("a salt");
        let unit = self.unit(of)?;
        if of == "tenant" && self.set.tenants.contains_key(unit) {
            let mut all: Vec<_> = self
                .set
                .tenants
                .keys()
                .map(|id| (bucket(&salt, id), id))
                .collect();
            all.sort();
            let rank = all.iter().position(|(_, id)| *id == unit).expect("known");
            let wanted = (all.len() * usize::from(share.basis_points.get())).div_ceil(10_000);
            return Some(rank < wanted.max(1));
        }
        Some(in_share(bucket(&salt, unit), share.basis_points))
    }

    fn rule(&self, key: &str, flag: &FlagDefinition, rule: &RuleDefinition) -> Option<Served> {
        let fits = rule
            .when
            .as_deref()
            .is_none_or(|w| self.condition(w) == Some(true))
            && rule
                .segment
                .as_deref()
                .is_none_or(|name| self.belongs(name));
        if !fits {
            return None;
        }
        let safe = || Err(flag.safe.clone().unwrap_or_else(|| flag.off.clone()));
        match rule
            .share
            .as_ref()
            .map(|share| self.drawn(key, flag, share))
        {
            Some(None) => return Some(safe()),
            Some(Some(false)) => return None,
            Some(Some(true)) | None => {}
        }
        if let Some(variant) = &rule.variant {
            return Some(Ok(variant.clone()));
        }
        let parts = rule.distribution.as_ref().expect("one of both");
        let Some(unit) = self.unit(parts.of.as_deref().unwrap_or("targetingKey")) else {
            return Some(safe());
        };
        let own = format!("{}/variants", flag.salt.as_deref().unwrap_or(key));
        let salt = Salt::new(parts.salt.as_deref().unwrap_or(&own)).expect("a salt");
        // Of 2^64 buckets, so exact in 128 bits.
        let at = u128::from(bucket(&salt, unit)) * 10_000;
        let mut below = 0;
        for weight in &parts.weights {
            below += u128::from(weight.basis_points.get()) << 64;
            if at < below {
                return Some(Ok(weight.variant.clone()));
            }
        }
        unreachable!("weights are 100 % together")
    }

    fn serve(&self, key: &str) -> Served {
        let flag = &self.set.flags[key];
        if self.kills.of(key).is_some() {
            return Ok(flag.off.clone());
        }
        let settings = flag.environments.get("production");
        if settings.is_some_and(|s| s.state == FlagState::Disabled) {
            return Ok(flag.off.clone());
        }
        for needed in &flag.prerequisites {
            if self.serve(&needed.flag).as_ref() != Ok(&needed.variant) {
                return Ok(flag.off.clone());
            }
        }
        if let Some(settings) = settings {
            let user = self.unit("user").and_then(|id| settings.users.get(id));
            let tenant = self.unit("tenant").and_then(|id| settings.tenants.get(id));
            if let Some(variant) = user.or(tenant) {
                return Ok(variant.clone());
            }
            if let Some(served) = settings.rules.iter().find_map(|r| self.rule(key, flag, r)) {
                return served;
            }
        }
        let default = settings
            .and_then(|s| s.default.as_ref())
            .or(flag.default.as_ref());
        Ok(default.unwrap_or(&flag.off).clone())
    }
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 2 => value]
}

fn unit() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["u1", "u2", "t1", "t2", "t3", "t9", ""]).prop_map(Value::from)
}

fn variant() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["a", "b", "off"]).prop_map(Value::from)
}

fn condition() -> impl Strategy<Value = Value> {
    prop::sample::select(CONDITIONS.to_vec()).prop_map(|(source, _)| json!(source))
}

fn of() -> impl Strategy<Value = Value> {
    maybe(prop::sample::select(vec!["tenant", "user"]).prop_map(Value::from))
}

fn salt() -> impl Strategy<Value = Value> {
    maybe(prop::sample::select(vec!["one", "two"]).prop_map(Value::from))
}

fn share() -> impl Strategy<Value = Value> {
    (
        prop_oneof![Just(0u16), Just(10_000), 1..10_000u16],
        of(),
        salt(),
    )
        .prop_map(|(bp, of, salt)| json!({ "basis-points": bp, "of": of, "salt": salt }))
}

fn serve() -> impl Strategy<Value = (Value, Value)> {
    let weights = (0u16..=10_000, of()).prop_map(|(a, of)| {
        json!({ "of": of, "weights": [
            { "variant": "a", "basis-points": a }, { "variant": "off", "basis-points": 10_000 - a },
        ] })
    });
    prop_oneof![
        variant().prop_map(|variant| (variant, Value::Null)),
        weights.prop_map(|weights| (Value::Null, weights)),
    ]
}

fn rules() -> impl Strategy<Value = Value> {
    let segment = || prop::sample::select(vec!["s0", "s1", "s2"]).prop_map(Value::from);
    let chosen = (maybe(condition()), segment(), maybe(share()), serve()).prop_map(
        |(when, segment, share, (variant, distribution))| {
            json!({ "when": when, "segment": segment, "share": share,
                    "variant": variant, "distribution": distribution })
        },
    );
    let drawn = (share(), serve()).prop_map(|(share, (variant, distribution))| {
        json!({ "share": share, "variant": variant, "distribution": distribution })
    });
    (
        prop::collection::vec(chosen, 0..3),
        prop::collection::vec(drawn, 0..3),
    )
        .prop_map(|(chosen, drawn)| Value::Array(chosen.into_iter().chain(drawn).collect()))
}

fn flag(index: usize) -> impl Strategy<Value = Value> {
    let units = || {
        let ids = prop::sample::select(vec!["u1", "t1", "t2"]).prop_map(str::to_owned);
        prop::collection::btree_map(ids, variant(), 0..3)
    };
    let needs = prop::collection::vec((0..index.max(1), variant()), 0..3).prop_map(move |needs| {
        let needs = needs.into_iter().filter(|_| index > 0);
        needs
            .map(|(i, variant)| json!({ "flag": format!("f{i}"), "variant": variant }))
            .collect::<Vec<_>>()
    });
    (
        maybe(variant()),
        maybe(variant()),
        salt(),
        needs,
        any::<bool>(),
        maybe(variant()),
        units(),
        units(),
        rules(),
    )
        .prop_map(
            |(safe, default, salt, needs, disabled, here, users, tenants, rules)| {
                json!({
                    "type": "string", "variants": { "a": "A", "b": "B", "off": "" },
                    "safe": safe, "default": default, "salt": salt, "prerequisites": needs,
                    "environments": { "production": {
                        "state": if disabled { "disabled" } else { "enabled" },
                        "default": here, "users": users, "tenants": tenants, "rules": rules,
                    } },
                })
            },
        )
}

fn any_set() -> impl Strategy<Value = FlagSet> {
    let keys = || prop::collection::btree_set(prop::sample::select(vec!["u1", "u2", "t1"]), 0..3);
    let segment = || (keys(), of(), maybe(condition()));
    ((segment(), segment(), segment()), 0usize..4, (flag(0), flag(1), flag(2), flag(3))).prop_map(
        |((a, b, c), tenants, (f0, f1, f2, f3))| {
            let segment = |(keys, of, when): (_, Value, Value), inner: &[&str]| {
                let keys: std::collections::BTreeSet<&str> = keys;
                json!({ "keys": keys, "of": of, "when": when, "segments": inner })
            };
            let tenants: serde_json::Map<_, _> =
                (1..=tenants).map(|i| (format!("t{i}"), json!({}))).collect();
            set(json!({
                "environments": ["production"],
                "attributes": { "country": { "type": "string" }, "age": { "type": "integer" } },
                "segments": { "s0": segment(a, &[]), "s1": segment(b, &["s0"]), "s2": segment(c, &["s0", "s1"]) },
                "tenants": tenants,
                "flags": { "f0": f0, "f1": f1, "f2": f2, "f3": f3 },
            }))
        },
    )
}

fn any_context() -> impl Strategy<Value = Value> {
    let country = maybe(prop::sample::select(vec!["es", "fr"]).prop_map(Value::from));
    let age = prop_oneof![
        Just(Value::Null),
        Just(json!("4")),
        (0..8i64).prop_map(Value::from)
    ];
    (maybe(unit()), maybe(unit()), maybe(unit()), country, age).prop_map(
        |(key, user, tenant, country, age)| {
            json!({ "targetingKey": key, "user": user, "tenant": tenant, "country": country, "age": age })
        },
    )
}

fn served(context: &Context<'_>, key: &str) -> Served {
    let answer = context.evaluate(key);
    let variant = answer.variant.expect("a flag").to_owned();
    match answer.error() {
        Some(_) => Err(variant),
        None => Ok(variant),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // FLAG-14
    #[test]
    fn compiled_and_slow_answer_alike(
        set in any_set(), contexts in prop::collection::vec(any_context(), 1..6),
        killed in prop::option::weighted(0.2, prop::sample::select(vec!["f0", "f1", "f2", "f3"])),
    ) {
        let mut kills = Kills::default();
        if let Some(key) = killed {
            kills.kill(Some(key));
        }
        let problems = esclusa_flags::validate(&set);
        // A share and a distribution may have met one salt; all else is in order.
        prop_assume!(problems.is_empty());
        let mut snapshot = compile(&set);
        snapshot.merge_kills(&kills);
        for values in &contexts {
            let context = context(&snapshot, values);
            let slow = Slow { set: &set, kills: &kills, context: values };
            for key in ["f3", "f2", "f1", "f0"] {
                let expected = slow.serve(key);
                prop_assert_eq!(served(&context, key), expected.clone(), "{} {}", key, values);
                let explained = context.explain(key);
                prop_assert_eq!(explained.variant, expected.clone().ok().or(expected.err()));
                prop_assert_eq!(explained.steps.iter().filter(|step| step.decides).count(), 1);
            }
            // All at once is one by one.
            for (info, answer) in context.evaluate_all() {
                prop_assert_eq!(answer, context.evaluate(info.key));
            }
        }
    }

    // Export and import are a round trip.
    #[test]
    fn what_is_written_is_read_back(set in any_set()) {
        let text = serde_json::to_string(&set.to_json()).expect("JSON");
        let json = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(FlagSet::from_json(json), Ok(set));
    }
}
