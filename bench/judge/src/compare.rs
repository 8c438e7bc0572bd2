//! The judge beside the rules of others, on the same streams.

use crate::kinds::{Kind, Truth};
use crate::peers::{self, Totals};
use crate::table::upper_bound;
use crate::world::{Effect, Side, What, World, canary, stable};
use esclusa_judge::{Decision, Judge, JudgeConfig, OnUnproven, Second, StageEnd, at_stage_end};
use std::collections::BTreeMap;

/// When a rule returned the release, and the failed canary requests until then.
#[derive(Debug, Clone, Copy, Default)]
struct Return {
    at: Option<i64>,
    failed: u64,
}

/// What all rules say of one world: the judge first.
fn returns(world: &World, config: &JudgeConfig) -> Vec<(&'static str, Return)> {
    let mut rules = peers::all();
    let mut judge = Judge::new(config.clone(), stable(), canary());
    let mut traffic = world.traffic();
    let mut results = vec![Return::default(); rules.len() + 1];
    for t in -world.pre_roll_s..world.duration_s {
        if let Some(stage) = world.stage_at(t) {
            judge.enter_stage(stage);
        }
        let second = traffic.second(t);
        if results[0].at.is_none() {
            judge.tick(&second);
        }
        if t < 0 {
            continue;
        }
        let totals = totals(&second);
        if results[0].at.is_none() {
            results[0].failed += totals.failures[1];
            if judge.verdict().decision == Decision::Rollback {
                results[0].at = Some(t);
            }
        }
        for (rule, result) in rules.iter_mut().zip(&mut results[1..]) {
            if result.at.is_none() {
                result.failed += totals.failures[1];
                if rule.second(t, &totals) {
                    result.at = Some(t);
                }
            }
        }
    }
    std::iter::once("esclusa")
        .chain(rules.iter().map(|rule| rule.name()))
        .zip(results)
        .collect()
}

fn totals(second: &Second) -> Totals {
    let mut totals = Totals::default();
    for cell in second.cells.iter().map(|c| &c.cell) {
        let side = usize::from(cell.intended == canary());
        totals.requests[side] += cell.requests;
        totals.failures[side] += cell.failures();
        totals.latency[side].merge(&cell.latency);
    }
    totals
}

#[derive(Debug, Default)]
struct OfGroup {
    wrong: u64,
    runs: u64,
    delays: Vec<i64>,
    failed: u64,
}

/// Prints, by group of kinds and rule: wrong decisions, and for harmful canaries the time
/// and the failed requests until the return.
pub fn beside_peers(kinds: &[Kind], runs: u64, seed: u64, config: &JudgeConfig) {
    let mut groups: BTreeMap<(bool, &str), BTreeMap<usize, OfGroup>> = BTreeMap::new();
    let mut names = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.truth != Truth::Unknown) {
        let harmful = kind.truth == Truth::Harmful;
        for seed in seed..seed + runs {
            let world = World {
                seed,
                ..kind.world.clone()
            };
            let results = returns(&world, config);
            names = results.iter().map(|(name, _)| *name).collect();
            let group = groups.entry((harmful, kind.group)).or_default();
            for (index, (_, result)) in results.into_iter().enumerate() {
                let sums = group.entry(index).or_default();
                sums.runs += 1;
                let late = result.at.filter(|at| *at >= kind.onset);
                let right = if harmful {
                    late.is_some()
                } else {
                    result.at.is_none()
                };
                sums.wrong += u64::from(!right);
                sums.delays.extend(late.map(|at| at - kind.onset + 1));
                sums.failed += result.failed;
            }
        }
    }
    println!(
        "| group | rule | false return or miss | upper 95 % bound | median s to the return | failed requests served |"
    );
    println!("|---|---|---|---|---|---|");
    for ((harmful, group), rules) in groups {
        for (index, mut sums) in rules {
            sums.delays.sort_unstable();
            let median = sums.delays.get(sums.delays.len() / 2).filter(|_| harmful);
            println!(
                "| {} {group} | {} | {:.1} % | {:.1} % | {} | {} |",
                if harmful { "harmful:" } else { "healthy:" },
                names[index],
                sums.wrong as f64 * 100.0 / sums.runs as f64,
                upper_bound(sums.wrong, sums.runs) * 100.0,
                median.map_or("-".into(), ToString::to_string),
                if harmful {
                    (sums.failed / sums.runs).to_string()
                } else {
                    "-".into()
                },
            );
        }
    }
}

/// Prints how often each rule returns a release with no harm, and one with 2 points more
/// errors, by requests a minute and true error rate: stages of 1, 5, 25 and 50 %.
pub fn beside_threshold(runs: u64, seed: u64, config: &JudgeConfig) {
    println!(
        "| requests a minute | true error rate | canary | threshold 0.5 % / 5 min | esclusa | failed requests served by them |"
    );
    println!("|---|---|---|---|---|---|");
    for per_minute in [60.0, 600.0, 6_000.0] {
        for error_rate in [0.001, 0.003, 0.006, 0.02, 0.05] {
            for (name, more) in [("the same", 0.0), ("2 points more", 0.02)] {
                let mut back = [0u64; 2];
                let mut failed = [0u64; 2];
                for seed in seed..seed + runs {
                    let world = World {
                        seed,
                        rps: per_minute / 60.0,
                        error_rate,
                        stages: vec![
                            (0, 0.01, 0.05),
                            (900, 0.05, 0.25),
                            (1_800, 0.25, 0.5),
                            (2_700, 0.5, 1.0),
                        ],
                        duration_s: 3_600,
                        effects: vec![Effect {
                            side: Side::Canary,
                            from: 0,
                            to: i64::MAX,
                            of_every: None,
                            what: What::Errors(more),
                        }],
                        ..World::default()
                    };
                    let results = returns(&world, config);
                    for (at, index) in [(0, 1), (1, 0)] {
                        back[at] += u64::from(results[index].1.at.is_some());
                        failed[at] += results[index].1.failed;
                    }
                }
                let part = |n: u64| format!("{:.0} %", n as f64 * 100.0 / runs as f64);
                println!(
                    "| {per_minute} | {:.1} % | {name} | {} | {} | {}, {} |",
                    error_rate * 100.0,
                    part(back[0]),
                    part(back[1]),
                    failed[0] / runs,
                    failed[1] / runs
                );
            }
        }
    }
}

/// Prints how a stage of 15 minutes ends for a healthy release, by requests a second.
pub fn by_traffic(runs: u64, seed: u64, config: &JudgeConfig) {
    println!(
        "| requests a second | share | proved | promoted as quiet | held | returned | median s to the proof |"
    );
    println!("|---|---|---|---|---|---|---|");
    for rps in [1.0, 10.0, 50.0, 100.0] {
        for (share, next) in [(0.05, 0.25), (0.25, 0.5), (0.5, 1.0)] {
            let mut ends = [0u64; 4];
            let mut proofs = Vec::new();
            for seed in seed..seed + runs {
                let world = World {
                    seed,
                    rps,
                    stages: vec![(0, share, next)],
                    ..World::default()
                };
                let (end, proof) = stage_end(&world, config);
                ends[end] += 1;
                proofs.extend(proof);
            }
            proofs.sort_unstable();
            println!(
                "| {rps} | {:.0} % | {} | {} | {} | {} | {} |",
                share * 100.0,
                ends[0],
                ends[1],
                ends[2],
                ends[3],
                proofs
                    .get(proofs.len() / 2)
                    .map_or("-".into(), ToString::to_string),
            );
        }
    }
}

fn stage_end(world: &World, config: &JudgeConfig) -> (usize, Option<i64>) {
    let mut judge = Judge::new(config.clone(), stable(), canary());
    let mut traffic = world.traffic();
    let mut proof = None;
    for t in -world.pre_roll_s..world.duration_s {
        if let Some(stage) = world.stage_at(t) {
            judge.enter_stage(stage);
        }
        judge.tick(&traffic.second(t));
        match judge.verdict().decision {
            Decision::Rollback => return (3, proof),
            Decision::Proceed if t >= 0 => {
                proof.get_or_insert(t);
            }
            Decision::Proceed | Decision::Hold => {}
        }
    }
    let verdict = judge.verdict();
    let end = match at_stage_end(&verdict, OnUnproven::PromoteIfQuiet) {
        StageEnd::Advance { .. } if verdict.decision == Decision::Proceed => 0,
        StageEnd::Advance { .. } => 1,
        StageEnd::Hold { .. } => 2,
        StageEnd::Rollback { .. } => 3,
    };
    (end, proof)
}

/// Prints what the judge costs: time a second of data, and the size of what it keeps.
pub fn cost(config: &JudgeConfig) {
    for share in [0.05, 0.5] {
        let world = World {
            stages: vec![(0, share, 1.0)],
            ..World::default()
        };
        let mut traffic = world.traffic();
        let seconds: Vec<Second> = (-world.pre_roll_s..world.duration_s)
            .map(|t| traffic.second(t))
            .collect();
        let mut judge = Judge::new(config.clone(), stable(), canary());
        let began = std::time::Instant::now();
        let (mut ticks, mut largest) = (Vec::with_capacity(seconds.len()), 0);
        for second in &seconds {
            if let Some(stage) = world.stage_at(second.t) {
                judge.enter_stage(stage);
            }
            let tick = std::time::Instant::now();
            judge.tick(second);
            ticks.push(tick.elapsed());
        }
        let whole = began.elapsed();
        ticks.sort_unstable();
        let micros = |at: usize| ticks.get(at).map_or(0, std::time::Duration::as_micros);
        if let Ok(text) = serde_json::to_string(&judge) {
            largest = text.len();
        }
        println!(
            "1000 rps at {:.0} %, {} s, 4 routes: {} ms in all; a second takes {} us on average, p99 {} us, at most {} us; state {} KiB",
            share * 100.0,
            seconds.len(),
            whole.as_millis(),
            whole.as_micros() / seconds.len().max(1) as u128,
            micros(seconds.len() * 99 / 100),
            micros(seconds.len().saturating_sub(1)),
            largest / 1_024
        );
    }
}
