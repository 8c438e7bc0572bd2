use super::*;
use esclusa_flags::KillTargets;
use esclusa_judge::Histogram;
use esclusa_model::Digest;
use proptest::prelude::*;

fn rule(when: Symptom) -> StandingRule {
    StandingRule {
        service: "shop".into(),
        routes: Vec::new(),
        when,
        over_s: 60,
        at_least: 100,
        kill: KillTargets::All,
        cool_down_s: 30,
        lift_after_s: None,
        lifts_a_day: 1,
        paused: false,
    }
}

fn error_rate() -> StandingRule {
    let above = BasisPoints::new(1_000).expect("in range");
    rule(Symptom::ErrorRate { above })
}

fn p95() -> StandingRule {
    rule(Symptom::P95 { above_ms: 15_000 })
}

fn cell(requests: u64, events: &[(EventClass, u64)], slow_us: &[u64], waiting_us: &[u64]) -> Cell {
    let histogram = |values: &[u64]| {
        let mut histogram = Histogram::default();
        values.iter().for_each(|us| histogram.record(*us));
        histogram
    };
    Cell {
        intended: Digest::of(b"v1"),
        served: None,
        route: "POST /reports".into(),
        instance: None,
        synthetic: false,
        requests,
        events: events.iter().copied().collect(),
        latency: histogram(slow_us),
        pending: histogram(waiting_us),
        units: Vec::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp(second * 1_000_000)
}

/// A minute of the same cell each second, seen at its end.
fn minute(rule: &StandingRule, cell: &Cell) -> Watched {
    let mut watched = Watched::default();
    (0..60).for_each(|second| watched.count(rule, second, cell));
    watched
}

fn killed(finding: &Finding) -> bool {
    matches!(finding, Finding::Act(StandingAct::Kill { .. }))
}

const NOBODY: KillStanding = KillStanding {
    killed: false,
    killed_by_rule_at: None,
    changed_at: None,
    acted_at: None,
    kills_in_a_day: 0,
};

// RBK-02: more than one in ten acts, exactly one in ten does not, few say nothing.
#[test]
fn an_error_rate_acts_above_its_limit() {
    let rule = error_rate();
    let failing = |n| cell(10, &[(EventClass::ServerError, n)], &[], &[]);
    let look = |cell: &Cell| standing(&rule, &minute(&rule, cell), NOBODY, at(60));
    assert_eq!(
        look(&failing(2)),
        Finding::Act(StandingAct::Kill {
            because: "120 of 600 requests failed in 1m, more than 10%".into()
        })
    );
    assert_eq!(look(&failing(1)), Finding::Quiet);
    let few = cell(1, &[(EventClass::ServerError, 1)], &[], &[]);
    assert!(
        matches!(look(&few), Finding::Unknown(_)),
        "60 requests are too few"
    );
    assert!(matches!(
        standing(&rule, &Watched::default(), NOBODY, at(60)),
        Finding::Unknown(_)
    ));
    // What was seen an hour ago is no news.
    let old = standing(&rule, &minute(&rule, &failing(10)), NOBODY, at(3_600));
    assert!(matches!(old, Finding::Unknown(_)), "{old:?}");
}

// Trap 11: what a guard answers neither fires a rule nor dilutes what does.
#[test]
fn a_guards_answers_do_not_count() {
    let rule = error_rate();
    let disabled = cell(1_000, &[(EventClass::FeatureDisabled, 1_000)], &[], &[]);
    let alone = standing(&rule, &minute(&rule, &disabled), NOBODY, at(60));
    assert!(matches!(alone, Finding::Unknown(_)), "{alone:?}");
    let events = [
        (EventClass::FeatureDisabled, 990),
        (EventClass::ServerError, 5),
    ];
    let among = cell(1_000, &events, &[], &[]);
    assert!(killed(&standing(
        &rule,
        &minute(&rule, &among),
        NOBODY,
        at(60)
    )));
}

#[test]
fn synthetic_requests_and_other_routes_do_not_count() {
    let mut rule = error_rate();
    let mut failing = cell(10, &[(EventClass::ServerError, 10)], &[], &[]);
    rule.routes = vec!["GET /other".into()];
    let other = standing(&rule, &minute(&rule, &failing), NOBODY, at(60));
    assert!(matches!(other, Finding::Unknown(_)), "{other:?}");
    rule.routes = vec!["POST /reports".into()];
    assert!(killed(&standing(
        &rule,
        &minute(&rule, &failing),
        NOBODY,
        at(60)
    )));
    failing.synthetic = true;
    let own = standing(&rule, &minute(&rule, &failing), NOBODY, at(60));
    assert!(matches!(own, Finding::Unknown(_)), "{own:?}");
}

// RBK-03: slow answers, timeouts and requests that hang all count.
#[test]
fn a_p95_acts_above_its_limit() {
    let rule = p95();
    let look = |cell: &Cell| standing(&rule, &minute(&rule, cell), NOBODY, at(60));
    let fast = [1_000; 20];
    let slow = |n: usize| {
        let mut all = vec![20_000_000; n];
        all.resize(20, 1_000);
        all
    };
    assert_eq!(look(&cell(20, &[], &fast, &[])), Finding::Quiet);
    assert_eq!(
        look(&cell(20, &[], &slow(1), &[])),
        Finding::Quiet,
        "exactly 5 %"
    );
    assert!(killed(&look(&cell(20, &[], &slow(2), &[]))));
    assert!(killed(&look(&cell(
        22,
        &[(EventClass::Timeout, 2)],
        &fast,
        &[]
    ))));
    let hanging = cell(1, &[], &[1_000], &[30_000_000; 50]);
    assert!(killed(&look(&hanging)), "50 wait now, 60 were answered");
}

// RBK-04: so many failures in a row; a check that could not be made is neither.
#[test]
fn health_acts_after_failures_in_a_row() {
    let url = "http://127.0.0.1/health".to_owned();
    let rule = rule(Symptom::Unhealthy {
        url,
        times: 3,
        every_s: 10,
    });
    let mut watched = Watched::default();
    let look = |watched: &Watched| standing(&rule, watched, NOBODY, at(60));
    watched.checked(Health::Unknown, at(1));
    assert!(matches!(look(&watched), Finding::Unknown(_)));
    for (health, acts) in [
        (Health::Unhealthy, false),
        (Health::Unhealthy, false),
        (Health::Healthy, false),
        (Health::Unhealthy, false),
        (Health::Unhealthy, false),
        (Health::Unknown, false),
        (Health::Unhealthy, true),
        (Health::Unknown, true),
    ] {
        watched.checked(health, at(2));
        assert_eq!(killed(&look(&watched)), acts, "{health:?} {watched:?}");
    }
    // Checks that cannot be made are no health.
    watched.checked(Health::Healthy, at(3));
    assert_eq!(look(&watched), Finding::Quiet);
    for told in [false, false, true] {
        watched.checked(Health::Unknown, at(4));
        let unknown = matches!(look(&watched), Finding::Unknown(_));
        assert_eq!(unknown, told, "{watched:?}");
    }
    watched.checked(Health::Healthy, at(5));
    assert_eq!(look(&watched), Finding::Quiet);
}

// RBK-09: what another one killed of the same features keeps no rule from its own.
#[test]
fn only_an_act_of_its_own_cools_a_rule_down() {
    let rule = error_rate();
    let watched = minute(&rule, &cell(10, &[(EventClass::ServerError, 5)], &[], &[]));
    let by_another = KillStanding {
        changed_at: Some(at(50)),
        ..NOBODY
    };
    assert!(killed(&standing(&rule, &watched, by_another, at(60))));
    let own = KillStanding {
        acted_at: Some(at(50)),
        ..by_another
    };
    assert!(!killed(&standing(&rule, &watched, own, at(60))));
}

// RBK-23: a rule neither kills twice nor right after somebody turned the feature on.
#[test]
fn a_kill_latches_and_cools_down() {
    let rule = error_rate();
    let watched = minute(&rule, &cell(10, &[(EventClass::ServerError, 5)], &[], &[]));
    let off = KillStanding {
        killed: true,
        killed_by_rule_at: Some(at(10)),
        changed_at: Some(at(10)),
        acted_at: Some(at(10)),
        kills_in_a_day: 1,
    };
    assert!(matches!(
        standing(&rule, &watched, off, at(60)),
        Finding::Seen(_)
    ));
    let much_later = standing(&rule, &watched, off, at(100_000));
    assert!(
        matches!(much_later, Finding::Unknown(_)),
        "no lift without lift-after-s"
    );
    let lifted = KillStanding {
        killed: false,
        killed_by_rule_at: None,
        changed_at: Some(at(40)),
        acted_at: Some(at(40)),
        kills_in_a_day: 1,
    };
    let waits = standing(&rule, &watched, lifted, at(60));
    assert!(
        matches!(&waits, Finding::Cooling { until, symptom } if *until == at(70)
            && symptom.contains("requests failed")),
        "{waits:?}"
    );
    assert!(killed(&standing(&rule, &watched, lifted, at(70))));
}

// RBK-23: it lifts its own kill, never a person's, and not for ever: it does not flap.
#[test]
fn a_rule_lifts_its_own_kill_a_few_times() {
    let mut rule = error_rate();
    rule.lift_after_s = Some(120);
    let off = |by_rule, kills_in_a_day| KillStanding {
        killed: true,
        killed_by_rule_at: by_rule,
        changed_at: Some(at(0)),
        acted_at: Some(at(0)),
        kills_in_a_day,
    };
    let nothing = Watched::default();
    let look = |kill, second| standing(&rule, &nothing, kill, at(second));
    assert!(matches!(
        look(off(Some(at(0)), 1), 119),
        Finding::Unknown(_)
    ));
    assert_eq!(
        look(off(Some(at(0)), 1), 120),
        Finding::Act(StandingAct::Lift {
            because: "off for 2m; it is tried again".into()
        })
    );
    assert!(matches!(
        look(off(Some(at(0)), 2), 120),
        Finding::Unknown(_)
    ));
    assert!(matches!(look(off(None, 0), 120), Finding::Unknown(_)));
}

proptest! {
    // However seconds and proxies are ordered, the window says the same.
    #[test]
    fn the_order_of_slices_does_not_matter(
        counts in proptest::collection::vec((30_i64..90, 0_u64..50, 0_u64..50), 1..200),
    ) {
        let rule = error_rate();
        let tell = |list: &mut dyn Iterator<Item = &(i64, u64, u64)>| {
            let mut watched = Watched::default();
            for (second, requests, failures) in list {
                let failures = (*failures).min(*requests);
                watched.count(
                    &rule,
                    *second,
                    &cell(*requests, &[(EventClass::ServerError, failures)], &[], &[]),
                );
            }
            standing(&rule, &watched, NOBODY, at(90))
        };
        let mut sorted = counts.clone();
        sorted.sort_unstable();
        prop_assert_eq!(tell(&mut counts.iter()), tell(&mut sorted.iter()));
    }
}
