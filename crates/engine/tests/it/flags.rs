//! Releases that turn flags: with a version, or alone.

use crate::outcomes::with;
use crate::plans::{full, requested, share, short, step};
use crate::words::transcript;
use crate::world::{Answer, Script, World};
use esclusa_engine::{Command, desired};
use esclusa_model::{BasisPoints, Outcome};
use esclusa_plan::{FlagTurn, FlagTurns, Plan};
use esclusa_release::{Event, Phase, Task};

fn flags() -> FlagTurns {
    FlagTurns {
        set: vec![FlagTurn {
            flag: "exec-reports".into(),
            variant: "on".into(),
        }],
        environment: "production".into(),
        of: None,
        allow_on: false,
    }
}

fn alone() -> Plan {
    let mut plan = short();
    plan.components.clear();
    plan.flags = Some(flags());
    plan.before = vec![step("announce", true)];
    plan
}

fn began(world: &World) -> Vec<Task> {
    let log = world.journal.log.iter();
    log.filter_map(|(event, ..)| match event {
        Event::TaskStarted { task, .. } => Some(*task),
        _ => None,
    })
    .collect()
}

fn rollback() -> Command {
    Command::Rollback {
        reason: "reports are empty".into(),
        can_return: Ok(()),
    }
}

// ROL-04, ROL-06, FLAG-09: nothing is started, moved or stopped; the set has it at the end.
#[test]
fn flags_alone_reach_everybody_and_touch_no_version() {
    let mut world = World::new(alone(), Script::default());
    assert_eq!(world.finish().0, Outcome::Promoted);
    assert_eq!(
        began(&world),
        [Task::Prepare, Task::Before(0), Task::RecordFlags]
    );
    assert!(world.journal.release.flags_are_recorded());
    insta::assert_snapshot!(transcript(&world));
    // And out of the set again, within keep-warm, though no version was there before.
    assert_eq!(world.ask(&rollback()), Ok(1));
    assert_eq!(world.finish().0, Outcome::RolledBack);
    let back = began(&world).split_off(3);
    assert_eq!(back, [Task::RestoreFlags, Task::UndoBefore(0)]);
}

// ROL-02: where there is no version either, stages are gone through all the same.
#[test]
fn flags_alone_need_no_stable_version_and_may_stay_with_some() {
    let mut plan = alone();
    plan.stages = vec![share(5), share(25)];
    let mut first = requested(plan);
    first.stable = None;
    let mut world = World::asked(first, Script::default());
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::Promoted);
    assert_eq!(
        reason,
        "exec-reports on for 25%, through all gates; the flag set has it"
    );
    let entered = world.journal.release.stages.iter().map(|s| s.stage);
    assert_eq!(entered.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(world.shown, BasisPoints::new(2_500).expect("a share"));
}

// Trap 27: a set that cannot be changed is tried again, then everybody is without it.
#[test]
fn flags_that_cannot_be_recorded_are_tried_again_and_then_go_back() {
    let down = Answer::Fails("the disk is full");
    let answers = [down.clone(), down.clone(), down.clone(), Answer::Done];
    let mut world = World::new(alone(), with(Task::RecordFlags, &answers));
    assert_eq!(world.finish().0, Outcome::Promoted);
    let tries = began(&world)
        .into_iter()
        .filter(|t| *t == Task::RecordFlags);
    assert_eq!(tries.count(), 4);
    let mut world = World::new(alone(), with(Task::RecordFlags, &[down]));
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert!(
        reason.contains("recording the flags in the flag set"),
        "{reason}"
    );
    assert_eq!(world.shown, BasisPoints::ZERO);
    assert!(began(&world).contains(&Task::RestoreFlags));
}

// FLAG-09: with a version, the flags come after it and go before it.
#[test]
fn flags_with_a_version_are_recorded_last_and_restored_first() {
    let plan = Plan {
        flags: Some(flags()),
        ..full()
    };
    let mut world = World::new(plan, Script::default());
    assert_eq!(world.finish().0, Outcome::Promoted);
    let forward = began(&world);
    let tail = [Task::HandOver, Task::RecordStable, Task::RecordFlags];
    assert!(forward.ends_with(&tail), "{forward:?}");
    assert_eq!(world.ask(&rollback()), Ok(1));
    assert_eq!(world.finish().0, Outcome::RolledBack);
    let back = began(&world).split_off(forward.len());
    assert_eq!(back[..2], [Task::RestoreFlags, Task::RestoreStable]);
    assert!(back.contains(&Task::StopCanary));
}

// Design 6.1: what the set may still have is not to be seen from the decision on.
#[test]
fn going_back_withdraws_the_change_before_it_is_recorded() {
    let mut world = World::new(alone(), Script::default());
    world.finish();
    let patch = esclusa_flags::Patch {
        revision: 1,
        changes: Vec::new(),
    };
    let mut release = crate::journal::replay(&world.journal.log[..1]);
    for (event, by, at) in &world.journal.log[1..] {
        if matches!(
            event,
            Event::TaskEnded {
                task: Task::RecordFlags,
                ..
            }
        ) {
            let change = Event::FlagsChange {
                patch: patch.clone(),
            };
            release.apply(&change, by, *at).expect("in hand-over");
        }
        release.apply(event, by, *at).expect("accepted once");
    }
    assert_eq!(
        (release.phase, release.withdrawn_flags()),
        (Phase::Promoted, None)
    );
    assert!(desired(&release).exposure.share == BasisPoints::FULL);
    let events = esclusa_engine::command(&release, &rollback()).expect("goes back");
    let by = release.requested_by.clone();
    release.apply(&events[0], &by, world.now).expect("follows");
    assert_eq!(release.withdrawn_flags(), Some(&patch));
    assert!(desired(&release).exposure.is_nobody() && !release.flags_are_recorded());
    let restored = [
        Event::TaskStarted {
            task: Task::RestoreFlags,
            attempt: 1,
        },
        Event::TaskEnded {
            task: Task::RestoreFlags,
            attempt: 1,
            end: esclusa_release::TaskEnd::Done {
                note: String::new(),
            },
        },
    ];
    for event in &restored {
        release.apply(event, &by, world.now).expect("follows");
    }
    assert_eq!(release.withdrawn_flags(), None);
}
