use crate::world::schema;
use esclusa_expr::{ErrorCode, ErrorCode::*, MAX_NODES, Program};

/// Source, then per error: family, the text it points at, part of message or hint.
type Row<'a> = (&'a str, &'a [(ErrorCode, &'a str, &'a str)]);

const ROWS: &[Row<'static>] = &[
    // Nothing, or half of something.
    ("", &[(Syntax, "", "a value is missing at the end")]),
    ("beta &&", &[(Syntax, "", "a value is missing at the end")]),
    (
        "(beta",
        &[(Syntax, "", "write `)` to close the `(` at byte 0")],
    ),
    ("beta)", &[(Syntax, ")", "expected an operator")]),
    (
        "header(\"a\" == \"b\"",
        &[(Syntax, "", "write `)` to close the `(` at byte 6")],
    ),
    ("method in [\"a\", ]", &[(Syntax, "]", "expected a value")]),
    (
        "method in [\"a\" \"b\"]",
        &[(Syntax, "\"b\"", "`,` or `]`")],
    ),
    ("in [1]", &[(Syntax, "in", "expected a value")]),
    ("path.5", &[(Syntax, "5", "a method's name")]),
    ("path.length", &[(Syntax, "length", ".length(...)")]),
    ("== 1", &[(Syntax, "==", "expected a value")]),
    // Habits from other languages.
    ("method = \"GET\"", &[(Syntax, "=", "compare with ==")]),
    (
        "beta & beta | beta",
        &[(Syntax, "&", "&&"), (Syntax, "|", "||")],
    ),
    ("beta and beta", &[(Syntax, "and", "write && for `and`")]),
    ("beta or beta", &[(Syntax, "or", "write || for `or`")]),
    ("not beta", &[(Syntax, "beta", "write ! for `not`")]),
    ("method not in [\"a\"]", &[(Syntax, "not", "!(a in [...])")]),
    (
        "header[\"x\"] == \"a\"",
        &[(Syntax, "[", "header(\"name\")")],
    ),
    ("seats + 1 > 2", &[(Syntax, "+", "do not calculate")]),
    (
        "beta ? beta : beta",
        &[
            (Syntax, "?", "two conditions"),
            (Syntax, ":", "two conditions"),
        ],
    ),
    (
        "method == “GET”",
        &[
            (Syntax, "“", "straight quotes"),
            (Syntax, "”", "straight quotes"),
        ],
    ),
    (
        "1 < seats < 5",
        &[(Syntax, "<", "comparisons do not chain")],
    ),
    (
        "beta == beta == beta",
        &[(Syntax, "==", "comparisons do not chain")],
    ),
    // Literals.
    (
        "method == \"GET",
        &[(Syntax, "\"GET", "the string has no end")],
    ),
    (
        "method == \"GET\n\"",
        &[
            (Syntax, "\"GET", "has no end"),
            (Syntax, "\"", "has no end"),
        ],
    ),
    (
        "method == \"a\\",
        &[(Syntax, "\"a\\", "the string has no end")],
    ),
    ("method == \"\\d\"", &[(Syntax, "\\d", "unknown escape")]),
    (
        "method == \"\\ud800\"",
        &[(Syntax, "\\ud800", "unknown escape")],
    ),
    (
        "method == \"\\u+0ff\"",
        &[(Syntax, "\\u", "unknown escape")],
    ),
    ("seats == 1.5.2", &[(Syntax, "1.5.2", "not a number")]),
    ("has(1)", &[(Type, "has(1)", "write has(name)")]),
    ("has(agee)", &[(UnknownName, "agee", "did you mean `age`?")]),
    ("seats == 0x1f", &[(Syntax, "0x1f", "not a number")]),
    (
        "seats == 9223372036854775808",
        &[(Syntax, "9223372036854775808", "64 bits")],
    ),
    // Names.
    (
        "pth == \"/\"",
        &[(UnknownName, "pth", "did you mean `path`?")],
    ),
    (
        "heder(\"x\") == \"\"",
        &[(UnknownName, "heder", "did you mean `header`?")],
    ),
    (
        "country == \"es\"",
        &[(UnknownName, "country", "known are method, path, seats")],
    ),
    ("True", &[(UnknownName, "True", "no value `True`")]),
    (
        "path.startswith(\"/\")",
        &[(UnknownName, "startswith", "did you mean `startsWith`?")],
    ),
    (
        "path.matches(\"/\")",
        &[(UnknownName, "matches", "startsWith, endsWith and contains")],
    ),
    (
        "header == \"a\"",
        &[(Type, "header", "write header(\"...\")")],
    ),
    ("method() == \"a\"", &[(Type, "method", "write method")]),
    // Types.
    (
        "path",
        &[(Type, "path", "this is a string, not true or false")],
    ),
    (
        "seats",
        &[(Type, "seats", "this is a number, not true or false")],
    ),
    ("beta && path", &[(Type, "path", "this is a string")]),
    ("!seats", &[(Type, "seats", "this is a number")]),
    (
        "seats == \"12\"",
        &[(
            Type,
            "seats == \"12\"",
            "`==` compares a number with a string",
        )],
    ),
    (
        "beta < beta",
        &[(Type, "beta < beta", "does not order true and false")],
    ),
    (
        "[1] == [1]",
        &[
            (Type, "[1]", "right of `in`"),
            (Type, "[1]", "right of `in`"),
        ],
    ),
    ("method in path", &[(Type, "path", "`in` needs a list")]),
    ("method in [path]", &[(Type, "path", "only literal values")]),
    (
        "method in [\"a\", 1, true]",
        &[
            (Type, "1", "is a number"),
            (Type, "true", "is true or false"),
        ],
    ),
    (
        "seats.contains(\"1\")",
        &[(Type, "seats", "must be a string, not a number")],
    ),
    (
        "path.contains(1)",
        &[(Type, "1", "must be a string, not a number")],
    ),
    (
        "path.contains()",
        &[(Type, "path.contains()", "takes 1 argument, 0 given")],
    ),
    (
        "header() == \"\"",
        &[(Type, "header()", "takes 1 argument, 0 given")],
    ),
    (
        "has_header(1)",
        &[(Type, "1", "`has_header` needs a string here, not a number")],
    ),
    (
        "joined(\"a\", 1) == 1",
        &[(Type, "joined(\"a\", 1)", "takes 3 arguments, 2 given")],
    ),
    // All at once, in the order of the text.
    (
        "heder(pth) == \"\"",
        &[
            (UnknownName, "heder", "`header`"),
            (UnknownName, "pth", "`path`"),
        ],
    ),
    (
        "pth == \"/\" && seats == \"1\" || path.start(\"/\") && (methd in [1])",
        &[
            (UnknownName, "pth", "`path`"),
            (Type, "seats == \"1\"", "compares"),
            (UnknownName, "start", "no method"),
            (UnknownName, "methd", "`method`"),
        ],
    ),
];

#[test]
fn every_mistake_is_named_where_it_stands() {
    for (source, expected) in ROWS {
        let errors = Program::compile(source, &schema()).expect_err(source);
        let found: Vec<_> = errors
            .iter()
            .map(|e| (e.code, &source[e.span.range()], e.to_string()))
            .collect();
        assert_eq!(found.len(), expected.len(), "{source}: {found:?}");
        for ((code, text, shown), (want_code, want_text, want_part)) in found.iter().zip(*expected)
        {
            assert_eq!((code, text), (want_code, want_text), "{source}: {shown}");
            assert!(
                shown.contains(want_part),
                "{source}: {shown:?} lacks {want_part:?}"
            );
        }
    }
}

#[test]
fn a_span_tells_equal_texts_apart() {
    let errors =
        Program::compile("beta && pth == \"a\" && pth == \"b\"", &schema()).expect_err("pth");
    let spans: Vec<_> = errors.iter().map(|e| e.span.to_string()).collect();
    assert_eq!(spans, ["8..11", "22..25"]);
}

#[test]
fn limits_are_errors_not_crashes() {
    let rows = [
        (
            format!("{}beta{}", "(".repeat(33), ")".repeat(33)),
            "32 levels",
        ),
        (format!("{}beta", "!".repeat(32)), "32 levels"),
        (format!("{}beta", "!".repeat(4000)), "32 levels"),
        ("(".repeat(4096), "32 levels"),
        (format!("{}1", "header(".repeat(500)), "32 levels"),
        (
            format!("path{}", ".contains(path)".repeat(200)),
            "32 levels",
        ),
        (
            vec!["beta"; MAX_NODES].join("&&"),
            "512 values and operators",
        ),
        (
            format!("seats in [{}]", vec!["1"; MAX_NODES].join(",")),
            "512 values and operators",
        ),
        (format!("beta //{}", "x".repeat(4096 - 6)), "4097 bytes"),
        ("ü".repeat(100_000), "200000 bytes"),
    ];
    for (source, part) in rows {
        let errors = Program::compile(&source, &schema()).expect_err(part);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].code, Limit);
        assert!(errors[0].to_string().contains(part), "{}", errors[0]);
        assert!(source.get(errors[0].span.range()).is_some());
    }
}
