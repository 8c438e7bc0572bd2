//! Rule `crate-form`: every crate takes the workspace's lints and says what it is for.

use crate::tidy::{Crate, Finding, Workspace};

const RULE: &str = "crate-form";

/// Checks manifest and root file of every crate.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(krate: &Crate) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(message) = lints_objection(krate) {
        findings.push(Finding::error(RULE, &krate.manifest_path(), None, message));
    }
    let roots: Vec<_> = ["lib.rs", "main.rs"]
        .iter()
        .filter_map(|name| {
            let path = format!("{}/src/{name}", krate.folder);
            krate.files.iter().find(|file| file.path == path)
        })
        .collect();
    if roots.is_empty() {
        let message = "no src/lib.rs and no src/main.rs: a crate starts when it has content";
        findings.push(Finding::error(RULE, &krate.manifest_path(), None, message));
    }
    for root in roots {
        if !root.text.trim_start().starts_with("//!") {
            let message = "begins without `//!`: say what the crate is for and what it is not";
            findings.push(Finding::error(RULE, &root.path, Some(1), message));
        }
    }
    findings
}

/// A crate that states why it needs `unsafe` has a lint table of its own, because the
/// workspace's `forbid` cannot be relaxed; it must still deny what it does not expect.
fn lints_objection(krate: &Crate) -> Option<&'static str> {
    if has_setting(&krate.manifest, "lints", "workspace", "true") {
        return None;
    }
    if krate.unsafe_reason.is_none() {
        return Some("add `[lints]` with `workspace = true`");
    }
    let denies = has_setting(&krate.manifest, "lints.rust", "unsafe_code", "\"deny\"");
    (!denies)
        .then_some("a crate with unsafe code needs `[lints.rust]` with `unsafe_code = \"deny\"`")
}

/// Whether `[table]` holds `key = value`; enough of TOML for two fixed lines.
fn has_setting(manifest: &str, table: &str, key: &str, value: &str) -> bool {
    let mut current = String::new();
    for line in manifest.lines() {
        let line: String = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_end_matches(']').to_owned();
        } else if line == format!("{key}={value}") && current == table
            || line == format!("{table}.{key}={value}") && current.is_empty()
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::{errors, one_file};

    #[test]
    fn lints_must_be_the_workspaces() {
        for (manifest, expected) in [
            ("[lints]\nworkspace = true\n", 0),
            ("[lints] # ours\nworkspace=true # yes", 0),
            ("lints.workspace = true\n[package]", 0),
            ("[package]\nname = \"x\"", 1),
            ("[lints]\nworkspace = false", 1),
            ("[dependencies]\nworkspace = true", 1),
            ("[lints]\n# workspace = true", 1),
        ] {
            let mut workspace = one_file("esclusa-model", "//! Doc.");
            workspace.crates[0].manifest = manifest.to_owned();
            let findings = check(&workspace);
            assert_eq!(errors(&findings, RULE).len(), expected, "{manifest}");
        }
    }

    #[test]
    fn a_stated_reason_needs_its_own_denial() {
        let mut workspace = one_file("esclusa-shim", "//! Doc.");
        workspace.crates[0].unsafe_reason = Some("needs fork".to_owned());
        workspace.crates[0].manifest = "[lints.rust]\nunsafe_code = \"deny\"".to_owned();
        assert_eq!(errors(&check(&workspace), RULE).len(), 0);
        workspace.crates[0].manifest = "[lints.rust]\nunsafe_code = \"allow\"".to_owned();
        assert_eq!(errors(&check(&workspace), RULE).len(), 1);
    }

    #[test]
    fn the_root_says_what_the_crate_is_for() {
        let findings = check(&one_file("esclusa-model", "\nmod a;\n//! Too late."));
        assert_eq!(errors(&findings, RULE), ["crates/model/src/lib.rs:1"]);
        let mut empty = one_file("esclusa-model", "");
        empty.crates[0].files.clear();
        assert_eq!(errors(&check(&empty), RULE), ["crates/model/Cargo.toml"]);
    }
}
