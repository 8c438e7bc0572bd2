//! `plan fmt`: one layout, the same plan.

use crate::catalog;
use crate::good::{FILES, accepted, source};
use esclusa_plan::{SourceFile, format, parse, render_all};
use proptest::prelude::*;

fn laid_out(source: &SourceFile) -> String {
    match format(source, &catalog::sample()) {
        Ok(text) => text,
        Err(found) => panic!("refused:\n{}", render_all(source, &found)),
    }
}

fn text(text: &str) -> SourceFile {
    SourceFile::new("plan.yaml", text)
}

#[test]
fn the_layout_changes_no_plan() {
    for file in FILES {
        let before = source(file);
        let after = text(&laid_out(&before));
        assert_eq!(accepted(&after).plan, accepted(&before).plan, "{file}");
        assert_eq!(laid_out(&after), after.text, "{file}: a second time");
        insta::assert_snapshot!(format!("{file}_laid_out"), after.text);
    }
}

#[test]
fn comments_blank_lines_and_order_of_meaning_stay() {
    let untidy = "\u{feff}# yaml-language-server: $schema=./schema.json
# A file's head.


# About the stages.
stages:   # in order
# first
- {to: 5.0%,   for: 030m}   # five
-   # between
   to: 50%
   for: 1h   # fifty
   # after fifty

   # far after fifty
- to: 100%
  watch: 0d1h
# about the service
service:   'shop'
esclusa: 1

judge: {
  # the rails
  errors: { never-above: 5 % },   # five
  latency: { p95: { never-above: \"2s\" } }
  # nothing more
}


route: {listen: \"127.0.0.1:8080\", max-body: 10MB}
artifact: ./dist/${version}
process: {command: [${dir}/shop, --port, '${port}'], ready: {http: /health}}
after:
  - command: >-
      ./smoke.sh
      --all
  - command: |   # two lines
      one

      two
# the end
";
    let after = laid_out(&text(untidy));
    insta::assert_snapshot!("untidy", after);
    assert_eq!(laid_out(&text(&after)), after);
    assert_eq!(accepted(&text(&after)).plan, accepted(&text(untidy)).plan);
}

#[test]
fn anchors_keep_their_order_and_wrong_plans_are_laid_out_too() {
    let wrong = "stages:\n  - &first\n    to: 5%\n    for: &time 30m\n  - *first\n  - {to: 50%, for: *time}\nsevice: shop\nlist: [a, , ~]\n";
    let wrong = wrong.replace(", ,", ", null,");
    let after = laid_out(&text(&wrong));
    insta::assert_snapshot!("anchors", after);
    assert_eq!(laid_out(&text(&after)), after);
}

#[test]
fn a_comment_within_braces_moves_out_once() {
    let after = laid_out(&text("stages:\n  - {\n\n# remark\n to: 5%, for: 30m }\n"));
    assert_eq!(after, "stages:\n  # remark\n  - to: 5%\n    for: 30m\n");
    assert_eq!(laid_out(&text(&after)), after);
}

// What a file says twice is laid out twice, and the second time nothing moves.
#[test]
fn a_comment_has_one_place() {
    for (before, after) in [
        // Under a key with an anchor: the anchor is where the line begins.
        (
            "stages:\n  - command:\n      - &m to: x\n      # remark\n      - up\n",
            "stages:\n  - command:\n      - &m to: x\n      # remark\n      - up\n",
        ),
        (
            "list:\n  - &a-b x\n  # remark\n",
            "list:\n  - &a-b x\n  # remark\n",
        ),
        // In braces at the beginning of a list in a list.
        (
            "stages:\n  - - {\n        # remark\n        to: 5%, for: 30m }\n",
            "stages:\n  # remark\n  - - { to: 5%, for: 30m }\n",
        ),
        // After braces that are the whole file and have a name.
        ("&m\n to: 05%\n# beside\n", "&m { to: 05% }\n# beside\n"),
    ] {
        let once = laid_out(&text(before));
        assert_eq!(once, after);
        assert_eq!(laid_out(&text(&once)), after);
    }
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    let broken = text("esclusa: 1\nservice: [\n");
    let found = format(&broken, &catalog::sample()).expect_err("refused");
    assert_eq!(
        found.first().map(|d| (d.code, d.line)),
        Some(("ESC-0101", 2))
    );
    let tagged = text("esclusa: !one 1\n");
    let found = format(&tagged, &catalog::sample()).expect_err("refused");
    assert_eq!(found.first().map(|d| d.code), Some("ESC-0104"));
}

// A comment that has no place in the usual layout keeps the file as it is.
#[test]
fn no_comment_is_given_up() {
    let marked = text("&m # remark\na: 1\n");
    let found = format(&marked, &catalog::sample()).expect_err("refused");
    assert_eq!(found.len(), 1);
    let plain = text("# remark\na: 1\n");
    assert!(format(&plain, &catalog::sample()).is_ok());
}

/// The same findings, whatever their places.
fn verdict(source: &SourceFile) -> Result<esclusa_plan::Plan, Vec<(&'static str, String)>> {
    parse(source, &catalog::sample())
        .map(|parsed| parsed.plan)
        .map_err(|found| {
            let mut found: Vec<_> = found.into_iter().map(|d| (d.code, d.path)).collect();
            found.sort();
            found
        })
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "# remark\n",
        "\n",
        "\n\n",
        "  ",
        "  # in\n",
        " # beside\n",
        "a: 1\n",
        "- x\n",
        "- ",
        "{ a: b }",
        "[a, 'b', \"c d\"]",
        "key: |\n    text\n\n    more\n",
        "key: >\n  text\n  more\n",
        "x:",
        ": ",
        "'q'",
        "&m ",
        "*m",
        "stages:\n",
        "service: s\n",
        "  to: 05%\n",
        "{\n",
        "}\n",
        ",\n",
        "~",
        "\"${a}\"",
        "${b}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_laid_out_stays_so_and_says_the_same(
        file in prop::sample::select(FILES.to_vec()),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..12,
        put in prop::collection::vec(piece(), 0..4),
    ) {
        let whole = source(file).text;
        let chars: Vec<char> = whole.chars().collect();
        let at = at.index(chars.len());
        let damaged: String = chars[..at].iter().copied()
            .chain(put.concat().chars())
            .chain(chars[(at + cut).min(chars.len())..].iter().copied())
            .collect();
        let before = text(&damaged);
        if let Ok(after) = format(&before, &catalog::sample()) {
            let after = text(&after);
            prop_assert_eq!(verdict(&after), verdict(&before));
            prop_assert_eq!(format(&after, &catalog::sample()), Ok(after.text));
        }
    }

    #[test]
    fn loose_pieces_too(pieces in prop::collection::vec(piece(), 0..24)) {
        let before = text(&pieces.concat());
        if let Ok(after) = format(&before, &catalog::sample()) {
            let comments = |text: &str| text.matches("# ").count();
            prop_assert_eq!(comments(&after), comments(&before.text), "{}", after);
            let after = text(&after);
            prop_assert_eq!(format(&after, &catalog::sample()), Ok(after.text));
        }
    }
}
