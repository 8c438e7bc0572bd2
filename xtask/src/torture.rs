//! `cargo xtask torture`: releases that must end right whatever is killed. It uses the
//! release build, because 600 requests a second through every part of it are the point;
//! `--dev` takes the developer build, for a first look at a lower rate.

use crate::shell;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The torture is an example of the testkit, so that it ships with nobody.
const EXAMPLE: &str = "esclusa-torture";
const DEV: &str = "--dev";

/// Builds `esclusa` and runs the torture with `args`.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    let dev = args.contains(&DEV);
    let profile: &[&str] = if dev { &[] } else { &["--release"] };
    let mut binaries = shell::cargo(root);
    binaries.args(["build", "--locked"]).args(profile);
    binaries.args(["--package", "esclusa-cli", "--package", "esclusa-testkit"]);
    let status = shell::status(binaries.args(["--bins", "--examples"]))?;
    if !status.success() {
        bail!("the binaries do not build");
    }
    // Not by `cargo run`: it takes one package, and builds it with other features than
    // both together.
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let mut command = Command::new(program(root, target, dev));
    command.current_dir(root).stdin(Stdio::inherit());
    let rest = args.iter().filter(|arg| **arg != DEV);
    let status = shell::status(command.args(rest))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Where the torture is built to.
fn program(root: &Path, target: Option<PathBuf>, dev: bool) -> PathBuf {
    let target = target.map_or_else(|| root.join("target"), |target| root.join(target));
    let profile = if dev { "debug" } else { "release" };
    target.join(profile).join("examples").join(EXAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_looked_for_where_it_is_built() {
        let root = Path::new("/repository");
        let found = |target: Option<&str>, dev| program(root, target.map(PathBuf::from), dev);
        assert_eq!(
            found(None, false),
            Path::new("/repository/target/release/examples/esclusa-torture")
        );
        assert_eq!(
            found(Some("elsewhere"), true),
            Path::new("/repository/elsewhere/debug/examples/esclusa-torture")
        );
        assert_eq!(
            found(Some("/shared"), true),
            Path::new("/shared/debug/examples/esclusa-torture")
        );
    }
}
