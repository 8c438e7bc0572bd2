//! Rule `layers`: a crate uses only what stands above it.
//!
//! The table is the architecture. "May use" is transitive, so that `proxy`, which may
//! use `wire`, may name what `wire` uses as well.

use crate::tidy::workspace::short_name;
use crate::tidy::{DependencyKind, Finding, Workspace};
use std::collections::BTreeSet;

const RULE: &str = "layers";

/// One row of the table.
pub(crate) struct Layer {
    name: &'static str,
    kind: Kind,
    may_use: &'static [&'static str],
}

/// What kind of crate a row is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No I/O, clock, randomness or async.
    Pure,
    /// Acts on the world.
    Shell,
    /// For developers; nothing that ships may use it.
    Dev,
}

/// The pure crates that others are built from. `sim` is pure as well, and nothing but the
/// command uses it.
const PURE: &[&str] = &[
    "model", "expr", "flags", "judge", "plan", "slo", "release", "engine", "wire",
];

/// From the ground up: a row names only rows before it.
const LAYERS: &[Layer] = &[
    row("model", Kind::Pure, &[]),
    row("expr", Kind::Pure, &["model"]),
    row("flags", Kind::Pure, &["expr"]),
    row("judge", Kind::Pure, &["model"]),
    row("plan", Kind::Pure, &["expr", "flags", "judge"]),
    row("slo", Kind::Pure, &["plan"]),
    row("release", Kind::Pure, &["plan", "judge", "flags"]),
    row("engine", Kind::Pure, &["release"]),
    row("wire", Kind::Pure, &["flags", "judge"]),
    row("store", Kind::Shell, PURE),
    row("shim", Kind::Shell, &["model"]),
    row("ofrep", Kind::Shell, &["wire"]),
    row("proxy", Kind::Shell, &["wire", "shim", "ofrep"]),
    row(
        "drivers",
        Kind::Shell,
        &[
            "model", "expr", "flags", "judge", "plan", "slo", "release", "engine", "wire", "shim",
        ],
    ),
    row("migrate", Kind::Shell, PURE),
    row("load", Kind::Shell, PURE),
    row("sim", Kind::Pure, &["engine"]),
    row(
        "server",
        Kind::Shell,
        &[
            "engine", "wire", "store", "proxy", "shim", "drivers", "migrate", "load", "sim",
        ],
    ),
    row("client", Kind::Shell, &["flags", "wire"]),
    row("cli", Kind::Shell, &["server", "client"]),
    row("judge-bench", Kind::Dev, &["judge"]),
    row("flags-bench", Kind::Dev, &["flags"]),
    row("ofrep-bench", Kind::Dev, &["ofrep"]),
    row("ofrep-conformance", Kind::Dev, &["ofrep"]),
    row("testkit", Kind::Dev, &["cli"]),
    row("xtask", Kind::Dev, &[]),
];

const fn row(name: &'static str, kind: Kind, may_use: &'static [&'static str]) -> Layer {
    Layer {
        name,
        kind,
        may_use,
    }
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// Whether a package is one of the pure crates.
pub(crate) fn is_pure(package: &str) -> bool {
    package.starts_with("esclusa-")
        && layer(short_name(package)).is_some_and(|l| l.kind == Kind::Pure)
}

/// Everything that `name` may use, near and far.
fn reachable(name: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&'static str> = layer(name).map_or(Vec::new(), |l| l.may_use.to_vec());
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(layer(next).map_or(&[][..], |l| l.may_use));
        }
    }
    found
}

/// Checks every declared dependency between the workspace's own crates.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let own: BTreeSet<&str> = workspace.crates.iter().map(|c| c.name.as_str()).collect();
    let mut findings = Vec::new();
    for krate in &workspace.crates {
        let name = krate.short_name();
        let place = krate.manifest_path();
        if layer(name).is_none() {
            let message = format!(
                "crate {name} is not in the table of layers: \
                 add its row to xtask/src/tidy/rules/layers.rs and to ARCHITECTURE.md"
            );
            findings.push(Finding::error(RULE, &place, None, message));
            continue;
        }
        let allowed = reachable(name);
        for dependency in &krate.dependencies {
            let target = short_name(&dependency.name);
            if dependency.kind == DependencyKind::Dev
                || !own.contains(dependency.name.as_str())
                || allowed.contains(target)
            {
                continue;
            }
            let message = if layer(target).is_some_and(|l| l.kind == Kind::Dev) {
                format!("{target} is for developers only: make it a dev-dependency")
            } else {
                let list: Vec<&str> = allowed.iter().copied().collect();
                format!(
                    "{name} may not use {target}; it may use: {}",
                    list.join(", ")
                )
            };
            findings.push(Finding::error(RULE, &place, None, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::planted::errors;
    use crate::tidy::{Crate, Dependency};

    fn uses(from: &str, to: &str, kind: DependencyKind) -> Workspace {
        let krate = |name: &str| Crate {
            name: name.to_owned(),
            folder: format!("crates/{}", short_name(name)),
            ..Crate::default()
        };
        let mut first = krate(from);
        first.dependencies.push(Dependency {
            name: to.to_owned(),
            kind,
        });
        Workspace {
            crates: vec![first, krate(to)],
            ..Workspace::default()
        }
    }

    fn found(from: &str, to: &str) -> usize {
        let findings = check(&uses(from, to, DependencyKind::Normal));
        errors(&findings, RULE).len()
    }

    #[test]
    fn rows_name_only_rows_before_them() {
        for (index, layer) in LAYERS.iter().enumerate() {
            for name in layer.may_use {
                let at = LAYERS.iter().position(|l| l.name == *name);
                assert!(
                    at.is_some_and(|at| at < index),
                    "{} uses {name}",
                    layer.name
                );
            }
        }
    }

    #[test]
    fn the_list_of_pure_crates_is_that_of_the_table() {
        let pure: Vec<&str> = LAYERS
            .iter()
            .filter(|l| l.kind == Kind::Pure)
            .map(|l| l.name)
            .collect();
        assert_eq!(pure, [PURE, &["sim"]].concat());
        assert!(is_pure("esclusa-model") && !is_pure("esclusa-store") && !is_pure("model"));
    }

    #[test]
    fn what_stands_below_is_refused() {
        for (from, to) in [
            ("esclusa-model", "esclusa-expr"),
            ("esclusa-judge", "esclusa-flags"),
            ("esclusa-judge", "esclusa-plan"),
            ("esclusa-plan", "esclusa-slo"),
            ("esclusa-wire", "esclusa-plan"),
            ("esclusa-release", "esclusa-engine"),
            ("esclusa-proxy", "esclusa-engine"),
            ("esclusa-proxy", "esclusa-store"),
            ("esclusa-shim", "esclusa-wire"),
            ("esclusa-drivers", "esclusa-store"),
            ("esclusa-drivers", "esclusa-proxy"),
            ("esclusa-client", "esclusa-engine"),
            ("esclusa-server", "esclusa-cli"),
            ("esclusa-server", "esclusa-testkit"),
            ("esclusa-cli", "xtask"),
        ] {
            assert_eq!(found(from, to), 1, "{from} uses {to}");
        }
    }

    #[test]
    fn what_stands_above_is_allowed_also_from_afar() {
        for (from, to) in [
            ("esclusa-flags", "esclusa-model"),
            ("esclusa-engine", "esclusa-expr"),
            ("esclusa-wire", "esclusa-judge"),
            ("esclusa-proxy", "esclusa-flags"),
            ("esclusa-store", "esclusa-wire"),
            ("esclusa-drivers", "esclusa-plan"),
            ("esclusa-drivers", "esclusa-slo"),
            ("esclusa-drivers", "esclusa-shim"),
            ("esclusa-server", "esclusa-shim"),
            ("esclusa-server", "esclusa-sim"),
            ("esclusa-cli", "esclusa-store"),
            ("esclusa-cli", "esclusa-drivers"),
        ] {
            assert_eq!(found(from, to), 0, "{from} uses {to}");
        }
    }

    #[test]
    fn tests_may_use_anything_and_strangers_need_a_row() {
        let dev = uses("esclusa-model", "esclusa-testkit", DependencyKind::Dev);
        assert_eq!(errors(&check(&dev), RULE).len(), 0);
        let build = uses("esclusa-model", "esclusa-wire", DependencyKind::Build);
        assert_eq!(errors(&check(&build), RULE).len(), 1);
        assert_eq!(found("esclusa-novelty", "esclusa-model"), 1);
    }
}
