//! The list of rules. A new rule is a file here and a line in [`ALL`].

mod crate_form;
mod dependencies;
mod error_pages;
mod graph;
mod layers;
mod leftovers;
mod pure_graph;
mod pure_source;
mod size;
mod unsafe_code;

use crate::tidy::{Finding, Workspace};

/// A rule: looks at the workspace, reports what breaks it.
pub(crate) type Rule = fn(&Workspace) -> Vec<Finding>;

/// Every rule that `tidy` checks.
pub(crate) const ALL: &[Rule] = &[
    pure_graph::check,
    pure_source::check,
    layers::check,
    size::check,
    leftovers::check,
    crate_form::check,
    unsafe_code::check,
    graph::check,
    error_pages::check,
    dependencies::check,
];

/// Planted workspaces for the rules' tests.
#[cfg(test)]
pub(crate) mod planted {
    use crate::tidy::{Crate, Finding, Level, SourceFile, Workspace};

    /// A workspace with one crate and one file, `src/lib.rs`.
    pub(crate) fn one_file(name: &str, text: &str) -> Workspace {
        let folder = format!("crates/{}", name.trim_start_matches("esclusa-"));
        let file = SourceFile::new(format!("{folder}/src/lib.rs"), text);
        Workspace {
            crates: vec![Crate {
                name: name.to_owned(),
                manifest: "[lints]\nworkspace = true\n".to_owned(),
                folder,
                files: vec![file],
                ..Crate::default()
            }],
            ..Workspace::default()
        }
    }

    /// `place:line` of each error; findings of the wrong rule fail the test.
    pub(crate) fn errors(findings: &[Finding], rule: &str) -> Vec<String> {
        findings
            .iter()
            .inspect(|f| assert_eq!(f.rule, rule, "{f}"))
            .filter(|f| f.level == Level::Error)
            .map(|f| match f.line {
                Some(line) => format!("{}:{line}", f.place),
                None => f.place.clone(),
            })
            .collect()
    }
}
