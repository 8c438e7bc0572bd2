//! Numbers that no proxy counts, over simulated traffic.

use crate::world::{Plant, Rng, World, canary, stable};
use esclusa_judge::{
    Decision, Direction, Judge, JudgeConfig, Label, Metric, OnUnproven, Per, Reason, Series,
    SeriesKind, SeriesName, SeriesSide, SeriesValue, StageEnd, Verdict, at_stage_end, when_blind,
};
use esclusa_model::{BasisPoints, Fraction, Millis};

const EVERY_S: i64 = 15;

fn name() -> SeriesName {
    SeriesName::new("queue_depth").expect("a name")
}

fn queue(required: bool) -> Series {
    Series {
        name: name(),
        every: Millis(15_000),
        direction: Direction::Up,
        margin: Fraction::from_per_100k(10_000),
        noninferior: Fraction::from_per_100k(20_000),
        kind: SeriesKind::Gauge,
        per: None,
        required,
    }
}

fn config(series: Series) -> JudgeConfig {
    JudgeConfig {
        series: vec![series],
        ..JudgeConfig::default()
    }
}

fn world(duration_s: i64) -> World {
    World {
        duration_s,
        share: 0.5,
        ..World::default()
    }
}

/// Runs a healthy canary with the series that `values` gives: stable's and the canary's
/// at each reading; none is a reading without a value.
fn run(
    world: &World,
    config: &JudgeConfig,
    mut values: impl FnMut(i64) -> Option<[Option<f64>; 2]>,
) -> Vec<Verdict> {
    let mut judge = Judge::new(config.clone(), stable(), canary());
    let mut traffic = world.traffic();
    let mut said = Vec::new();
    for t in -world.pre_roll_s..world.duration_s {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        if t >= 0
            && t % EVERY_S == 0
            && let Some(pair) = values(t)
        {
            for (side, value) in [SeriesSide::Baseline, SeriesSide::Canary]
                .into_iter()
                .zip(pair)
            {
                judge.take_series(SeriesValue {
                    name: name(),
                    t,
                    side,
                    value,
                    why: value.is_none().then(|| "unreachable".into()),
                });
            }
        }
        judge.tick(&traffic.second(t));
        if t >= 0 {
            said.push(judge.verdict());
        }
    }
    said
}

fn first(said: &[Verdict], decision: Decision) -> Option<&Verdict> {
    said.iter().find(|verdict| verdict.decision == decision)
}

fn last(said: &[Verdict]) -> &Verdict {
    said.last().expect("seconds")
}

/// Values with noise of 3 %, the canary's so many times stable's.
fn noisy(seed: u64, times: f64) -> impl FnMut(i64) -> Option<[Option<f64>; 2]> {
    let mut rng = Rng::new(seed);
    move |_| {
        let mut near = |level: f64| Some(level * rng.between(0.97, 1.03));
        Some([near(100.0), near(100.0 * times)])
    }
}

// CAN-14, MET-11: a series alone returns a release, and is named.
#[test]
fn a_bad_series_returns_the_canary_and_is_named() {
    let said = run(&world(400), &config(queue(false)), noisy(1, 1.5));
    let verdict = first(&said, Decision::Rollback).expect("returned");
    assert!(verdict.at < 300, "{}", verdict.at);
    assert_eq!(verdict.reason.code(), "harm:queue_depth");
    assert!(
        verdict.summary.contains("series `queue_depth`"),
        "{}",
        verdict.summary
    );
    let cause = verdict.causes.first().expect("a cause");
    assert_eq!(
        (cause.label, cause.metric),
        (Label::Series, Some(Metric::Series(name())))
    );
    assert!(verdict.log_e[&Metric::Series(name())] > 4.6);
    // The same numbers the other way round are an improvement.
    let better = run(&world(400), &config(queue(false)), noisy(1, 0.6));
    assert_eq!(first(&better, Decision::Rollback), None);
    let down = Series {
        direction: Direction::Down,
        ..queue(false)
    };
    let worse = run(&world(400), &config(down), noisy(1, 0.6));
    assert!(first(&worse, Decision::Rollback).is_some());
}

// CAN-13: nothing goes on without the proof that was asked for.
#[test]
fn a_required_series_is_proved_or_holds() {
    let good = run(&world(300), &config(queue(true)), noisy(2, 1.0));
    let proceeds = first(&good, Decision::Proceed).expect("proved");
    assert!(proceeds.at >= 6 * EVERY_S, "{}", proceeds.at);
    assert!(proceeds.log_ni[&Metric::Series(name())] >= 2.99);
    // Worse by less than harm and more than harmless: neither is proved.
    let between = Series {
        margin: Fraction::from_per_100k(15_000),
        noninferior: Fraction::from_per_100k(15_000),
        ..queue(true)
    };
    let unclear = run(&world(300), &config(between), noisy(3, 1.15));
    assert_eq!(first(&unclear, Decision::Proceed), None);
    let verdict = last(&unclear);
    let held = at_stage_end(verdict, OnUnproven::PromoteIfQuiet);
    assert!(matches!(held, StageEnd::Hold { .. }), "{held:?}");
    // Where it is not required, quiet is enough.
    let free = run(&world(300), &config(queue(false)), noisy(2, 1.0));
    assert!(!last(&free).log_ni.contains_key(&Metric::Series(name())));
    let goes_on = at_stage_end(last(&free), OnUnproven::PromoteIfQuiet);
    assert!(matches!(goes_on, StageEnd::Advance { .. }), "{goes_on:?}");
}

// Traps 3, 4, 53: what is missing is no zero, no pass and no guilt.
#[test]
fn missing_values_hold_and_blind_the_required() {
    let lost_at = 120;
    let until = |end: i64| {
        let mut good = noisy(4, 1.0);
        move |t| {
            let pair = good(t)?;
            Some(if t < end { pair } else { [pair[0], None] })
        }
    };
    for required in [true, false] {
        let config = config(queue(required));
        let said = run(&world(400), &config, until(lost_at));
        assert_eq!(first(&said, Decision::Rollback), None);
        let at = |t: usize| said[t].reason.code();
        // Three readings in a row.
        assert_eq!(at(152), "missing_data:queue_depth");
        let verdict = &said[152];
        assert!(
            verdict.summary.contains("unreachable"),
            "{}",
            verdict.summary
        );
        assert!(
            verdict
                .causes
                .iter()
                .any(|c| c.label == Label::MissingData && c.metric == Some(Metric::Series(name())))
        );
        for policy in [
            OnUnproven::PromoteIfQuiet,
            OnUnproven::Hold,
            OnUnproven::Rollback,
        ] {
            let end = at_stage_end(verdict, policy);
            assert!(matches!(end, StageEnd::Hold { .. }), "{end:?}");
        }
        // After the plan's two minutes a required one is blindness.
        let code = at(lost_at as usize + 120);
        let blind = when_blind(&said[lost_at as usize + 120], &config.blind);
        if required {
            assert_eq!(
                (code.as_str(), blind),
                ("blind:queue_depth", Some(config.blind.then))
            );
        } else {
            assert_eq!((code.as_str(), blind), ("missing_data:queue_depth", None));
        }
    }
    // Nothing from the first second on, and half of all readings.
    let never = run(&world(300), &config(queue(false)), |_| None);
    assert_eq!(first(&never, Decision::Proceed), None);
    assert_eq!(last(&never).reason.code(), "missing_data:queue_depth");
    let mut good = noisy(5, 1.0);
    let gappy = run(&world(400), &config(queue(false)), |t| {
        let pair = good(t)?;
        Some(if t / EVERY_S % 5 < 2 {
            pair
        } else {
            [None, pair[1]]
        })
    });
    assert_eq!(last(&gappy).reason.code(), "missing_data:queue_depth");
    assert_eq!(first(&gappy, Decision::Rollback), None);
}

// While nobody reaches the canary its numbers say nothing, and their lack is no fault.
#[test]
fn nobody_is_blamed_for_numbers_of_an_idle_canary() {
    let idle = World {
        plants: vec![(0, Plant::NoCanary)],
        ..world(400)
    };
    let said = run(&idle, &config(queue(true)), |_| Some([Some(1.0), None]));
    assert!(
        said.iter()
            .all(|v| when_blind(v, &JudgeConfig::default().blind).is_none())
    );
    assert_eq!(last(&said).reason.code(), "no_traffic");
}

// MET-01, MET-02: counters of either outcome; a restart counts from zero.
#[test]
fn counters_survive_restarts_and_unequal_shares() {
    let counter = |per, share| {
        let series = Series {
            kind: SeriesKind::Counter,
            per,
            ..queue(false)
        };
        let world = World {
            share,
            ..world(600)
        };
        let (mut stable, mut canary) = (0.0, 0.0);
        // As much work by request on both; the canary restarts now and then.
        let said = run(&world, &config(series), |t| {
            stable += 1_000.0 * (1.0 - share);
            canary = if t % 90 == 0 { 0.0 } else { canary };
            canary += 1_000.0 * share;
            Some([Some(stable), Some(canary)])
        });
        last(&said).log_e[&Metric::Series(name())]
    };
    assert!(counter(None, 0.5) < 0.0, "{}", counter(None, 0.5));
    assert!(
        counter(Some(Per::Request), 0.1) < 2.0,
        "{}",
        counter(Some(Per::Request), 0.1)
    );
    // More by request than stable, though less in sum.
    let series = Series {
        kind: SeriesKind::Counter,
        per: Some(Per::Request),
        ..queue(false)
    };
    let world = World {
        share: 0.1,
        ..world(600)
    };
    let (mut of_stable, mut of_canary) = (0.0, 0.0);
    let said = run(&world, &config(series), |_| {
        of_stable += 900.0;
        of_canary += 200.0;
        Some([Some(of_stable), Some(of_canary)])
    });
    assert!(first(&said, Decision::Rollback).is_some());
}

// A mean that is worse though most readings are not.
#[test]
fn means_are_compared_by_their_size() {
    let mean = Series {
        kind: SeriesKind::Mean,
        ..queue(true)
    };
    let mut rng = Rng::new(6);
    let spikes = run(&world(1_000), &config(mean.clone()), |t| {
        let spike = if t / EVERY_S % 3 == 0 { 400.0 } else { 90.0 };
        Some([Some(rng.between(95.0, 105.0)), Some(spike)])
    });
    let verdict = first(&spikes, Decision::Rollback).expect("returned");
    assert!(verdict.at >= 29 * EVERY_S, "{}", verdict.at);
    let by_sign = run(&world(900), &config(queue(false)), |t| {
        let spike = if t / EVERY_S % 3 == 0 { 300.0 } else { 90.0 };
        Some([Some(100.0), Some(spike)])
    });
    assert_eq!(first(&by_sign, Decision::Rollback), None);
    let good = run(&world(900), &config(mean), noisy(7, 1.0));
    let proved = first(&good, Decision::Proceed).expect("proved");
    assert!(proved.at >= 29 * EVERY_S, "{}", proved.at);
}

// At 100 % nobody serves beside the canary: a change holds and returns nobody.
#[test]
fn at_full_share_a_series_holds_by_what_stable_was() {
    let config = config(queue(true));
    for (times, holds) in [(1.0, false), (2.0, true)] {
        let mut judge = Judge::new(config.clone(), stable(), canary());
        let half = world(300);
        let full = World {
            share: 1.0,
            seed: 9,
            pre_roll_s: 0,
            ..world(300)
        };
        let mut values = noisy(8, 1.0);
        for (world, shift) in [(&half, 0), (&full, 300)] {
            let mut traffic = world.traffic();
            for t in -world.pre_roll_s..300 {
                let now = t + shift;
                if t == 0 {
                    let mut info = world.stage();
                    info.entered_at_s = now;
                    info.next_share = BasisPoints::FULL;
                    judge.enter_stage(info);
                }
                if t >= 0 && t % EVERY_S == 0 {
                    let pair = values(now).expect("a pair");
                    let after = if shift > 0 { times } else { 1.0 };
                    let canary = pair[1].map(|v| v * after);
                    for (side, value) in [
                        (SeriesSide::Baseline, pair[0]),
                        (SeriesSide::Canary, canary),
                    ] {
                        judge.take_series(SeriesValue {
                            name: name(),
                            t: now,
                            side,
                            value,
                            why: None,
                        });
                    }
                }
                let mut second = traffic.second(t);
                second.t = now;
                judge.tick(&second);
            }
        }
        let verdict = judge.verdict();
        assert_eq!(verdict.decision, Decision::Hold);
        let suspicious =
            matches!(verdict.reason, Reason::Suspicious { metric, .. } if metric.is_series());
        assert_eq!(suspicious, holds, "{:?}", verdict.reason);
        let end = at_stage_end(&verdict, OnUnproven::PromoteIfQuiet);
        assert_eq!(matches!(end, StageEnd::Advance { .. }), !holds, "{end:?}");
    }
}

// The chance that a series returns a healthy canary is at most 1 %, for noise of any kind
// without memory: of 60 releases at most one.
#[test]
fn healthy_series_keep_the_promise() {
    let short = World {
        pre_roll_s: 0,
        rps: 5.0,
        ..world(450)
    };
    let returned = (0..60)
        .filter(|seed| {
            let mut rng = Rng::new(100 + seed);
            let said = run(
                &World {
                    seed: *seed,
                    ..short.clone()
                },
                &config(queue(false)),
                |_| {
                    // Heavy tails on both sides alike.
                    let mut jump = || Some(10.0 / rng.between(0.01, 1.0));
                    Some([jump(), jump()])
                },
            );
            first(&said, Decision::Rollback).is_some()
        })
        .count();
    assert!(returned <= 1, "{returned} of 60");
}

// A judge that is stored with a series goes on as if it had not been.
#[test]
fn a_series_resumes_at_any_second() {
    let world = world(120);
    let mut judge = Judge::new(config(queue(true)), stable(), canary());
    let mut kept = judge.clone();
    let mut traffic = world.traffic();
    let mut values = noisy(10, 1.2);
    for t in -world.pre_roll_s..world.duration_s {
        for judge in [&mut judge, &mut kept] {
            if t == 0 {
                judge.enter_stage(world.stage());
            }
        }
        if t >= 0 && t % EVERY_S == 0 {
            let pair = values(t).expect("a pair");
            for (side, value) in [SeriesSide::Baseline, SeriesSide::Canary]
                .into_iter()
                .zip(pair)
            {
                // Told ahead of their second, as a live source may.
                let value = SeriesValue {
                    name: name(),
                    t: t + 3,
                    side,
                    value,
                    why: None,
                };
                judge.take_series(value.clone());
                kept.take_series(value);
            }
        }
        let second = traffic.second(t);
        judge.tick(&second);
        kept.tick(&second);
        let text = serde_json::to_string(&kept).expect("stored");
        kept = serde_json::from_str(&text).expect("read back");
        assert_eq!(judge.verdict(), kept.verdict(), "{t}");
    }
}
