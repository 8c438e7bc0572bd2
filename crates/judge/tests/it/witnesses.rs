//! Whose harm it is: hand-made seconds, the same in every run.

use crate::world::{canary, stable};
use esclusa_judge::{
    Cell, Comparable, Decision, EventClass, Histogram, Judge, JudgeConfig, Label, ProxyCell,
    Second, StageInfo, Verdict,
};
use esclusa_model::{BasisPoints, Digest, Fraction, InstanceId, ProxyId};
use std::collections::BTreeMap;

/// One cell: requests, of these failed, of the rest slow.
#[derive(Clone)]
struct Counted {
    version: Digest,
    instance: Option<usize>,
    requests: u64,
    failed: u64,
    slow: u64,
}

fn of(version: Digest, requests: u64, failed: u64) -> Counted {
    Counted {
        version,
        instance: None,
        requests,
        failed,
        slow: 0,
    }
}

fn second(t: i64, counted: &[Counted]) -> Second {
    let cells = counted.iter().map(|c| {
        let mut latency = Histogram::default();
        latency.add(300, c.requests - c.failed - c.slow);
        latency.add(400, c.slow);
        let name = |number| InstanceId::new(format!("host-{number}")).expect("a name");
        ProxyCell {
            proxy: ProxyId::new("p1").expect("a name"),
            cell: Cell {
                intended: c.version,
                served: Some(c.version),
                route: "GET /".into(),
                instance: c.instance.map(name),
                synthetic: false,
                requests: c.requests,
                events: BTreeMap::from([(EventClass::ServerError, c.failed)]),
                latency,
                pending: Histogram::default(),
                units: Vec::new(),
            },
        }
    });
    Second {
        t,
        cells: cells.collect(),
        heard: true,
    }
}

/// Two minutes of stable alone, then a stage of so many seconds at 5 %.
fn judged(
    seconds: i64,
    before: impl Fn(i64) -> Counted,
    stage: impl Fn(i64) -> Vec<Counted>,
) -> Vec<Verdict> {
    judged_with(Beside::Nobody, seconds, before, stage)
}

/// Whether chosen people are exposed beside the share.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nobody,
    TheTeam,
}

fn judged_with(
    beside: Beside,
    seconds: i64,
    before: impl Fn(i64) -> Counted,
    stage: impl Fn(i64) -> Vec<Counted>,
) -> Vec<Verdict> {
    judged_by(JudgeConfig::default(), beside, seconds, before, stage)
}

fn judged_by(
    config: JudgeConfig,
    beside: Beside,
    seconds: i64,
    before: impl Fn(i64) -> Counted,
    stage: impl Fn(i64) -> Vec<Counted>,
) -> Vec<Verdict> {
    let mut judge = Judge::new(config, stable(), canary());
    (-120..0).for_each(|t| judge.tick(&second(t, &[before(t)])));
    judge.enter_stage(StageInfo {
        entered_at_s: 0,
        share: BasisPoints::new(500).expect("a share"),
        next_share: BasisPoints::new(2_500).expect("a share"),
        min_watch_s: 60,
        comparable: Comparable::Random,
        chosen: beside == Beside::TheTeam,
    });
    (0..seconds)
        .map(|t| {
            judge.tick(&second(t, &stage(t)));
            judge.verdict()
        })
        .collect()
}

/// Ten instances of five requests a second; these fail two of them.
fn ten_instances(failing: &[usize]) -> Vec<Counted> {
    (0..10)
        .map(|number| Counted {
            instance: Some(number),
            ..of(canary(), 5, if failing.contains(&number) { 2 } else { 0 })
        })
        .collect()
}

fn back(verdicts: &[Verdict]) -> Option<&Verdict> {
    verdicts.iter().find(|v| v.decision == Decision::Rollback)
}

fn says(verdicts: &[Verdict], label: Label) -> bool {
    let mut causes = verdicts.iter().flat_map(|v| &v.causes);
    causes.any(|cause| cause.label == label)
}

/// A failure in a second of 950 requests.
fn served(t: i64) -> Counted {
    of(stable(), 950, u64::from(t % 2 == 0))
}

// RBK-16: two bad hosts of ten are to be replaced, and what they did is not held against
// the version when they are well again.
#[test]
fn failures_of_few_instances_hold_and_are_forgotten() {
    let run = |failing: &'static [usize]| {
        judged(300, served, move |t| {
            let now = if t < 60 { failing } else { &[] };
            [vec![served(t)], ten_instances(now)].concat()
        })
    };
    let two = run(&[0, 7]);
    assert!(back(&two).is_none(), "{}", two[299].summary);
    assert!(says(&two, Label::BadHost));
    let all = run(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(back(&all).is_some(), "failures of all are the version's");
}

// CAN-09: what one host fails does not hide that the whole version is slow.
#[test]
fn a_bad_instance_does_not_hide_a_slow_version() {
    let slow = |counted: Counted| Counted {
        slow: counted.requests - counted.failed,
        ..counted
    };
    let verdicts = judged(120, served, |t| {
        let instances = ten_instances(&[3]).into_iter().map(slow);
        std::iter::once(served(t)).chain(instances).collect()
    });
    let back = back(&verdicts).expect("it is slow");
    assert_eq!(back.causes[0].label, Label::Latency, "{}", back.summary);
}

// CAN-04: users who fail on every version came over, with their requests and failures.
#[test]
fn failures_that_came_over_with_their_requests_hold() {
    let before = |_| of(stable(), 1_000, 2);
    let moved = judged(300, before, |_| {
        vec![of(stable(), 940, 1), of(canary(), 60, 1)]
    });
    assert!(back(&moved).is_none(), "{}", moved[299].summary);
    assert!(says(&moved, Label::TrafficReassigned));
    // The same failures on top of what stable keeps are harm.
    let harmful = judged(300, before, |_| {
        vec![of(stable(), 940, 2), of(canary(), 60, 1)]
    });
    assert!(back(&harmful).is_some(), "{}", harmful[299].summary);
}

// CAN-04: a stable version that never failed is known not to fail.
#[test]
fn harm_beside_a_stable_that_never_failed_did_not_come_over() {
    let verdicts = judged(
        120,
        |_| of(stable(), 1_000, 0),
        |_| vec![of(stable(), 940, 0), of(canary(), 60, 1)],
    );
    assert!(back(&verdicts).is_some(), "{}", verdicts[119].summary);
}

// ROL-08, CAN-04: a team that is exposed beside the share is no traffic that came over, and
// excuses nothing.
#[test]
fn a_team_beside_the_share_is_no_surplus() {
    let run = |beside| {
        judged_with(
            beside,
            200,
            |t| of(stable(), 1_000, u64::from(t % 4 == 0)),
            |t| {
                vec![
                    of(stable(), 880, 0),
                    of(canary(), 120, u64::from(t % 2 == 0)),
                ]
            },
        )
    };
    let with_team = run(Beside::TheTeam);
    assert!(back(&with_team).is_some(), "{}", with_team[199].summary);
    assert!(!says(&with_team, Label::TrafficReassigned));
    // Without a team the same surplus is traffic that was elsewhere before.
    assert!(says(&run(Beside::Nobody), Label::TrafficReassigned));
}

// CAN-08: a margin in points, beside a stable version that never fails. The canary then has
// every bad event there is, within the margin and beyond it; its rate tells.
#[test]
fn a_margin_in_points_is_kept_beside_a_clean_stable() {
    let run = |failed: fn(i64) -> u64, both: fn(i64) -> u64| {
        let mut config = JudgeConfig::default();
        config.errors.delta = Fraction::from_per_100k(500);
        judged_by(
            config,
            Beside::Nobody,
            300,
            |_| of(stable(), 1_000, 0),
            move |t| {
                let stable = of(stable(), 950, 19 * both(t));
                vec![stable, of(canary(), 50, failed(t) + both(t))]
            },
        )
    };
    let harmful = run(|_| 2, |_| 0);
    let back = |verdicts: &[Verdict]| back(verdicts).map(|v| v.reason.code());
    assert_eq!(
        back(&harmful).as_deref(),
        Some("harm:err"),
        "{}",
        harmful[299].summary
    );
    // 0.4 points more are within the margin.
    let within = run(|t| u64::from(t % 5 == 0), |_| 0);
    assert_eq!(back(&within), None, "{}", within[299].summary);
    // So is what hits both alike.
    let shared = run(|_| 0, |t| u64::from((100..200).contains(&t)));
    assert_eq!(back(&shared), None, "{}", shared[299].summary);
}

// Trap 11: a canary that answers everybody that its feature is off has proved nothing.
#[test]
fn a_feature_that_is_off_proves_nothing() {
    let run = |off: bool| {
        let mut config = JudgeConfig::default();
        // All answers of these seconds take the same time.
        (config.latency.p50, config.latency.p95, config.latency.p99) = (None, None, None);
        let mut judge = Judge::new(config, stable(), canary());
        (-120..0).for_each(|t| judge.tick(&second(t, &[served(t)])));
        judge.enter_stage(StageInfo {
            entered_at_s: 0,
            share: BasisPoints::new(5_000).expect("a share"),
            next_share: BasisPoints::FULL,
            min_watch_s: 60,
            comparable: Comparable::Random,
            chosen: false,
        });
        (0..300).any(|t| {
            let fails = |at| u64::from(t % 4 == at);
            let mut now = second(
                t,
                &[of(stable(), 475, fails(0)), of(canary(), 475, fails(2))],
            );
            if off {
                now.cells[1].cell.events = BTreeMap::from([(EventClass::FeatureDisabled, 475)]);
            }
            judge.tick(&now);
            judge.verdict().decision == Decision::Proceed
        })
    };
    assert!(run(false), "a healthy canary is proved");
    assert!(!run(true));
}
