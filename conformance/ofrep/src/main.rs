//! Whether a server speaks OFREP 0.3.0 as released clients need it.
//!
//! `cargo run -p esclusa-ofrep-conformance -- --base-url http://127.0.0.1:8016 --token T`
//! asks any server that has the flags of `fixture.md`. Each case says what it expects and what
//! came. The exit code is 0 when nothing failed, 1 when something did, 2 when the server
//! cannot be reached at all.

use clap::Parser;
use esclusa_ofrep_conformance::{Settings, run};
use std::process::ExitCode;

/// Asks a server whether it speaks OFREP 0.3.0.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  esclusa-ofrep-conformance --base-url http://127.0.0.1:8016 --token s3cret"
)]
struct Arguments {
    /// Where the server is; `/ofrep/v1/...` is added. Plain HTTP.
    #[arg(long)]
    base_url: String,
    /// Shown as `Authorization: Bearer`; authorisation is not tried without one.
    #[arg(long, env = "OFREP_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// More header lines, `name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Prints the results as JSON.
    #[arg(long, conflicts_with = "junit")]
    json: bool,
    /// Prints the results as JUnit XML.
    #[arg(long)]
    junit: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match Settings::new(&arguments.base_url, arguments.token, &arguments.headers) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let report = match run(&settings) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{} cannot be asked: {error}", arguments.base_url);
            return ExitCode::from(2);
        }
    };
    let text = match (arguments.json, arguments.junit) {
        (true, _) => report.json(),
        (_, true) => report.junit(),
        _ => report.text(),
    };
    println!("{text}");
    ExitCode::from(u8::from(report.has_failed()))
}
