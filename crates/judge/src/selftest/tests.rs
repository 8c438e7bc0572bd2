use super::*;
use crate::config::OnUnproven;
use crate::histogram::Histogram;
use crate::second::ProxyCell;
use crate::slice::{Cell, EventClass};
use esclusa_model::{Digest, InstanceId, ProxyId};

/// Stable traffic of one route on one host, with an error rate by second.
fn past(rps: u64, error_rate: impl Fn(i64) -> f64) -> Past {
    on_hosts(1, rps, |_, t| error_rate(t))
}

/// The same on several, with so many requests and an error rate of each.
fn on_hosts(hosts: u64, rps: u64, error_rate: impl Fn(u64, i64) -> f64) -> Past {
    let (baseline, canary) = (Digest::of(b"v1"), Digest::of(b"v2"));
    let proxy = ProxyId::new("p").expect("valid");
    let mut dice = Dice::new(11);
    let mut told = Vec::new();
    for t in 0..600 {
        let mut cells = Vec::new();
        for host in 0..hosts {
            let requests = dice.of(2 * rps, 0.5);
            let failures = dice.of(requests, error_rate(host, t));
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
                instance: InstanceId::new(format!("web-{host}")).ok(),
                synthetic: false,
                requests,
                events: events.into_iter().filter(|(_, n)| *n > 0).collect(),
                latency,
                pending: Histogram::default(),
                units: Vec::new(),
            };
            let proxy = proxy.clone();
            cells.push(ProxyCell { proxy, cell });
        }
        told.push(Told::Second(Second {
            t,
            cells,
            heard: true,
        }));
    }
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

#[test]
fn bursts_of_whole_instances_return_nobody() {
    // Now and then one of eight hosts fails most of its requests for some seconds.
    let bursts = on_hosts(8, 10, |host, t| {
        let burst = (t + 150 * 3 * host as i64 / 8) % 150 < 6;
        if burst { 0.6 } else { 0.001 }
    });
    assert_eq!(bursts.splits().len(), 3);
    let usual = ends(&JudgeConfig::default(), &bursts, None, SplitBy::Host);
    assert_eq!(usual[0], 0, "{usual:?}");
}

// A test that could not fail would be worth nothing: these settings return what is equal.
#[test]
fn reckless_settings_are_found_out() {
    let past = past(20, |_| 0.03);
    let usual = ends(&JudgeConfig::default(), &past, None, SplitBy::Unit);
    // Whatever is not proved in three minutes goes back.
    let impatient = JudgeConfig {
        on_unproven: OnUnproven::Rollback,
        ..JudgeConfig::default()
    };
    // Half of stable's failures are called harm, and chance may decide.
    let mut reckless = JudgeConfig::default();
    reckless.alpha.rollback = Fraction::from_per_100k(50_000);
    reckless.evidence.cap_nats = 1e6;
    reckless.errors.ratio = 0.5;
    reckless.errors.delta = Fraction::from_per_100k(0);
    assert_eq!(usual[0], 0, "{usual:?}");
    for config in [impatient, reckless] {
        let fooled = ends(&config, &past, None, SplitBy::Unit);
        assert!(fooled[0] >= 10, "{fooled:?}: {config:?}");
    }
}

#[test]
fn another_time_is_another_service_where_traffic_changes() {
    let by_hour = past(60, |t| if t < 300 { 0.001 } else { 0.2 });
    let config = JudgeConfig::default();
    let by_unit = ends(&config, &by_hour, None, SplitBy::Unit);
    let by_time = ends(&config, &by_hour, None, SplitBy::Time);
    assert!(
        by_unit[0] == 0 && by_time[0] >= 2,
        "{by_unit:?} {by_time:?}"
    );
}

#[test]
fn a_seed_says_all() {
    let past = past(60, |_| 0.01);
    let config = JudgeConfig::default();
    let once = run(&config, &past, &trial(5, Some(Harm::Slower(1.5))));
    assert_eq!(
        once,
        run(&config, &past, &trial(5, Some(Harm::Slower(1.5))))
    );
    assert!(
        matches!(once, Ended::Returned { after_s: 1.., .. }),
        "{once:?}"
    );
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
