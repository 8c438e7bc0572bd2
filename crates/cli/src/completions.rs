//! Completion scripts for shells.

use crate::args::Cli;
use crate::exit::Exit;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Prints a script to standard output.
pub(crate) fn print(shell: Shell) -> Exit {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "esclusa",
        &mut std::io::stdout(),
    );
    Exit::Done
}
