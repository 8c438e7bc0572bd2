//! Rule `pure`: what a pure crate links, directly or through others, keeps it pure.
//!
//! Only normal dependencies count: proptest reaches `rand`, and may. The graph has the
//! workspace's features unified, which can only make the rule stricter than a build.

use crate::tidy::rules::layers::is_pure;
use crate::tidy::{Finding, Package, Workspace};
use std::collections::{BTreeMap, VecDeque};

const RULE: &str = "pure";

/// Packages that bring I/O, async or randomness.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "hyper",
    "sqlx",
    "sqlx-core",
    "reqwest",
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "mio",
    "socket2",
];

/// Walks the graph from each pure crate.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let by_id: BTreeMap<&str, &Package> = workspace
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package))
        .collect();
    let mut findings = Vec::new();
    for krate in workspace.crates.iter().filter(|k| is_pure(&k.name)) {
        let Some(root) = workspace.packages.iter().find(|p| p.name == krate.name) else {
            // Silence would pass: a crate outside the graph was never looked at.
            let message = "the crate is missing from the resolved graph";
            findings.push(Finding::error(RULE, &krate.manifest_path(), None, message));
            continue;
        };
        for path in forbidden_paths(root, &by_id) {
            let message = format!(
                "a pure crate must not reach {}: {}",
                path.last().copied().unwrap_or_default(),
                path.join(" -> ")
            );
            findings.push(Finding::error(RULE, &krate.manifest_path(), None, message));
        }
    }
    findings
}

/// The shortest way to each forbidden package, by names.
fn forbidden_paths<'a>(
    root: &'a Package,
    by_id: &BTreeMap<&str, &'a Package>,
) -> Vec<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &Package> = BTreeMap::new();
    let mut open = VecDeque::from([root]);
    let mut found = Vec::new();
    while let Some(package) = open.pop_front() {
        if FORBIDDEN.contains(&package.name.as_str()) {
            found.push(path_to(package, &came_from));
            continue;
        }
        for next in package.links.iter().filter_map(|id| by_id.get(id.as_str())) {
            if next.id != root.id && !came_from.contains_key(next.id.as_str()) {
                came_from.insert(&next.id, package);
                open.push_back(next);
            }
        }
    }
    found
}

fn path_to<'a>(package: &'a Package, came_from: &BTreeMap<&str, &'a Package>) -> Vec<&'a str> {
    let mut path = vec![package.name.as_str()];
    let mut at = package;
    while let Some(before) = came_from.get(at.id.as_str()) {
        path.push(&before.name);
        at = before;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::{errors, one_file};

    fn package(name: &str, links: &[&str]) -> Package {
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            links: links.iter().map(|l| (*l).to_owned()).collect(),
            ..Package::default()
        }
    }

    #[test]
    fn a_far_clock_or_die_is_found_with_its_way() {
        let mut workspace = one_file("esclusa-flags", "");
        workspace.packages = vec![
            package("esclusa-flags", &["uuid", "serde"]),
            package("uuid", &["getrandom", "uuid"]),
            package("getrandom", &[]),
            package("serde", &[]),
        ];
        let findings = check(&workspace);
        assert_eq!(errors(&findings, RULE), ["crates/flags/Cargo.toml"]);
        assert!(
            findings[0]
                .message
                .ends_with("esclusa-flags -> uuid -> getrandom"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn the_shell_may_and_a_clean_pure_crate_passes() {
        let mut shell = one_file("esclusa-proxy", "");
        shell.packages = vec![package("esclusa-proxy", &["tokio"]), package("tokio", &[])];
        assert!(check(&shell).is_empty());
        let mut pure = one_file("esclusa-flags", "");
        pure.packages = vec![package("esclusa-flags", &["serde"]), package("serde", &[])];
        assert!(check(&pure).is_empty());
    }

    #[test]
    fn a_crate_that_was_not_resolved_does_not_pass() {
        let findings = check(&one_file("esclusa-flags", ""));
        assert_eq!(errors(&findings, RULE).len(), 1);
    }
}
