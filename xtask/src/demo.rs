//! `cargo xtask demo`: the demonstration. It uses the developer build: a hundred requests
//! a second need no optimiser, and the first look comes minutes sooner.

use crate::{shell, ui};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{ExitCode, Stdio};

/// The demonstration is an example of the testkit, so that it ships with nobody.
const EXAMPLE: &str = "esclusa-demo";

/// Builds `esclusa` and runs the demonstration with `args`.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    let examples = root.join("crates/testkit/examples");
    let exists = examples.join(format!("{EXAMPLE}.rs")).is_file()
        || examples.join(EXAMPLE).join("main.rs").is_file();
    if !exists {
        bail!("there is no demonstration yet: crates/testkit has no example {EXAMPLE}");
    }
    // Without Node the program serves a page that says how to get the dashboard.
    if shell::is_on_path("npm") && !root.join("ui/dist/index.html").is_file() {
        ui::run(root)?;
    }
    if root.join("crates/cli/Cargo.toml").is_file() {
        let status = shell::status(shell::cargo(root).args([
            "build",
            "--locked",
            "--package",
            "esclusa-cli",
            "--package",
            "esclusa-testkit",
            "--bins",
        ]))?;
        if !status.success() {
            bail!("the binaries do not build");
        }
    }
    let report = root.join("target/demo/report.json");
    let mut command = shell::cargo(root);
    command.stdin(Stdio::inherit()).args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "esclusa-testkit",
        "--example",
        EXAMPLE,
        "--",
        "--report",
    ]);
    // Arguments that a person gave come last and win.
    let status = shell::status(command.arg(report).args(args))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
