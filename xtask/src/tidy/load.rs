//! Reads a repository into a [`Workspace`]: `cargo metadata`, files, pages.

use crate::shell;
use crate::tidy::{Crate, Dependency, DependencyKind, Package, SourceFile, Workspace, source};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The graph is resolved for one platform, the one that releases run on, so that the
/// rules' answer does not depend on the developer's machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Folders that hold no sources.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", "dist"];

/// The workspace in `root`.
pub(crate) fn load(root: &Path) -> Result<Workspace> {
    let root = root
        .canonicalize()
        .with_context(|| format!("failed to find {}", root.display()))?;
    let metadata = metadata(&root)?;
    let members: BTreeSet<&str> = metadata
        .workspace_members
        .iter()
        .map(String::as_str)
        .collect();
    let mut crates = Vec::new();
    for package in &metadata.packages {
        if members.contains(package.id.as_str()) {
            crates.push(read_crate(&root, package)?);
        }
    }
    if crates.is_empty() {
        bail!("{} has no crates to check", root.display());
    }
    Ok(Workspace {
        crates,
        packages: graph(&metadata),
        error_pages: pages(&root.join("docs/errors"))?,
        dependency_table: std::fs::read_to_string(root.join("docs/dependencies.md")).ok(),
    })
}

fn metadata(root: &Path) -> Result<Metadata> {
    let output = shell::cargo(root)
        .args(["metadata", "--format-version", "1", "--filter-platform"])
        .arg(PLATFORM)
        .output()
        .context("failed to run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed in {}:\n{}",
            root.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).context("failed to read what cargo metadata wrote")
}

fn read_crate(root: &Path, package: &MetadataPackage) -> Result<Crate> {
    let manifest_path = PathBuf::from(&package.manifest_path);
    let folder = manifest_path
        .parent()
        .context("a manifest lies in a folder")?;
    let manifest = std::fs::read_to_string(&manifest_path)
        .with_context(|| format!("failed to read {}", manifest_path.display()))?;
    let mut files = Vec::new();
    read_rust_files(root, folder, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    source::mark_test_modules(&mut files);
    let unsafe_reason = package.metadata["esclusa"]["unsafe"]
        .as_str()
        .map(str::to_owned);
    Ok(Crate {
        name: package.name.clone(),
        folder: relative(root, folder),
        manifest,
        dependencies: package.dependencies.iter().map(dependency).collect(),
        unsafe_reason,
        files,
    })
}

fn dependency(declared: &MetadataDependency) -> Dependency {
    Dependency {
        name: declared.name.clone(),
        kind: match declared.kind.as_deref() {
            Some("dev") => DependencyKind::Dev,
            Some("build") => DependencyKind::Build,
            _ => DependencyKind::Normal,
        },
    }
}

fn read_rust_files(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() {
            if !name.starts_with('.') && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                read_rust_files(root, &path, files)?;
            }
        } else if kind.is_file() && name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            files.push(SourceFile::new(relative(root, &path), text));
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// Names in the folder of error pages; `None` when there is no such folder.
fn pages(folder: &Path) -> Result<Option<BTreeSet<String>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(Some(names))
}

fn graph(metadata: &Metadata) -> Vec<Package> {
    let name_of = |id: &str| {
        metadata
            .packages
            .iter()
            .find(|package| package.id == id)
            .map_or_else(|| id.to_owned(), |package| package.name.clone())
    };
    let is_normal = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
    metadata
        .resolve
        .nodes
        .iter()
        .map(|node| Package {
            id: node.id.clone(),
            name: name_of(&node.id),
            features: node.features.clone(),
            links: node
                .deps
                .iter()
                .filter(is_normal)
                .map(|edge| edge.pkg.clone())
                .collect(),
        })
        .collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<MetadataDependency>,
    #[serde(default)]
    metadata: serde_json::Value,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    features: Vec<String>,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}
