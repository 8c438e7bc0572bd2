//! Instructions of one evaluation, counted by valgrind: the difference between many
//! evaluations and none. They do not change from run to run.

use crate::cases::{CASES, Engines};
use std::process::{Command, ExitCode};

const TIMES: u32 = 400;

/// `repeat ours|peer CASE TIMES`: what valgrind runs.
pub(crate) fn repeat(engines: &Engines, side: &str, case: &str, times: &str) -> ExitCode {
    let Some(case) = CASES.iter().find(|known| known.name == case) else {
        return ExitCode::from(2);
    };
    let times = times.parse().unwrap_or(0);
    let mut work = match side {
        "ours" => engines.ours(case.work),
        _ => engines.peer(case.work),
    };
    work(1); // whatever is set up once
    work(times);
    ExitCode::SUCCESS
}

pub(crate) fn print() {
    let found = Command::new("valgrind").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("instructions were not counted: valgrind is not installed");
        return;
    }
    println!("instructions for one evaluation, by valgrind");
    for case in &CASES {
        let times = (TIMES / case.scale).max(10);
        let one = |side| {
            let many = count(side, case.name, times)?;
            Some(many.saturating_sub(count(side, case.name, 0)?) / u64::from(times))
        };
        match (one("ours"), one("peer")) {
            (Some(ours), Some(peer)) => {
                let ratio = ours as f64 / peer as f64;
                println!("{:32} {ours:>10} {peer:>12} {ratio:>7.3}", case.name);
            }
            _ => println!("{:32} could not be counted", case.name),
        }
    }
}

fn count(side: &str, case: &str, times: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(std::env::current_exe().ok()?)
        .args(["repeat", side, case, &times.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    let digits: String = line
        .rsplit(':')
        .next()?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok().filter(|_| output.status.success())
}
