//! Every kind of news in both languages, and what becomes of alarms.

use super::notice::{Act, Kind, Notice, Standing, event_names};
use super::tell::of_release;
use super::texts::knows;
use super::*;
use esclusa_drivers::notify::{Audience, Language, Message};
use esclusa_model::{Actor, Outcome};
use esclusa_plan::Catalog;
use esclusa_release::{Event, Phase, Release, Requested, ReturnCause, Returned};
use esclusa_store::{IncidentKey, IncidentStep, Looked};

const AT: Timestamp = Timestamp(1_790_000_000_000_000);

fn actor(name: &str) -> Actor {
    name.parse().expect("a name")
}

fn catalog() -> Catalog {
    esclusa_drivers::catalog()
}

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:1, host: shop.example }
address: { url: 'http://127.0.0.1:9/${version}' }
segments: { team: 'true' }
requires:
  - sign-off: { roles: [security, tech-lead], within: 1h }
stages:
  - warm-up: { get: [/], rate: 10/s, for: 30s }
  - { to: { segment: team }, for: 5m }
  - { to: 25%, for: 45m }
  - { to: 100%, watch: 10m }
hold: { for: 24h, then: hold }
";

fn release() -> Release {
    let source = SourceFile::new("esclusa.yaml", PLAN);
    let parsed = esclusa_plan::parse(&source, &catalog()).unwrap_or_else(|found| {
        panic!("{}", render_places(&source, &found));
    });
    let requested = Requested {
        release: "0192f0c1".parse().expect("an id"),
        service: "shop".parse().expect("a name"),
        version: "2.4.1".parse().expect("a name"),
        plan: parsed.plan,
        plan_digest: esclusa_model::Digest::of(b"plan"),
        base_dir: "/".into(),
        salt: "s".parse().expect("a salt"),
        stable: Some(esclusa_model::VersionRef {
            name: "2.4.0".parse().expect("a name"),
            digest: esclusa_model::Digest::of(b"v"),
            verified: true,
        }),
        person: None,
        source: None,
    };
    Release::begin(requested, actor("ana"), AT)
}

fn returned(cause: ReturnCause, reason: &str, outcome: Outcome) -> Event {
    Event::ReturnDecided(Returned {
        cause,
        reason: reason.into(),
        outcome,
        evidence: None,
    })
}

fn ended(outcome: Outcome, reason: &str) -> Event {
    Event::Ended {
        outcome,
        reason: reason.into(),
    }
}

fn advanced(to: Phase) -> Event {
    Event::Advanced {
        to,
        why: "its checks passed".into(),
        evidence: None,
    }
}

/// One of each kind, as events make them.
fn every_notice() -> Vec<Notice> {
    let mut at_25 = release();
    at_25.phase = Phase::Stage(2);
    at_25.was_exposed = true;
    let mut going_back = at_25.clone();
    going_back.returning = Some(esclusa_release::Return {
        decision: Returned {
            cause: ReturnCause::Judge,
            reason: String::new(),
            outcome: Outcome::RolledBack,
            evidence: None,
        },
        by: actor("judge"),
        at: AT,
        from: Phase::Stage(2),
    });
    let start = release();
    let mut preflight = release();
    preflight.phase = Phase::Preflight;
    let requested = Event::Requested(Box::new(start.requested.clone()));
    let killed = "aborted by a person: kill: orders are lost";
    let judged = "errors: 4.1% against 0.2% of the stable version";
    let told = [
        (requested, "ana", &start),
        (
            Event::HoldBegan {
                reason: "waiting for sign-off by security, tech-lead".into(),
            },
            "engine",
            &preflight,
        ),
        (advanced(Phase::Stage(0)), "engine", &start),
        (advanced(Phase::Stage(1)), "engine", &start),
        (advanced(Phase::Stage(2)), "engine", &at_25),
        (
            Event::HoldBegan {
                reason: "120 of 400 requests were seen.".into(),
            },
            "engine",
            &at_25,
        ),
        (
            Event::ReturnedByProxy {
                reason: "it heard nobody for 2m".into(),
            },
            "proxy",
            &at_25,
        ),
        (Event::OverBudget { stage: 2 }, "engine", &at_25),
        (
            returned(ReturnCause::Judge, judged, Outcome::RolledBack),
            "judge",
            &going_back,
        ),
        (
            returned(
                ReturnCause::Person,
                "aborted by a person: no",
                Outcome::Aborted,
            ),
            "ana",
            &going_back,
        ),
        (
            returned(ReturnCause::Person, killed, Outcome::Aborted),
            "ana",
            &going_back,
        ),
        (
            ended(Outcome::Promoted, "reached all users through all gates"),
            "engine",
            &at_25,
        ),
        (ended(Outcome::RolledBack, judged), "engine", &going_back),
        (ended(Outcome::Aborted, killed), "engine", &going_back),
        (
            ended(Outcome::Refused, "check `up` failed: status 503"),
            "engine",
            &start,
        ),
        (
            ended(Outcome::RollbackFailed, "the dial does not move"),
            "engine",
            &going_back,
        ),
    ];
    let mut notices: Vec<Notice> = told
        .iter()
        .map(|(event, by, release)| {
            let told = of_release(event, &actor(by), AT, release);
            told.unwrap_or_else(|| panic!("nothing of {event:?}")).0
        })
        .collect();
    let down = Notice::new(Kind::InstanceDown, "shop", AT)
        .with("component", "web")
        .with("instance", "web-0")
        .with("role", "stable")
        .with("reason", "it ended with exit code 3");
    notices.push(Notice {
        version: Some("2.4.0".into()),
        ..down
    });
    for kind in [Kind::ProxyDown, Kind::StoreFailing, Kind::AuditDamaged] {
        notices.push(Notice::new(kind, "", AT).with("reason", "the words of the fault."));
    }
    for kind in [Kind::FlagsKilled, Kind::FlagsLifted] {
        notices.push(
            Notice::new(kind, "", AT)
                .with("actor", "ana")
                .with("features", "exec-reports")
                .with("reason", "errors at acme"),
        );
    }
    notices.push(Notice::new(Kind::Test, "", AT).with("actor", "ana"));
    let held = notices[5].clone();
    let since = Timestamp(AT.0 - 3_600_000_000);
    notices.push(Notice {
        standing: Standing::Again { count: 17, since },
        ..held.clone()
    });
    notices.push(Notice {
        standing: Standing::Over {
            count: 200,
            since,
            until: AT,
        },
        acts: vec![Act::Look],
        ..held
    });
    notices
}

fn lines(message: &Message) -> String {
    let mut out = format!(
        "{} [{}] {}\n  {}\n",
        message.event, message.severity, message.title, message.text
    );
    for fact in &message.facts {
        out.push_str(&format!("  {}: {}\n", fact.name, fact.value));
    }
    for link in &message.links {
        out.push_str(&format!("  -> {} {}\n", link.text, link.url));
    }
    out
}

fn all_lines(language: Language, audience: Audience) -> String {
    let mut out = String::new();
    for notice in every_notice() {
        let links: Vec<(Act, String)> = notice
            .acts
            .iter()
            .enumerate()
            .map(|(n, act)| (act.clone(), format!("https://esclusa.example/{n}")))
            .collect();
        let message = notice.message(language, audience, "esclusa", &links);
        out.push_str(&lines(&message));
        assert!(
            !message.title.contains('{') && !message.text.contains('{'),
            "{out}"
        );
        assert!(!message.text.contains(".."), "{}", message.text);
        // What is stored is read back.
        let stored = serde_json::to_value(&notice).expect("JSON");
        let read: Notice = serde_json::from_value(stored).expect("a notice");
        assert_eq!(read, notice);
    }
    out
}

// RBK-08, NOT-10, NOT-15: who, what, how bad and when, for each event in both languages.
#[test]
fn every_event_in_english() {
    insta::assert_snapshot!(all_lines(Language::En, Audience::Team));
}

#[test]
fn every_event_in_spanish() {
    insta::assert_snapshot!(all_lines(Language::Es, Audience::Team));
}

#[test]
fn every_event_for_everybody_else() {
    let english = all_lines(Language::En, Audience::Stakeholders);
    // Plain words: no reasons, no numbers of the judge, no links.
    assert!(
        !english.contains("4.1%") && !english.contains("->"),
        "{english}"
    );
    let spanish = all_lines(Language::Es, Audience::Stakeholders);
    insta::assert_snapshot!(format!("{english}\n{spanish}"));
}

#[test]
fn every_kind_has_its_texts_and_appears_above() {
    let made: BTreeSet<Kind> = every_notice().iter().map(|notice| notice.kind).collect();
    for kind in Kind::ALL.into_iter().chain([Kind::Test]) {
        for part in ["title", "text", "plain"] {
            assert!(
                knows(&format!("{}.{part}", kind.as_str())),
                "{kind:?} {part}"
            );
        }
        assert!(made.contains(&kind), "{kind:?}");
        let name = serde_json::to_value(kind).expect("JSON");
        assert_eq!(name, kind.as_str());
    }
    assert_eq!(event_names().len(), Kind::ALL.len());
}

#[test]
fn what_ends_before_anybody_was_exposed_is_told_once() {
    let event = returned(ReturnCause::Failure, "check failed", Outcome::Refused);
    assert_eq!(of_release(&event, &actor("engine"), AT, &release()), None);
    assert_eq!(
        of_release(
            &advanced(Phase::Preflight),
            &actor("engine"),
            AT,
            &release()
        ),
        None
    );
    // The same refusal with other numbers is the same alarm; of another version it is not.
    let cause = |reason: &str, version: &str| {
        let mut release = release();
        release.requested.version = version.parse().expect("a name");
        let told = of_release(&ended(Outcome::Refused, reason), &actor("e"), AT, &release);
        told.and_then(|(_, alarm)| alarm).expect("an alarm").cause
    };
    assert_eq!(cause("3 of 5 failed", "1"), cause("4 of 55 failed", "1"));
    assert_ne!(cause("3 of 5 failed", "1"), cause("3 of 5 failed", "2"));
    assert_ne!(cause("3 of 5 failed", "1"), cause("3 of 5 hang", "1"));
}

async fn notifier(dir: &Path, file: &str) -> Arc<Notifier> {
    let store = Store::open(dir, AT).await.expect("opens");
    let notifier = Notifier::new(store);
    let place = dir.join("n.yaml");
    std::fs::write(&place, file).expect("written");
    notifier.load(&place, Wanted::Yes).await;
    notifier
}

const CHANNELS: &str =
    "channels: [ { name: a, slack: { url: 'env:A' } }, { name: b, teams: { url: 'env:B' } } ]\n";

// ALR-11, HLT-06: 200 identical alarms are one message, one entry and a count.
#[tokio::test]
async fn identical_alarms_are_counted_and_not_repeated() {
    let dir = tempfile::tempdir().expect("a folder");
    let notifier = notifier(dir.path(), CHANNELS).await;
    let store = &notifier.store;
    let key = IncidentKey {
        service: "shop".into(),
        event: "health.instance-down".into(),
        cause: "web-0".into(),
    };
    for n in 0..200 {
        let notice = Notice::new(Kind::InstanceDown, "shop", Timestamp(AT.0 + n));
        let addressed = notifier.addressed((notice, Some(key.clone())));
        store
            .note_own(follow::OWN, &addressed, &IncidentStep::None, AT)
            .await
            .expect("noted");
    }
    let waiting = |lines: Vec<esclusa_store::ChannelState>| -> Vec<u64> {
        lines.iter().map(|line| line.waiting).collect()
    };
    assert_eq!(waiting(store.channel_states().await.expect("read")), [1, 1]);
    let inbox = store.inbox(&actor("ana"), true, 10).await.expect("read");
    assert_eq!((inbox.unread, inbox.entries[0].seen), (1, 200));
    let open = store.incidents().await.expect("read");
    assert_eq!((open.len(), open[0].seen), (1, 200));
    // It is over: one more message, with the count.
    notifier.end_incident(&open[0]).await;
    assert_eq!(waiting(store.channel_states().await.expect("read")), [2, 2]);
    assert_eq!(store.incidents().await.expect("read"), []);
    let inbox = store.inbox(&actor("ana"), true, 10).await.expect("read");
    let over: Notice = serde_json::from_value(inbox.entries[0].notice.clone()).expect("a notice");
    let message = over.message(Language::En, Audience::Team, "", &[]);
    assert!(message.title.starts_with("Over: "), "{message:?}");
    assert!(message.text.contains("seen 200 times"), "{message:?}");
    // The next one is news again.
    let again = notifier.addressed((Notice::new(Kind::InstanceDown, "shop", AT), Some(key)));
    store
        .note_own(follow::OWN, &again, &IncidentStep::None, AT)
        .await
        .expect("noted");
    assert_eq!(waiting(store.channel_states().await.expect("read")), [3, 3]);
}

// Looking at the same events again tells nobody twice.
#[tokio::test]
async fn an_event_is_told_once_however_often_it_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let notifier = notifier(dir.path(), CHANNELS).await;
    let stream = "release/r".parse().expect("a stream");
    let looked = |position| Looked {
        position,
        notice: Some(notifier.addressed((Notice::new(Kind::Held, "shop", AT), None))),
    };
    for _ in 0..3 {
        let both = [looked(1), looked(2)];
        notifier
            .store
            .note(&stream, &both, AT)
            .await
            .expect("noted");
    }
    let lines = notifier.store.channel_states().await.expect("read");
    assert_eq!(lines[0].waiting, 2);
    let first = notifier
        .store
        .first_waiting("a")
        .await
        .expect("read")
        .expect("waits");
    notifier
        .store
        .delivered(&first.id, AT)
        .await
        .expect("marked");
    notifier
        .store
        .note(&stream, &[looked(1)], AT)
        .await
        .expect("noted");
    let second = notifier
        .store
        .first_waiting("a")
        .await
        .expect("read")
        .expect("waits");
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let notifier = notifier(dir.path(), CHANNELS).await;
    let place = dir.path().join("n.yaml");
    std::fs::write(&place, "channels: [ { nam: a } ]").expect("written");
    notifier.load(&place, Wanted::Yes).await;
    let loaded = notifier.loaded();
    assert_eq!(loaded.config.channels.len(), 2);
    let trouble = loaded.trouble.clone().expect("told");
    assert!(trouble.contains("did you mean `name`?"), "{trouble}");
    // A file that has to be there, and one that need not.
    let gone = dir.path().join("gone.yaml");
    notifier.load(&gone, Wanted::Yes).await;
    assert!(notifier.loaded().trouble.is_some());
    notifier.load(&gone, Wanted::IfThere).await;
    assert!(notifier.loaded().trouble.is_none());
    assert_eq!(notifier.loaded().config.channels.len(), 0);
}
