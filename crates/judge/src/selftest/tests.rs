use super::*;
use crate::histogram::Histogram;
use crate::second::ProxyCell;
use crate::slice::{Cell, EventClass};
use esclusa_model::{Digest, ProxyId};

/// Stable traffic of one route, with an error rate by second.
fn past(rps: u64, error_rate: impl Fn(i64) -> f64) -> Past {
    let (baseline, canary) = (Digest::of(b"v1"), Digest::of(b"v2"));
    let proxy = ProxyId::new("p").expect("valid");
    let mut dice = Dice::new(11);
    let told = (0..600)
        .map(|t| {
            let requests = dice.of(2 * rps, 0.5);
            let failures = dice.of(requests, error_rate(t));
            let mut latency = Histogram::default();
            for _ in 0..requests - failures {
                let slow = dice.of(12, 0.5);
                latency.record(8_000 + 3_000 * slow * slow / 4);
            }
            let events = [(EventClass::ServerError, failures)];
            let cell = Cell {
                intended: baseline,
                served: Some(baseline),
                route: "GET /".into(),
                instance: None,
                synthetic: false,
                requests,
                events: events.into_iter().filter(|(_, n)| *n > 0).collect(),
                latency,
                pending: Histogram::default(),
                units: Vec::new(),
            };
            Told::Second(Second {
                t,
                cells: vec![ProxyCell {
                    proxy: proxy.clone(),
                    cell,
                }],
                heard: true,
            })
        })
        .collect();
    let traffic = Traffic {
        baseline,
        canary,
        told,
    };
    Past::of(&traffic).expect("traffic")
}

fn trial(seed: u64, harm: Option<Harm>) -> Trial {
    Trial {
        seed,
        share: BasisPoints::new(2_500).expect("a share"),
        next_share: BasisPoints::FULL,
        for_s: 180,
        by: SplitBy::Unit,
        harm,
    }
}

/// How many trials end in each way: returned, held, promoted.
fn ends(config: &JudgeConfig, past: &Past, harm: Option<Harm>, by: SplitBy) -> [u64; 3] {
    let mut sums = [0; 3];
    for seed in 0..20 {
        let ended = run(
            config,
            past,
            &Trial {
                by,
                ..trial(seed, harm)
            },
        );
        sums[match ended {
            Ended::Returned { .. } => 0,
            Ended::Held => 1,
            Ended::Promoted => 2,
        }] += 1;
    }
    sums
}

#[test]
fn equal_versions_go_on_and_harmful_ones_come_back() {
    let past = past(60, |_| 0.01);
    let config = JudgeConfig::default();
    let healthy = ends(&config, &past, None, SplitBy::Unit);
    assert!(healthy[0] == 0 && healthy[2] >= 15, "{healthy:?}");
    let five = Harm::Errors(Fraction::from_per_100k(5_000));
    for harm in [Harm::Outage, five, Harm::Slower(1.5)] {
        let harmed = ends(&config, &past, Some(harm), SplitBy::Unit);
        assert!(harmed[0] >= 18, "{harm:?}: {harmed:?}");
    }
}

/// Failures that come in bursts: nearly all within a few seconds of each minute.
fn bursts() -> Past {
    past(60, |t| if t % 47 < 3 { 0.6 } else { 0.0 })
}

#[test]
fn settings_that_are_fooled_by_chance_are_found_out() {
    let mut reckless = JudgeConfig::default();
    reckless.alpha.rollback = Fraction::from_per_100k(50_000);
    reckless.evidence.cap_nats = 1e6;
    let usual = ends(&JudgeConfig::default(), &bursts(), None, SplitBy::Unit);
    let fooled = ends(&reckless, &bursts(), None, SplitBy::Unit);
    assert!(usual[0] <= 1 && fooled[0] >= 5, "{usual:?} {fooled:?}");
}

#[test]
fn another_time_is_another_service_where_traffic_changes() {
    let by_hour = past(60, |t| if t < 300 { 0.001 } else { 0.05 });
    let config = JudgeConfig::default();
    let by_unit = ends(&config, &by_hour, None, SplitBy::Unit);
    let by_time = ends(&config, &by_hour, None, SplitBy::Time);
    assert!(by_unit[0] <= 1 && by_time[0] >= 4, "{by_unit:?} {by_time:?}");
}

#[test]
fn a_seed_says_all() {
    let past = bursts();
    let config = JudgeConfig::default();
    let once = run(&config, &past, &trial(5, Some(Harm::Slower(1.5))));
    assert_eq!(once, run(&config, &past, &trial(5, Some(Harm::Slower(1.5)))));
    assert!(matches!(once, Ended::Returned { after_s: 1.., .. }), "{once:?}");
}

#[test]
fn bounds_are_those_of_the_table() {
    for (n, of, bound) in [
        (0, 200, 0.014_867),
        (1, 200, 0.023_499),
        (3, 200, 0.038_330),
        (200, 200, 1.0),
        (0, 0, 1.0),
    ] {
        let rate = Rate::of(n, of);
        assert!((rate.at_most - bound).abs() < 2e-4, "{rate:?} {bound}");
    }
}

#[test]
fn too_little_traffic_is_refused() {
    let told = |cells: usize| Traffic {
        baseline: Digest::of(b"v1"),
        canary: Digest::of(b"v2"),
        told: (0..cells as i64)
            .map(|t| {
                Told::Second(Second {
                    t,
                    cells: Vec::new(),
                    heard: true,
                })
            })
            .collect(),
    };
    assert_eq!(Past::of(&told(60)), Err(TooLittle::Short { seconds: 60 }));
    assert_eq!(Past::of(&told(600)), Err(TooLittle::Silent));
}
