//! A shell that dies between any two events, and begins anew from what is stored.

use crate::plans::full;
use crate::world::{Answer, Script, Speech, World};
use esclusa_engine::Command;
use esclusa_model::{Millis, Outcome};
use esclusa_release::{Event, Task};

/// Where it went and how it ended, without times and attempts.
fn course(world: &World) -> Vec<String> {
    world
        .journal
        .log
        .iter()
        .filter_map(|(event, ..)| match event {
            Event::Advanced { to, .. } => Some(to.to_string()),
            Event::ReturnDecided(returned) => Some(format!("back: {}", returned.reason)),
            Event::Ended { outcome, reason } => Some(format!("{outcome}: {reason}")),
            _ => None,
        })
        .collect()
}

/// `begin` makes the world, `steer` is a person who comes back after a crash.
fn same_end_wherever_it_dies(begin: impl Fn() -> World, steer: impl Fn(&mut World)) {
    let mut whole = begin();
    steer(&mut whole);
    whole.finish();
    let events = whole.journal.log.len();
    for downtime in [Millis::ZERO, Millis(45 * 60_000)] {
        for n in 1..events {
            let mut world = begin();
            world.run_to(n);
            // Also between events of one batch, though a store keeps those together.
            world.journal.log.truncate(n);
            world.crash(downtime);
            steer(&mut world);
            world.finish();
            assert_eq!(
                course(&world),
                course(&whole),
                "died after event {n} for {downtime}"
            );
        }
    }
}

// Design 3.5, mission 1: crash anywhere, start again, same end.
#[test]
fn a_good_release_ends_the_same_wherever_the_shell_dies() {
    same_end_wherever_it_dies(|| World::new(full(), Script::default()), |_| {});
}

#[test]
fn a_bad_release_comes_back_wherever_the_shell_dies() {
    let mut script = Script::default();
    script.judge.insert(3, Some(Speech::bad()));
    same_end_wherever_it_dies(|| World::new(full(), script.clone()), |_| {});
}

#[test]
fn a_late_failure_is_undone_wherever_the_shell_dies() {
    let mut script = Script::default();
    script
        .tasks
        .insert(Task::HandOver, vec![Answer::Fails("worker did not stop")]);
    same_end_wherever_it_dies(|| World::new(full(), script.clone()), |_| {});
}

#[test]
fn a_failed_undo_is_reported_wherever_the_shell_dies() {
    let mut script = Script::default();
    script
        .tasks
        .insert(Task::After(1), vec![Answer::Fails("exit 2")]);
    script
        .tasks
        .insert(Task::UndoBefore(2), vec![Answer::Fails("locked")]);
    same_end_wherever_it_dies(|| World::new(full(), script.clone()), |_| {});
}

#[test]
fn a_promoted_release_goes_back_wherever_the_shell_dies() {
    let promoted = |w: &World| w.journal.release.ended.is_some();
    same_end_wherever_it_dies(
        || World::new(full(), Script::default()),
        |world| {
            if world.journal.release.returning.is_none() {
                world.run_until(promoted);
                let rollback = Command::Rollback {
                    reason: String::new(),
                    can_return: Ok(()),
                };
                world.ask(&rollback).expect("warm");
            }
        },
    );
}

/// A shell that dies again and again, after each event it records.
#[test]
fn a_shell_that_dies_all_the_time_still_arrives() {
    let mut world = World::new(full(), Script::default());
    while world.journal.release.ended.is_none() {
        let next = world.journal.log.len() + 1;
        world.run_to(next);
        world.crash(Millis(1_000));
    }
    assert_eq!(world.finish().0, Outcome::Promoted);
}
