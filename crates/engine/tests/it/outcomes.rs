//! Tasks that fail, and what is put back after them.

use crate::plans::{MINUTE, check, full, requested, short, sign_off, step};
use crate::world::{Answer, Script, World, deployed, prepared};
use esclusa_engine::{Command, Completion, complete};
use esclusa_model::{Millis, Outcome};
use esclusa_plan::Plan;
use esclusa_release::{Event, Phase, ReturnCause, Task, TaskEnd};

pub(crate) fn with(task: Task, answers: &[Answer]) -> Script {
    let mut script = Script::default();
    script.tasks.insert(task, answers.to_vec());
    script
}

pub(crate) fn ended(plan: Plan, script: Script) -> (World, Outcome, String) {
    let mut world = World::new(plan, script);
    let (outcome, reason) = world.finish();
    (world, outcome, reason)
}

/// A task that fails, how the release ends, why, and which undos run.
type Row = (Task, Answer, Outcome, &'static str, &'static [&'static str]);

// RBK-10, CAN-04: every task's failure, with its reason and what is undone.
#[test]
fn a_failing_task_ends_the_release_as_the_table_says() {
    use Outcome::{Refused, RolledBack};
    const ALL: &[&str] = &[
        "undo-after/1 done",
        "undo-after/0 done",
        "undo-before/2 done",
        "undo-before/1 done",
    ];
    const SMOKED: &[&str] = &[
        "undo-after/0 done",
        "undo-before/2 done",
        "undo-before/1 done",
    ];
    const BEFORE: &[&str] = &["undo-before/2 done", "undo-before/1 done"];
    let rows: &[Row] = &[
        (
            Task::Prepare,
            Answer::Fails("no such file"),
            Refused,
            "storing the version failed: no such file",
            &[],
        ),
        (
            Task::Prepare,
            Answer::Hangs,
            Refused,
            "storing the version took too long",
            &[],
        ),
        (
            Task::Check(0),
            Answer::Fails("connection refused"),
            Refused,
            "check \"database is up\" failed: connection refused",
            &[],
        ),
        (
            Task::Check(0),
            Answer::Unknown("no answer"),
            Refused,
            "check \"database is up\" unknown: no answer",
            &[],
        ),
        (
            Task::Check(0),
            Answer::Hangs,
            Refused,
            "check \"database is up\" took too long",
            &[],
        ),
        (
            Task::Before(0),
            Answer::Fails("exit 1"),
            Refused,
            "step \"backup\" failed: exit 1",
            &[],
        ),
        (
            Task::Before(1),
            Answer::Fails("exit 1"),
            Refused,
            "step \"migrate\" failed: exit 1",
            &["undo-before/1 done"],
        ),
        (
            Task::Before(1),
            Answer::Unknown("lost"),
            Refused,
            "step \"migrate\" unknown: lost",
            &["undo-before/1 done"],
        ),
        (
            Task::Before(2),
            Answer::Hangs,
            Refused,
            "step \"index\" took too long",
            BEFORE,
        ),
        (
            Task::Deploy,
            Answer::Fails("not ready"),
            Refused,
            "starting the new version failed: not ready",
            BEFORE,
        ),
        (
            Task::Deploy,
            Answer::Hangs,
            Refused,
            "starting the new version took too long",
            BEFORE,
        ),
        (
            Task::Check(2),
            Answer::Fails("503"),
            Refused,
            "check \"canary is healthy\" failed: 503",
            BEFORE,
        ),
        (
            Task::WarmUp(0),
            Answer::Fails("500"),
            Refused,
            "warm-up failed: 500",
            BEFORE,
        ),
        (
            Task::After(0),
            Answer::Fails("exit 2"),
            RolledBack,
            "step \"smoke\" failed: exit 2",
            SMOKED,
        ),
        (
            Task::After(1),
            Answer::Hangs,
            RolledBack,
            "step \"announce\" took too long",
            ALL,
        ),
        (
            Task::HandOver,
            Answer::Fails("worker did not stop"),
            RolledBack,
            "hand-over of workers failed: worker did not stop",
            ALL,
        ),
        (
            Task::RecordStable,
            Answer::Fails("disk full"),
            RolledBack,
            "recording the new stable version failed: disk full",
            ALL,
        ),
    ];
    for (task, answer, outcome, reason, undone) in rows {
        let (world, got, why) = ended(full(), with(*task, std::slice::from_ref(answer)));
        assert_eq!((got, why.as_str()), (*outcome, *reason), "{task}");
        assert_eq!(world.undone(), *undone, "{task}");
        let returning = world
            .journal
            .release
            .returning
            .as_ref()
            .expect("it went back");
        assert_eq!(returning.decision.cause, ReturnCause::Failure, "{task}");
        let started = |t| world.journal.release.tasks.contains_key(&t);
        assert_eq!(started(Task::StopCanary), started(Task::Deploy), "{task}");
        assert_eq!(started(Task::HandBack), started(Task::HandOver), "{task}");
        assert_eq!(
            started(Task::RestoreStable),
            started(Task::RecordStable),
            "{task}"
        );
    }
}

// Design 3.8: unknown is never a pass.
#[test]
fn a_check_that_cannot_be_asked_is_asked_again_and_may_then_pass() {
    let unknown = Answer::Unknown("timeout");
    let script = with(
        Task::Check(0),
        &[unknown.clone(), unknown.clone(), Answer::Done],
    );
    let (world, outcome, _) = ended(full(), script);
    assert_eq!(outcome, Outcome::Promoted);
    assert_eq!(world.journal.release.tasks[&Task::Check(0)].attempt, 3);

    let (world, outcome, _) = ended(full(), with(Task::Check(0), &[unknown]));
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(world.journal.release.tasks[&Task::Check(0)].attempt, 3);
    assert!(!world.journal.release.was_exposed);
}

#[test]
fn a_record_is_tried_again_with_growing_pauses() {
    let fails = Answer::Fails("database is locked");
    let script = with(
        Task::RecordStable,
        &[fails.clone(), fails.clone(), fails, Answer::Done],
    );
    let (world, outcome, _) = ended(full(), script);
    assert_eq!(outcome, Outcome::Promoted);
    let mut gaps = Vec::new();
    let mut ended_at = None;
    for (event, _, at) in &world.journal.log {
        match event {
            Event::TaskEnded {
                task: Task::RecordStable,
                ..
            } => ended_at = Some(*at),
            Event::TaskStarted {
                task: Task::RecordStable,
                ..
            } => {
                gaps.extend(ended_at.map(|ended| at.since(ended).as_secs()));
            }
            _ => {}
        }
    }
    assert_eq!(gaps, [1, 2, 4]);
}

// PIP-16 of the peers, design 3.10: half a version is refused.
#[test]
fn half_a_version_is_not_deployed() {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::Deploying);
    world.run_until(|w| w.journal.release.tasks.contains_key(&Task::Deploy));
    let Completion::Deployed { mut instances } = deployed() else {
        panic!()
    };
    instances.retain(|i| i.component.as_str() == "web");
    let half = Completion::Deployed { instances };
    let failed = |completion| match &complete(&world.journal.release, Task::Deploy, 1, completion)[..]
    {
        [
            Event::TaskEnded {
                end: TaskEnd::Failed { reason },
                ..
            },
        ] => reason.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(half), "component worker has no instance");
    let done = TaskEnd::Done {
        note: String::new(),
    };
    assert_eq!(
        failed(Completion::Ended(done)),
        "it was reported done without its result"
    );
    assert_eq!(
        failed(prepared()),
        "it was reported done with another task's result"
    );
    // Late, repeated and unknown ones change nothing.
    for (task, attempt) in [
        (Task::Deploy, 2),
        (Task::Deploy, 0),
        (Task::Prepare, 1),
        (Task::HandBack, 1),
    ] {
        assert_eq!(
            complete(&world.journal.release, task, attempt, deployed()),
            []
        );
    }
}

// CHK: people have their time, and no more.
#[test]
fn a_sign_off_that_does_not_come_refuses_the_release() {
    let plan = Plan {
        requires: vec![
            sign_off(&["tech-lead", "security"], Millis(3 * 60 * 60_000)),
            sign_off(&["dba"], MINUTE),
            check("database is up", false),
        ],
        before: vec![step("migrate", true)],
        ..short()
    };
    let script = Script {
        signs: false,
        ..Script::default()
    };
    let mut world = World::new(plan, script);
    world.run_for(Millis(30_000));
    let hold = world.journal.release.hold.clone().expect("it waits");
    assert_eq!(
        hold.reason,
        "waiting for sign-off by tech-lead, security, dba"
    );
    assert!(
        world.journal.release.task_end(Task::Check(0)).is_none(),
        "index 2 is the check"
    );
    assert!(
        world
            .journal
            .release
            .task_end(Task::Check(2))
            .is_some_and(TaskEnd::is_done)
    );
    let (outcome, reason) = world.finish();
    assert_eq!(
        (outcome, reason.as_str()),
        (Outcome::Refused, "no sign-off by dba within 1m")
    );
}

#[test]
fn the_wait_for_people_is_longer_than_a_hold() {
    let plan = Plan {
        requires: vec![sign_off(&["dba"], Millis(3 * 60 * 60_000))],
        ..short()
    };
    let script = Script {
        signs: false,
        ..Script::default()
    };
    let mut world = World::new(plan, script);
    world.run_for(Millis(2 * 60 * 60_000));
    let agreed = |role: &str| Command::SignOff {
        role: role.into(),
        comment: "ok".into(),
        items: Vec::new(),
        hands: vec!["ana".into()],
    };
    assert!(world.ask(&agreed("cto")).is_err());
    assert_eq!(world.ask(&agreed("dba")), Ok(1));
    assert_eq!(world.ask(&agreed("dba")), Ok(0));
    assert_eq!(world.finish().0, Outcome::Promoted);
}

#[test]
fn a_first_deployment_that_fails_late_leaves_nothing() {
    let mut first = requested(full());
    first.stable = None;
    let mut world = World::asked(
        first,
        with(Task::RecordStable, &[Answer::Fails("disk full")]),
    );
    assert_eq!(world.finish().0, Outcome::RolledBack);
    assert!(
        world
            .journal
            .release
            .task_end(Task::RestoreStable)
            .is_some()
    );
}
