use crate::world::{World, schema};
use esclusa_expr::{MAX_NODES, Program};

fn world() -> World {
    World {
        method: "GET".into(),
        path: "/cart/7".into(),
        seats: 12,
        beta: true,
        score: Some(1.5),
        age: None,
        headers: vec![
            ("x-team".into(), "red".into()),
            ("x-empty".into(), String::new()),
        ],
    }
}

#[test]
fn means_what_it_says() {
    let rows = [
        ("true", true),
        ("!true", false),
        ("!!true", true),
        ("beta", true),
        ("beta == true", true),
        ("beta != true", false),
        ("!beta == false", true), // ! binds tighter than ==
        (r#"header("x-team") == "red""#, true),
        (r#"header('x-team') == 'red'"#, true),
        (r#"header("x-none") == """#, true), // absent is the empty string
        (r#"has_header("x-none")"#, false),
        (r#"has_header("x-empty") && header("x-empty") == """#, true),
        (r#"path.startsWith("/cart")"#, true),
        (r#"path.endsWith("/7")"#, true),
        (r#"path.contains("art")"#, true),
        (r#"path.contains("")"#, true),
        (r#""/cart/7/items".startsWith(path)"#, true),
        (r#"path.startsWith("/Cart")"#, false), // letters' case counts
        (r#"method in ["GET", "HEAD"]"#, true),
        (r#"method in []"#, false),
        (r#"!(method in ["POST"])"#, true),
        ("seats in [1, 12]", true),
        ("beta in [false]", false),
        (
            "seats > 11 && seats >= 12 && seats < 13 && seats <= 12",
            true,
        ),
        ("seats == -12 || seats != 12", false),
        ("-9223372036854775808 < 9223372036854775807", true),
        (r#""a" < "b" && "B" < "a" && "" < "a""#, true),
        (r#""z" < "ä" && "é" < "😀""#, true), // by code point
        (r#"false && false || true"#, true),
        (r#"true || false && false"#, true), // && binds tighter
        (r#"(true || false) && false"#, false),
        (r#"joined("ab", 3, true) == 6"#, true),
        (r#"header(header("x-none")) == """#, true),
        ("beta // the rest is for readers", true),
        ("\n\tbeta\r\n  && // why\n seats == 12", true),
        (r#""\\\"\'" == '\\"\''"#, true),
        (r#""\u00e4\t" == "ä	""#, true),
        (r#""a // b" == 'a // b'"#, true),
    ];
    for (source, expected) in rows {
        let program =
            Program::compile(source, &schema()).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        assert_eq!(program.eval(&world()), expected, "{source}");
        assert_eq!(program.source(), source);
    }
}

#[test]
fn limits_are_reached_before_they_refuse() {
    let deep = format!("{}beta{}", "(".repeat(32), ")".repeat(32));
    assert!(Program::compile(&deep, &schema()).is_ok());
    let deep_not = format!("{}beta", "!".repeat(31));
    assert!(Program::compile(&deep_not, &schema()).is_ok());
    // One node for the chain, 511 operands.
    for operator in ["&&", "||"] {
        let wide = vec!["beta"; MAX_NODES - 1].join(operator);
        assert!(Program::compile(&wide, &schema()).is_ok(), "{operator}");
    }
    let long = format!("beta //{}", "x".repeat(4096 - 7));
    assert!(Program::compile(&long, &schema()).is_ok());
}

// A value that is not known decides nothing, whichever way it is asked.
#[test]
fn what_is_not_known_decides_nothing() {
    let rows = [
        ("age == 1", None),
        ("age != 1", None),
        ("!(age == 1)", None),
        ("!(age in [1])", None),
        ("age == 1 || beta", Some(true)),
        ("beta || age == 1", Some(true)),
        ("age == 1 && !beta", Some(false)),
        ("!beta && age == 1", Some(false)),
        ("age == 1 && beta", None),
        ("(age == 1) == (age == 1)", None),
        ("joined(\"a\", age, true) == 2", None),
        ("has(age)", Some(false)),
        ("has(age) && age == 1", Some(false)),
        (
            "has(score) && has(path) && has(seats) && has(beta)",
            Some(true),
        ),
    ];
    for (source, expected) in rows {
        let program = Program::compile(source, &schema()).expect(source);
        assert_eq!(program.outcome(&world()), expected, "{source}");
        assert_eq!(program.eval(&world()), expected == Some(true), "{source}");
    }
}

#[test]
fn numbers_of_both_kinds_compare_exactly() {
    let rows = [
        ("score == 1.5", true),
        ("score > 1 && 2 > score && score != 1", true),
        ("seats > 11.5 && seats < 12.5 && seats == 12.0", true),
        ("9007199254740993 > 9007199254740992.0", true),
        ("score in [0.5, 1.5]", true),
        ("-1.5 < -1", true),
    ];
    for (source, expected) in rows {
        let program = Program::compile(source, &schema()).expect(source);
        assert_eq!(program.eval(&world()), expected, "{source}");
    }
    let nan = World {
        score: Some(f64::NAN),
        ..world()
    };
    for (source, expected) in [
        ("score == score", false),
        ("score != score", true),
        ("score < 1 || score >= 1 || score in [1.5]", false),
        ("seats < score || seats == score", false),
    ] {
        let program = Program::compile(source, &schema()).expect(source);
        assert_eq!(program.eval(&nan), expected, "{source}");
    }
}

#[test]
fn reads_are_listed_once_each() {
    let program = Program::compile(
        "age > 1 && (header(path) == \"x\" || has(age)) && 1.5 < score",
        &schema(),
    )
    .expect("compiles");
    let slots: Vec<u16> = program.reads().into_iter().map(|slot| slot.0).collect();
    assert_eq!(slots, [1, 4, 7, 8]);
}
