//! Anything, at any time: what must hold whatever the world does.

use crate::journal::Journal;
use crate::plans::{full, requested, short};
use crate::world::{Answer, Dial, START, Script, Speech, World, deployed, prepared, reading};
use esclusa_engine::{Command, Completion, Observed, Opinion, StageEnd, complete, desired};
use esclusa_model::{BasisPoints, Millis, Outcome};
use esclusa_plan::{HoldThen, Plan};
use esclusa_release::{Exposure, Task, TaskEnd};
use proptest::prelude::*;

fn task() -> impl Strategy<Value = Task> {
    let index = 0usize..3;
    prop_oneof![
        Just(Task::Prepare),
        index.clone().prop_map(Task::Check),
        index.clone().prop_map(Task::Before),
        Just(Task::Deploy),
        Just(Task::WarmUp(0)),
        index.clone().prop_map(Task::After),
        Just(Task::HandOver),
        Just(Task::RecordStable),
        Just(Task::RestoreStable),
        Just(Task::RecordFlags),
        Just(Task::RestoreFlags),
        Just(Task::HandBack),
        index.clone().prop_map(Task::UndoAfter),
        index.prop_map(Task::UndoBefore),
        Just(Task::StopCanary),
    ]
}

fn completion() -> impl Strategy<Value = Completion> {
    let text = || "because".to_owned();
    prop_oneof![
        4 => Just(Completion::Ended(TaskEnd::Done { note: String::new() })),
        2 => Just(prepared()),
        2 => Just(deployed()),
        1 => Just(Completion::Ended(TaskEnd::Failed { reason: text() })),
        1 => Just(Completion::Ended(TaskEnd::Unknown { reason: text() })),
        1 => Just(Completion::Ended(TaskEnd::TimedOut)),
        1 => Just(Completion::Ended(TaskEnd::Cancelled)),
    ]
}

fn asked() -> impl Strategy<Value = Command> {
    let text = String::new;
    prop_oneof![
        Just(Command::Pause),
        Just(Command::Resume),
        Just(Command::Skip),
        Just(Command::Promote),
        Just(Command::Abort { reason: text() }),
        Just(Command::Rollback {
            reason: text(),
            can_return: Ok(())
        }),
        Just(Command::Rollback {
            reason: text(),
            can_return: Err("cold".into())
        }),
        Just(Command::Supersede { by: "3".into() }),
        Just(Command::SignOff {
            role: "tech-lead".into(),
            comment: text(),
            items: Vec::new(),
            hands: vec!["ana".into()]
        }),
    ]
}

fn speech() -> impl Strategy<Value = Option<Speech>> {
    let make = |opinion, at_end, code| {
        Some(Speech {
            opinion,
            at_end,
            code,
            words: "words",
        })
    };
    prop_oneof![
        1 => Just(None),
        6 => Just(Some(Speech::good())),
        1 => Just(make(Opinion::Proceed, StageEnd::Advance("proved".into()), "proved")),
        1 => Just(make(Opinion::Hold, StageEnd::Hold("9 of 10".into()), "few")),
        1 => Just(make(Opinion::Hold, StageEnd::Rollback("unproven".into()), "unproven")),
        1 => Just(Some(Speech::bad())),
    ]
}

#[derive(Debug, Clone)]
enum Turn {
    Later(u64),
    /// The dial shows what is asked for, or this.
    Dial(Option<u16>),
    Lost,
    Judge(Option<Speech>),
    /// Whatever should run now ends well.
    Work,
    Completes(Task, u32, Completion),
    Asks(Command),
    Silent(u64),
    Returned(bool),
    CanaryEnded(bool),
    Busy(bool),
    Restart,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0u64..400).prop_map(Turn::Later),
        8 => Just(Turn::Dial(None)),
        1 => (0u16..=10_000).prop_map(|bp| Turn::Dial(Some(bp))),
        1 => Just(Turn::Lost),
        3 => speech().prop_map(Turn::Judge),
        10 => Just(Turn::Work),
        4 => (task(), 0u32..4, completion()).prop_map(|(t, a, c)| Turn::Completes(t, a, c)),
        2 => asked().prop_map(Turn::Asks),
        1 => (0u64..200).prop_map(Turn::Silent),
        1 => any::<bool>().prop_map(Turn::Returned),
        1 => any::<bool>().prop_map(Turn::CanaryEnded),
        1 => any::<bool>().prop_map(Turn::Busy),
        1 => Just(Turn::Restart),
    ]
}

fn start(plan: Plan) -> (Journal, Observed) {
    let mut world = World::new(plan, Script::default());
    world.script.judge.insert(0, None);
    let observed = world.observed();
    (world.journal, observed)
}

fn play(journal: &mut Journal, observed: &mut Observed, turn: Turn) {
    match turn {
        Turn::Later(seconds) => observed.now = observed.now.plus(Millis::from_secs(seconds)),
        Turn::Dial(share) => {
            let exposure = journal.release.exposure();
            let shown = share.map_or(exposure.share, |bp| {
                BasisPoints::new(bp).expect("at most all")
            });
            observed.dial = Some(reading(exposure, shown, observed.now));
        }
        Turn::Lost => observed.dial = None,
        Turn::Judge(None) => observed.judgement = None,
        Turn::Judge(Some(speech)) => {
            observed.judgement = Some(esclusa_engine::Judgement {
                opinion: speech.opinion,
                at_end: speech.at_end,
                evidence: esclusa_release::Evidence {
                    code: speech.code.into(),
                    summary: speech.words.into(),
                    verdict: serde_json::Value::Null,
                },
            });
        }
        Turn::Work => {
            for (task, attempt) in desired(&journal.release).running {
                let done = match task {
                    Task::Prepare => prepared(),
                    Task::Deploy => deployed(),
                    _ => Completion::Ended(TaskEnd::Done {
                        note: String::new(),
                    }),
                };
                finish_task(journal, observed, task, attempt, done);
            }
        }
        Turn::Completes(task, attempt, completion) => {
            finish_task(journal, observed, task, attempt, completion);
        }
        Turn::Asks(command) => {
            let over = journal.release.ended.is_some();
            // What is refused changes nothing; what is taken is applied and checked.
            let count = journal.ask(&command, observed.now).unwrap_or(0);
            let goes_back = matches!(command, Command::Rollback { .. });
            assert!(!over || count == 0 || goes_back, "{command:?}");
        }
        Turn::Silent(seconds) => observed.silent_for = Millis::from_secs(seconds),
        Turn::Returned(returned) => observed.returned_by_proxy = returned,
        Turn::CanaryEnded(ended) => {
            observed.canary_ended = ended.then(|| "it ended with exit code 3".into());
        }
        Turn::Busy(busy) => observed.busy = busy,
        Turn::Restart => {
            journal.release = journal.replayed();
            observed.watching_since = observed.now;
        }
    }
}

fn finish_task(
    journal: &mut Journal,
    observed: &Observed,
    task: Task,
    attempt: u32,
    how: Completion,
) {
    for event in complete(&journal.release, task, attempt, how.clone()) {
        journal.apply(event, "engine", observed.now);
    }
    // Repeated, it changes nothing.
    assert_eq!(complete(&journal.release, task, attempt, how), []);
}

fn undos_in_order(journal: &Journal) {
    let mut undos: Vec<(Task, esclusa_model::Timestamp)> = journal
        .release
        .tasks
        .iter()
        .filter(|(task, _)| matches!(task, Task::UndoBefore(_) | Task::UndoAfter(_)))
        .map(|(task, state)| (*task, state.started_at))
        .collect();
    let rank = |task: &Task| match task {
        Task::UndoAfter(i) => (0, usize::MAX - i),
        Task::UndoBefore(i) => (1, usize::MAX - i),
        _ => (2, 0),
    };
    undos.sort_by_key(|(task, _)| rank(task));
    assert!(undos.is_sorted_by_key(|(_, at)| *at), "{undos:?}");
}

/// Few enough for every build; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig {
            cases: 120,
            ..default
        },
    }
}

proptest! {
    #![proptest_config(cases())]

    // Design 6.1, 6.2, 6.3: invariants stand in `Journal::apply` and `Journal::settle`.
    #[test]
    fn whatever_happens_it_stays_sound_and_ends(
        turns in proptest::collection::vec(turn(), 1..160),
        holds in any::<bool>(),
        blind_holds in any::<bool>(),
        world_answers in any::<bool>(),
    ) {
        let mut plan = full();
        if holds {
            plan.hold.then = HoldThen::Hold;
        }
        if blind_holds {
            plan.judge.blind.then = esclusa_judge::BlindThen::Hold;
        }
        let (mut journal, mut observed) = start(plan);
        for turn in turns {
            play(&mut journal, &mut observed, turn);
            journal.settle(&observed);
        }
        prop_assert_eq!(&journal.release, &journal.replayed());
        undos_in_order(&journal);

        // From here on the world either answers everything, or nothing at all.
        observed.busy = !world_answers;
        observed.judgement = None;
        for _ in 0..400 {
            if world_answers {
                observed.returned_by_proxy = false;
                observed.canary_ended = None;
                observed.silent_for = Millis::ZERO;
                play(&mut journal, &mut observed, Turn::Work);
                play(&mut journal, &mut observed, Turn::Dial(None));
                play(&mut journal, &mut observed, Turn::Judge(Some(Speech::good())));
            } else {
                observed.dial = None;
            }
            journal.settle(&observed);
            play(&mut journal, &mut observed, Turn::Later(300));
        }
        journal.settle(&observed);
        let release = &journal.release;
        prop_assert!(
            release.ended.is_some() || holds && release.hold.is_some(),
            "neither over nor held: {} {:?}", release.phase, release.hold
        );
        prop_assert_eq!(release, &journal.replayed());
        undos_in_order(&journal);
    }

    /// A scripted world with one to three faults, a person and a crash at any event.
    #[test]
    fn any_faults_end_in_an_outcome_that_fits(
        faults in proptest::collection::vec((task(), 0usize..4), 0..3),
        dial in prop_oneof![
            4 => Just(Dial::Obeys),
            1 => (0u16..10_000).prop_map(Dial::NotAbove),
            1 => (0u16..10_000).prop_map(Dial::NotBelow),
            1 => (0u16..200).prop_map(Dial::Over),
            1 => Just(Dial::Mute),
        ],
        judge in proptest::collection::btree_map(0usize..6, speech(), 0..2),
        command in proptest::option::of((1usize..60, asked())),
        crash in proptest::option::of((1usize..60, 0u64..4_000)),
    ) {
        let mut script = Script { dial, judge, ..Script::default() };
        for (task, fault) in faults {
            let answer = [
                Answer::Fails("broken"), Answer::Unknown("who knows"), Answer::Hangs, Answer::Done,
            ][fault].clone();
            script.tasks.insert(task, vec![answer]);
        }
        let mut world = World::new(full(), script);
        if let Some((event, downtime)) = crash {
            world.run_to(event);
            world.crash(Millis::from_secs(downtime));
        }
        if let Some((event, command)) = command {
            world.run_to(event);
            // Refused commands change nothing.
            let _ = world.ask(&command);
        }
        let (outcome, reason) = world.finish();
        prop_assert!(!reason.is_empty());
        let release = &world.journal.release;
        match outcome {
            Outcome::Promoted => prop_assert!(!release.hurried && release.returning.is_none()),
            Outcome::PromotedEarly => prop_assert!(release.hurried && release.returning.is_none()),
            Outcome::Refused => prop_assert!(!release.was_exposed),
            Outcome::RolledBack => prop_assert!(release.was_exposed),
            Outcome::Aborted => prop_assert!(release.returning.is_some()),
            Outcome::RollbackFailed => prop_assert!(
                ["dial", "cancelled", "undo", "stopping", "handing", "recording"]
                    .iter().any(|named| reason.contains(named)),
                "{}", reason
            ),
            Outcome::Held => prop_assert!(false, "held is no end"),
        }
        let no_check_passed_unseen = release.tasks.iter().all(|(task, state)| {
            !matches!(task, Task::Check(_))
                || !release.was_exposed
                || state.end.as_ref().is_some_and(TaskEnd::is_done)
        });
        prop_assert!(no_check_passed_unseen);
    }
}

/// Every event after every beginning: what is refused leaves the state as it was.
#[test]
fn a_refused_event_changes_nothing() {
    let mut world = World::new(full(), Script::default());
    world.finish();
    let rollback = Command::Rollback {
        reason: String::new(),
        can_return: Ok(()),
    };
    world.ask(&rollback).expect("warm");
    world.finish();
    let log = &world.journal.log;
    let (mut refused, mut taken) = (0, 0);
    for from in 1..log.len() {
        let before = crate::journal::replay(&log[..from]);
        for (event, by, at) in log {
            let mut release = before.clone();
            match release.apply(event, by, *at) {
                Ok(()) => taken += 1,
                Err(illegal) => {
                    assert_eq!(release, before, "{illegal}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > taken, "{refused} refused, {taken} taken");
}

#[test]
fn exposures_are_ordered_by_whom_they_reach() {
    let exposure = |bp, segments: &[&str]| Exposure {
        share: BasisPoints::new(bp).expect("at most all"),
        segments: segments.iter().map(|s| (*s).to_owned()).collect(),
    };
    assert!(exposure(0, &[]).is_within(&exposure(0, &["team"])));
    assert!(!exposure(0, &["team"]).is_within(&exposure(100, &[])));
    assert!(exposure(100, &["team"]).is_within(&exposure(500, &["team"])));
    // Everybody is everybody, segments or not.
    assert!(exposure(100, &["team"]).is_within(&exposure(10_000, &[])));
    let release = Journal::begin(requested(short()), START).release;
    assert!(release.exposure().is_nobody());
}
