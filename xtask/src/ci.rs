//! `cargo xtask ci`: the gate, step by step, fast findings first.
//!
//! It stops at the first failure. A step whose tool is missing says so in the summary;
//! steps that nothing can replace fail instead of being left out.

mod runner;
mod tests_run;

use crate::{shell, tidy, ui};
use anyhow::Result;
pub(crate) use runner::Outcome;
use runner::Step;
use std::path::Path;
use std::process::ExitCode;

/// The steps, in order.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        run: formatted,
    },
    Step {
        name: "tidy",
        run: tidied,
    },
    // Before anything that compiles the program: what is built here goes into it.
    Step {
        name: "ui",
        run: ui::built,
    },
    Step {
        name: "ui-size",
        run: ui::small,
    },
    Step {
        name: "ui-tests",
        run: ui::tested,
    },
    Step {
        name: "clippy",
        run: linted,
    },
    Step {
        name: "deny",
        run: dependencies_allowed,
    },
    Step {
        name: "tests",
        run: tests_run::all,
    },
    Step {
        name: "doctests",
        run: tests_run::examples,
    },
];

/// Runs all steps, or those named.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<ExitCode> {
    let steps = runner::choose(STEPS, names)?;
    let passed = runner::run(&steps, root, &mut std::io::stdout())?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn formatted(root: &Path) -> Result<Outcome> {
    cargo(root, &["fmt", "--all", "--check"])
}

fn tidied(root: &Path) -> Result<Outcome> {
    Ok(Outcome::from(tidy::run(root)? == ExitCode::SUCCESS))
}

fn linted(root: &Path) -> Result<Outcome> {
    cargo(
        root,
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
    )
}

fn dependencies_allowed(root: &Path) -> Result<Outcome> {
    if !shell::is_on_path("cargo-deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed".into()));
    }
    // Advisories need a database from the network, which the gate does not ask for.
    cargo(
        root,
        &[
            "deny",
            "--workspace",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ],
    )
}

fn cargo(root: &Path, args: &[&str]) -> Result<Outcome> {
    let status = shell::status(shell::cargo(root).args(args))?;
    Ok(Outcome::from(status.success()))
}
