//! Completion scripts for shells.

use crate::args::Cli;
use crate::exit::Exit;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Prints a script to standard output.
pub(crate) fn print(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "esclusa", &mut script);
    // A reader that has seen enough, such as `head`, is no fault.
    let _ = std::io::stdout().write_all(&script);
    Exit::Done
}
