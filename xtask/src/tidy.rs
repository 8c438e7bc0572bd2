//! `cargo xtask tidy`: the repository's rules.
//!
//! Each rule is a pure function from a [`Workspace`] to findings, in a file of its
//! own under `rules/`; [`load`] is the only part that touches the disk.

mod finding;
mod load;
mod rules;
mod source;
mod uses;
mod views;
mod workspace;

pub(crate) use finding::{Finding, Level};
pub(crate) use source::SourceFile;
pub(crate) use workspace::{Crate, Dependency, DependencyKind, Package, Workspace};

use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

/// All findings of all rules, errors first, in the order of their places.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules::ALL.iter().flat_map(|rule| rule(workspace)).collect();
    findings.sort();
    findings.dedup();
    findings
}

/// Checks the workspace in `root`, prints what it found, and fails on errors.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let workspace = load::load(root)?;
    let findings = check(&workspace);
    for finding in &findings {
        println!("{finding}");
    }
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let errors = count(Level::Error);
    let files: usize = workspace.crates.iter().map(|c| c.files.len()).sum();
    println!(
        "tidy: {} crates, {files} files, {} rules: {errors} errors, {} notes",
        workspace.crates.len(),
        rules::ALL.len(),
        count(Level::Note),
    );
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
