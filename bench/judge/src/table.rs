//! The tables.

use crate::kinds::{Kind, Truth};
use crate::run::{Outcome, run};
use crate::world::World;
use esclusa_judge::JudgeConfig;
use std::collections::BTreeMap;

/// All runs of one kind.
#[must_use]
pub fn runs_of(kind: &Kind, runs: u64, seed: u64, config: &JudgeConfig) -> Vec<Outcome> {
    (seed..seed + runs)
        .map(|seed| {
            let world = World {
                seed,
                ..kind.world.clone()
            };
            run(&world, kind.onset, config)
        })
        .collect()
}

/// Prints a line a kind and a line a group; gives the wrong outcomes.
pub fn judged(kinds: &[Kind], runs: u64, seed: u64, config: &JudgeConfig) -> u64 {
    println!(
        "{:<44} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>6} {:>5} {:>6}  ways",
        "kind", "back", "median", "p90", "goal", "proofs", "at", "wrong", "label", "failed"
    );
    let mut groups: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for kind in kinds {
        let outcomes = runs_of(kind, runs, seed, config);
        let wrong = line(kind, &outcomes);
        let group = groups.entry(kind.group).or_default();
        group.0 += wrong;
        group.1 += runs;
    }
    println!();
    let mut all_wrong = 0;
    for (group, (wrong, all)) in groups {
        all_wrong += wrong;
        println!(
            "{group:<12} {wrong} of {all} wrong: {:.2} %, upper bound {:.2} %",
            wrong as f64 * 100.0 / all as f64,
            upper_bound(wrong, all) * 100.0
        );
    }
    all_wrong
}

fn line(kind: &Kind, outcomes: &[Outcome]) -> u64 {
    let mut ways: BTreeMap<String, u64> = BTreeMap::new();
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    let mut delays: Vec<i64> = Vec::new();
    let (mut back, mut early, mut hasty, mut labelled) = (0, 0, 0, 0);
    for outcome in outcomes {
        if let Some((t, reason)) = &outcome.rollback {
            *ways.entry(reason.clone()).or_default() += 1;
            *causes
                .entry(outcome.cause.clone().unwrap_or_default())
                .or_default() += 1;
            back += 1;
            early += u64::from(*t < kind.onset);
            delays.push(t - kind.onset + 1);
        }
        hasty += u64::from(kind.unprovable && outcome.proceed.is_some());
        labelled += u64::from(kind.label.is_none_or(|label| match kind.truth {
            Truth::Harmful => outcome.cause.as_deref() == Some(label),
            Truth::Healthy | Truth::Unknown => outcome.context.contains(label),
        }));
    }
    let mut proofs: Vec<i64> = outcomes.iter().filter_map(|o| o.proceed).collect();
    let stale = outcomes.iter().filter(|o| o.stale_proofs > 0).count() as u64;
    let failed = outcomes.iter().map(|o| o.failed).sum::<u64>() / outcomes.len() as u64;
    let runs = outcomes.len() as u64;
    let wrong = match kind.truth {
        Truth::Healthy => back,
        Truth::Harmful => runs - back + early,
        Truth::Unknown => back + stale,
    };
    delays.sort_unstable();
    proofs.sort_unstable();
    let at = |sorted: &[i64], q: f64| match sorted.len() {
        0 => "-".to_owned(),
        n => sorted[((n as f64 * q) as usize).min(n - 1)].to_string(),
    };
    let mark = |bad: bool| if bad { "!" } else { "" };
    let goal_missed = match (kind.goal_s, kind.truth) {
        (Some(goal), Truth::Harmful) => delays.get(delays.len() / 2).is_none_or(|m| *m > goal),
        (Some(goal), _) => proofs.get(proofs.len() / 2).is_none_or(|m| *m > goal),
        (None, _) => false,
    };
    println!(
        "{:<44} {:>4}{} {:>6} {:>6} {:>5}{} {:>6} {:>5} {:>5}{} {:>4}{} {:>6}  {ways:?} {causes:?}",
        kind.name,
        back,
        mark(wrong > 0),
        at(&delays, 0.5),
        at(&delays, 0.9),
        kind.goal_s.map_or("-".into(), |g| g.to_string()),
        mark(goal_missed),
        proofs.len(),
        at(&proofs, 0.5),
        hasty + stale,
        mark(hasty + stale > 0),
        labelled * 100 / runs,
        mark(labelled * 100 < 90 * runs),
        failed
    );
    wrong
}

/// Clopper-Pearson, one-sided 95 %, by halving the binomial tail.
#[must_use]
pub fn upper_bound(bad: u64, runs: u64) -> f64 {
    let (mut low, mut high) = (bad as f64 / runs as f64, 1.0);
    for _ in 0..60 {
        let p = 0.5 * (low + high);
        let (mut term, mut tail) = (libm::pow(1.0 - p, runs as f64), 0.0);
        for k in 0..=bad {
            tail += term;
            term *= (runs - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        if tail > 0.05 { low = p } else { high = p }
    }
    high
}
