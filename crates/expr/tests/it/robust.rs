use crate::world::{World, schema};
use esclusa_expr::Program;
use proptest::prelude::*;

fn compiles_or_says_why(source: &str) -> Result<(), TestCaseError> {
    match Program::compile(source, &schema()) {
        // The world panics when asked for a slot by the wrong type.
        Ok(program) => {
            let _ = program.eval(&World::default());
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(
                    source.get(error.span.range()).is_some(),
                    "{source:?}: {error:?}"
                );
            }
        }
    }
    Ok(())
}

/// Texts that get further into the parser than noise does.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "header",
        "has_header",
        "joined",
        "method",
        "path",
        "seats",
        "beta",
        "true",
        "in",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "==",
        "!=",
        "<",
        "<=",
        "&&",
        "||",
        "!",
        "\"a\"",
        "'é",
        "\\",
        "7",
        "-7",
        "startsWith(",
        ".contains(",
        "//",
        "\n",
        "=",
        "ü",
        "header(\"x\")",
        "seats > 1",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|w| w.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(source in any::<String>()) {
        compiles_or_says_why(&source)?;
    }

    #[test]
    fn no_soup_of_words_panics(source in soup()) {
        compiles_or_says_why(&source)?;
    }

    #[test]
    fn no_cut_through_a_condition_panics(cut in 0usize..90, insert in any::<char>()) {
        let source = r#"header("x-team") in ['é', "b\u00e4"] && !(seats >= -12) || path.endsWith("/ü")"#;
        let mut cut = cut.min(source.len());
        while !source.is_char_boundary(cut) {
            cut -= 1;
        }
        compiles_or_says_why(&source[..cut])?;
        compiles_or_says_why(&format!("{}{insert}{}", &source[..cut], &source[cut..]))?;
    }
}
