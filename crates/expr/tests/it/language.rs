use crate::world::{World, schema};
use esclusa_expr::{MAX_NODES, Program};

fn world() -> World {
    World {
        method: "GET".into(),
        path: "/cart/7".into(),
        seats: 12,
        beta: true,
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
