//! Whatever the text, an answer: never a panic, never a plan with errors.

use crate::catalog;
use crate::good::{FILES, source};
use esclusa_plan::{SourceFile, parse, parse_judge, render_all, show};
use proptest::prelude::*;

fn check(text: String) {
    let source = SourceFile::new("x.yaml", text);
    match parse(&source, &catalog::sample()) {
        Ok(parsed) => drop(show(&parsed.plan)),
        Err(found) => {
            assert!(!found.is_empty());
            drop(render_all(&source, &found));
        }
    }
    drop(parse_judge(&source, &catalog::sample()));
}

/// Pieces that plans are made of, so that random texts get past the first character.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:{}\\[\\],&*!|>%@#'\"$ \n\t-]{0,6}",
        prop::sample::select(vec![
            "stages:\n",
            "  - ",
            "to: ",
            "5%",
            "{ ",
            " }",
            "[",
            "]",
            "service: ",
            "judge: ",
            "errors: ",
            "worse-by: ",
            "0.5pp",
            "components:\n",
            "  web: ",
            "process: ",
            "command: ",
            "${port}",
            "${",
            "segments: ",
            "team: ",
            "header(\"x\") == ",
            "\"é\"",
            "\u{7fc}",
            "&a ",
            "*a",
            "<<: ",
            "---\n",
            "\n",
            ", ",
            ": ",
            "null",
            "~",
            "- - -",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_gets_an_answer(text in any::<String>()) {
        check(text);
    }

    #[test]
    fn text_made_of_plan_pieces_gets_an_answer(pieces in prop::collection::vec(piece(), 0..40)) {
        check(pieces.concat());
    }

    // A slip in a good plan: a cut, a doubled or an exchanged part.
    #[test]
    fn damaged_plans_get_an_answer(
        file in prop::sample::select(FILES.to_vec()),
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        put in piece(),
    ) {
        let text = source(file).text;
        let chars: Vec<char> = text.chars().collect();
        let (a, b) = (at.index(chars.len()), to.index(chars.len()));
        let (a, b) = (a.min(b), a.max(b).min(a.min(b) + 30));
        let damaged: String = chars[..a].iter().copied()
            .chain(put.chars())
            .chain(chars[b..].iter().copied())
            .collect();
        check(damaged);
    }
}
