//! A person stops the advance.

use crate::plans::{MINUTE, full, short};
use crate::world::{Answer, Script, Speech, World};
use esclusa_engine::{Command, StageEnd};
use esclusa_model::{Millis, Outcome};
use esclusa_release::{Event, Phase, Task};

// A pause stops the next thing in every phase; what failed still goes back.
#[test]
fn a_pause_holds_every_phase_and_has_a_deadline() {
    let phases = [
        Phase::Preparing,
        Phase::Preflight,
        Phase::Before,
        Phase::Deploying,
        Phase::CanaryChecks,
        Phase::Stage(0),
        Phase::Stage(1),
        Phase::Stage(3),
        Phase::Stage(5),
        Phase::After,
        Phase::HandOver,
    ];
    for phase in phases {
        let mut world = World::new(full(), Script::default());
        world.run_until(|w| w.journal.release.phase == phase);
        assert_eq!(world.ask(&Command::Pause), Ok(1));
        assert_eq!(world.ask(&Command::Pause), Ok(0));
        world.run_for(Millis(10 * 60_000));
        assert_eq!(
            world.journal.release.phase, phase,
            "it went on from {phase}"
        );
        let hold = world
            .journal
            .release
            .hold
            .as_ref()
            .map(|h| h.reason.as_str());
        assert_eq!(hold, Some("paused by a person"));
        assert_eq!(world.ask(&Command::Resume), Ok(1));
        assert_eq!(world.ask(&Command::Resume), Ok(0));
        assert_eq!(world.finish().0, Outcome::Promoted, "from {phase}");

        let mut world = World::new(full(), Script::default());
        world.run_until(|w| w.journal.release.phase == phase);
        world.ask(&Command::Pause).expect("under way");
        let (outcome, reason) = world.finish();
        let exposed = world.journal.release.was_exposed;
        assert_eq!(
            outcome,
            if exposed {
                Outcome::RolledBack
            } else {
                Outcome::Refused
            }
        );
        assert_eq!(reason, "held for more than 30m: paused by a person");
    }
}

#[test]
fn a_paused_release_is_still_judged() {
    let mut world = World::new(short(), Script::default());
    world.run_until(|w| w.journal.release.dial_confirmed());
    world.ask(&Command::Pause).expect("under way");
    world.run_for(MINUTE);
    world.script.judge.insert(0, Some(Speech::bad()));
    assert_eq!(
        world.finish(),
        (Outcome::RolledBack, Speech::bad().words.into())
    );

    let mut world = World::new(full(), Script::default());
    world
        .script
        .tasks
        .insert(Task::Before(1), vec![Answer::Fails("exit 1")]);
    world.run_until(|w| w.journal.release.tasks.contains_key(&Task::Before(1)));
    world.ask(&Command::Pause).expect("under way");
    assert_eq!(world.finish().1, "step \"migrate\" failed: exit 1");
}

/// A person's hand starts the hold's time anew, on both ends of a pause.
#[test]
fn a_pause_and_a_hold_have_each_their_time() {
    let mut world = World::new(short(), Script::default());
    let hold = Speech {
        at_end: StageEnd::Hold("too few requests".into()),
        ..Speech::good()
    };
    world.script.judge.insert(0, Some(hold));
    for command in [
        Command::Pause,
        Command::Resume,
        Command::Pause,
        Command::Resume,
    ] {
        world.run_for(Millis(25 * 60_000));
        assert_eq!(world.journal.release.phase, Phase::Stage(0));
        world.ask(&command).expect("under way");
    }
    world.script.judge.clear();
    assert_eq!(world.finish().0, Outcome::Promoted);
}

/// Wherever the pause comes, nothing begins after it; what runs may end.
#[test]
fn nothing_begins_after_a_pause() {
    let mut whole = World::new(full(), Script::default());
    whole.finish();
    for n in 1..whole.journal.log.len() - 2 {
        let mut world = World::new(full(), Script::default());
        world.run_to(n);
        world.ask(&Command::Pause).expect("under way");
        let from = world.journal.log.len();
        world.run_for(Millis(5 * 60_000));
        for (event, ..) in &world.journal.log[from..] {
            let begins = matches!(event, Event::TaskStarted { .. } | Event::Advanced { .. });
            assert!(!begins, "{event:?} after a pause at event {n}");
        }
    }
}
