//! Reports of releases that were folded from events, against golden texts.
// CAN-05, CHK-14, PIP-10

use super::{Report, Status, TrafficReport, Verdict, VersionTotals, markdown, second};
use crate::figures::{LatencyMs, Percent};
use crate::series::{Collector, Points, Span};
use esclusa_model::{
    Actor, BasisPoints, Digest, Envelope, GENESIS_HASH, Outcome, StreamId, Timestamp, VersionRef,
};
use esclusa_plan::{Plan, SourceFile};
use esclusa_release::{
    Commit, DialEvidence, Event, Evidence, Phase, Release, Requested, ReturnCause, Returned,
    SignOff, Source, Task, TaskEnd,
};

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:8080 }
address: { url: 'http://shop-${version}.internal' }
requires:
  - sign-off: { roles: [security, tech-lead], within: 1h }
stages:
  - { to: 5%, for: 10m, budget: 10m }
  - { to: 100%, watch: 20m }
";
/// 2026-11-22T10:00:00Z.
pub(crate) const START_S: i64 = 1_795_341_600;

/// A release and its stream, grown event by event.
pub(crate) struct Told {
    pub(crate) release: Release,
    pub(crate) events: Vec<Envelope>,
}

impl Told {
    pub(crate) fn begin() -> Self {
        let plan = esclusa_plan::parse(&SourceFile::new("p", PLAN), &esclusa_drivers::catalog())
            .expect("a plan")
            .plan;
        let requested = requested(plan);
        let event = Event::Requested(Box::new(requested.clone()));
        let by = Actor::new("ana").expect("valid");
        let at = Timestamp(START_S * 1_000_000);
        let release = Release::begin(requested, by.clone(), at);
        let mut told = Self {
            release,
            events: Vec::new(),
        };
        told.store(&event, by, at);
        told
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read as a list of events"
    )]
    fn then(&mut self, after_s: i64, by: &str, event: Event) -> &mut Self {
        let at = Timestamp((START_S + after_s) * 1_000_000);
        let by = Actor::new(by).expect("valid");
        self.release.apply(&event, &by, at).expect("follows");
        self.store(&event, by, at);
        self
    }

    fn store(&mut self, event: &Event, by: Actor, at: Timestamp) {
        let (kind, payload) = event.to_stored().expect("JSON");
        let prev = self.events.last().map_or(GENESIS_HASH, |event| event.hash);
        let stream = StreamId::release(&self.release.requested.release);
        let position = self.events.len() as u64 + 1;
        self.events.push(Envelope::seal(
            stream, position, at, by, kind, payload, prev,
        ));
    }

    /// As far as the first stage, read back.
    pub(crate) fn exposed() -> Self {
        let mut told = Self::begin();
        let on = |to: Phase, why: &str| Event::Advanced {
            to,
            why: why.into(),
            evidence: None,
        };
        let agreed = |role: &str, comment: &str| {
            Event::SignedOff(SignOff {
                role: role.into(),
                comment: comment.into(),
                items: Vec::new(),
            })
        };
        told.then(
            0,
            "engine",
            Event::TaskStarted {
                task: Task::Prepare,
                attempt: 1,
            },
        )
        .then(
            1,
            "engine",
            Event::Prepared {
                version: version("2.4.1"),
                components: [].into(),
            },
        )
        .then(2, "engine", done(Task::Prepare, "stored"))
        .then(2, "engine", on(Phase::Preflight, "the version is stored"))
        .then(30, "eve", agreed("security", "looked | at it"))
        .then(40, "tom", agreed("tech-lead", ""))
        .then(41, "engine", on(Phase::Before, "all checks passed"))
        .then(41, "engine", on(Phase::Deploying, "no steps"))
        .then(
            42,
            "engine",
            Event::TaskStarted {
                task: Task::Deploy,
                attempt: 1,
            },
        )
        .then(
            45,
            "engine",
            Event::Deployed {
                instances: Vec::new(),
            },
        )
        .then(45, "engine", done(Task::Deploy, "1 instance ready"))
        .then(
            45,
            "engine",
            on(Phase::CanaryChecks, "all instances are ready"),
        )
        .then(46, "engine", on(Phase::Stage(0), "no checks"))
        .then(47, "proxy", confirmed(500));
        told
    }
}

fn requested(plan: Plan) -> Requested {
    Requested {
        release: "0191-1".parse().expect("valid"),
        service: plan.service.clone(),
        version: "2.4.1".parse().expect("valid"),
        plan,
        plan_digest: Digest::of(PLAN.as_bytes()),
        base_dir: "/srv/shop".into(),
        salt: "0191-1".parse().expect("valid"),
        stable: Some(version("2.4.0")),
        person: None,
        source: None,
    }
}

fn version(name: &str) -> VersionRef {
    let digest = Digest::of(name.as_bytes());
    VersionRef {
        name: name.parse().expect("valid"),
        digest,
        verified: false,
    }
}

fn done(task: Task, note: &str) -> Event {
    Event::TaskEnded {
        task,
        attempt: 1,
        end: TaskEnd::Done { note: note.into() },
    }
}

fn confirmed(share: u16) -> Event {
    let share = BasisPoints::new(share).expect("a share");
    Event::DialConfirmed(DialEvidence {
        asked: share,
        achieved: share,
        generation: None,
        reached: None,
    })
}

fn evidence(code: &str, summary: &str) -> Evidence {
    Evidence {
        code: code.into(),
        summary: summary.into(),
        verdict: serde_json::Value::Null,
    }
}

pub(crate) fn traffic() -> TrafficReport {
    let totals = |name: &str, requests, failures, p95_ms| VersionTotals {
        digest: Digest::of(name.as_bytes()).to_string(),
        name: Some(name.into()),
        requests,
        failures,
        error_percent: Percent::of(failures, requests),
        p50_ms: None,
        p95_ms,
        p99_ms: None,
    };
    TrafficReport {
        versions: vec![
            totals("2.4.0", 9_512, 9, Some(LatencyMs::from_micros(41_500))),
            totals("2.4.1", 503, 21, None),
        ],
        from: Some(second(START_S)),
        to: Some(second(START_S + 300)),
        unknown_because: None,
    }
}

pub(crate) fn report(told: &Told, traffic: TrafficReport) -> Report {
    let now = Timestamp((START_S + 900) * 1_000_000);
    let span = Span::of(&told.release, now);
    let points = Points::new(12).expect("in range");
    let series = Collector::new(&told.release, span, points);
    let series = series.finish(&told.release, &told.events, None);
    super::build(&told.release, &told.events, traffic, series)
}

/// One that reached everybody, with commits and counted traffic in which a second is missing.
pub(crate) fn full() -> Report {
    let mut told = Told::exposed();
    told.release.requested.source = Some(source());
    let stable = Event::TaskStarted {
        task: Task::RecordStable,
        attempt: 1,
    };
    told.then(646, "engine", Event::OverBudget { stage: 0 })
        .then(
            660,
            "judge",
            on(Phase::Stage(1), "no harm above 0.5 points"),
        )
        .then(661, "proxy", confirmed(10_000))
        .then(760, "engine", on(Phase::After, "watched for 20m"))
        .then(761, "engine", on(Phase::HandOver, "no steps"))
        .then(762, "engine", stable)
        .then(763, "engine", done(Task::RecordStable, "recorded"))
        .then(764, "engine", on(Phase::Promoted, "nothing is left"))
        .then(
            765,
            "engine",
            Event::Ended {
                outcome: Outcome::Promoted,
                reason: "all gates passed".into(),
            },
        );
    let span = Span::of(&told.release, Timestamp(0));
    let points = Points::new(12).expect("in range");
    let mut series = Collector::new(&told.release, span, points);
    for second in (0..760).filter(|second| !(200..330).contains(second)) {
        series.take(&crate::series::tests::sample(second));
    }
    let series = series.finish(&told.release, &told.events, None);
    super::build(&told.release, &told.events, traffic(), series)
}

fn source() -> Source {
    let at = Timestamp((START_S - 3_600) * 1_000_000);
    let commit = |hash: &str, subject: &str| Commit {
        hash: hash.into(),
        subject: subject.into(),
        author: "Ana".into(),
        committed_at: at,
    };
    Source {
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        committed_at: at,
        branch: Some("main".into()),
        since: Some("89abcdef0123456789abcdef0123456789abcdef".into()),
        commits: vec![
            commit("0123456", "Show the price | with tax"),
            commit("1234567", "Round at the end"),
        ],
        left_out: 3,
    }
}

fn on(to: Phase, why: &str) -> Event {
    Event::Advanced {
        to,
        why: why.into(),
        evidence: None,
    }
}

pub(crate) fn rolled_back() -> Report {
    let mut told = Told::exposed();
    let harm = evidence("harmful", "errors 4.2% against 0.1%, 503 requests");
    let back = Returned {
        cause: ReturnCause::Judge,
        reason: "the new version fails more: 4.2% against 0.1%".into(),
        outcome: Outcome::RolledBack,
        evidence: Some(harm.clone()),
    };
    let ended = Event::Ended {
        outcome: Outcome::RolledBack,
        reason: back.reason.clone(),
    };
    told.then(290, "judge", Event::Judged(harm))
        .then(291, "judge", Event::ReturnDecided(back))
        .then(292, "proxy", confirmed(0))
        .then(300, "engine", ended);
    report(&told, traffic())
}

#[test]
fn a_release_that_came_back() {
    let report = rolled_back();
    assert_eq!(
        (report.status, report.verdict),
        (Status::Returned, Verdict::Rollback)
    );
    assert_eq!(report.duration_ms, Some(300_000));
    insta::assert_snapshot!("rolled_back_markdown", markdown(&report));
    insta::assert_json_snapshot!("rolled_back", report);
}

#[test]
fn a_release_under_way_says_what_is_not_known() {
    let mut told = Told::exposed();
    told.then(
        700,
        "engine",
        Event::HoldBegan {
            reason: "harmlessness is not proved".into(),
        },
    );
    let unknown = TrafficReport {
        versions: Vec::new(),
        from: None,
        to: None,
        unknown_because: Some("nothing was counted while it ran".into()),
    };
    let report = report(&told, unknown);
    assert_eq!(
        (report.status, report.verdict),
        (Status::InProgress, Verdict::Hold)
    );
    assert_eq!((report.outcome.as_ref(), report.duration_ms), (None, None));
    insta::assert_snapshot!("under_way_markdown", markdown(&report));
}

#[test]
fn a_missing_sign_off_is_listed() {
    let told = Told::begin();
    let report = report(&told, traffic());
    let missing: Vec<_> = report
        .sign_offs
        .iter()
        .map(|s| (s.role.as_str(), s.by.is_none()))
        .collect();
    assert_eq!(missing, [("security", true), ("tech-lead", true)]);
}

/// A reader of this version reads what it wrote; the shape is a contract.
#[test]
fn the_json_is_read_back() {
    let report = rolled_back();
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Report>(&text).expect("a report"),
        report
    );
}
