//! Rule `leftovers`: nothing unfinished and no test that does not run.

use crate::tidy::views::find_word;
use crate::tidy::{Finding, SourceFile, Workspace};

const RULE: &str = "leftovers";

/// Macros that mark unfinished work.
const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];

/// The word for "wrong and known", put together so that this file does not contain it.
const KNOWN_WRONG: &str = concat!("FIX", "ME");

/// Checks every file, tests included.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace
        .crates
        .iter()
        .flat_map(|krate| &krate.files)
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let (code, comments) = (&file.views.code, &file.views.comments);
    let mut hits: Vec<(usize, String)> = Vec::new();
    for name in MACROS {
        let word = name.trim_end_matches('!');
        let calls = find_word(code, word).filter(|at| code[*at..].starts_with(name));
        hits.extend(calls.map(|at| (at, format!("{name} is left over: finish it or take it out"))));
    }
    hits.extend(ignored_tests(code).map(|at| {
        let message = "an ignored test proves nothing: mend it or delete it";
        (at, message.to_owned())
    }));
    for fence in ["```ignore", "```rust,ignore"] {
        hits.extend(comments.match_indices(fence).map(|(at, _)| {
            let message = "an ignored example proves nothing: make it compile, or mark it `text`";
            (at, message.to_owned())
        }));
    }
    hits.extend(
        find_word(comments, KNOWN_WRONG)
            .map(|at| (at, format!("{KNOWN_WRONG}: mend it now or open an issue"))),
    );
    hits.into_iter()
        .map(|(at, message)| Finding::error(RULE, &file.path, Some(file.line_of(at)), message))
        .collect()
}

/// `#[ignore]`, `#[ignore = "..."]` and `#[cfg_attr(..., ignore)]`.
fn ignored_tests(code: &str) -> impl Iterator<Item = usize> + '_ {
    find_word(code, "ignore").filter(|at| {
        let Some(open) = code[..*at].rfind("#[") else {
            return false;
        };
        let between = &code[open..*at];
        !between.contains(']') && (between.trim_end() == "#[" || between.contains("cfg_attr("))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::{errors, one_file};

    fn count(text: &str) -> usize {
        errors(&check(&one_file("esclusa-model", text)), RULE).len()
    }

    #[test]
    fn each_leftover_is_found() {
        let known_wrong = format!("fn f() {{}} // {KNOWN_WRONG}: later");
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"later\") }",
            "fn f() { dbg!(x); }",
            "#[test]\n#[ignore]\nfn f() {}",
            "#[ignore = \"slow\"]\nfn f() {}",
            "#[cfg_attr(miri, ignore)]\nfn f() {}",
            "#[cfg(test)]\nmod tests { #[test] #[ignore] fn f() {} }",
            "/// ```ignore\n/// x\n/// ```\nfn f() {}",
            &known_wrong,
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn words_that_only_look_like_it_pass() {
        for text in [
            "fn f() { g(\"todo!()\"); }",
            "fn ignore(ignore: u8) { self.ignore(ignore) }",
            "#[serde(rename = \"ignore\")] struct A;",
            "/// ```text\n/// x\n/// ```\nfn mytodo() {}",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }
}
