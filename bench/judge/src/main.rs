//! Runs the judge over many kinds of canaries and prints what it decided, beside the
//! rules of others: `cargo run --release -p esclusa-judge-bench -- [COMMAND] [WORDS]`.
//!
//! Commands: `all` (the default), `kinds`, `peers`, `threshold`, `traffic`, `cost`,
//! `quick` (few runs, exit code 1 when an outcome is wrong), `record NAME` (a recording
//! on standard output), `trace NAME`. Words pick kinds by name or group. `RUNS` and
//! `SEED` in the environment say how many runs, and from which seed.

use esclusa_judge::JudgeConfig;
use esclusa_judge_bench::kinds::{Kind, all, quick};
use esclusa_judge_bench::world::World;
use esclusa_judge_bench::{compare, record, run, table};
use std::process::ExitCode;

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "all".into());
    let words: Vec<String> = arguments.collect();
    let (runs, seed) = (number("RUNS", 200), number("SEED", 1_000));
    let config = JudgeConfig::default();
    let picked: Vec<Kind> = all()
        .into_iter()
        .filter(|kind| {
            words.is_empty()
                || words
                    .iter()
                    .any(|w| kind.group == w || kind.name.contains(w.as_str()))
        })
        .collect();
    let part = (runs / 5).max(1);
    match command.as_str() {
        "all" => {
            table::judged(&picked, runs, seed, &config);
            compare::beside_peers(&picked, part, seed, &config);
            compare::beside_threshold(part, seed, &config);
            compare::by_traffic(part, seed, &config);
            compare::cost(&config);
        }
        "kinds" => {
            table::judged(&picked, runs, seed, &config);
        }
        "peers" => compare::beside_peers(&picked, runs, seed, &config),
        "threshold" => compare::beside_threshold(runs, seed, &config),
        "traffic" => compare::by_traffic(runs, seed, &config),
        "cost" => compare::cost(&config),
        "quick" => return ExitCode::from(u8::from(table::judged(&quick(), 2, seed, &config) > 0)),
        "record" | "trace" => {
            let name = words.join(" ");
            let Some(kind) = all().into_iter().find(|kind| kind.name == name) else {
                println!("no kind is named {name:?}; they are:");
                all().iter().for_each(|kind| println!("  {}", kind.name));
                return ExitCode::from(2);
            };
            let world = World { seed, ..kind.world };
            if command == "record" {
                for line in record::record(&name, &world) {
                    println!("{line}");
                }
            } else {
                run::trace(&world, &config);
            }
        }
        other => {
            println!(
                "no command {other:?}: all, kinds, peers, threshold, traffic, cost, quick, record or trace"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
