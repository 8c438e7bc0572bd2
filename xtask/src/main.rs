//! The repository's own commands: `cargo xtask <command>`.
//!
//! What a rule checks is decided by pure functions over a [`tidy::Workspace`] value;
//! this file only reads the command line. It deliberately knows nothing of the
//! product: no esclusa crate is a dependency, so the gate works when they do not build.

mod ci;
mod demo;
mod setup;
mod shell;
mod tidy;
mod torture;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <command>

  ci [STEP...]        the gate: every step, or only the ones named; stops at the first failure
  tidy [--root DIR]   the repository's rules
  setup               checks the tools that the gate needs and installs system packages
  ui                  builds the dashboard, which the next build puts into the program
  demo [ARG...]       builds the release binaries and runs the demonstration
  torture [ARG...]    releases under load while everything is killed; --help tells more
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["ci", steps @ ..] => ci::run(&repository(), steps),
        ["tidy"] => tidy::run(&repository()),
        ["tidy", "--root", root] => tidy::run(&PathBuf::from(root)),
        ["setup"] => setup::run(&repository()),
        ["ui"] => ui::run(&repository()),
        ["demo", rest @ ..] => demo::run(&repository(), rest),
        ["torture", rest @ ..] => torture::run(&repository(), rest),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository this program works on.
///
/// Cargo says at run time which checkout it runs the program for. What was compiled in
/// is second best: two checkouts that share a target folder share the program too.
fn repository() -> PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = told
        .filter(|folder| folder.ends_with("xtask"))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().map_or(here.clone(), PathBuf::from)
}
