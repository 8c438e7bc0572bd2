//! A traffic split is an assignment of the flag engine: written as a flag, it answers
//! the same.

use crate::flag_world::{ask, snapshot};
use crate::world::{Request, compile, segment, spec};
use esclusa_flags::SplitSpec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn as_flag(split: &SplitSpec) -> Value {
    let segments = split
        .segments
        .iter()
        .map(|segment| json!({ "name": segment.name, "when": segment.when, "variant": "canary" }));
    let share = json!({
        "share": { "basis-points": split.share, "of": "tenant", "salt": split.salt },
        "variant": "canary",
    });
    let rules: Vec<Value> = segments.chain([share]).collect();
    let tenants: serde_json::Map<String, Value> = split
        .population
        .iter()
        .map(|id| (id.clone(), json!({})))
        .collect();
    json!({
        "environments": ["production"],
        "attributes": { "method": { "type": "string" }, "path": { "type": "string" } },
        "tenants": tenants,
        "flags": { "split": {
            "type": "string", "variants": { "stable": "sha256:a", "canary": "sha256:b" },
            "off": "stable", "environments": { "production": { "rules": rules } },
        } },
    })
}

proptest! {
    #[test]
    fn a_split_written_as_a_flag_answers_the_same(
        bp in 0u16..=10_000, known in 0usize..30, unit in "(tenant-[0-9]{1,2})?",
        method in prop::sample::select(vec!["GET", "POST"]), with_segment: bool,
    ) {
        let mut split = spec("r-1", bp);
        split.population = (0..known).map(|i| format!("tenant-{i}")).collect();
        if with_segment {
            split.segments.push(segment("writers", "method == 'POST'"));
        }
        let request = Request { method, ..Request::default() };
        let expected = compile(&split).assign(&unit, &request).side.to_string();
        let flags = snapshot(as_flag(&split));
        let answer = ask(&flags, "split", &json!({ "tenant": unit, "method": method }));
        prop_assert_eq!(answer.variant, Some(expected.as_str()));
    }
}
