//! `cargo xtask torture`: releases that must end right whatever is killed. It uses the
//! release build, because 600 requests a second through every part of it are the point.

use crate::shell;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{ExitCode, Stdio};

/// The torture is an example of the testkit, so that it ships with nobody.
const EXAMPLE: &str = "esclusa-torture";

/// Builds `esclusa` and runs the torture with `args`.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    let packages = ["--package", "esclusa-cli", "--package", "esclusa-testkit"];
    let build = |command: &mut std::process::Command| {
        command.args(["--locked", "--release"]).args(packages);
    };
    let mut binaries = shell::cargo(root);
    build(binaries.arg("build"));
    let status = shell::status(binaries.args(["--bins", "--examples"]))?;
    if !status.success() {
        bail!("the binaries do not build");
    }
    let mut command = shell::cargo(root);
    build(command.stdin(Stdio::inherit()).args(["run", "--quiet"]));
    let status = shell::status(command.args(["--example", EXAMPLE, "--"]).args(args))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
