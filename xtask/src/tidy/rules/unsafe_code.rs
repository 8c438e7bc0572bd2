//! Rule `unsafe`: only a crate that says why may contain `unsafe`.
//!
//! The compiler forbids it through the workspace's lints. This rule holds also for a
//! crate that has lints of its own, and makes the reason a line that is reviewed:
//! `[package.metadata.esclusa] unsafe = "why nothing safe will do"`.

use crate::tidy::views::find_word;
use crate::tidy::{Finding, Workspace};

const RULE: &str = "unsafe";

/// A reason shorter than this is none.
const SHORTEST_REASON: usize = 20;

/// Looks for the keyword in every file.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in &workspace.crates {
        let reason = krate.unsafe_reason.as_deref().unwrap_or_default();
        if reason.chars().count() >= SHORTEST_REASON {
            continue;
        }
        for file in &krate.files {
            for at in find_word(&file.views.code, "unsafe") {
                let message = "unsafe in a crate that states no reason for it: do without, \
                     or state it under [package.metadata.esclusa] in its Cargo.toml";
                findings.push(Finding::error(
                    RULE,
                    &file.path,
                    Some(file.line_of(at)),
                    message,
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::{errors, one_file};

    #[test]
    fn unsafe_needs_a_reason() {
        let text = "//! No unsafe here.\n#![forbid(unsafe_code)]\nfn f() { unsafe { g() } }";
        let mut workspace = one_file("esclusa-shim", text);
        assert_eq!(
            errors(&check(&workspace), RULE),
            ["crates/shim/src/lib.rs:3"]
        );
        workspace.crates[0].unsafe_reason = Some("because".to_owned());
        assert_eq!(errors(&check(&workspace), RULE).len(), 1);
        workspace.crates[0].unsafe_reason =
            Some("fork between threads has no safe wrapper".to_owned());
        assert_eq!(errors(&check(&workspace), RULE).len(), 0);
    }
}
