//! The way back itself: in order, alone, and named where it fails.

use crate::outcomes::{ended, with};
use crate::plans::full;
use crate::world::{Answer, World};
use esclusa_engine::{CANCEL_LIMIT, Command};
use esclusa_model::{Millis, Outcome};
use esclusa_release::{Task, TaskEnd};

#[test]
fn a_version_that_is_not_recorded_as_before_again_is_not_stopped() {
    let mut world = World::new(
        full(),
        with(Task::RestoreStable, &[Answer::Fails("disk full")]),
    );
    world.finish();
    let rollback = Command::Rollback {
        reason: String::new(),
        can_return: Ok(()),
    };
    world.ask(&rollback).expect("it is promoted");
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert!(
        reason.contains("recording the version before as stable failed: disk full"),
        "{reason}"
    );
    assert!(!world.journal.release.tasks.contains_key(&Task::StopCanary));
}

// RBK-13: what could not be put back is named, and what depends on it is left alone.
#[test]
fn a_failing_undo_is_named_and_later_undos_do_not_run() {
    let mut script = with(Task::UndoBefore(2), &[Answer::Fails("table is locked")]);
    script
        .tasks
        .insert(Task::After(0), vec![Answer::Fails("exit 2")]);
    let (world, outcome, reason) = ended(full(), script);
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert_eq!(
        reason,
        "step \"smoke\" failed: exit 2; nobody is exposed, but \
         undo of step \"index\" failed: table is locked"
    );
    assert_eq!(
        world.undone(),
        ["undo-after/0 done", "undo-before/2 failed: table is locked"]
    );
    assert!(
        world
            .journal
            .release
            .task_end(Task::StopCanary)
            .is_some_and(TaskEnd::is_done)
    );
}

#[test]
fn workers_or_instances_that_do_not_come_back_are_named() {
    for (task, end, words) in [
        (
            Task::HandBack,
            Answer::Unknown("no reply"),
            "handing workers back unknown: no reply",
        ),
        (
            Task::StopCanary,
            Answer::Unknown("no reply"),
            "stopping the new version unknown: no reply",
        ),
        (
            Task::StopCanary,
            Answer::Hangs,
            "stopping the new version took too long",
        ),
    ] {
        let mut script = with(task, &[end]);
        script
            .tasks
            .insert(Task::HandOver, vec![Answer::Fails("stuck")]);
        let (world, outcome, reason) = ended(full(), script);
        assert_eq!(outcome, Outcome::RollbackFailed, "{task}");
        assert!(reason.contains(words), "{reason}");
        assert_eq!(world.undone().len(), 4, "the undos run nevertheless");
    }
}

#[test]
fn nothing_is_undone_beside_work_that_still_runs() {
    let abort = Command::Abort {
        reason: String::new(),
    };
    let mut world = World::new(full(), with(Task::Before(1), &[Answer::Hangs]));
    world.run_until(|w| w.journal.release.tasks.contains_key(&Task::Before(1)));
    world.run_for(Millis(2_000));
    world.ask(&abort).expect("it is under way");
    let decided_at = world.now;
    world.script.cancelled_for = Some(Millis(20_000));
    assert_eq!(world.finish().0, Outcome::Aborted);
    assert_eq!(
        world.undone(),
        ["undo-before/1 done"],
        "a cancelled step that began is undone"
    );
    let began = world.journal.release.tasks[&Task::UndoBefore(1)].started_at;
    assert!(began.since(decided_at) >= Millis(20_000));
    assert_eq!(
        world.journal.release.task_end(Task::Before(1)),
        Some(&TaskEnd::Cancelled)
    );
}

#[test]
fn work_that_cannot_be_cancelled_needs_a_person() {
    let mut script = with(Task::Before(1), &[Answer::Hangs]);
    script.cancelled_for = None;
    let (world, outcome, reason) = ended(full(), script);
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert_eq!(
        reason,
        format!(
            "cancelled work did not end within {CANCEL_LIMIT}, so nothing more was undone \
             (going back because: step \"migrate\" took too long)"
        )
    );
    assert!(world.undone().is_empty());
}
