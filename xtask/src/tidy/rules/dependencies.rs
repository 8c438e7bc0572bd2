//! Rule `dependencies`: each library that ships has its line in `docs/dependencies.md`.
//!
//! A note, not an error: the line is asked for in review, with its reasons.

use crate::tidy::{DependencyKind, Finding, Workspace};
use std::collections::{BTreeMap, BTreeSet};

const RULE: &str = "dependencies";
const TABLE: &str = "docs/dependencies.md";

/// Compares declared dependencies with the table.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let table = workspace.dependency_table.as_deref().unwrap_or_default();
    let own: BTreeSet<&str> = workspace.crates.iter().map(|c| c.name.as_str()).collect();
    let mut unlisted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for krate in &workspace.crates {
        for dependency in &krate.dependencies {
            let name = dependency.name.as_str();
            let is_listed = table.contains(&format!("| `{name}` "));
            if dependency.kind != DependencyKind::Dev && !own.contains(name) && !is_listed {
                unlisted.entry(name).or_default().push(krate.short_name());
            }
        }
    }
    unlisted
        .iter()
        .map(|(name, users)| {
            let users = users.join(", ");
            let message = format!("{name} ({users}) has no line: why, and what would replace it");
            Finding::note(RULE, TABLE, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Dependency;
    use crate::tidy::rules::planted::one_file;

    #[test]
    fn an_unexplained_library_is_noted() {
        let mut workspace = one_file("esclusa-model", "");
        for (name, kind) in [
            ("hex", DependencyKind::Normal),
            ("proptest", DependencyKind::Dev),
            ("esclusa-model", DependencyKind::Normal),
        ] {
            let name = name.to_owned();
            workspace.crates[0]
                .dependencies
                .push(Dependency { name, kind });
        }
        let findings = check(&workspace);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.starts_with("hex (model) has no line"));
        workspace.dependency_table = Some("| `hex` | digests as text | by hand |".to_owned());
        assert!(check(&workspace).is_empty());
    }
}
