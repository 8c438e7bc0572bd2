//! Whatever is accepted means the same to CEL's Rust implementation.

use crate::world::{World, schema};
use cel::{Context, Program as Cel, Value};
use esclusa_expr::Program;
use proptest::prelude::*;
use std::sync::Arc;

fn cel_says(source: &str, world: &World) -> Result<bool, String> {
    let program = Cel::compile(source).map_err(|e| format!("{e:?}"))?;
    let mut context = Context::default();
    context.add_variable_from_value("method", world.method.clone());
    context.add_variable_from_value("path", world.path.clone());
    context.add_variable_from_value("seats", world.seats);
    context.add_variable_from_value("beta", world.beta);
    let w = world.clone();
    context
        .add_function("header", move |name: Arc<String>| {
            w.header(&name).unwrap_or_default().to_owned()
        })
        .map_err(|e| format!("{e:?}"))?;
    let w = world.clone();
    context
        .add_function("has_header", move |name: Arc<String>| {
            w.header(&name).is_some()
        })
        .map_err(|e| format!("{e:?}"))?;
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Ok(value),
        other => Err(format!("{other:?}")),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "", "a", "b", "ab", "/", "/a", "GET", "é", "'", "\"", "\\", "\t",
    ])
    .prop_map(str::to_owned)
}

fn quoted() -> impl Strategy<Value = String> {
    (text(), any::<bool>()).prop_map(|(text, single)| {
        let quote = if single { '\'' } else { '"' };
        let text = text.replace('\\', "\\\\").replace('\t', "\\t");
        format!(
            "{quote}{}{quote}",
            text.replace(quote, &format!("\\{quote}"))
        )
    })
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![(-2i64..3), Just(i64::MIN), Just(i64::MAX)].prop_map(|n| n.to_string())
}

fn string_expr() -> impl Strategy<Value = String> {
    prop_oneof![
        quoted(),
        Just("method".to_owned()),
        Just("path".to_owned()),
        quoted().prop_map(|name| format!("header({name})")),
    ]
}

fn int_expr() -> impl Strategy<Value = String> {
    prop_oneof![number(), Just("seats".to_owned())]
}

fn order() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("beta".to_owned()),
        quoted().prop_map(|name| format!("has_header({name})")),
        (string_expr(), order(), string_expr()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (int_expr(), order(), int_expr()).prop_map(|(a, op, b)| format!("{a}{op}{b}")),
        (string_expr(), list(quoted())).prop_map(|(a, l)| format!("{a} in {l}")),
        (int_expr(), list(number())).prop_map(|(a, l)| format!("{a} in {l}")),
        (string_expr(), string_expr(), 0usize..3).prop_map(|(a, b, m)| {
            format!("{a}.{}({b})", ["startsWith", "endsWith", "contains"][m])
        }),
    ];
    // No parentheses around operands of && and ||: precedence is part of the meaning.
    leaf.prop_recursive(4, 40, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} && {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) == ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) != ({b})")),
        ]
    })
}

prop_compose! {
    fn any_world()(
        method in text(),
        path in text(),
        seats in prop_oneof![(-2i64..3), Just(i64::MIN), Just(i64::MAX)],
        beta in any::<bool>(),
        headers in prop::collection::vec((text(), text()), 0..3),
    ) -> World {
        World { method, path, seats, beta, headers, ..World::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn accepted_conditions_mean_the_same(source in condition(), world in any_world()) {
        // `!a == b` with a string `a` is refused: (!a) == b has no type.
        if let Ok(program) = Program::compile(&source, &schema()) {
            prop_assert_eq!(Ok(program.eval(&world)), cel_says(&source, &world), "{}", source);
        }
    }
}

#[test]
fn most_generated_conditions_are_accepted() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let accepted = (0..400)
        .filter(|_| {
            let source = condition()
                .new_tree(&mut runner)
                .expect("no filters")
                .current();
            Program::compile(&source, &schema()).is_ok()
        })
        .count();
    assert!(
        accepted > 250,
        "the comparison would prove little: {accepted} of 400"
    );
}

#[test]
fn hand_written_conditions_mean_the_same() {
    let world = World {
        method: "GET".into(),
        path: "/ä\t".into(),
        seats: -7,
        beta: true,
        headers: vec![("x-team".into(), "red".into())],
        ..World::default()
    };
    for source in [
        "!beta == false",
        "seats in [-7] && -7 == seats",
        "'\\u00e4\\t' == \"ä\\t\"",
        r#"path == "/\u00e4\t""#,
        "beta // a remark\n && true",
        "false && false || true && beta",
        r#""z" < "ä" && "é" < "😀""#,
        "007 == 7",
        r#"header("x-team") == 'red' && !(method in [])"#,
    ] {
        let ours = Program::compile(source, &schema())
            .expect(source)
            .eval(&world);
        assert_eq!(cel_says(source, &world), Ok(ours), "{source}");
        assert!(ours, "{source}");
    }
}
