//! Rule `size`: a file that needs scrolling through 700 lines has more than one idea.

use crate::tidy::{Finding, Workspace};

const RULE: &str = "size";

/// Lines past which a file is refused.
const MOST_LINES: usize = 700;

/// Lines past which a file is worth a look.
const WISHED_LINES: usize = 400;

/// Counts the lines of every file, tests included.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in workspace.crates.iter().flat_map(|krate| &krate.files) {
        let lines = file.text.lines().count();
        if lines > MOST_LINES {
            let message =
                format!("{lines} lines, at most {MOST_LINES}: split it, one idea to a file");
            findings.push(Finding::error(RULE, &file.path, None, message));
        } else if lines > WISHED_LINES {
            let message = format!("{lines} lines, {WISHED_LINES} are wished for");
            findings.push(Finding::note(RULE, &file.path, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Level;
    use crate::tidy::rules::planted::one_file;

    #[test]
    fn long_files_are_noted_and_very_long_ones_refused() {
        let levels = |lines: usize| -> Vec<Level> {
            let workspace = one_file("esclusa-model", &"// x\n".repeat(lines));
            check(&workspace).iter().map(|f| f.level).collect()
        };
        assert_eq!(levels(400), []);
        assert_eq!(levels(401), [Level::Note]);
        assert_eq!(levels(700), [Level::Note]);
        assert_eq!(levels(701), [Level::Error]);
    }
}
