//! What people ask, at every moment.

use crate::plans::{MINUTE, full, requested, short};
use crate::world::{Script, Speech, World};
use esclusa_engine::{Command, Opinion, StageEnd};
use esclusa_model::{Millis, Outcome};
use esclusa_plan::HoldThen;
use esclusa_release::{Event, Phase, ReturnCause, Task};

fn abort() -> Command {
    Command::Abort {
        reason: "it smells".into(),
    }
}

fn rollback() -> Command {
    Command::Rollback {
        reason: String::new(),
        can_return: Ok(()),
    }
}

/// All undos whose step had begun, last first.
fn undos_of_what_began(world: &World) -> Vec<String> {
    let plan = &world.journal.release.requested.plan;
    let began = |task| world.journal.release.tasks.contains_key(&task);
    let after =
        (0..plan.after.len()).filter(|i| plan.after[*i].undo.is_some() && began(Task::After(*i)));
    let before = (0..plan.before.len())
        .filter(|i| plan.before[*i].undo.is_some() && began(Task::Before(*i)));
    let mut undos: Vec<String> = before.map(|i| format!("undo-before/{i} done")).collect();
    undos.extend(after.map(|i| format!("undo-after/{i} done")));
    undos.reverse();
    undos
}

/// Runs to every event of a good release, asks, and runs to the end.
fn at_every_event(asked: &Command, check: impl Fn(&World, Phase, Outcome)) {
    let mut whole = World::new(full(), Script::default());
    whole.finish();
    let events = whole.journal.log.len();
    assert!(events > 40, "the plan has everything: {events}");
    let mut phases = std::collections::BTreeSet::new();
    for n in 1..=events {
        let mut world = World::new(full(), Script::default());
        world.run_to(n);
        if world.journal.log.len() > n {
            // In the middle of what is recorded at once.
            continue;
        }
        let phase = world.journal.release.phase;
        if phase == Phase::Promoted {
            continue;
        }
        phases.insert(phase);
        assert_eq!(world.ask(asked), Ok(1), "at event {n}");
        let (outcome, _) = world.finish();
        assert_eq!(world.undone(), undos_of_what_began(&world), "at event {n}");
        assert_eq!(world.shown.get(), 0);
        check(&world, phase, outcome);
    }
    // Preparing, preflight, before, deploying, canary checks, 6 stages, after, hand-over.
    assert_eq!(phases.len(), 13);
}

// RBK-01 (manual), EMG: from everywhere, and everything is put back.
#[test]
fn abort_works_at_every_moment() {
    at_every_event(&abort(), |world, phase, outcome| {
        assert_eq!(outcome, Outcome::Aborted, "{phase}");
        let returned = world.journal.release.returning.as_ref().expect("went back");
        assert_eq!(returned.decision.cause, ReturnCause::Person);
        assert_eq!(returned.decision.reason, "aborted by a person: it smells");
        assert_eq!(returned.from, phase);
    });
}

/// The phase behind this one on the whole way there and back. A new one does not compile
/// until it stands here, and is then aborted from like all others.
const fn behind(phase: Phase) -> Option<Phase> {
    Some(match phase {
        Phase::Preparing => Phase::Preflight,
        Phase::Preflight => Phase::Before,
        Phase::Before => Phase::Deploying,
        Phase::Deploying => Phase::CanaryChecks,
        Phase::CanaryChecks => Phase::Stage(0),
        Phase::Stage(5) => Phase::After,
        Phase::Stage(index) => Phase::Stage(index + 1),
        Phase::After => Phase::HandOver,
        Phase::HandOver => Phase::Promoted,
        Phase::Promoted => Phase::Lowering,
        Phase::Lowering => Phase::HandingBack,
        Phase::HandingBack => Phase::Stopping,
        Phase::Stopping => Phase::Undoing,
        Phase::Undoing => Phase::Ended,
        Phase::Ended => return None,
    })
}

// RBK-11, RBK-14: every phase there is, each with what an abort must come to.
#[test]
fn abort_from_every_phase() {
    let mut phase = Some(Phase::Preparing);
    while let Some(now) = phase {
        let mut world = World::new(full(), Script::default());
        if now.is_returning() {
            // The longest way back: everything had begun.
            let begun = |w: &World| w.journal.release.tasks.contains_key(&Task::HandOver);
            world.run_until(begun);
            assert_eq!(world.ask(&abort()), Ok(1));
        }
        world.run_until(|w| w.journal.release.phase == now);
        let asked = world.ask(&abort());
        let (outcome, reason) = world.finish();
        if now == Phase::Promoted {
            assert!(asked.is_err_and(|refused| refused.help.contains("release rollback")));
            assert_eq!(outcome, Outcome::Promoted);
            assert_eq!(world.ask(&rollback()), Ok(1));
            assert_eq!(world.finish().0, Outcome::RolledBack);
        } else if now == Phase::Ended {
            assert!(asked.is_err_and(|refused| refused.message.contains("is over: aborted")));
        } else {
            let decides = usize::from(!now.is_returning());
            assert_eq!(asked, Ok(decides), "{now}");
            let why = "aborted by a person: it smells".to_owned();
            assert_eq!((outcome, reason), (Outcome::Aborted, why), "{now}");
        }
        assert_eq!(world.undone(), undos_of_what_began(&world), "{now}");
        assert_eq!(world.shown.get(), 0, "{now}");
        let decided = |event: &Event| matches!(event, Event::ReturnDecided(_));
        let decisions = world.journal.log.iter().filter(|(e, ..)| decided(e));
        assert_eq!(decisions.count(), 1, "{now}");
        phase = behind(now);
    }
}

#[test]
fn rollback_works_at_every_moment() {
    at_every_event(&rollback(), |_, phase, outcome| {
        assert_eq!(outcome, Outcome::Aborted, "{phase}");
    });
}

#[test]
fn a_newer_release_takes_its_place_at_every_moment() {
    let newer = Command::Supersede { by: "2.4.2".into() };
    at_every_event(&newer, |world, _, outcome| {
        let exposed = world.journal.release.was_exposed;
        let expected = if exposed {
            Outcome::Aborted
        } else {
            Outcome::Refused
        };
        assert_eq!(outcome, expected);
        let ended = world.journal.release.ended.as_ref().expect("over");
        assert_eq!(ended.reason, "superseded by version 2.4.2");
    });
}

#[test]
fn the_first_decision_to_go_back_stands() {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::Stage(3));
    world.ask(&abort()).expect("under way");
    while world.journal.release.ended.is_none() {
        for again in [abort(), rollback(), Command::Supersede { by: "9".into() }] {
            assert_eq!(world.ask(&again), Ok(0));
        }
        for refused in [
            Command::Pause,
            Command::Resume,
            Command::Skip,
            Command::Promote,
        ] {
            assert!(world.ask(&refused).is_err(), "{refused:?}");
        }
        world.tick(usize::MAX);
    }
    // Nothing of it is left to take back, and nobody is told otherwise.
    for too_late in [abort(), rollback()] {
        let refused = world.ask(&too_late).expect_err("over");
        assert_eq!(refused.message, "the release is over: aborted");
    }
    assert_eq!(world.ask(&Command::Supersede { by: "9".into() }), Ok(0));
}

// RBK-14, TRF-09
#[test]
fn a_promoted_release_goes_back_while_the_version_before_is_warm() {
    let mut world = World::new(full(), Script::default());
    assert_eq!(world.finish().0, Outcome::Promoted);
    assert!(
        world
            .ask(&abort())
            .is_err_and(|e| e.help.contains("rollback"))
    );
    assert_eq!(world.ask(&Command::Supersede { by: "2.4.2".into() }), Ok(0));
    for refused in [
        Command::Pause,
        Command::Resume,
        Command::Skip,
        Command::Promote,
    ] {
        assert!(world.ask(&refused).is_err(), "{refused:?}");
    }
    let cold = Command::Rollback {
        reason: String::new(),
        can_return: Err("2.4.0 was stopped".into()),
    };
    let refused = world.ask(&cold).expect_err("nothing is warm");
    assert_eq!(
        refused.message,
        "there is nothing to return to: 2.4.0 was stopped"
    );
    assert_eq!(world.ask(&rollback()), Ok(1));
    assert_eq!(
        world.finish(),
        (Outcome::RolledBack, "rolled back by a person".into())
    );
    let order: Vec<&str> = world
        .done
        .iter()
        .map(|done| done.split(' ').next().expect("a word"))
        .skip_while(|done| *done != "restore-stable")
        .collect();
    assert_eq!(
        order,
        [
            "restore-stable",
            "hand-back",
            "stop-canary",
            "undo-after/1",
            "undo-after/0",
            "undo-before/2",
            "undo-before/1"
        ]
    );
}

#[test]
fn skip_passes_one_gate() {
    for stage in 0..6 {
        let mut world = World::new(full(), Script::default());
        world.run_until(|w| w.journal.release.phase == Phase::Stage(stage));
        let hold = Speech {
            at_end: StageEnd::Hold("more proof".into()),
            ..Speech::good()
        };
        world.script.judge.insert(stage, Some(hold));
        assert_eq!(world.ask(&Command::Skip), Ok(1));
        assert_eq!(world.ask(&Command::Skip), Ok(0));
        let asked_at = world.now;
        world.run_until(|w| w.journal.release.phase != Phase::Stage(stage));
        assert!(world.now.since(asked_at) < Millis(5_000), "stage {stage}");
        let next = world.journal.release.phase;
        assert_eq!(
            next,
            if stage == 5 {
                Phase::After
            } else {
                Phase::Stage(stage + 1)
            }
        );
        assert_eq!(world.finish().0, Outcome::PromotedEarly);
    }
}

// Design 5: 100 %, then its watch, then the steps; a person's haste does not drop the watch.
#[test]
fn promote_goes_to_the_last_stage_and_keeps_its_watch() {
    for stage in [0, 1, 3] {
        let mut world = World::new(full(), Script::default());
        world.run_until(|w| w.journal.release.phase == Phase::Stage(stage));
        world.ask(&Command::Pause).expect("under way");
        assert_eq!(world.ask(&Command::Promote), Ok(1));
        assert_eq!(world.ask(&Command::Promote), Ok(0));
        assert_eq!(
            world.finish().0,
            Outcome::PromotedEarly,
            "from stage {stage}"
        );
        let entered: Vec<usize> = world
            .journal
            .release
            .stages
            .iter()
            .map(|s| s.stage)
            .collect();
        assert_eq!(entered[entered.len() - 2..], [stage, 5]);
        let last = world.journal.release.stages.last().expect("entered");
        let watched = last
            .left_at
            .expect("left")
            .since(last.confirmed_at.expect("read back"));
        assert!(watched >= MINUTE);
    }
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::Stage(5));
    world.ask(&Command::Promote).expect("a stage is there");
    let asked_at = world.now;
    world.run_until(|w| w.journal.release.phase == Phase::After);
    assert!(
        world.now.since(asked_at) < Millis(5_000),
        "asked again, it passes the last gate too"
    );
}

#[test]
fn a_person_may_pass_where_nobody_can_see() {
    let mut plan = short();
    plan.judge.blind.then = esclusa_judge::BlindThen::Hold;
    plan.hold.then = HoldThen::Hold;
    let mut world = World::new(plan, Script::default());
    world.script.silent_for = Millis(10 * 60_000);
    world.run_for(Millis(5 * 60_000));
    assert_eq!(world.journal.release.phase, Phase::Stage(0));
    world.ask(&Command::Promote).expect("a stage is there");
    world.run_until(|w| w.journal.release.phase == Phase::Stage(1));
    world.ask(&Command::Skip).expect("a stage is there");
    assert_eq!(world.finish().0, Outcome::PromotedEarly);
}

#[test]
fn a_judge_that_finds_harm_beats_a_person_in_haste() {
    let mut world = World::new(short(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::Stage(0));
    let harm = Speech {
        opinion: Opinion::Rollback,
        ..Speech::bad()
    };
    world.script.judge.insert(0, Some(harm));
    world.ask(&Command::Promote).expect("a stage is there");
    assert_eq!(world.finish().0, Outcome::RolledBack);
}

#[test]
fn nothing_is_passed_before_the_first_stage() {
    let mut world = World::new(full(), Script::default());
    for command in [Command::Skip, Command::Promote] {
        assert!(
            world
                .ask(&command)
                .is_err_and(|e| e.message.contains("preparing"))
        );
    }
    let asks = |event: &Event| matches!(event, Event::Skipped(_) | Event::PromoteAsked(_));
    assert!(!world.journal.log.iter().any(|(e, ..)| asks(e)));
    assert_eq!(world.finish().0, Outcome::Promoted);
}

#[test]
fn abort_of_a_first_deployment_leaves_nothing_behind() {
    for phase in [
        Phase::Deploying,
        Phase::Stage(5),
        Phase::After,
        Phase::HandOver,
    ] {
        let mut first = requested(full());
        first.stable = None;
        let mut world = World::asked(first, Script::default());
        world.run_until(|w| w.journal.release.phase == phase);
        world.ask(&abort()).expect("under way");
        assert_eq!(world.finish().0, Outcome::Aborted, "{phase}");
    }
}

// EMG-01, RBK-02: a kill ends a release wherever it stands before its end, and is never refused.
#[test]
fn a_kill_of_its_flags_ends_a_release_at_every_moment() {
    let flags = ["exec-reports".to_owned()];
    let mut whole = World::new(full(), Script::default());
    whole.finish();
    for n in 1..=whole.journal.log.len() {
        let mut world = World::new(full(), Script::default());
        world.run_to(n);
        if world.journal.log.len() > n {
            continue;
        }
        let release = &world.journal.release;
        let Some(asked) = Command::for_kill(release, Some(&flags), "errors") else {
            // Its flags are everybody's by then.
            assert!(release.phase.is_final());
            continue;
        };
        let reason = "exec-reports was killed: errors".to_owned();
        assert_eq!(asked, Command::Abort { reason });
        assert_eq!(world.ask(&asked), Ok(1), "at event {n}");
        // Once is enough.
        assert_eq!(Command::for_kill(&world.journal.release, None, ""), None);
        assert_eq!(world.finish().0, Outcome::Aborted, "at event {n}");
    }
}
