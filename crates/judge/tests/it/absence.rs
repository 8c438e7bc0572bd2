//! Absent data is neither guilt nor proof (trap 3).

use crate::world::{Plant, World, canary, stable};
use esclusa_judge::{
    Blind, BlindThen, Decision, Judge, JudgeConfig, Label, OnUnproven, Reason, StageEnd, Verdict,
    at_stage_end, when_blind,
};

/// The verdicts of every second of the stage.
fn verdicts(world: &World) -> Vec<Verdict> {
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    (-world.pre_roll_s..world.duration_s)
        .map(|t| {
            if t == 0 {
                judge.enter_stage(world.stage());
            }
            judge.tick(&traffic.second(t));
            judge.verdict()
        })
        .skip(world.pre_roll_s as usize)
        .collect()
}

fn proved_world() -> World {
    World {
        rps: 600.0,
        share: 0.1,
        next_share: 0.25,
        duration_s: 330,
        ..World::default()
    }
}

#[test]
fn no_canary_traffic_holds_for_ever() {
    for verdict in verdicts(&World {
        plants: vec![(0, Plant::NoCanary)],
        ..World::default()
    }) {
        assert_eq!(verdict.decision, Decision::Hold);
        assert!(
            matches!(verdict.reason, Reason::NoTraffic { .. }),
            "{}",
            verdict.summary
        );
        assert_eq!(verdict.causes[0].label, Label::NoTraffic);
        for policy in [
            OnUnproven::PromoteIfQuiet,
            OnUnproven::Hold,
            OnUnproven::Rollback,
        ] {
            assert!(matches!(
                at_stage_end(&verdict, policy),
                StageEnd::Hold { .. }
            ));
        }
    }
}

#[test]
fn a_proof_is_withdrawn_within_thirty_seconds_of_silence() {
    for plant in [Plant::NoCanary, Plant::Silence] {
        let world = World {
            plants: vec![(150, plant)],
            ..proved_world()
        };
        let verdicts = verdicts(&world);
        assert_eq!(
            verdicts[149].decision,
            Decision::Proceed,
            "{}",
            verdicts[149].summary
        );
        assert!(
            verdicts[181..].iter().all(|v| v.decision == Decision::Hold),
            "{plant:?}"
        );
    }
}

#[test]
fn lost_measurements_become_blind_and_the_plan_decides() {
    let world = World {
        plants: vec![(150, Plant::Silence)],
        ..proved_world()
    };
    let verdicts = verdicts(&world);
    assert!(matches!(verdicts[165].reason, Reason::MissingData { .. }));
    let rule = Blind::default();
    assert_eq!(when_blind(&verdicts[165], &rule), None);
    assert!(matches!(verdicts[280].reason, Reason::Blind { .. }));
    assert_eq!(verdicts[280].decision, Decision::Hold);
    assert_eq!(when_blind(&verdicts[280], &rule), Some(BlindThen::Rollback));
}

#[test]
fn a_handful_of_requests_is_too_little() {
    let world = World {
        rps: 2.0,
        share: 0.1,
        duration_s: 120,
        ..World::default()
    };
    let last = verdicts(&world).pop().expect("a verdict");
    assert_eq!(last.decision, Decision::Hold);
    assert!(!last.progress.floor_reached);
    assert!(matches!(
        at_stage_end(&last, OnUnproven::PromoteIfQuiet),
        StageEnd::Hold { .. }
    ));
}

#[test]
fn before_the_first_stage_there_is_nothing_to_say() {
    let judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let verdict = judge.verdict();
    assert_eq!(
        (verdict.decision, verdict.reason),
        (Decision::Hold, Reason::NotStarted)
    );
}

#[test]
fn requests_that_stable_answered_for_the_canary_void_the_comparison() {
    let world = World {
        duration_s: 60,
        ..World::default()
    };
    let mut judge = Judge::new(JudgeConfig::default(), stable(), canary());
    let mut traffic = world.traffic();
    for t in -world.pre_roll_s..world.duration_s {
        if t == 0 {
            judge.enter_stage(world.stage());
        }
        let mut second = traffic.second(t);
        for cell in second
            .cells
            .iter_mut()
            .filter(|c| c.cell.intended == canary() && t % 2 == 0)
        {
            cell.cell.served = Some(stable());
        }
        judge.tick(&second);
    }
    assert!(matches!(
        judge.verdict().reason,
        Reason::SplitMismatch { .. }
    ));
}
