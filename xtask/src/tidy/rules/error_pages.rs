//! Rule `error-pages`: every error code that users can meet has its page.

use crate::tidy::{Finding, Workspace};
use std::collections::BTreeMap;

const RULE: &str = "error-pages";
const PREFIX: &str = "ESC-";

/// Compares codes in what ships with the pages in `docs/errors`.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let codes = codes_in_use(workspace);
    let Some(pages) = &workspace.error_pages else {
        if codes.is_empty() {
            return Vec::new();
        }
        let message = format!("{} error codes and no docs/errors yet", codes.len());
        return vec![Finding::note(RULE, "docs/errors", message)];
    };
    let mut findings = Vec::new();
    for (code, (path, line)) in &codes {
        if !pages.contains(&format!("{code}.md")) {
            let message = format!("{code} has no page: write docs/errors/{code}.md");
            findings.push(Finding::error(RULE, path, Some(*line), message));
        }
    }
    for page in pages {
        let code = page.trim_end_matches(".md");
        if code.starts_with(PREFIX) && !codes.contains_key(code) {
            let message = format!("no code in use is {code}: keep it only for older versions");
            findings.push(Finding::note(RULE, &format!("docs/errors/{page}"), message));
        }
    }
    findings
}

/// Each code and the first place that names it.
fn codes_in_use(workspace: &Workspace) -> BTreeMap<String, (String, usize)> {
    let mut codes = BTreeMap::new();
    let shipped = workspace
        .crates
        .iter()
        .filter(|krate| krate.name != "xtask");
    for file in shipped.flat_map(|krate| &krate.files) {
        let text = &file.shipped.strings;
        for (at, _) in text.match_indices(PREFIX) {
            let rest = &text[at + PREFIX.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == 4 {
                codes
                    .entry(format!("{PREFIX}{digits}"))
                    .or_insert_with(|| (file.path.clone(), file.line_of(at)));
            }
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Level;
    use crate::tidy::rules::planted::{errors, one_file};
    use std::collections::BTreeSet;

    const TEXT: &str = "/// Such as ESC-0001.\nconst A: &str = \"ESC-0412\";\n\
        #[cfg(test)]\nmod tests { const B: &str = \"ESC-9999\"; }\n";

    fn with_pages(pages: &[&str]) -> Workspace {
        let mut workspace = one_file("esclusa-plan", TEXT);
        let pages: BTreeSet<String> = pages.iter().map(|p| (*p).to_owned()).collect();
        workspace.error_pages = Some(pages);
        workspace
    }

    #[test]
    fn a_code_without_a_page_is_refused() {
        let findings = check(&with_pages(&["README.md"]));
        assert_eq!(errors(&findings, RULE), ["crates/plan/src/lib.rs:2"]);
        assert!(check(&with_pages(&["ESC-0412.md", "README.md"])).is_empty());
    }

    #[test]
    fn a_page_without_a_code_is_noted() {
        let findings = check(&with_pages(&["ESC-0412.md", "ESC-0413.md"]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].level, Level::Note);
    }

    #[test]
    fn before_the_folder_exists_it_is_a_note() {
        let findings = check(&one_file("esclusa-plan", TEXT));
        let levels: Vec<Level> = findings.iter().map(|f| f.level).collect();
        assert_eq!(levels, [Level::Note]);
    }
}
