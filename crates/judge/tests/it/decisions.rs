//! What the judge decides over simulated traffic with fixed seeds.

use crate::world::{Bursts, Outcome, Plant, World, canary, stable};
use esclusa_judge::{
    Comparable, Decision, Grounds, Judge, JudgeConfig, Label, Latency, OnUnproven, Reason,
    StageEnd, Standing, at_stage_end,
};
use esclusa_model::Millis;

fn runs(world: &World, seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    seeds
        .map(|seed| {
            World {
                seed,
                ..world.clone()
            }
            .run(&JudgeConfig::default())
        })
        .collect()
}

fn rollbacks(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|o| o.rollback.is_some()).count()
}

/// Seconds from the first failed request to the decision, its own second included.
fn slowest(outcomes: &[Outcome]) -> i64 {
    let delay = |o: &Outcome| {
        let decided = o.rollback.as_ref().map_or(i64::MAX / 2, |(t, _)| *t);
        decided - o.first_failure.expect("something failed") + 1
    };
    outcomes.iter().map(delay).max().expect("there are runs")
}

fn base() -> World {
    World {
        duration_s: 240,
        ..World::default()
    }
}

// CAN-08
#[test]
fn healthy_canaries_are_never_returned() {
    for plants in [
        vec![],
        vec![(0, Plant::Slow(1.03))],
        vec![(0, Plant::Mix)],
        vec![(0, Plant::Cold(2.0, 20.0))],
    ] {
        let outcomes = runs(&World { plants, ..base() }, 0..12);
        assert_eq!(rollbacks(&outcomes), 0, "{outcomes:?}");
    }
}

// The chance that evidence for harm ever passes 100 is at most 1 % for a canary that
// is exactly as good as stable: over 300 short releases, 3 expected at worst.
#[test]
fn evidence_against_an_equal_canary_stays_within_its_promise() {
    let world = World {
        rps: 30.0,
        share: 0.5,
        error_rate: 0.05,
        pre_roll_s: 60,
        duration_s: 90,
        ..World::default()
    };
    let config = JudgeConfig {
        errors: esclusa_judge::Errors {
            never_above: None,
            ..Default::default()
        },
        ..JudgeConfig::default()
    };
    let returned = (0..300)
        .filter(|seed| {
            World {
                seed: *seed,
                ..world.clone()
            }
            .run(&config)
            .rollback
            .is_some()
        })
        .count();
    assert!(returned <= 3, "{returned} of 300");
}

#[test]
fn a_canary_that_breaks_mid_stage_is_returned_in_seconds() {
    // 100 requests/s, 25 %, a baseline without errors, default settings.
    for (rate, within_s) in [(1.0, 3), (0.6, 5), (0.3, 9)] {
        let plants = vec![(90, Plant::Errors(rate))];
        let outcomes = runs(
            &World {
                plants,
                error_rate: 0.0,
                duration_s: 130,
                ..base()
            },
            0..20,
        );
        assert!(slowest(&outcomes) <= within_s, "{rate}: {outcomes:?}");
        assert!(
            outcomes
                .iter()
                .all(|o| o.label == Some(format!("{:?}", Label::Errors)))
        );
    }
}

// CAN-08
#[test]
fn a_smaller_rise_of_errors_is_found_by_evidence() {
    let plants = vec![(0, Plant::Errors(0.03))];
    let outcomes = runs(&World { plants, ..base() }, 0..15);
    assert!(
        outcomes
            .iter()
            .all(|o| matches!(&o.rollback, Some((_, why)) if why == "harm:err"))
    );
}

#[test]
fn errors_on_one_route_are_not_hidden_by_the_others() {
    let plants = vec![(0, Plant::ErrorsOn(2, 0.2))];
    let outcomes = runs(&World { plants, ..base() }, 0..8);
    assert_eq!(rollbacks(&outcomes), 8);
}

// CAN-08, BLD-03
#[test]
fn slow_canaries_are_returned_for_latency_once_warm() {
    for plant in [
        Plant::Slow(1.6),
        Plant::SlowOn(1, 2.0),
        Plant::Tail(0.2, 6.0),
    ] {
        let world = World {
            plants: vec![(0, plant)],
            ..base()
        };
        for outcome in runs(&world, 0..8) {
            let (t, why) = outcome.rollback.expect("returned");
            assert!(
                t >= 19 && why.starts_with("harm:p"),
                "{plant:?}: {why} at {t}"
            );
            let label = outcome.label.expect("a cause");
            assert!(["Latency", "Tail"].contains(&label.as_str()), "{label}");
        }
    }
}

#[test]
fn a_canary_that_hangs_is_returned_though_it_finishes_nothing() {
    let world = World {
        plants: vec![(60, Plant::Hang)],
        ..base()
    };
    for outcome in runs(&world, 0..5) {
        let (t, _) = outcome.rollback.expect("returned");
        assert!(t < 60 + 15, "{t}");
    }
}

#[test]
fn answers_of_404_everywhere_are_harm() {
    let world = World {
        plants: vec![(0, Plant::NotFound(0.5))],
        ..base()
    };
    for outcome in runs(&world, 0..5) {
        assert_eq!(outcome.rollback.expect("returned").1, "harm:4xx");
    }
}

#[test]
fn an_outage_is_seen_at_any_rate_of_traffic() {
    // 50, 0.5 and 0.05 canary requests a second.
    for (rps, within_s) in [(1_000.0, 3), (10.0, 40), (1.0, 300)] {
        let plants = vec![(0, Plant::Errors(1.0))];
        let world = World {
            rps,
            share: 0.05,
            plants,
            duration_s: 400,
            ..World::default()
        };
        for outcome in runs(&world, 0..5) {
            let (t, _) = outcome.rollback.expect("returned");
            assert!(t < within_s, "{rps} rps: at {t}");
        }
    }
}

// BLD-03
#[test]
fn a_fault_of_both_versions_holds() {
    let world = World {
        plants: vec![(60, Plant::Shared(0.1, 2.0))],
        ..base()
    };
    for outcome in runs(&world, 0..10) {
        assert_eq!(outcome.rollback, None);
        let held = outcome
            .reasons
            .get("shared_dependency")
            .copied()
            .unwrap_or(0)
            + outcome
                .reasons
                .get("shared_limit:err")
                .copied()
                .unwrap_or(0);
        assert!(held > 100, "{:?}", outcome.reasons);
    }
}

// BLD-03: a yardstick that nobody uses cannot be broken.
#[test]
fn a_slow_stable_holds_nobody_where_latency_is_not_judged() {
    let world = World {
        plants: vec![(60, Plant::Shared(0.0, 4.0))],
        ..base()
    };
    let held = |config: &JudgeConfig| -> u64 {
        let outcome = world.run(config);
        assert_eq!(outcome.rollback, None);
        let held = |code: &str| outcome.reasons.get(code).copied().unwrap_or(0);
        held("shared_dependency")
    };
    assert!(held(&JudgeConfig::default()) > 100, "where it is, it does");
    let errors_only = JudgeConfig {
        latency: Latency {
            p50: None,
            p95: None,
            p99: None,
        },
        ..JudgeConfig::default()
    };
    assert_eq!(held(&errors_only), 0);
}

#[test]
fn bursts_on_single_hosts_do_not_return_a_healthy_canary() {
    let bursts = Some(Bursts {
        every_s: 300.0,
        seconds: (2.0, 8.0),
        rate: (0.1, 0.5),
    });
    let outcomes = runs(&World { bursts, ..base() }, 0..20);
    assert_eq!(rollbacks(&outcomes), 0, "{outcomes:?}");
}

#[test]
fn a_healthy_stage_with_enough_traffic_is_proved() {
    let world = World {
        rps: 600.0,
        share: 0.1,
        next_share: 0.25,
        ..base()
    };
    for outcome in runs(&world, 0..4) {
        let t = outcome.proceed.expect("proved");
        assert!((59..=150).contains(&t), "at {t}");
    }
}

/// Healthy, with too little traffic for a proof.
fn quiet() -> World {
    World {
        rps: 40.0,
        error_rate: 0.0,
        seed: 3,
        ..base()
    }
}

/// A judge fed with a healthy world up to second `until`.
fn watched(world: &World, until: i64) -> Judge {
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..until {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        judge.tick(&traffic.second(t));
    }
    judge
}

#[test]
fn an_unproven_quiet_stage_advances_and_prints_what_was_proved() {
    let judge = watched(&quiet(), 120);
    let verdict = judge.verdict();
    assert!(
        matches!(verdict.reason, Reason::Unproven { .. }),
        "{}",
        verdict.summary
    );
    assert_eq!(verdict.standing, Standing::Quiet);
    let StageEnd::Advance {
        grounds: Grounds::Quiet,
        proved,
    } = at_stage_end(&verdict, OnUnproven::PromoteIfQuiet)
    else {
        panic!("{}", verdict.summary)
    };
    assert!(
        proved.starts_with("proved: error rate < +") && proved.contains("asked +0.20 pp"),
        "{proved}"
    );
    assert!(matches!(
        at_stage_end(&verdict, OnUnproven::Hold),
        StageEnd::Hold { .. }
    ));
    assert!(matches!(
        at_stage_end(&verdict, OnUnproven::Rollback),
        StageEnd::Rollback { .. }
    ));
}

#[test]
fn a_stage_does_not_end_before_its_minimum_watch() {
    let judge = watched(&quiet(), 40);
    assert!(matches!(
        at_stage_end(&judge.verdict(), OnUnproven::PromoteIfQuiet),
        StageEnd::Hold { .. }
    ));
}

#[test]
fn a_new_stage_begins_unproved_and_keeps_suspicion() {
    let world = World {
        rps: 600.0,
        share: 0.1,
        next_share: 0.25,
        ..base()
    };
    let mut judge = watched(&world, 150);
    assert_eq!(judge.verdict().decision, Decision::Proceed);
    judge.enter_stage(esclusa_judge::StageInfo {
        entered_at_s: 150,
        ..world.stage()
    });
    let verdict = judge.verdict();
    assert_eq!(verdict.decision, Decision::Hold);
    assert!(verdict.log_ni.values().all(|nats| *nats == 0.0));
    assert!(verdict.log_e.values().any(|nats| *nats != 0.0));
}

#[test]
fn an_audience_chosen_by_hand_proves_nothing_and_is_not_compared() {
    let chosen = World {
        comparable: Comparable::NotRandom,
        ..base()
    };
    let slow = runs(
        &World {
            plants: vec![(0, Plant::Slow(2.0))],
            ..chosen
        },
        0..5,
    );
    assert_eq!(rollbacks(&slow), 0);
    assert!(
        slow.iter()
            .all(|o| o.proceed.is_none() && o.reasons.contains_key("not_comparable"))
    );
    let out = runs(
        &World {
            plants: vec![(30, Plant::Errors(1.0))],
            ..chosen
        },
        0..5,
    );
    assert_eq!(rollbacks(&out), 5);
    let broken = runs(
        &World {
            plants: vec![(30, Plant::Errors(0.2))],
            ..chosen
        },
        0..5,
    );
    assert!(
        broken
            .iter()
            .all(|o| matches!(&o.rollback, Some((_, why)) if why == "never_above:err"))
    );
}

#[test]
fn a_limit_on_latency_is_a_rail_of_its_own() {
    let mut config = JudgeConfig::default();
    if let Some(p95) = &mut config.latency.p95 {
        p95.never_above = Some(Millis(2_000));
    }
    let plants = vec![(10, Plant::Slow(40.0))];
    let world = World {
        plants,
        comparable: Comparable::NotRandom,
        ..base()
    };
    for seed in 0..5 {
        let outcome = World {
            seed,
            ..world.clone()
        }
        .run(&config);
        assert_eq!(outcome.rollback.expect("returned").1, "never_above:p95");
    }
}
