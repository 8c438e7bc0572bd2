//! A good version goes all the way.

use crate::plans::{full, requested, short};
use crate::words::transcript;
use crate::world::{Script, Speech, World};
use esclusa_engine::{Command, Opinion, StageEnd};
use esclusa_model::{BasisPoints, Outcome};
use esclusa_plan::Plan;
use esclusa_release::{Event, Phase, Task};

// CAN-01, CAN-05, CAN-07, CAN-13, CAN-15, PIP-08
#[test]
fn a_good_version_reaches_everybody() {
    let mut world = World::new(full(), Script::default());
    let (outcome, _) = world.finish();
    assert_eq!(outcome, Outcome::Promoted);
    assert_eq!(world.shown, BasisPoints::FULL);
    insta::assert_snapshot!(transcript(&world));
}

// RBK-11, RBK-12
#[test]
fn a_promoted_version_goes_back_in_reverse_order() {
    let mut world = World::new(full(), Script::default());
    world.finish();
    let from = world.journal.log.len();
    let rollback = Command::Rollback {
        reason: "orders are lost".into(),
        can_return: Ok(()),
    };
    assert_eq!(world.ask(&rollback), Ok(1));
    assert_eq!(world.finish().0, Outcome::RolledBack);
    world.journal.log.drain(..from);
    insta::assert_snapshot!(transcript(&world));
}

#[test]
fn a_first_deployment_goes_straight_to_everybody() {
    let mut first = requested(full());
    first.stable = None;
    let mut world = World::asked(first, Script::default());
    // Nothing to compare with and no traffic: whoever speaks for the judge says so.
    let silent = Speech {
        opinion: Opinion::Hold,
        at_end: StageEnd::Advance("nothing to compare with, no limit is broken".into()),
        code: "first",
        words: "no stable version, no requests yet",
    };
    world.script.judge.insert(5, Some(silent));
    assert_eq!(world.finish().0, Outcome::Promoted);
    let entered: Vec<usize> = world
        .journal
        .release
        .stages
        .iter()
        .map(|s| s.stage)
        .collect();
    assert_eq!(entered, [5]);
    let refused = world.ask(&Command::Rollback {
        reason: String::new(),
        can_return: Ok(()),
    });
    assert!(refused.is_err_and(|e| e.message.contains("first deployment")));
}

#[test]
fn a_plan_with_nothing_but_shares_is_enough() {
    let mut world = World::new(short(), Script::default());
    assert_eq!(world.finish().0, Outcome::Promoted);
    let checks_asked = world.journal.log.iter().any(|(event, ..)| {
        matches!(event, Event::Advanced { why, .. } if why == "no checks were asked for")
    });
    assert!(checks_asked, "zero checks are not reported as passed");
}

#[test]
fn a_plan_without_stages_is_refused() {
    let plan = Plan {
        stages: Vec::new(),
        ..short()
    };
    let (outcome, reason) = World::new(plan, Script::default()).finish();
    assert_eq!(
        (outcome, reason.as_str()),
        (Outcome::Refused, "the plan has no stages")
    );
}

// Design 6.1: raising exposure waits for its durable event.
#[test]
fn the_share_grows_only_by_recorded_steps() {
    let mut world = World::new(full(), Script::default());
    let mut asked = Vec::new();
    world.finish();
    let mut release = crate::journal::replay(&world.journal.log[..1]);
    for (event, by, at) in &world.journal.log[1..] {
        release.apply(event, by, *at).expect("accepted once");
        let exposure = release.exposure();
        if asked.last() != Some(&exposure) {
            asked.push(exposure);
        }
    }
    let shares: Vec<u16> = asked.iter().map(|e| e.share.get()).collect();
    assert_eq!(shares, [0, 0, 100, 500, 2_500, 10_000]);
    assert!(
        asked[1..5].iter().all(|e| e.segments == ["team"]),
        "nobody loses it on the way up"
    );
    assert_eq!(release.phase, Phase::Promoted);
    assert!(release.task_end(Task::RecordStable).is_some());
}
