//! The program as its users meet it: the real binary, arguments in and exit codes out,
//! real processes, real traffic.
//!
//! Each test has a control plane, ports and folders of its own. Nothing is asserted about
//! how fast something is: outcomes and counts alone.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod aborts;
mod access;
mod bad_days;
mod browser;
mod care;
mod dials;
mod exposure;
mod exposures;
mod first;
mod flag_page;
mod flags_live;
mod gates;
mod going_back;
mod hitless;
mod http_server;
mod in_flight;
mod judge;
mod kill;
mod line;
mod metrics;
mod nginx;
mod notify;
mod offline;
mod orphans;
mod page;
mod parts;
mod peers;
mod pipeline;
mod propagation;
mod reboot;
mod reports;
mod series;
mod served;
mod shots;
mod singletons;
mod sinks;
mod slo;
mod survival;
mod torture;
mod transcripts;
mod units;
mod vault;
mod verdicts;
mod world;

use std::path::Path;
use std::process::{Command, Output};

/// The command without anything of this machine's environment that it reads.
fn esclusa(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esclusa"));
    command
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("ESCLUSA_DATA", dir.join("data"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = esclusa(dir).args(args).output().expect("runs");
    told(&output)
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (
        output.status.code().expect("an exit code"),
        text(&output.stdout),
        text(&output.stderr),
    )
}
