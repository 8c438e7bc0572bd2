//! `cargo xtask torture`: releases that must end right whatever is killed. It uses the
//! release build, because 600 requests a second through every part of it are the point;
//! `--dev` takes the developer build, for a first look at a lower rate.

use crate::shell;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The torture is an example of the testkit, so that it ships with nobody.
const EXAMPLE: &str = "esclusa-torture";
const DEV: &str = "--dev";

/// Builds `esclusa` and runs the torture with `args`.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    let dev = args.contains(&DEV);
    let profile: &[&str] = if dev { &[] } else { &["--release"] };
    let packages = ["--package", "esclusa-cli", "--package", "esclusa-testkit"];
    let common = |command: &mut Command| {
        command.arg("--locked").args(profile).args(packages);
    };
    let mut binaries = shell::cargo(root);
    common(binaries.arg("build"));
    let status = shell::status(binaries.args(["--bins", "--examples"]))?;
    if !status.success() {
        bail!("the binaries do not build");
    }
    let mut command = shell::cargo(root);
    common(command.stdin(Stdio::inherit()).args(["run", "--quiet"]));
    let rest = args.iter().filter(|arg| **arg != DEV);
    let status = shell::status(command.args(["--example", EXAMPLE, "--"]).args(rest))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
