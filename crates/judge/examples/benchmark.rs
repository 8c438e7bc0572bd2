//! Simulates healthy and harmful canaries and prints how they are judged:
//! `cargo run --example benchmark -- [RUNS] [WORD]` (kinds whose name has WORD in it).

#![allow(clippy::expect_used, reason = "shares the world with the tests")]

#[path = "../tests/it/world.rs"]
#[expect(
    clippy::expect_used,
    reason = "shared with the tests, whose names and shares are literals"
)]
mod world;

use esclusa_judge::JudgeConfig;
use std::collections::BTreeMap;
use world::{Bursts, Instances, Outcome, Plant, World};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runs: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(50);
    let word = arguments.next().unwrap_or_default();
    println!(
        "{runs} runs each; rollback s after the fault (or first failure*); upper = 95 % bound of the rollback rate"
    );
    println!(
        "{:<44} {:>9} {:>7} {:>6} {:>6} {:>6} {:>8} {:>8}  ways",
        "kind", "rollbacks", "upper", "median", "p90", "max", "proceeds", "median"
    );
    for (name, world) in kinds().into_iter().filter(|(name, _)| name.contains(&word)) {
        report(&name, &world, runs);
    }
}

fn report(name: &str, world: &World, runs: u64) {
    let config = JudgeConfig::default();
    let run = |seed: u64| {
        World {
            seed: seed + 1_000,
            ..world.clone()
        }
        .run(&config)
    };
    // Two halves side by side; their order does not matter.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let half = scope.spawn(|| (0..runs / 2).map(run).collect::<Vec<_>>());
        let rest: Vec<Outcome> = (runs / 2..runs).map(run).collect();
        half.join().into_iter().flatten().chain(rest).collect()
    });
    let from = world.harm_from().unwrap_or(0);
    let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
    let mut delays: Vec<i64> = Vec::new();
    let mut early = 0;
    for outcome in &outcomes {
        if let Some((t, reason)) = &outcome.rollback {
            *ways.entry(reason).or_default() += 1;
            // Where a star says so, time counts from the first failed request.
            let since = outcome.first_failure.filter(|_| name.contains('*'));
            if *t < from {
                early += 1;
            } else {
                delays.push(t - since.unwrap_or(from) + 1);
            }
        }
    }
    delays.sort_unstable();
    let mut proceeds: Vec<i64> = outcomes.iter().filter_map(|o| o.proceed).collect();
    proceeds.sort_unstable();
    let at = |sorted: &[i64], q: f64| match sorted.len() {
        0 => "-".to_owned(),
        n => sorted[((n as f64 * q) as usize).min(n - 1)].to_string(),
    };
    let caught = delays.len() + early;
    let upper = upper_bound(caught as u64, runs) * 100.0;
    println!(
        "{name:<44} {caught:>9} {upper:>6.1}% {:>6} {:>6} {:>6} {:>8} {:>8}  {ways:?}{}",
        at(&delays, 0.5),
        at(&delays, 0.9),
        at(&delays, 1.0),
        proceeds.len(),
        at(&proceeds, 0.5),
        if early > 0 {
            format!(" {early} before the fault")
        } else {
            String::new()
        }
    );
}

/// Clopper-Pearson, one-sided 95 %, by halving the binomial tail.
fn upper_bound(bad: u64, runs: u64) -> f64 {
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

fn kinds() -> Vec<(String, World)> {
    let mut kinds = Vec::new();
    let mut add = |name: &str, world: World| kinds.push((name.to_owned(), world));
    let base = World::default();
    for (rps, share) in [
        (1_000.0, 0.05),
        (1_000.0, 0.5),
        (100.0, 0.25),
        (100.0, 0.05),
    ] {
        let next_share = if share < 0.1 { 0.25 } else { 1.0 };
        let world = World {
            rps,
            share,
            next_share,
            duration_s: 900,
            ..base.clone()
        };
        let at = format!("{rps:.0} rps {:.0} %", share * 100.0);
        add(&format!("healthy iid, {at}"), world.clone());
        add(
            &format!("healthy +3 %, {at}"),
            World {
                plants: vec![(0, Plant::Slow(1.03))],
                ..world.clone()
            },
        );
        add(
            &format!("healthy mix, {at}"),
            World {
                plants: vec![(0, Plant::Mix)],
                ..world.clone()
            },
        );
        add(
            &format!("healthy cold x2 20 s, {at}"),
            World {
                plants: vec![(0, Plant::Cold(2.0, 20.0))],
                ..world.clone()
            },
        );
        add(
            &format!("healthy shared fault, {at}"),
            World {
                plants: vec![(120, Plant::Shared(0.08, 1.5))],
                ..world.clone()
            },
        );
        for (name, every_s, seconds, rate) in [
            ("rare short", 1_200.0, (3.0, 10.0), (0.2, 0.5)),
            ("rare hard", 1_200.0, (5.0, 15.0), (0.5, 0.9)),
            ("often short", 200.0, (2.0, 8.0), (0.1, 0.5)),
            ("often mixed", 300.0, (2.0, 15.0), (0.1, 0.9)),
        ] {
            let bursts = Some(Bursts {
                every_s,
                seconds,
                rate,
            });
            let world = World {
                bursts,
                ..world.clone()
            };
            add(&format!("healthy bursts {name}, {at}"), world.clone());
            if share == 0.25 {
                let instances = Instances::Told;
                add(
                    &format!("healthy bursts {name}, told, {at}"),
                    World { instances, ..world },
                );
            }
        }
    }
    let step = World {
        error_rate: 0.0,
        duration_s: 400,
        ..base.clone()
    };
    for (name, plant) in [
        ("no canary traffic", Plant::NoCanary),
        ("no slices", Plant::Silence),
    ] {
        add(
            &format!("absent {name}"),
            World {
                plants: vec![(60, plant)],
                ..base.clone()
            },
        );
    }
    for rate in [1.0, 0.6, 0.3, 0.15, 0.05, 0.02] {
        for (told, instances) in [("", Instances::Untold), (", told", Instances::Told)] {
            let plants = vec![(90, Plant::Errors(rate))];
            let name = format!(
                "harm errors {:.0} % from 90 s*{told}, 100 rps 25 %",
                rate * 100.0
            );
            add(
                &name,
                World {
                    plants,
                    instances,
                    ..step.clone()
                },
            );
        }
    }
    let fifty = World {
        rps: 1_000.0,
        share: 0.05,
        next_share: 0.25,
        duration_s: 900,
        ..base.clone()
    };
    for (name, from, plant) in [
        ("errors 5 %", 0, Plant::Errors(0.05)),
        ("errors 1 %", 0, Plant::Errors(0.01)),
        ("errors 0.1 to 0.5 %", 0, Plant::Errors(0.004)),
        ("errors 0.1 to 0.3 %", 0, Plant::Errors(0.002)),
        ("errors 10 % on one route", 0, Plant::ErrorsOn(2, 0.1)),
        ("404 30 %", 0, Plant::NotFound(0.3)),
        ("latency +50 %", 0, Plant::Slow(1.5)),
        ("latency +25 %", 0, Plant::Slow(1.25)),
        ("latency one route +80 %", 0, Plant::SlowOn(1, 1.8)),
        ("latency tail 2 % x6", 0, Plant::Tail(0.02, 6.0)),
        ("latency late +50 %", 300, Plant::Slow(1.5)),
        ("hang", 60, Plant::Hang),
    ] {
        add(
            &format!("harm {name}, 1000 rps 5 %"),
            World {
                plants: vec![(from, plant)],
                ..fifty.clone()
            },
        );
    }
    for (rps, share) in [(1_000.0, 0.05), (10.0, 0.05), (1.0, 0.05)] {
        let plants = vec![(0, Plant::Errors(1.0))];
        let name = format!("harm outage, {rps:.0} rps {:.0} %", share * 100.0);
        add(
            &name,
            World {
                rps,
                share,
                plants,
                duration_s: 600,
                ..base.clone()
            },
        );
    }
    kinds
}
