//! Arbitrary bodies: a request or an error, never a panic, and both readers agree. More cases
//! with `PROPTEST_CASES=1000000`.

use crate::world::flags;
use esclusa_flags::{FlagSet, Snapshot};
use proptest::prelude::*;

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"context\"",
        "\"targetingKey\"",
        "\"tenant\"",
        "\"country\"",
        "\"es\"",
        "null",
        "true",
        "1",
        "1e999",
        "-0.0",
        "18446744073709551615",
        "\"\\u0000\"",
        "\"\\ud800\"",
        " ",
        "{\"context\":{",
        "\"x\":",
        "}}",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
        (0usize..400).prop_map(|deep| {
            format!(
                "{{\"context\":{{\"x\":{}{}}}}}",
                "[".repeat(deep),
                "]".repeat(deep)
            )
            .into_bytes()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_a_request_or_an_error(body in bodies()) {
        let set = FlagSet::from_json(flags()).expect("a set");
        let snapshot = Snapshot::compile(&set, "production").expect("valid");
        let single = esclusa_ofrep::fuzzing::fuzz_single(&body, &snapshot);
        let bulk = esclusa_ofrep::fuzzing::fuzz_bulk(&body);
        if body.trim_ascii().is_empty() {
            prop_assert_eq!((single, bulk), (None, None));
        }
        // What is taken by either is JSON, and an object.
        let json = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let has_context_once = body.windows(9).filter(|w| w == b"\"context\"").count() < 2;
        let Some(json) = json.filter(|_| has_context_once) else {
            return Ok(());
        };
        prop_assert!(json.is_object() || single.is_some());
        // Both readers agree on whatever is JSON.
        let text = String::from_utf8_lossy(&body);
        prop_assert_eq!(single, bulk, "{}", text);
    }
}
