//! What one evaluation costs, beside Unleash's own engine in the same run:
//! `cargo run --release -p esclusa-flags-bench`.
//!
//! Prints processor time (the best of several batches of one thread), allocations, and
//! instructions where valgrind is installed; with the goals, and whether each is
//! reached. `RUNS` in the environment says how many batches, 9 by default.

mod cases;
mod guards;
mod instructions;
mod measure;

use cases::{CASES, Case, Engines};
use std::process::ExitCode;

/// What both sides cost in one case.
struct Row<'c> {
    case: &'c Case,
    ours: measure::Cost,
    peer: measure::Cost,
}

fn main() -> ExitCode {
    let engines = match Engines::new() {
        Ok(engines) => engines,
        Err(error) => {
            eprintln!("the engines cannot be set up: {error}");
            return ExitCode::from(1);
        }
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, side, case, times] = arguments.as_slice()
        && command == "repeat"
    {
        return instructions::repeat(&engines, side, case, times);
    }
    let runs = std::env::var("RUNS").ok().and_then(|n| n.parse().ok());
    let runs: usize = runs.unwrap_or(9);
    let rows: Vec<Row<'_>> = CASES
        .iter()
        .map(|case| {
            let (ours, peer) = measure::both(
                runs,
                case.scale,
                &mut engines.ours(case.work),
                &mut engines.peer(case.work),
            );
            Row { case, ours, peer }
        })
        .collect();
    println!("yggdrasil is unleash-yggdrasil 0.21.7; the best of {runs} batches of processor time");
    println!(
        "{:32} {:>10} {:>12} {:>7}  goal",
        "", "esclusa", "yggdrasil", "ratio"
    );
    for row in &rows {
        time(row);
    }
    println!("\nallocations for one evaluation");
    for Row { case, ours, peer } in &rows {
        println!(
            "{:32} {:>10} {:>12}",
            case.name, ours.allocations, peer.allocations
        );
    }
    println!("\na guard of 20 routes, for one request: time, allocations");
    match guards::measured(runs) {
        Ok(costs) => {
            for (name, cost) in costs {
                let (time, allocations) = (cost.nanoseconds, cost.allocations);
                println!("{name:32} {time:>7.1} ns {allocations:>4}");
            }
        }
        Err(error) => {
            eprintln!("the guard cannot be measured: {error}");
            return ExitCode::from(1);
        }
    }
    println!();
    instructions::print();
    ExitCode::SUCCESS
}

fn time(Row { case, ours, peer }: &Row<'_>) {
    let ratio = ours.nanoseconds / peer.nanoseconds;
    print!(
        "{:32} {:>7.1} ns {:>9.1} ns {ratio:>7.3}",
        case.name, ours.nanoseconds, peer.nanoseconds
    );
    let Some(goal) = &case.goal else {
        println!("  (none)");
        return;
    };
    let word = |reached| if reached { "reached" } else { "missed" };
    println!(
        "  ratio {} {}, {} ns {}",
        goal.ratio,
        word(ratio <= goal.ratio),
        goal.nanoseconds,
        word(ours.nanoseconds <= goal.nanoseconds)
    );
}
