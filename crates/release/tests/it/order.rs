//! What may follow what in a release.

use crate::samples::{AT, advanced, events, evidence, name, requested, returned};
use esclusa_model::{Actor, BasisPoints, Millis, Outcome, Timestamp};
use esclusa_release::{DialEvidence, Event, Phase, Release, Task, TaskEnd};

fn ana() -> Actor {
    name("ana")
}

fn at(second: u64) -> Timestamp {
    AT.plus(Millis::from_secs(second))
}

fn take(release: &mut Release, events: &[Event], second: u64) {
    for event in events {
        release
            .apply(event, &ana(), at(second))
            .expect("it may follow");
    }
}

fn refused(release: &mut Release, event: &Event) {
    let before = release.clone();
    let refusal = release
        .apply(event, &ana(), at(99))
        .expect_err("it may not follow");
    assert_eq!(*release, before, "{refusal}");
}

fn begun() -> Release {
    Release::begin(requested(), ana(), AT)
}

const FORWARD: [Phase; 11] = [
    Phase::Preflight,
    Phase::Before,
    Phase::Deploying,
    Phase::CanaryChecks,
    Phase::Stage(0),
    Phase::Stage(1),
    Phase::Stage(2),
    Phase::Stage(3),
    Phase::After,
    Phase::HandOver,
    Phase::Promoted,
];
const BACK: [Phase; 3] = [Phase::HandingBack, Phase::Stopping, Phase::Undoing];

fn at_phase(phase: Phase) -> Release {
    let mut release = begun();
    for to in FORWARD {
        if release.phase == phase {
            break;
        }
        take(&mut release, &[advanced(to)], 1);
    }
    release
}

fn ended(outcome: Outcome) -> Event {
    Event::Ended {
        outcome,
        reason: "because".into(),
    }
}

#[test]
fn there_is_one_way_forward_and_one_back() {
    let mut all = vec![Phase::Preparing];
    all.extend(FORWARD);
    all.push(Phase::Lowering);
    all.extend(BACK);
    all.push(Phase::Ended);
    for (i, from) in all.iter().enumerate() {
        for (j, to) in all.iter().enumerate() {
            let stages = matches!(
                (from, to),
                (Phase::CanaryChecks | Phase::Stage(_), Phase::Stage(_))
            );
            // Only decisions lead to the way back and to its end.
            let by_decision = matches!(to, Phase::Lowering | Phase::Ended);
            let next = (j == i + 1 || stages && j > i) && !by_decision;
            assert_eq!(from.may_advance_to(*to, 4), next, "{from} to {to}");
        }
    }
    assert!(!Phase::CanaryChecks.may_advance_to(Phase::Stage(4), 4));
    assert!(!Phase::CanaryChecks.may_advance_to(Phase::Stage(0), 0));
}

#[test]
fn exposure_grows_with_the_stages_and_is_nobody_on_the_way_back() {
    let bp = |release: &Release| release.exposure().share.get();
    for phase in [Phase::Preparing, Phase::CanaryChecks, Phase::Stage(0)] {
        assert!(at_phase(phase).exposure().is_nobody());
        assert!(!at_phase(phase).was_exposed);
    }
    let team = at_phase(Phase::Stage(1)).exposure();
    assert_eq!(
        (team.share, team.segments),
        (BasisPoints::ZERO, vec!["team".to_owned()])
    );
    let five = at_phase(Phase::Stage(2));
    assert_eq!((bp(&five), five.exposure().segments.len()), (500, 1));
    for phase in [
        Phase::Stage(3),
        Phase::After,
        Phase::HandOver,
        Phase::Promoted,
    ] {
        assert_eq!(bp(&at_phase(phase)), 10_000);
        assert!(at_phase(phase).exposure().segments.is_empty());
    }
    for phase in FORWARD {
        let mut release = at_phase(phase);
        take(&mut release, &[returned(Outcome::RolledBack)], 2);
        for to in BACK {
            assert!(release.exposure().is_nobody());
            take(&mut release, &[advanced(to)], 3);
        }
        take(&mut release, &[ended(Outcome::RolledBack)], 4);
        assert!(release.exposure().is_nobody());
        assert_eq!(release.phase, Phase::Ended);
    }
}

#[test]
fn nothing_turns_a_return_around() {
    let mut release = at_phase(Phase::Stage(2));
    let task = Event::TaskStarted {
        task: Task::WarmUp(0),
        attempt: 1,
    };
    take(&mut release, &[task, returned(Outcome::RolledBack)], 2);
    assert_eq!(release.task_end(Task::WarmUp(0)), Some(&TaskEnd::Cancelled));
    for event in events() {
        let mut next = release.clone();
        if next.apply(&event, &ana(), at(3)).is_ok() {
            assert!(next.phase.is_returning(), "{event:?}");
            assert!(next.exposure().is_nobody(), "{event:?}");
        }
    }
    for phase in FORWARD {
        refused(&mut release, &advanced(phase));
    }
    refused(&mut release, &returned(Outcome::Aborted));
    refused(&mut release, &ended(Outcome::Promoted));
}

#[test]
fn outcomes_fit_where_the_release_stands() {
    use Outcome::{Aborted, Held, Promoted, PromotedEarly, Refused, RollbackFailed, RolledBack};
    let mut forward = at_phase(Phase::Stage(2));
    for outcome in [
        Promoted,
        PromotedEarly,
        RolledBack,
        Aborted,
        Held,
        Refused,
        RollbackFailed,
    ] {
        refused(&mut forward, &ended(outcome));
    }
    for outcome in [Promoted, PromotedEarly, Held, RollbackFailed] {
        refused(&mut forward, &returned(outcome));
    }
    let mut promoted = at_phase(Phase::Promoted);
    for outcome in [RolledBack, Aborted, Held, Refused, RollbackFailed] {
        refused(&mut promoted, &ended(outcome));
    }
    take(&mut promoted, &[ended(Promoted)], 2);
    refused(&mut promoted, &ended(PromotedEarly));
    assert_eq!(promoted.phase, Phase::Promoted);
    // Within keep-warm it can still be undone.
    take(&mut promoted, &[returned(RolledBack)], 3);
    assert_eq!(promoted.ended, None);
    take(&mut promoted, &[ended(RollbackFailed)], 4);
    for event in events() {
        refused(&mut promoted, &event);
    }
}

#[test]
fn tasks_run_once_at_a_time_and_end_once() {
    let mut release = begun();
    let start = |attempt| Event::TaskStarted {
        task: Task::Check(0),
        attempt,
    };
    let end = |attempt| Event::TaskEnded {
        task: Task::Check(0),
        attempt,
        end: TaskEnd::TimedOut,
    };
    for wrong in [start(0), start(2), end(1)] {
        refused(&mut release, &wrong);
    }
    take(&mut release, &[start(1)], 1);
    for wrong in [start(1), start(2), end(2)] {
        refused(&mut release, &wrong);
    }
    take(&mut release, &[end(1)], 2);
    for wrong in [start(1), start(3), end(1)] {
        refused(&mut release, &wrong);
    }
    take(&mut release, &[start(2)], 3);
    let state = &release.tasks[&Task::Check(0)];
    assert_eq!(
        (state.attempt, state.started_at, state.end.as_ref()),
        (2, at(3), None)
    );
}

fn confirmed(bp: u16) -> Event {
    Event::DialConfirmed(DialEvidence {
        asked: BasisPoints::new(bp).expect("at most all"),
        achieved: BasisPoints::new(bp).expect("at most all"),
        generation: None,
        reached: None,
    })
}

#[test]
fn a_watch_counts_from_the_first_reading_of_its_own_exposure() {
    let mut release = at_phase(Phase::Stage(2));
    take(&mut release, &[confirmed(100)], 5);
    assert!(!release.dial_confirmed());
    take(&mut release, &[confirmed(500)], 6);
    take(&mut release, &[confirmed(500)], 7);
    assert!(release.dial_confirmed());
    assert_eq!(
        release.stage_record().and_then(|r| r.confirmed_at),
        Some(at(6))
    );
    take(&mut release, &[advanced(Phase::Stage(3))], 8);
    assert!(!release.dial_confirmed(), "each stage is read back anew");
    assert_eq!(release.stages[2].left_because.as_deref(), Some("because"));
    take(
        &mut release,
        &[confirmed(10_000), advanced(Phase::After)],
        9,
    );
    assert!(release.dial_confirmed(), "the same people, still");
    assert_eq!(release.exposure_since, at(8));
}

// Design 3.6: a person resumes, nothing else raises it.
#[test]
fn a_share_returned_by_a_proxy_stays_down_until_a_person_resumes() {
    let by_proxy = Event::ReturnedByProxy {
        reason: "lost".into(),
    };
    refused(&mut begun(), &by_proxy);
    refused(&mut at_phase(Phase::After), &by_proxy);
    let mut release = at_phase(Phase::Stage(2));
    take(&mut release, &[confirmed(500)], 5);
    take(&mut release, std::slice::from_ref(&by_proxy), 6);
    refused(&mut release, &by_proxy);
    refused(&mut release, &advanced(Phase::Stage(3)));
    let others = [
        Event::HoldEnded,
        Event::Paused(None),
        Event::PromoteAsked(None),
        Event::Skipped(None),
        confirmed(0),
    ];
    for event in others {
        take(&mut release, std::slice::from_ref(&event), 7);
        assert!(release.exposure().is_nobody(), "{event:?}");
    }
    take(&mut release, &[Event::Resumed(None)], 8);
    assert_eq!(release.exposure().share.get(), 500);
    assert_eq!(release.exposure_since, at(8));
    assert!(!release.dial_confirmed());
    assert_eq!(
        release.stage_record().and_then(|r| r.confirmed_at),
        None,
        "watched anew"
    );
}

#[test]
fn a_hold_counts_from_its_beginning_and_anew_after_a_person() {
    let mut release = at_phase(Phase::Stage(2));
    let hold = |reason: &str| Event::HoldBegan {
        reason: reason.into(),
    };
    take(&mut release, &[hold("a")], 5);
    take(&mut release, &[hold("b")], 6);
    let since = |release: &Release| release.hold.as_ref().map(|h| (h.reason.clone(), h.since));
    assert_eq!(since(&release), Some(("b".into(), at(5))));
    take(&mut release, &[Event::Paused(None)], 7);
    assert_eq!(since(&release), None);
    take(&mut release, &[hold("paused")], 7);
    take(&mut release, &[Event::Resumed(None), hold("c")], 8);
    assert_eq!(since(&release), Some(("c".into(), at(8))));
    take(&mut release, &[advanced(Phase::Stage(3))], 9);
    assert_eq!(since(&release), None);
}

#[test]
fn what_belongs_to_the_way_forward_is_refused_elsewhere() {
    let forward_only = [
        Event::Judged(evidence()),
        Event::HoldBegan { reason: "x".into() },
        Event::HoldEnded,
        Event::OverBudget { stage: 2 },
        Event::Paused(None),
        Event::Resumed(None),
        Event::Skipped(None),
        Event::PromoteAsked(None),
    ];
    let mut back = at_phase(Phase::Stage(2));
    take(&mut back, &[returned(Outcome::Aborted)], 2);
    for event in &forward_only {
        refused(&mut back, event);
        refused(&mut at_phase(Phase::Promoted), event);
    }
    for event in [Event::Skipped(None), Event::PromoteAsked(None)] {
        refused(&mut begun(), &event);
        refused(&mut at_phase(Phase::After), &event);
    }
    refused(&mut begun(), &Event::Requested(Box::new(requested())));
}
