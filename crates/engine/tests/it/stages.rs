//! The gate of a stage: judge, limits, holds, budgets, blindness.

use crate::plans::{MINUTE, full, share, short};
use crate::words::transcript;
use crate::world::{Script, Speech, World};
use esclusa_engine::{Command, Opinion, StageEnd};
use esclusa_judge::BlindThen;
use esclusa_model::{Millis, Outcome};
use esclusa_plan::{HoldThen, Plan, Stage};
use esclusa_release::{Event, Phase, ReturnCause};

fn judged(stage: usize, speech: Option<Speech>) -> Script {
    let mut script = Script::default();
    script.judge.insert(stage, speech);
    script
}

fn holds(reason: &str) -> Speech {
    Speech {
        at_end: StageEnd::Hold(reason.into()),
        ..Speech::good()
    }
}

fn cause(world: &World) -> Option<ReturnCause> {
    world
        .journal
        .release
        .returning
        .as_ref()
        .map(|r| r.decision.cause)
}

// CAN-04, RBK-10: in every stage, and before any user it is a refusal.
#[test]
fn harm_takes_it_back_from_every_stage() {
    for stage in 0..6 {
        let mut world = World::new(full(), judged(stage, Some(Speech::bad())));
        let (outcome, reason) = world.finish();
        let expected = if stage == 0 {
            Outcome::Refused
        } else {
            Outcome::RolledBack
        };
        assert_eq!(outcome, expected, "stage {stage}");
        assert_eq!(reason, Speech::bad().words);
        assert_eq!(cause(&world), Some(ReturnCause::Judge));
        let returned = world.journal.release.returning.as_ref().expect("went back");
        assert_eq!(returned.from, Phase::Stage(stage));
        assert_eq!(
            returned.decision.evidence.as_ref().map(|e| e.code.as_str()),
            Some("harm")
        );
        assert_eq!(world.undone(), ["undo-before/2 done", "undo-before/1 done"]);
    }
}

#[test]
fn harm_at_the_quarter_in_words() {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::Stage(4));
    let from = world.journal.log.len();
    world.run_for(Millis(20_000));
    world.script.judge.insert(4, Some(Speech::bad()));
    world.finish();
    world.journal.log.drain(..from - 1);
    insta::assert_snapshot!(transcript(&world));
}

/// Lowering must not wait for a store that does not take what is only a remark.
#[test]
fn harm_is_decided_before_anything_is_written_down() {
    let mut world = World::new(short(), judged(0, Some(Speech::bad())));
    world.run_until(|w| matches!(w.journal.release.phase, Phase::Lowering));
    let (last, ..) = world.journal.log.last().expect("events");
    assert!(matches!(last, Event::ReturnDecided(_)), "{last:?}");
    let confirmed = world
        .journal
        .log
        .iter()
        .any(|(e, ..)| matches!(e, Event::DialConfirmed(_)));
    assert!(!confirmed, "nothing had to be recorded first");
}

#[test]
fn harm_after_the_last_stage_takes_it_back_too() {
    let mut world = World::new(full(), Script::default());
    world.run_until(|w| w.journal.release.phase == Phase::After);
    let mut observed = world.observed();
    let speech = Speech::bad();
    let judgement = observed.judgement.as_mut().expect("the judge speaks");
    (judgement.opinion, judgement.evidence.summary) = (speech.opinion, speech.words.into());
    world.journal.settle(&observed);
    assert_eq!(world.finish().0, Outcome::RolledBack);
}

#[test]
fn without_proof_the_plan_decides_at_the_end_of_the_watch() {
    let rollback = Speech {
        at_end: StageEnd::Rollback("nothing proved".into()),
        ..Speech::good()
    };
    let mut world = World::new(short(), judged(0, Some(rollback)));
    let (outcome, reason) = world.finish();
    assert_eq!(
        (outcome, reason.as_str()),
        (Outcome::RolledBack, "nothing proved")
    );
    let record = &world.journal.release.stages[0];
    let watched = record
        .left_at
        .expect("left")
        .since(record.confirmed_at.expect("confirmed"));
    assert!(watched >= MINUTE, "the watch is kept: {watched}");
}

#[test]
fn a_hold_for_proof_ends_with_proof() {
    let mut world = World::new(short(), judged(0, Some(holds("12 of 100 requests seen"))));
    world.run_for(Millis(10 * 60_000));
    let release = &world.journal.release;
    assert_eq!(release.phase, Phase::Stage(0));
    assert_eq!(
        release.hold.as_ref().map(|h| h.reason.as_str()),
        Some("12 of 100 requests seen")
    );
    // The numbers move, what is missing stays: one event.
    world
        .script
        .judge
        .insert(0, Some(holds("95 of 100 requests seen")));
    world.run_for(MINUTE);
    let held = world
        .journal
        .log
        .iter()
        .filter(|(e, ..)| matches!(e, Event::HoldBegan { .. }));
    assert_eq!(held.count(), 1);
    world.script.judge.clear();
    assert_eq!(world.finish().0, Outcome::Promoted);
}

// Design 6.3: a hold has a deadline of its own.
#[test]
fn a_hold_ends_by_its_deadline() {
    let mut world = World::new(short(), judged(0, Some(holds("too few requests"))));
    let (outcome, reason) = world.finish();
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(reason, "held for more than 30m: too few requests");
    assert_eq!(cause(&world), Some(ReturnCause::Deadline));

    let mut plan = short();
    plan.hold.then = HoldThen::Hold;
    let mut world = World::new(plan, judged(0, Some(holds("too few requests"))));
    world.run_for(Millis(20 * 60 * 60_000));
    assert_eq!(world.journal.release.phase, Phase::Stage(0));
    assert!(world.journal.release.hold.is_some(), "held, for a person");
    world.ask(&Command::Skip).expect("a stage is there");
    assert_eq!(world.finish().0, Outcome::PromotedEarly);
}

#[test]
fn nobody_passes_without_a_verdict() {
    for (observes, words) in [
        (true, "no verdict yet: no counts have arrived"),
        (
            false,
            "this traffic driver counts no requests, so a person must look and promote",
        ),
    ] {
        let mut script = judged(0, None);
        script.observes = observes;
        let mut world = World::new(short(), script);
        world.run_for(Millis(5 * 60_000));
        let hold = world.journal.release.hold.clone().expect("it holds");
        assert_eq!(hold.reason, words);
        assert_eq!(world.finish().0, Outcome::RolledBack);
    }
}

// CAN-06: metrics lost.
#[test]
fn blindness_rolls_back_or_holds() {
    let blind = |then| {
        let mut plan = short();
        plan.judge.blind.then = then;
        let mut world = World::new(plan, Script::default());
        world.run_until(|w| w.journal.release.dial_confirmed());
        world.run_for(Millis(10_000));
        world.script.silent_for = Millis(120_000);
        world.run_for(Millis(5_000));
        assert!(
            world.journal.release.hold.is_none(),
            "not blind for long enough"
        );
        world.script.silent_for = Millis(120_001);
        world.run_for(Millis(5_000));
        world
    };
    let mut world = blind(BlindThen::Rollback);
    let (outcome, reason) = world.finish();
    assert_eq!(
        (outcome, reason.as_str()),
        (Outcome::RolledBack, "no counts from any proxy for 2m")
    );
    assert_eq!(cause(&world), Some(ReturnCause::Blind));

    let mut world = blind(BlindThen::Hold);
    assert!(world.journal.release.hold.is_some());
    world.script.silent_for = Millis::ZERO;
    world.run_for(Millis(2_000));
    assert!(
        world.journal.release.hold.is_none(),
        "what was missing is there"
    );
    assert_eq!(world.finish().0, Outcome::Promoted);

    let mut world = blind(BlindThen::Hold);
    assert_eq!(
        world.finish().1,
        "held for more than 30m: no counts from any proxy for 2m"
    );
}

// CAN-06, trap 4: a number that a proof is asked of is lost.
#[test]
fn a_required_series_that_nobody_reads_is_blindness_too() {
    let lost = "series `queue_depth` had no values for 120 s, longer than tolerated";
    for (then, outcome) in [
        (BlindThen::Rollback, Outcome::RolledBack),
        (BlindThen::Hold, Outcome::Promoted),
    ] {
        let mut plan = short();
        plan.judge.blind.then = then;
        let mut world = World::new(plan, Script::default());
        world.run_until(|w| w.journal.release.dial_confirmed());
        world.script.unread = Some(lost);
        world.run_for(Millis(5_000));
        if then == BlindThen::Hold {
            let hold = world.journal.release.hold.clone().expect("it holds");
            assert_eq!(hold.reason, lost);
            world.script.unread = None;
        }
        let (ended, reason) = world.finish();
        assert_eq!(ended, outcome);
        if then == BlindThen::Rollback {
            assert_eq!(
                (reason.as_str(), cause(&world)),
                (lost, Some(ReturnCause::Blind))
            );
        }
    }
}

fn first_stage(plan: &mut Plan, change: impl Fn(&mut esclusa_plan::Expose)) {
    if let Some(Stage::Expose(expose)) = plan.stages.first_mut() {
        change(expose);
    }
}

#[test]
fn early_means_sooner_with_proof_only() {
    let watched = |opinion, at_end| {
        let mut plan = short();
        first_stage(&mut plan, |stage| stage.early = true);
        let mut world = World::new(
            plan,
            judged(
                0,
                Some(Speech {
                    opinion,
                    at_end,
                    ..Speech::good()
                }),
            ),
        );
        world.run_until(|w| {
            w.journal.release.phase != Phase::Stage(0) && w.journal.release.was_exposed
        });
        let record = &world.journal.release.stages[0];
        record
            .left_at
            .expect("left")
            .since(record.confirmed_at.expect("confirmed"))
    };
    let advance = || StageEnd::Advance("proved".into());
    assert!(watched(Opinion::Proceed, advance()) < Millis(5_000));
    assert!(watched(Opinion::Hold, advance()) >= MINUTE);
    // A judge that contradicts itself is not believed before the end.
    assert!(watched(Opinion::Proceed, StageEnd::Rollback("no".into())) >= MINUTE);
}

// PRE-24
#[test]
fn an_overrun_budget_is_reported_once() {
    let mut plan = short();
    first_stage(&mut plan, |stage| stage.budget = Some(Millis(90_000)));
    let mut world = World::new(plan, judged(0, Some(holds("too few requests"))));
    world.run_for(Millis(10 * 60_000));
    let over = world
        .journal
        .log
        .iter()
        .filter(|(e, ..)| *e == Event::OverBudget { stage: 0 });
    assert_eq!(over.count(), 1);
    assert!(world.journal.release.stages[0].over_budget);
}

#[test]
fn opinions_are_recorded_when_they_change() {
    let mut world = World::new(short(), Script::default());
    world.run_until(|w| w.journal.release.dial_confirmed());
    world.run_for(Millis(10_000));
    let suspicious = Speech {
        code: "suspicious",
        words: "p95 rises",
        ..Speech::good()
    };
    world.script.judge.insert(0, Some(suspicious));
    world.run_for(Millis(10_000));
    world.script.judge.clear();
    world.finish();
    let codes: Vec<&str> = world
        .journal
        .log
        .iter()
        .filter_map(|(event, ..)| match event {
            Event::Judged(evidence) => Some(evidence.code.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["quiet", "suspicious", "quiet"]);
}

#[test]
fn each_stage_has_its_own_watch() {
    let plan = Plan {
        stages: vec![share(5), share(5), share(100)],
        ..short()
    };
    let mut world = World::new(plan, Script::default());
    world.finish();
    for record in &world.journal.release.stages {
        let watched = record
            .left_at
            .expect("left")
            .since(record.confirmed_at.expect("read back"));
        assert!(watched >= MINUTE, "stage {}: {watched}", record.stage);
    }
}

// HLT-07, RBK-10: a process that is gone is evidence, with or without traffic, and it is
// told in the process's own words rather than in the judge's.
#[test]
fn a_canary_that_ended_takes_it_back_from_wherever_it_stands() {
    const ENDED: &str = "web-0 of the new version ended with exit code 3; its last lines: boom";
    let everywhere = [
        (Phase::CanaryChecks, Outcome::Refused),
        (Phase::Stage(0), Outcome::Refused),
        (Phase::Stage(2), Outcome::RolledBack),
        (Phase::After, Outcome::RolledBack),
        (Phase::HandOver, Outcome::RolledBack),
    ];
    for (phase, expected) in everywhere {
        let mut world = World::new(full(), Script::default());
        world.run_until(|world| world.journal.release.phase == phase);
        world.script.canary_ended = Some(ENDED);
        world.script.judge = (0..6).map(|n| (n, Some(Speech::bad()))).collect();
        let (outcome, reason) = world.finish();
        assert_eq!((outcome, reason.as_str()), (expected, ENDED), "{phase}");
        assert_eq!(cause(&world), Some(ReturnCause::Failure));
        let returned = world.journal.release.returning.as_ref().expect("went back");
        assert_eq!(returned.from, phase);
    }
    // Before it is deployed, and once it is over, it is nobody's news.
    for phase in [Phase::Preflight, Phase::Before, Phase::Promoted] {
        let mut world = World::new(full(), Script::default());
        world.run_until(|world| world.journal.release.phase == phase);
        world.script.canary_ended = Some(ENDED);
        let events = esclusa_engine::decide(&world.journal.release, &world.observed());
        let returns = events.iter().any(|e| matches!(e, Event::ReturnDecided(_)));
        assert!(!returns, "{phase}");
    }
}
