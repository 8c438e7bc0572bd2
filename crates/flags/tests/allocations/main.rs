//! Evaluating allocates nothing, and neither does a context in used memory. A test
//! program of its own, since counting needs the whole program's allocator.

#![expect(clippy::expect_used, reason = "a failing helper fails its test")]

use esclusa_flags::{AttributeValue, Context, ContextBuffer, FlagSet, Snapshot};
use serde_json::json;

fn snapshot() -> Snapshot {
    let tenants: serde_json::Map<_, _> = (0..100)
        .map(|i| {
            (
                format!("t{i}"),
                json!({ "attributes": { "size": "small" } }),
            )
        })
        .collect();
    let set = FlagSet::from_json(json!({
        "environments": ["production"],
        "attributes": {
            "country": { "type": "string" }, "age": { "type": "integer" },
            "size": { "type": "string", "source": "tenant" },
        },
        "tenants": tenants,
        "segments": {
            "inner": { "keys": ["u9"], "when": "size == 'large'" },
            "outer": { "segments": ["inner"], "when": "country in ['es', 'pt']" },
        },
        "flags": {
            "default": { "type": "boolean" },
            "object": { "type": "object", "variants": { "off": { "a": [1, 2] } } },
            "half": { "type": "boolean", "environments": { "production": { "rules": [
                { "share": { "basis-points": 5000 }, "variant": "on" }] } } },
            "all": {
                "type": "boolean", "prerequisites": [{ "flag": "default", "variant": "off" }],
                "environments": { "production": {
                    "users": { "eve": "off" }, "tenants": { "t7": "off" },
                    "rules": [
                        { "segment": "outer", "variant": "off" },
                        { "when": "country.startsWith('f') && age >= 18 && size != 'x'",
                          "share": { "basis-points": 10 }, "variant": "on" },
                        { "share": { "basis-points": 500, "of": "tenant" }, "variant": "on" },
                        { "distribution": { "weights": [
                            { "variant": "on", "basis-points": 5000 }, { "variant": "off", "basis-points": 5000 }] } },
                    ],
                } },
            },
        },
    }))
    .expect("a set");
    Snapshot::compile(&set, "production").expect("compiles")
}

fn fill(context: &mut Context<'_>) {
    context.set("targetingKey", AttributeValue::Text("user-000001"));
    context.set("tenant", AttributeValue::Integer(12));
    context.set("country", AttributeValue::Text("fr"));
    context.set("age", AttributeValue::Float(18.0));
}

#[test]
fn evaluating_allocates_nothing() {
    let snapshot = snapshot();
    let mut context = snapshot.context();
    fill(&mut context);
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            for key in ["default", "object", "half", "all", "unknown"] {
                std::hint::black_box(context.evaluate(key));
            }
            assert_eq!(context.evaluate_all().count(), 4);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_context_in_used_memory_allocates_nothing() {
    let snapshot = snapshot();
    let mut context = snapshot.context();
    fill(&mut context);
    let mut buffer = context.into_buffer();
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            let mut context = snapshot.context_in(std::mem::take(&mut buffer));
            fill(&mut context);
            std::hint::black_box(context.evaluate("all"));
            buffer = context.into_buffer();
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// Asking whether an answer is recorded is one look where none are, and no memory where some
/// are.
#[test]
fn sampling_allocates_nothing() {
    let off = snapshot();
    let set = FlagSet::from_json(json!({
        "environments": ["production"],
        "flags": { "mail": { "type": "boolean" } },
        "exposures": { "environments": { "production": { "basis-points": 5_000 } } },
    }));
    let on = Snapshot::compile(&set.expect("a set"), "production").expect("compiles");
    let mut context = on.context();
    context.set("targetingKey", AttributeValue::Text("user-000001"));
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert!(std::hint::black_box(off.sampling()).is_none());
            let sampling = on.sampling().expect("on");
            std::hint::black_box(context.with_unit(|unit| sampling.takes_unit(unit)));
            assert!(on.samples_flag("mail"));
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// The counter counts: a new buffer is memory.
#[test]
fn new_memory_is_seen() {
    let snapshot = snapshot();
    let counted = allocation_counter::measure(|| {
        let mut context = snapshot.context_in(ContextBuffer::default());
        fill(&mut context);
    });
    assert!(counted.count_total > 0);
}
