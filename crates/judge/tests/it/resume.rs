//! The same input gives the same verdicts, after a restart at any second too.

use crate::world::{Bursts, Plant, World, canary, stable};
use esclusa_judge::{Judge, JudgeConfig, Second, Verdict};

fn world() -> World {
    World {
        seed: 7,
        duration_s: 150,
        bursts: Some(Bursts {
            every_s: 200.0,
            seconds: (2.0, 8.0),
            rate: (0.1, 0.6),
        }),
        plants: vec![
            (60, Plant::Slow(1.3)),
            (60, Plant::Errors(0.02)),
            (0, Plant::Cold(1.5, 20.0)),
        ],
        ..World::default()
    }
}

/// All verdicts as text; the judge is stored and read back after every second `when` holds for.
fn timeline(when: impl Fn(i64) -> bool) -> Vec<String> {
    let world = world();
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    let mut lines = Vec::new();
    for t in -world.pre_roll_s..world.duration_s {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        judge.tick(&traffic.second(t));
        if when(t) {
            let text = serde_json::to_string(&judge).expect("serialises");
            let read: Judge = serde_json::from_str(&text).expect("reads");
            assert_eq!(read, judge, "at {t}");
            judge = read;
        }
        lines.push(serde_json::to_string(&judge.verdict()).expect("serialises"));
    }
    lines
}

#[test]
fn two_runs_are_byte_identical() {
    assert_eq!(timeline(|_| false), timeline(|_| false));
}

#[test]
fn a_restart_at_every_second_changes_nothing() {
    assert_eq!(timeline(|_| false), timeline(|_| true));
}

#[test]
fn a_verdict_is_read_back() {
    for line in timeline(|_| false).iter().step_by(20) {
        let verdict: Verdict = serde_json::from_str(line).expect("reads");
        assert_eq!(&serde_json::to_string(&verdict).expect("serialises"), line);
    }
}

#[test]
fn the_state_of_four_routes_fits_64_kib() {
    let world = World {
        rps: 1_000.0,
        share: 0.05,
        duration_s: 240,
        ..world()
    };
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        judge.tick(&traffic.second(t));
    }
    let size = serde_json::to_string(&judge).expect("serialises").len();
    assert!(size <= 64 * 1024, "{size}");
}

/// The same cells on five times as many routes.
fn with_more_routes(second: &mut Second) {
    let cells = std::mem::take(&mut second.cells);
    for more in 0..5 {
        second.cells.extend(cells.iter().cloned().map(|mut at| {
            at.cell.route = format!("{}/{more}", at.cell.route);
            at
        }));
    }
}

/// Sixteen routes by name, and the rest as another.
#[test]
fn the_state_of_seventeen_routes_fits_256_kib() {
    let world = World {
        rps: 400.0,
        share: 0.05,
        duration_s: 240,
        ..world()
    };
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        let mut second = traffic.second(t);
        with_more_routes(&mut second);
        judge.tick(&second);
    }
    let text = serde_json::to_string(&judge).expect("serialises");
    assert!(
        text.contains("\"other\""),
        "more routes than are told apart"
    );
    assert!(text.len() <= 256 * 1024, "{}", text.len());
}

#[test]
fn seconds_that_do_not_rise_are_ignored() {
    let world = world();
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    let first = traffic.second(-10);
    judge.tick(&first);
    let before = judge.clone();
    judge.tick(&first);
    assert_eq!(judge, before);
}
