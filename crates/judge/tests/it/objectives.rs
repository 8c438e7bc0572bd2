//! Absolute objectives: budgets that burn, and who is blamed for it.

use crate::world::{Bursts, Outcome, Plant, World, canary, stable};
use esclusa_judge::{Comparable, Judge, JudgeConfig, Label, LatencySlo, Slo};
use esclusa_model::Fraction;

fn part(value: f64) -> Fraction {
    Fraction::new(value).expect("a fraction")
}

fn promised() -> JudgeConfig {
    JudgeConfig {
        slo: Some(Slo {
            availability: Some(part(0.999)),
            latency: vec![LatencySlo {
                le_ms: 300,
                target: part(0.95),
            }],
        }),
        ..JudgeConfig::default()
    }
}

fn base() -> World {
    World {
        error_rate: 0.0,
        duration_s: 240,
        ..World::default()
    }
}

fn runs(world: &World, config: &JudgeConfig) -> Vec<Outcome> {
    let seeded = |seed| World {
        seed,
        ..world.clone()
    };
    (0..8).map(|seed| seeded(seed).run(config)).collect()
}

fn why(outcome: &Outcome) -> &str {
    outcome
        .rollback
        .as_ref()
        .map_or("nothing", |(_, why)| why.as_str())
}

// ALR-07: at 2 % of failures the budget of 99.9 % burns twenty times too fast, and the
// comparison needs less evidence to say whose fault that is.
#[test]
fn a_burning_budget_returns_a_canary_that_looks_worse() {
    let world = World {
        plants: vec![(0, Plant::Errors(0.02))],
        ..base()
    };
    let (with, without) = (
        runs(&world, &promised()),
        runs(&world, &JudgeConfig::default()),
    );
    assert!(with.iter().all(|o| o.rollback.is_some()), "{with:?}");
    assert!(
        with.iter().any(|o| why(o) == "slo_burn:availability"),
        "{with:?}"
    );
    for (with, without) in with.iter().zip(&without) {
        let at = |o: &Outcome| o.rollback.as_ref().map_or(i64::MAX, |(t, _)| *t);
        assert!(at(with) <= at(without), "{with:?} {without:?}");
        assert_eq!(with.label, Some(format!("{:?}", Label::Errors)));
    }
}

// BLD-03: both versions fail as they always did, so the comparison is quiet.
#[test]
fn a_service_that_burns_holds_for_a_shared_dependency() {
    let world = World {
        error_rate: 0.03,
        ..base()
    };
    for outcome in runs(&world, &promised()) {
        assert_eq!(outcome.rollback, None);
        assert_eq!(outcome.proceed, None);
        let held = outcome.reasons.get("shared_dependency").copied();
        assert!(held.unwrap_or(0) > 150, "{:?}", outcome.reasons);
    }
    let unpromised = runs(&world, &JudgeConfig::default());
    assert!(
        unpromised
            .iter()
            .all(|o| !o.reasons.contains_key("shared_dependency"))
    );
}

#[test]
fn without_a_baseline_the_objective_decides() {
    let everybody = World {
        share: 1.0,
        next_share: 1.0,
        ..base()
    };
    let broken = World {
        plants: vec![(60, Plant::Errors(0.03))],
        ..everybody
    };
    for outcome in runs(&broken, &promised()) {
        assert_eq!(why(&outcome), "slo_burn:availability");
        assert_eq!(outcome.label, Some(format!("{:?}", Label::Errors)));
    }
    assert!(
        runs(&broken, &JudgeConfig::default())
            .iter()
            .all(|o| o.rollback.is_none()),
        "no rail and no comparison finds it"
    );
    let slow = World {
        plants: vec![(60, Plant::Slow(12.0))],
        duration_s: 400,
        ..broken
    };
    for outcome in runs(&slow, &promised()) {
        assert_eq!(why(&outcome), "slo_burn:latency_300ms");
    }
    // It was like that before: taking it back would not help.
    let before = World {
        plants: Vec::new(),
        error_rate: 0.03,
        ..broken
    };
    for outcome in runs(&before, &promised()) {
        assert_eq!(outcome.rollback, None);
        assert!(outcome.reasons.contains_key("shared_dependency"));
    }
}

#[test]
fn the_absence_of_a_baseline_is_named() {
    let world = World {
        share: 1.0,
        next_share: 1.0,
        plants: vec![(0, Plant::Errors(0.03))],
        ..base()
    };
    let mut judge = Judge::new(promised(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..120 {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        judge.tick(&traffic.second(t));
    }
    let verdict = judge.verdict();
    let labels: Vec<Label> = verdict.causes.iter().map(|c| c.label).collect();
    assert_eq!(labels, [Label::Errors, Label::NoConcurrentBaseline]);
    assert!(
        verdict
            .summary
            .starts_with("ROLLBACK: the canary spends the error budget of availability"),
        "{}",
        verdict.summary
    );
}

#[test]
fn an_audience_chosen_by_hand_is_judged_by_its_objective() {
    let world = World {
        comparable: Comparable::NotRandom,
        plants: vec![(30, Plant::Errors(0.03))],
        ..base()
    };
    let outcomes = runs(&world, &promised());
    assert!(
        outcomes.iter().all(|o| why(o) == "slo_burn:availability"),
        "{outcomes:?}"
    );
}

// Trap 5: ten bad events at least, or nobody is returned.
#[test]
fn few_bad_events_hold_and_return_nobody() {
    let world = World {
        rps: 4.0,
        plants: vec![(0, Plant::Errors(0.05))],
        duration_s: 120,
        ..base()
    };
    let outcomes = runs(&world, &promised());
    assert!(outcomes.iter().all(|o| why(o) == "nothing"), "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .any(|o| o.reasons.contains_key("slo_burning:availability")),
        "{outcomes:?}"
    );
}

// CAN-08
#[test]
fn a_healthy_canary_keeps_its_promise() {
    let bursts = Some(Bursts {
        every_s: 300.0,
        seconds: (2.0, 8.0),
        rate: (0.1, 0.5),
    });
    for world in [
        base(),
        World { bursts, ..base() },
        World {
            bursts,
            share: 1.0,
            next_share: 1.0,
            ..base()
        },
        World {
            plants: vec![(0, Plant::Cold(2.0, 20.0))],
            ..base()
        },
    ] {
        let outcomes = runs(&world, &promised());
        assert!(outcomes.iter().all(|o| why(o) == "nothing"), "{outcomes:?}");
    }
}

#[test]
fn a_restart_at_every_second_changes_nothing() {
    let world = World {
        error_rate: 0.002,
        plants: vec![(60, Plant::Errors(0.01))],
        duration_s: 150,
        ..base()
    };
    let timeline = |stored: bool| {
        let mut judge = Judge::new(promised(), stable(), canary());
        let mut traffic = world.traffic();
        let mut lines = Vec::new();
        for t in -world.pre_roll_s..world.duration_s {
            if t == 0 {
                judge.enter_stage(world.stage());
            }
            judge.tick(&traffic.second(t));
            if stored {
                let text = serde_json::to_string(&judge).expect("serialises");
                judge = serde_json::from_str(&text).expect("reads");
            }
            lines.push(serde_json::to_string(&judge.verdict()).expect("serialises"));
        }
        let size = serde_json::to_string(&judge).expect("serialises").len();
        assert!(size <= 64 * 1024, "{size}");
        lines
    };
    assert_eq!(timeline(false), timeline(true));
}

#[test]
fn without_objectives_nothing_is_kept() {
    let judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let state = serde_json::to_value(&judge).expect("serialises");
    assert_eq!(state.get("burn"), None);
    assert_eq!(state["config"].get("slo"), None);
}
