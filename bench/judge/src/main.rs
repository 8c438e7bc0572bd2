//! Runs the judge over many kinds of canaries and prints what it decided.

use esclusa_judge::JudgeConfig;
use esclusa_judge_bench::{kinds::all, run, table};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runs: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200);
    let words: Vec<String> = arguments.collect();
    if let [trace, name, seed] = words.as_slice()
        && trace == "trace"
    {
        let kind = all().into_iter().find(|k| k.name == *name);
        if let Some(kind) = kind {
            run::trace(&kind.world, seed.parse().unwrap_or(1), &JudgeConfig::default());
        }
        return;
    }
    let kinds: Vec<_> = all()
        .into_iter()
        .filter(|k| {
            words.is_empty() || words.iter().any(|w| k.name.contains(w.as_str()) || k.group == w)
        })
        .collect();
    table::judged(&kinds, runs, 1_000, &JudgeConfig::default());
}
