//! The repository as a value: what the rules look at, and nothing else.

use crate::tidy::SourceFile;
use std::collections::BTreeSet;

/// Everything that a rule may look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace {
    /// The workspace's own crates.
    pub(crate) crates: Vec<Crate>,
    /// The resolved graph: own crates and all others, features unified.
    pub(crate) packages: Vec<Package>,
    /// Names of the pages in `docs/errors`; `None` before that folder exists.
    pub(crate) error_pages: Option<BTreeSet<String>>,
    /// Text of `docs/dependencies.md`; `None` before it exists.
    pub(crate) dependency_table: Option<String>,
}

/// One crate of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crate {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    /// Text of its `Cargo.toml`.
    pub(crate) manifest: String,
    /// Its direct dependencies as declared.
    pub(crate) dependencies: Vec<Dependency>,
    /// `[package.metadata.esclusa] unsafe = "..."`: why it cannot do without.
    pub(crate) unsafe_reason: Option<String>,
    /// All its Rust files.
    pub(crate) files: Vec<SourceFile>,
}

/// A dependency as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Build,
    Dev,
}

/// A node of the resolved graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    /// Unique in the graph.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Features that are switched on.
    pub(crate) features: Vec<String>,
    /// Ids of the packages that it links.
    pub(crate) links: Vec<String>,
}

impl Crate {
    /// The name without `esclusa-`, as the layer table has it.
    pub(crate) fn short_name(&self) -> &str {
        short_name(&self.name)
    }

    /// Its manifest's path, relative to the root.
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }
}

/// A package's name without `esclusa-`.
pub(crate) fn short_name(name: &str) -> &str {
    name.strip_prefix("esclusa-").unwrap_or(name)
}
