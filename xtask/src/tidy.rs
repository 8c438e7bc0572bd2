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
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::ExitCode;

/// All findings of all rules, errors first, in the order of their places.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules::ALL.iter().flat_map(|rule| rule(workspace)).collect();
    findings.sort();
    findings.dedup();
    findings
}

/// A number for what all Rust files of the workspace in `root` say: the same on every
/// machine, another one after every change.
pub(crate) fn fingerprint(root: &Path) -> Result<u64> {
    Ok(load::load(root)?.fingerprint())
}

impl Workspace {
    fn fingerprint(&self) -> u64 {
        let files = self.crates.iter().flat_map(|one| &one.files);
        let mut files: Vec<_> = files.map(|file| (&file.path, &file.text)).collect();
        files.sort();
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        hasher.finish()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> u64 {
        let file = |(path, text): &(&str, &str)| SourceFile::new(*path, *text);
        let one = Crate {
            files: files.iter().map(file).collect(),
            ..Crate::default()
        };
        let workspace = Workspace {
            crates: vec![one],
            ..Workspace::default()
        };
        workspace.fingerprint()
    }

    #[test]
    fn a_fingerprint_is_that_of_names_and_texts() {
        let files = [("a.rs", "fn a() {}"), ("b.rs", "")];
        let turned = [files[1], files[0]];
        assert_eq!(of(&files), of(&turned));
        assert_ne!(of(&files), of(&[("a.rs", "fn b() {}"), ("b.rs", "")]));
        assert_ne!(of(&files), of(&[("c.rs", "fn a() {}"), ("b.rs", "")]));
    }
}
