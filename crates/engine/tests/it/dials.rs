//! Dials that do not do what they are told, and proxies that act by themselves.

use crate::plans::{MINUTE, full, short};
use crate::words::transcript;
use crate::world::{Dial, Script, World, reading};
use esclusa_engine::Command;
use esclusa_model::{BasisPoints, Millis, Outcome, Timestamp};
use esclusa_plan::{DIAL_LIMIT, Plan};
use esclusa_release::{Event, Phase, ReturnCause};

fn dial(dial: Dial) -> World {
    World::new(
        short(),
        Script {
            dial,
            ..Script::default()
        },
    )
}

#[test]
fn a_dial_that_does_not_rise_takes_it_back() {
    let mut world = dial(Dial::NotAbove(0));
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(reason, "the proxy dial did not reach 5% within 2m: read 0%");

    let mut world = World::new(
        full(),
        Script {
            dial: Dial::NotAbove(500),
            ..Script::default()
        },
    );
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(
        reason,
        "the proxy dial did not reach 25% and segment team within 2m: read 5%"
    );
}

// RBK-13, design 6.1: the page names the dial that would not move.
#[test]
fn a_dial_that_does_not_fall_is_named() {
    let mut world = dial(Dial::NotBelow(500));
    world.run_until(|w| w.journal.release.phase == Phase::Stage(1));
    let abort = Command::Abort {
        reason: String::new(),
    };
    world.ask(&abort).expect("under way");
    let asked_at = world.now;
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert_eq!(
        reason,
        "the proxy dial of checkout did not go back to 0% within 2m: read 5% \
         (going back because: aborted by a person)"
    );
    assert!(world.now.since(asked_at) <= Millis(DIAL_LIMIT.0 + 5_000));
    let stopped = world
        .done
        .iter()
        .any(|done| done.starts_with("stop-canary"));
    assert!(!stopped, "users may still be there");
}

/// The plan says how long a dial may take, up and back.
#[test]
fn a_plan_gives_its_dial_more_or_less_time() {
    let plan = Plan {
        dial_timeout: Millis(20_000),
        ..short()
    };
    let script = Script {
        dial: Dial::Mute,
        ..Script::default()
    };
    let mut world = World::new(plan, script);
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert_eq!(
        reason,
        "the proxy dial of checkout did not go back to 0% within 20s: no reading \
         (going back because: the proxy dial did not reach 5% within 20s: no reading)"
    );
}

#[test]
fn a_dial_nobody_can_read_is_not_trusted() {
    let mut world = dial(Dial::Mute);
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert_eq!(
        reason,
        "the proxy dial of checkout did not go back to 0% within 2m: no reading \
         (going back because: the proxy dial did not reach 5% within 2m: no reading)"
    );
}

#[test]
fn a_dial_that_shows_too_much_takes_it_back() {
    let mut world = dial(Dial::Over(51));
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(
        reason,
        "the proxy dial shows 5.51% where 5% was asked for: read 5.51%"
    );
    // One step of a coarse dial is not too much.
    assert_eq!(dial(Dial::Over(39)).finish().0, Outcome::Promoted);
}

#[test]
fn a_dial_turned_down_by_hand_holds_until_it_is_back() {
    let mut world = dial(Dial::Obeys);
    world.run_until(|w| w.journal.release.dial_confirmed());
    world.script.dial = Dial::Shows(0);
    world.run_for(Millis(5 * 60_000));
    let hold = world.journal.release.hold.clone().expect("it holds");
    assert_eq!(
        hold.reason,
        "the proxy dial no longer shows what was asked for: 0% instead of 5%: read 0%"
    );
    assert_eq!(world.journal.release.phase, Phase::Stage(0));
    world.script.dial = Dial::Obeys;
    assert_eq!(world.finish().0, Outcome::Promoted);

    // The same between 100 % and the end: nobody is promoted whom nobody uses.
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::After);
    world.script.dial = Dial::Shows(0);
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert!(
        reason.starts_with("held for more than 30m: the proxy dial no longer"),
        "{reason}"
    );
}

/// A reading of the stage before, or of another exposure, proves nothing.
#[test]
fn an_old_reading_confirms_nothing() {
    let mut world = dial(Dial::Mute);
    world.run_until(|w| w.journal.release.phase == Phase::Stage(0));
    let release = &world.journal.release;
    let (asked, since) = (release.exposure(), release.exposure_since);
    let five = asked.share;
    let mut other = asked.clone();
    other.segments.push("team".into());
    for (asked, at) in [(asked, Timestamp(since.0 - 1)), (other, since)] {
        let mut observed = world.observed();
        observed.dial = Some(reading(asked, five, at));
        world.journal.settle(&observed);
        assert!(!world.journal.release.dial_confirmed());
    }
}

/// Nobody looked for a while: what has arrived meanwhile has arrived.
#[test]
fn a_late_look_at_a_dial_that_arrived_is_no_failure() {
    let mut world = dial(Dial::Mute);
    world.run_until(|w| w.journal.release.phase == Phase::Stage(0));
    let asked = world.journal.release.exposure();
    let mut observed = world.observed();
    observed.now = observed.now.plus(DIAL_LIMIT).plus(MINUTE);
    let five = asked.share;
    observed.dial = Some(reading(asked, five, observed.now));
    world.journal.settle(&observed);
    assert!(world.journal.release.dial_confirmed());
    assert_eq!(world.journal.release.phase, Phase::Stage(0));
}

/// A restart after a long absence: nobody turned the dial meanwhile.
#[test]
fn a_dial_has_its_whole_time_after_a_restart() {
    for returning in [false, true] {
        let mut world = dial(Dial::Obeys);
        world.run_until(|w| w.journal.release.phase == Phase::Stage(0));
        if returning {
            world.run_until(|w| w.journal.release.dial_confirmed());
            world
                .ask(&Command::Abort {
                    reason: String::new(),
                })
                .expect("under way");
        }
        world.crash(Millis(60 * 60_000));
        let expected = if returning {
            Outcome::Aborted
        } else {
            Outcome::Promoted
        };
        assert_eq!(world.finish().0, expected);
    }
}

fn left_alone() -> World {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| {
        w.journal.release.phase == Phase::Stage(4) && w.journal.release.dial_confirmed()
    });
    world.script.returned_by_proxy = true;
    world.run_for(Millis(10_000));
    assert!(world.journal.release.exposure().is_nobody());
    assert_eq!(world.shown, BasisPoints::ZERO);
    world
}

// Design 3.6: held for a person, never raised again by itself.
#[test]
fn a_share_returned_by_a_proxy_waits_for_a_person() {
    let mut world = left_alone();
    world.run_for(Millis(10 * 60_000));
    world.crash(MINUTE);
    world.run_for(MINUTE);
    assert_eq!(world.journal.release.phase, Phase::Stage(4));
    assert!(world.journal.release.exposure().is_nobody());
    assert!(world.journal.release.hold.is_some());
    assert!(
        world.ask(&Command::Promote).is_err(),
        "first expose, then pass"
    );
    assert!(world.ask(&Command::Skip).is_err());
    assert_eq!(world.ask(&Command::Resume), Ok(1));
    assert_eq!(world.ask(&Command::Resume), Ok(0));
    let resumed_at = world.now;
    assert!(!world.journal.release.exposure().is_nobody());
    world.run_until(|w| w.journal.release.phase == Phase::Stage(5));
    let left_at = world.journal.release.stages[4].left_at.expect("left");
    assert!(left_at.since(resumed_at) >= MINUTE, "its watch begins anew");
    assert_eq!(world.finish().0, Outcome::Promoted);
}

#[test]
fn a_share_returned_by_a_proxy_in_words() {
    let mut world = left_alone();
    let from = world
        .journal
        .log
        .iter()
        .rposition(|(e, ..)| matches!(e, Event::Advanced { .. }));
    world.run_for(MINUTE);
    world.ask(&Command::Resume).expect("it is held");
    world.run_for(MINUTE);
    world.journal.log.drain(..from.expect("it advanced"));
    insta::assert_snapshot!(transcript(&world));
}

#[test]
fn nobody_resumes_and_it_goes_back() {
    let mut world = left_alone();
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert!(
        reason.starts_with("held for more than 30m: a proxy lost its controller"),
        "{reason}"
    );
    let mut world = left_alone();
    world
        .ask(&Command::Abort {
            reason: "enough".into(),
        })
        .expect("under way");
    assert_eq!(
        world.finish(),
        (Outcome::Aborted, "aborted by a person: enough".into())
    );
}

/// One of two proxies returned the share, the other keeps it whatever it is told.
#[test]
fn a_return_that_is_not_carried_through_goes_back() {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| {
        w.journal.release.phase == Phase::Stage(4) && w.journal.release.dial_confirmed()
    });
    world.script.dial = Dial::NotBelow(500);
    world.script.returned_by_proxy = true;
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RollbackFailed);
    assert!(reason.contains("did not reach 0% within 2m"), "{reason}");
    let cause = world
        .journal
        .release
        .returning
        .as_ref()
        .map(|r| r.decision.cause);
    assert_eq!(cause, Some(ReturnCause::Failure));
}
