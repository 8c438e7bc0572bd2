//! Runs other programs, visibly.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// The cargo that runs this program, so that a toolchain override stays in force.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).stdin(Stdio::null());
    // `cargo run` exports these for this package; children must not inherit them,
    // or they are built again because their environment changed.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs `command` with its output shown.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("failed to run {}", describe(command)))
}

/// Runs `command` with both outputs shown, and returns them as lines too.
pub(crate) fn tee(command: &mut Command) -> Result<(ExitStatus, Vec<String>)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run {}", describe(command)))?;
    let out = child.stdout.take().context("the output is not piped")?;
    let err = child.stderr.take().context("the errors are not piped")?;
    let reader = std::thread::spawn(move || copy_lines(out, std::io::stdout()));
    let mut lines = copy_lines(err, std::io::stderr())?;
    match reader.join() {
        Ok(more) => lines.extend(more?),
        Err(_) => anyhow::bail!("the thread that shows the output broke"),
    }
    Ok((child.wait()?, lines))
}

fn copy_lines(from: impl std::io::Read, mut to: impl Write) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(from);
    let mut raw = Vec::new();
    // Bytes, not text: a test may print anything.
    while reader.read_until(b'\n', &mut raw)? > 0 {
        to.write_all(&raw)?;
        to.flush()?;
        lines.push(String::from_utf8_lossy(&raw).trim_end().to_owned());
        raw.clear();
    }
    Ok(lines)
}

/// Whether a program of this name can be started.
pub(crate) fn is_on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
