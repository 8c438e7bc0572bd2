//! A controller that dies at every boundary of every template, there and back.

use crate::action::{Action, Place, Trigger, Verb};
use crate::crashes::{Rehearsal, rehearsal, stories};
use crate::plans::{bare, command_dial, flags_alone, full, literal, with_flags};
use crate::watch::Mood;
use esclusa_engine::Command;
use esclusa_model::{Millis, Outcome};
use esclusa_plan::{Plan, Template};
use esclusa_release::{Phase, Task};

const AWAY: Millis = Millis(5_000);

/// When a person asked for something after the start, in the story without a crash.
fn asked_at(all: &Rehearsal) -> Millis {
    let line = all.transcript.lines().find(|l| l.contains("> abort"));
    let at = line.and_then(|l| l.split_whitespace().next());
    Millis::parse(at.expect("somebody asked")).expect("a time")
}

fn same_end(title: &str, plan: &Plan, first: bool, extra: Vec<(Trigger, Action)>) -> Rehearsal {
    let story = stories(plan, &literal("2.4.1"), first, AWAY, extra);
    let rehearsal = rehearsal(title, &story);
    let different: Vec<String> = rehearsal
        .crashes
        .different()
        .map(|death| format!("{death}\n{}", death.transcript.clone().unwrap_or_default()))
        .collect();
    assert!(
        different.is_empty(),
        "{title}: {} of {} ended otherwise\n{}\nwithout a crash:\n{}",
        different.len(),
        rehearsal.crashes.deaths.len(),
        different.first().map_or("", String::as_str),
        rehearsal.transcript
    );
    assert!(rehearsal.crashes.deaths.len() > 20, "{title}");
    rehearsal
}

fn at(stage: usize, what: Action) -> Vec<(Trigger, Action)> {
    let when = Trigger::When(Place::Confirmed(stage), Millis(20_000));
    vec![(when, what)]
}

// CAN-13, trap 16: every template, also where nothing was there before.
#[test]
fn a_good_version_reaches_everybody_wherever_the_controller_dies() {
    for template in Template::ALL {
        for first in [false, true] {
            for plan in [bare(template), full(template)] {
                let title = format!("{} first {first}", template.as_str());
                let good = same_end(&title, &plan, first, Vec::new());
                assert_eq!(good.outcome, Some(Outcome::Promoted), "{title}");
            }
        }
        let mut plan = full(template);
        plan.traffic = command_dial();
        let external = same_end(template.as_str(), &plan, false, Vec::new());
        assert_eq!(external.outcome, Some(Outcome::Promoted));
    }
}

// RBK-10: harm takes it back, whenever the controller dies.
#[test]
fn a_bad_version_comes_back_wherever_the_controller_dies() {
    for template in Template::ALL {
        for plan in [bare(template), full(template)] {
            let warm_ups = usize::from(plan.stages.len() > template.stages().len());
            let bad = at(warm_ups, Action::Judge(Mood::Bad, None));
            let bad = same_end(template.as_str(), &plan, false, bad);
            assert_eq!(bad.outcome, Some(Outcome::RolledBack));
        }
    }
}

// RBK-11: each step of the way back is done, whenever the controller dies.
#[test]
fn what_fails_late_is_undone_wherever_the_controller_dies() {
    use crate::work::{Answer, AnswerEnd};
    let fails = vec![Answer::new(AnswerEnd::Fails("exit 3".into()))];
    let now = || Trigger::At(Millis::ZERO);
    for task in [Task::HandOver, Task::After(0)] {
        let fault = vec![(now(), Action::Answers(task, fails.clone()))];
        let failed = same_end("late", &full(Template::Minutes), false, fault);
        assert_eq!(failed.outcome, Some(Outcome::RolledBack));
    }
}

// A person who is told that it is done need not come back.
#[test]
fn an_abort_holds_wherever_the_controller_dies_after_it() {
    for phase in [Phase::Deploying, Phase::Stage(1), Phase::HandOver] {
        let abort = Verb::Plain(Command::Abort {
            reason: String::new(),
        });
        let story = stories(
            &full(Template::Minutes),
            &literal("2.4.1"),
            false,
            AWAY,
            vec![(
                Trigger::When(Place::Phase(phase), Millis(500)),
                Action::Person("ana".into(), abort),
            )],
        );
        let all = rehearsal("abort", &story);
        for death in &all.crashes.deaths {
            // One that dies before it is asked, or while it is, may not have heard.
            let good = [Some(Outcome::Aborted), Some(Outcome::Promoted)];
            assert!(good.contains(&death.outcome), "{death}");
            let unheard = death.outcome == Some(Outcome::Promoted);
            assert_eq!(death.differs.is_some(), unheard, "{death}");
            let near = death.at.0.abs_diff(asked_at(&all).0);
            assert!(!unheard || near <= AWAY.0 + 1_000, "{death}");
        }
    }
}

// RBK-06: a promoted release goes back whole, also when the controller dies meanwhile.
#[test]
fn a_promoted_release_goes_back_wherever_the_controller_dies() {
    let rollback = Action::Person("ana".into(), Verb::Rollback(String::new()));
    let when = Trigger::When(Place::Ended, Millis(60_000));
    let story = stories(
        &full(Template::BlueGreen),
        &literal("2.4.1"),
        false,
        AWAY,
        vec![(when, rollback)],
    );
    let all = rehearsal("rollback", &story);
    assert_eq!(all.outcome, Some(Outcome::RolledBack));
    let mut back = 0;
    for death in &all.crashes.deaths {
        let ends = [Some(Outcome::RolledBack), Some(Outcome::Promoted)];
        assert!(
            ends.contains(&death.outcome),
            "{death}\n{}",
            death.transcript.clone().unwrap_or_default()
        );
        back += usize::from(death.outcome == Some(Outcome::RolledBack));
    }
    assert!(back * 10 > all.crashes.deaths.len() * 9, "{back}");
}

// ROL-06, FLAG-09: flags are on for everybody or for nobody, wherever the controller dies,
// and whatever serves users is never touched.
#[test]
fn flags_reach_everybody_or_nobody_wherever_the_controller_dies() {
    for template in Template::ALL {
        for first in [false, true] {
            for plan in [flags_alone(template), with_flags(template)] {
                let title = format!("flags {} first {first}", template.as_str());
                let good = same_end(&title, &plan, first, Vec::new());
                assert_eq!(good.outcome, Some(Outcome::Promoted), "{title}");
            }
        }
        let plan = flags_alone(template);
        let bad = at(0, Action::Judge(Mood::Bad, None));
        let bad = same_end(template.as_str(), &plan, false, bad);
        assert_eq!(bad.outcome, Some(Outcome::RolledBack));
    }
}

// RBK-06: flags that the set has are taken out of it again, wherever the controller dies.
#[test]
fn recorded_flags_are_taken_back_wherever_the_controller_dies() {
    for plan in [
        flags_alone(Template::BlueGreen),
        with_flags(Template::BlueGreen),
    ] {
        let rollback = Action::Person("ana".into(), Verb::Rollback(String::new()));
        let when = Trigger::When(Place::Ended, Millis(60_000));
        let version = literal("2.4.1");
        let story = stories(&plan, &version, false, AWAY, vec![(when, rollback)]);
        let all = rehearsal("rollback of flags", &story);
        assert_eq!(all.outcome, Some(Outcome::RolledBack));
        for death in &all.crashes.deaths {
            // One that dies while it is asked may not have heard.
            let ends = [Some(Outcome::RolledBack), Some(Outcome::Promoted)];
            let told = death.transcript.clone().unwrap_or_default();
            assert!(ends.contains(&death.outcome), "{death}\n{told}");
        }
        let back = |death: &&crate::crashes::Death| death.outcome == Some(Outcome::RolledBack);
        let back = all.crashes.deaths.iter().filter(back).count();
        assert!(back * 10 > all.crashes.deaths.len() * 8, "{back}");
    }
}
