//! What must hold whatever the traffic is.

use crate::world::{Plant, World, canary, empty, stable};
use esclusa_judge::{
    Cell, Decision, EventClass, Histogram, Judge, JudgeConfig, ProxyCell, Second, Verdict,
};
use esclusa_model::ProxyId;
use proptest::prelude::*;

/// Numbers that somebody might send to do harm.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        1u64..200,
        Just(u64::MAX),
        Just(1 << 32),
        any::<u64>()
    ]
}

fn histogram() -> impl Strategy<Value = Histogram> {
    proptest::collection::vec((0u16..900, number()), 0..6).prop_map(|pairs| {
        let mut histogram = Histogram::default();
        for (bucket, n) in pairs {
            histogram.add(bucket, n);
        }
        histogram
    })
}

/// A cell of a canary that fails most of what it serves, or of anything else.
fn cell() -> impl Strategy<Value = Cell> {
    let class = prop_oneof![
        Just(EventClass::ServerError),
        Just(EventClass::Timeout),
        Just(EventClass::ClientError),
        Just(EventClass::Cancelled),
    ];
    (
        any::<bool>(),
        0usize..40,
        number(),
        proptest::collection::btree_map(class, number(), 0..4),
        histogram(),
        histogram(),
        any::<bool>(),
    )
        .prop_map(
            |(is_canary, route, requests, mut events, latency, pending, synthetic)| {
                let version = if is_canary { canary() } else { stable() };
                if is_canary {
                    events.insert(EventClass::ServerError, requests / 2 + 1);
                }
                Cell {
                    requests,
                    events,
                    latency,
                    pending,
                    synthetic,
                    ..empty(version, &format!("GET /{route}"))
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever numbers arrive, the judge goes on, and a canary that fails half of what
    /// it serves is never proved harmless.
    #[test]
    fn hostile_slices_neither_stop_the_judge_nor_promote(
        seconds in proptest::collection::vec(proptest::collection::vec(cell(), 0..8), 1..90),
    ) {
        let world = World::default();
        let proxy = ProxyId::new("p1").expect("valid");
        let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
        judge.enter_stage(world.stage());
        for (t, cells) in (0i64..).zip(seconds) {
            let cells = cells
                .into_iter()
                .map(|cell| ProxyCell { proxy: proxy.clone(), cell })
                .collect();
            judge.tick(&Second { t, cells, heard: true });
            prop_assert_ne!(judge.verdict().decision, Decision::Proceed);
        }
    }
}

/// All verdicts of a world whose seconds were changed on the way.
fn verdicts(world: &World, change: impl Fn(&mut Cell)) -> Vec<Verdict> {
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    (-world.pre_roll_s..world.duration_s)
        .map(|t| {
            if t == 0 {
                judge.enter_stage(world.stage());
            }
            let mut second = traffic.second(t);
            second.cells.iter_mut().for_each(|c| change(&mut c.cell));
            judge.tick(&second);
            judge.verdict()
        })
        .collect()
}

/// More failures of the canary never turn a return into a proof.
#[test]
fn more_harm_never_proves() {
    for seed in 0..6 {
        let world = World {
            seed,
            plants: vec![(0, Plant::Errors(0.04)), (0, Plant::Slow(1.2))],
            duration_s: 200,
            ..World::default()
        };
        let plain = verdicts(&world, |_| {});
        assert!(plain.iter().any(|v| v.decision == Decision::Rollback));
        for part in [8, 3, 1] {
            let worse = verdicts(&world, |cell| {
                if cell.intended == canary() {
                    let left = cell.requests - cell.failures();
                    *cell.events.entry(EventClass::ServerError).or_default() += left / part;
                }
            });
            assert!(
                worse.iter().all(|v| v.decision != Decision::Proceed),
                "{seed} {part}"
            );
            assert!(
                worse.iter().any(|v| v.decision == Decision::Rollback),
                "{seed} {part}"
            );
        }
    }
}

/// What a route is called changes nothing.
#[test]
fn names_of_routes_change_nothing() {
    for plant in [Plant::ErrorsOn(2, 0.2), Plant::SlowOn(1, 2.0), Plant::Mix] {
        let world = World {
            plants: vec![(0, plant)],
            duration_s: 120,
            ..World::default()
        };
        let name = |route: &str| format!("Z{}", route.chars().rev().collect::<String>());
        let renamed = verdicts(&world, |cell| cell.route = name(&cell.route));
        for (plain, renamed) in verdicts(&world, |_| {}).iter().zip(&renamed) {
            assert_eq!(
                (&plain.decision, &plain.log_e),
                (&renamed.decision, &renamed.log_e)
            );
            assert_eq!(plain.log_ni, renamed.log_ni);
            for (a, b) in plain.causes.iter().zip(&renamed.causes) {
                let names: Vec<String> = a.routes.iter().map(|r| name(r)).collect();
                assert_eq!((a.label, &names), (b.label, &b.routes));
            }
        }
    }
}
