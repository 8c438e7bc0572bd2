//! Figures of a history that was counted by hand.
// KPI-02

use super::*;
use esclusa_model::{Actor, Digest, VersionRef};
use esclusa_plan::SourceFile;
use esclusa_release::{Commit, Event, Requested, Returned, Source};

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:8080 }
address: { url: 'http://shop-${version}.internal' }
stages:
  - { to: 5%, for: 10m }
  - { to: 100%, watch: 20m }
";
const DAY: i64 = 86_400;
const NOW: i64 = 1_000 * DAY;

fn at(second: i64) -> Timestamp {
    Timestamp(second * 1_000_000)
}

/// A release under way, step by step.
struct Told(Release);

impl Told {
    fn begin(service: &str, second: i64, commits: &[i64]) -> Self {
        let text = PLAN.replace("shop", service);
        let parsed = esclusa_plan::parse(&SourceFile::new("p", text), &esclusa_drivers::catalog());
        let commit = |ago: &i64| Commit {
            hash: "abcd".into(),
            subject: String::new(),
            author: String::new(),
            committed_at: at(second - ago),
        };
        let source = commits.first().map(|ago| Source {
            commit: "abcd".into(),
            committed_at: at(second - ago),
            branch: None,
            since: None,
            // One alone is known without a range.
            commits: match commits {
                [_] => Vec::new(),
                all => all.iter().map(commit).collect(),
            },
            left_out: 0,
        });
        let requested = Requested {
            release: "0191-1".parse().expect("valid"),
            service: service.parse().expect("valid"),
            version: "2".parse().expect("valid"),
            plan: parsed.expect("a plan").plan,
            plan_digest: Digest::of(b"plan"),
            base_dir: "/".into(),
            salt: "s".parse().expect("valid"),
            stable: None,
            person: None,
            source,
        };
        let mut told = Self(Release::begin(requested, by(), at(second)));
        let version = VersionRef {
            name: "2".parse().expect("valid"),
            digest: Digest::of(b"2"),
            verified: true,
        };
        told.then(
            second,
            Event::Prepared {
                version,
                components: BTreeMap::new(),
            },
        );
        for phase in [
            Phase::Preflight,
            Phase::Before,
            Phase::Deploying,
            Phase::CanaryChecks,
        ] {
            told.go(second, phase);
        }
        told
    }

    #[expect(clippy::needless_pass_by_value, reason = "calls read as a list")]
    fn then(&mut self, second: i64, event: Event) {
        self.0.apply(&event, &by(), at(second)).expect("follows");
    }

    fn go(&mut self, second: i64, to: Phase) {
        let why = String::new();
        let evidence = None;
        self.then(second, Event::Advanced { to, why, evidence });
    }

    fn dial(&mut self, second: i64, share: u16) {
        let share = BasisPoints::new(share).expect("a share");
        let dial = esclusa_release::DialEvidence {
            asked: share,
            achieved: share,
            generation: None,
            reached: None,
        };
        self.then(second, Event::DialConfirmed(dial));
    }

    fn end(mut self, second: i64, outcome: Outcome) -> Release {
        let reason = String::new();
        self.then(second, Event::Ended { outcome, reason });
        self.0
    }
}

fn by() -> Actor {
    Actor::new("engine").expect("valid")
}

/// Reaches everybody `took` seconds after it began.
fn promoted(service: &str, second: i64, took: i64, commits: &[i64]) -> Release {
    let mut told = Told::begin(service, second, commits);
    told.go(second, Phase::Stage(0));
    told.dial(second + 1, 500);
    told.go(second + 2, Phase::Stage(1));
    told.dial(second + took, 10_000);
    for phase in [Phase::After, Phase::HandOver, Phase::Promoted] {
        told.go(second + took, phase);
    }
    told.end(second + took, Outcome::Promoted)
}

/// Exposes users for `exposed` seconds, then goes back.
fn returned(second: i64, exposed: i64, cause: ReturnCause, outcome: Outcome) -> Release {
    let mut told = Told::begin("shop", second, &[60]);
    told.go(second, Phase::Stage(0));
    told.dial(second + 10, 500);
    let back = Returned {
        cause,
        reason: "it fails".into(),
        outcome,
        evidence: None,
    };
    told.then(second + 10 + exposed - 2, Event::ReturnDecided(back));
    told.dial(second + 10 + exposed, 0);
    for phase in [Phase::HandingBack, Phase::Stopping, Phase::Undoing] {
        told.go(second + 10 + exposed, phase);
    }
    told.end(second + 500, outcome)
}

fn refused(second: i64) -> Release {
    let mut told = Told::begin("shop", second, &[60]);
    let back = Returned {
        cause: ReturnCause::Failure,
        reason: "a check failed".into(),
        outcome: Outcome::Refused,
        evidence: None,
    };
    told.then(second + 1, Event::ReturnDecided(back));
    told.end(second + 2, Outcome::Refused)
}

fn window(days: u16) -> Window {
    Window { to: at(NOW), days }
}

#[test]
fn a_seeded_history_is_what_a_hand_counts() {
    use ReturnCause::{Judge, Superseded};
    let history = [
        // Within 14 days: three reach everybody, 300, 600 and 900 s after they began.
        promoted("shop", NOW - DAY, 300, &[3_600, 7_200]),
        promoted("shop", NOW - 2 * DAY, 600, &[1_000]),
        promoted("blog", NOW - 3 * DAY, 900, &[]),
        // Two go back after 40 s and 100 s of exposure.
        returned(NOW - 4 * DAY, 40, Judge, Outcome::RolledBack),
        returned(NOW - 5 * DAY, 100, ReturnCause::Person, Outcome::Aborted),
        // No user was sent to it.
        refused(NOW - 6 * DAY),
        // It gave way to a newer one.
        returned(NOW - 7 * DAY, 20, Superseded, Outcome::Aborted),
        // Too long ago.
        promoted("shop", NOW - 20 * DAY, 300, &[60]),
        // Still under way.
        Told::begin("shop", NOW - 60, &[60]).0,
    ];
    let found = figures(&history, window(14), false);
    let all = &found.all;
    // Three in two weeks.
    assert_eq!(all.deployments, 3);
    assert_eq!(all.deployments_per_week.map(PerWeek::get), Some(1.5));
    // Changes: 3,600+300 and 7,200+300 of the first, 1,000+600 of the second: the middle.
    assert_eq!((all.changes, all.lead_time_ms), (3, Some(3_900_000)));
    // Users were sent to five that are over; two of them failed.
    assert_eq!((all.exposed, all.failed), (5, 2));
    assert_eq!(all.change_failure_percent, Percent::of(2, 5));
    // 40 s and 100 s: of two, the longer.
    assert_eq!((all.restored, all.time_to_restore_ms), (2, Some(100_000)));

    let blog = &found.services["blog"];
    assert_eq!((blog.deployments, blog.failed), (1, 0));
    assert_eq!(blog.change_failure_percent, Percent::of(0, 1));
    // No checkout: nobody knows how long its change took.
    assert_eq!((blog.changes, blog.lead_time_ms), (0, None));
    assert_eq!(blog.time_to_restore_ms, None);
    assert_eq!(found.services["shop"].deployments, 2);
}

#[test]
fn of_nothing_nothing_is_known() {
    let found = figures(&[], window(30), false);
    assert!(found.services.is_empty());
    let all = found.all;
    let known = (
        all.deployments_per_week,
        all.lead_time_ms,
        all.change_failure_percent,
        all.time_to_restore_ms,
    );
    assert_eq!(known, (None, None, None, None));
    // Releases that nobody saw are known to be no deployments.
    let found = figures(&[refused(NOW - DAY)], window(7), false).all;
    assert_eq!(found.deployments_per_week.map(PerWeek::get), Some(0.0));
    assert_eq!(found.change_failure_percent, None);
}
