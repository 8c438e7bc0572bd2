//! The `esclusa` command. Thin: it reads arguments, asks a server, and prints.
//!
//! Data goes to standard output, talk to standard error; `--json` makes the data JSON.
//! Exit codes are a contract (see `exit`). Nothing is decided here.

mod args;
mod audit;
mod check;
mod client;
mod completions;
mod dora;
mod exit;
mod findings;
mod flag;
mod flag_coverage;
mod init;
mod judge;
mod kill;
mod layout;
mod logfile;
mod logthread;
mod notifications;
mod notify;
mod output;
mod place;
mod plan;
mod proxy;
#[cfg(test)]
mod reference;
mod release;
mod rollout;
mod scaffold;
mod serve;
mod sim;
mod slo;
mod sse;
mod state;
mod table;
mod token;

use args::{Cli, Command};
use clap::Parser as _;
use exit::{Exit, Failure};
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.json);
    let ended = run(cli, &output);
    logthread::finish();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli, output: &Output) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    match command {
        // A shim stays one thread, so it comes before any runtime.
        Command::Shim { args } => Ok(Exit::Child(esclusa_shim::main(args))),
        Command::Serve(asked) => serve::serve(&global, &asked),
        Command::Proxy(asked) => proxy::run(&global, &asked),
        Command::Completions { shell } => Ok(completions::print(shell)),
        Command::Sim { verb } => sim::run(verb, output),
        Command::Judge { verb } => judge::run(verb, &global, output),
        Command::Slo { verb } => one_thread()?.block_on(slo::run(verb, output)),
        Command::Plan { verb } => plan::run(verb, &global, output),
        Command::Init(asked) => scaffold::run(&asked, output),
        Command::Check(asked) => one_thread()?.block_on(check::run(asked, &global, output)),
        Command::Release { verb } => one_thread()?.block_on(release::run(verb, &global, output)),
        Command::Rollout(asked) => one_thread()?.block_on(rollout::run(&asked, &global, output)),
        Command::Flag { verb } => one_thread()?.block_on(flag::run(verb, &global, output)),
        Command::Dora(asked) => one_thread()?.block_on(dora::run(&asked, &global, output)),
        Command::Kill(asked) => one_thread()?.block_on(kill::run(&asked, &global, output)),
        Command::Notify { verb } => {
            one_thread()?.block_on(notifications::run(verb, &global, output))
        }
        Command::Token { verb } => one_thread()?.block_on(token::run(verb, &global, output)),
        Command::BackupState(asked) => {
            one_thread()?.block_on(state::back_up(asked, &global, output))
        }
        Command::RestoreState(asked) => {
            one_thread()?.block_on(state::restore(asked, &global, output))
        }
        Command::Audit { verb } => one_thread()?.block_on(audit::run(verb, &global, output)),
    }
}

fn one_thread() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))
}
