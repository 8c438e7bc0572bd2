use super::*;

fn codes(text: &str) -> Vec<&'static str> {
    load(text).1.iter().map(|p| p.code).collect()
}

#[test]
fn scalars_stay_as_written() {
    let (root, problems) = load("a: 1.10\nb: no\nc: '5'\nd:\ne: \"\"\n");
    assert!(problems.is_empty());
    let Some(Value::Map(entries)) = root.map(|r| r.value) else {
        panic!("a block")
    };
    let shown: Vec<String> = entries
        .iter()
        .map(|e| match &e.value.value {
            Value::Scalar { text, plain } => format!("{}={text}/{plain}", e.key),
            other => format!("{}={other:?}", e.key),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a=1.10/true",
            "b=no/true",
            "c=5/false",
            "d=Null",
            "e=/false"
        ]
    );
}

#[test]
fn every_duplicate_is_found() {
    assert_eq!(
        codes("a: 1\na: 2\nb: {c: 1, c: 2}\n"),
        [code::DUPLICATE_KEY, code::DUPLICATE_KEY]
    );
}

#[test]
fn growth_and_depth_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let previous = format!("*a{}, ", i - 1).repeat(10);
        bomb.push_str(&format!("a{i}: &a{i} [{previous}]\n"));
    }
    assert_eq!(codes(&bomb), [code::BUDGET]);
    assert_eq!(codes(&"[".repeat(20_000)), [code::BUDGET]);
    assert_eq!(codes(&"- ".repeat(20_000)), [code::BUDGET]);
    assert_eq!(codes("a: &a [*a]"), [code::BUDGET]);
    assert_eq!(codes(&"x".repeat(MAX_BYTES + 1)), [code::TOO_LARGE]);
}

#[test]
fn what_plans_do_not_use_is_refused() {
    for text in [
        "a: !x 1",
        "--- 1\n--- 2",
        "? [a]\n: 1",
        "a: &a {}\nb: {<<: *a}",
    ] {
        assert_eq!(codes(text), [code::UNSUPPORTED_YAML], "{text}");
    }
    for text in ["a: [", "a:\n\t- b", "a: b: c", "a: 'x", "a: *nobody"] {
        assert_eq!(codes(text), [code::SYNTAX], "{text}");
    }
}
