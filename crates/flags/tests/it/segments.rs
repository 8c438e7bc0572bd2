//! Segments come before the share, and every answer can be explained.

use crate::world::{Request, compile, segment, spec};
use esclusa_flags::{
    CompiledSplit, MAX_SEGMENTS, Reason, RequestContext, Side, SplitError, compile_condition,
};
use std::borrow::Cow;

fn red() -> Request {
    Request {
        headers: vec![("x-team", "red"), ("x-empty", "")],
        method: "GET",
        path: "/cart/7",
        host: "shop.example",
        tenant: "acme",
    }
}

// ROL-01: the team sees it first, whatever the share.
#[test]
fn a_segment_comes_before_the_share() {
    for bp in [0, 100, 10_000] {
        let mut spec = spec("r", bp);
        spec.segments = vec![
            segment("blue", r#"header("x-team") == "blue""#),
            segment("red", r#"header("X-Team") == "red""#),
            segment("also-red", r#"header("x-team") == "red""#),
        ];
        let split = compile(&spec);
        let assignment = split.assign("", &red());
        assert_eq!(
            (assignment.side, assignment.reason),
            (Side::Canary, Reason::Segment("red"))
        );
        let other = split.assign("u", &Request::default());
        assert!(!matches!(other.reason, Reason::Segment(_)), "{other:?}");
    }
}

#[test]
fn conditions_see_the_request() {
    for (when, expected) in [
        (
            r#"method == "GET" && path.startsWith("/cart") && host == "shop.example""#,
            true,
        ),
        (r#"tenant in ["acme", "globex"]"#, true),
        (r#"has_header("x-empty") && header("x-empty") == """#, true),
        (r#"has_header("x-none") || header("x-none") != """#, false),
        (r#"header("") == "red""#, false),
    ] {
        let mut spec = spec("r", 0);
        spec.segments = vec![segment("s", when)];
        assert_eq!(
            compile(&spec).assign("u", &red()).side.is_exposed(),
            expected,
            "{when}"
        );
        assert!(compile_condition(when).is_ok());
    }
}

/// Whoever asks it anything has built a context for nothing.
struct Untouchable;
impl RequestContext for Untouchable {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        unreachable!("no segment needs a header")
    }
    fn method(&self) -> &str {
        unreachable!("no segment needs the method")
    }
    fn path(&self) -> &str {
        unreachable!("no segment needs the path")
    }
    fn host(&self) -> &str {
        unreachable!("no segment needs the host")
    }
    fn tenant(&self) -> &str {
        unreachable!("no segment needs the tenant")
    }
}

#[test]
fn without_segments_the_request_is_not_looked_at() {
    for bp in [0, 500, 10_000] {
        let split = compile(&spec("r", bp));
        assert_eq!(
            split.assign("u", &Untouchable).side.is_exposed(),
            bp == 10_000
        );
    }
}

#[test]
fn a_split_with_broken_segments_is_refused_with_all_that_is_wrong() {
    let mut broken = spec("r", 0);
    broken.segments = vec![
        segment("typo", r#"heder("x") == "a""#),
        segment("fine", "has_header(\"x\")"),
        segment("half", "method =="),
    ];
    let error = CompiledSplit::new(&broken).expect_err("two are broken");
    assert_eq!(
        error.to_string(),
        "segment \"typo\": at 0..5: there is no function `heder` (did you mean `header`?)\n\
         segment \"half\": at 9..9: a value is missing at the end"
    );
    let SplitError::Segments(errors) = error else {
        unreachable!("{error:?}")
    };
    assert_eq!(errors.iter().map(|e| e.index).collect::<Vec<_>>(), [0, 2]);

    let mut twice = spec("r", 0);
    twice.segments = vec![segment("a", "true"), segment("a", "false")];
    assert_eq!(
        CompiledSplit::new(&twice).expect_err("twice"),
        SplitError::DuplicateSegment("a".into())
    );

    let mut many = spec("r", 0);
    many.segments = (0..=MAX_SEGMENTS)
        .map(|i| segment(&i.to_string(), "false"))
        .collect();
    assert_eq!(
        CompiledSplit::new(&many).expect_err("65"),
        SplitError::TooManySegments(65)
    );
    many.segments.pop();
    assert!(CompiledSplit::new(&many).is_ok());
}

#[test]
fn every_answer_is_told_in_words() {
    let canary = spec("r", 0).canary.short();
    let anyone = Request::default();
    let known: Vec<String> = (1..=12).map(|i| format!("tenant-{i}")).collect();
    let explain = |bp, unit: &str| compile(&spec("0190", bp)).explain(unit, &anyone);

    let mut team = spec("0190", 500);
    team.segments = vec![
        segment("team", r#"header("x-team") == "red""#),
        segment("qa", "false"),
    ];
    let team = compile(&team);
    assert_eq!(
        team.explain("acme", &red()),
        format!(
            r#""acme" goes to the canary {canary}: it belongs to segment team (header("x-team") == "red")"#
        )
    );
    assert_eq!(
        team.explain("", &anyone),
        "a request without unit stays with the stable version: the request names no unit that a \
         share could stick to; no segment holds (team, qa)"
    );
    assert_eq!(
        explain(0, "acme"),
        r#""acme" stays with the stable version: the share is 0%: nobody is exposed by share"#
    );
    assert_eq!(
        explain(10_000, "a\nb"),
        format!(r#""a\nb" goes to the canary {canary}: the share is 100%: everybody is exposed"#)
    );
    // Bucket of "acme" under this salt; the same place on both sides of the share's edge.
    let inside = explain(9_999, "acme");
    let outside = explain(1, "acme");
    let place = |text: &str| {
        text.split("stands at ")
            .nth(1)
            .map(|rest| rest[..5].to_owned())
    };
    assert_eq!(place(&inside), place(&outside));
    assert!(
        inside.contains("inside the share of 99.99% (order of salt 0190)"),
        "{inside}"
    );
    assert!(
        outside.contains("outside the share of 0.01% (order of salt 0190)"),
        "{outside}"
    );

    let mut spec = spec("0190", 500);
    spec.population.clone_from(&known);
    let split = compile(&spec);
    let texts: Vec<_> = known
        .iter()
        .map(|unit| split.explain(unit, &anyone))
        .collect();
    let canaries: Vec<_> = texts
        .iter()
        .filter(|text| text.contains("goes to the canary"))
        .collect();
    assert_eq!(canaries.len(), 1, "{texts:#?}");
    assert!(
        canaries[0].contains("it is number 1 of 12 known units, and at 5% the first is exposed"),
        "{canaries:?}"
    );
}
