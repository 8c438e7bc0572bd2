//! State as earlier builds wrote it is read, proved, folded and gone on with.
//!
//! `golden/state-1.backup` was written once, by the build that first had that format, and
//! is never written anew: a build that cannot read it cannot take over a data folder of
//! that time. It holds releases of every end and in the middle of things, every kind of
//! event, tokens, keys, a release in line, and counts of traffic. A format that changes
//! gets a further file beside it.

use crate::world::{NOW, actor, folder, open};
use esclusa_model::{Digest, Epoch, Outcome, ProxyId, ServiceName, StreamId};
use esclusa_release::{Deployed, Event, Phase, Release, Service, ServiceEvent, Task, TaskEnd};
use esclusa_store::backup::restore;
use esclusa_store::{NewEvent, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const GOLDEN: &[u8] = include_bytes!("../../golden/state-1.backup");

/// Every kind of event of that time.
const KINDS: [&str; 27] = [
    "advanced",
    "deployed",
    "dial_confirmed",
    "ended",
    "hold_began",
    "hold_ended",
    "judged",
    "over_budget",
    "paused",
    "prepared",
    "promote_asked",
    "release_admitted",
    "release_ended",
    "release_queued",
    "requested",
    "resumed",
    "return_decided",
    "returned_by_proxy",
    "signed_off",
    "skipped",
    "stable_changed",
    "stable_restored",
    "stable_withdrawn",
    "taken_over",
    "task_ended",
    "task_started",
    "warm_retired",
];

async fn taken_up(dir: &Path) -> Store {
    let file = dir.join("golden");
    std::fs::write(&file, GOLDEN).expect("written");
    let data = dir.join("data");
    let put = restore(&file, &data, NOW, Arc::new(|_| ())).await;
    assert_eq!(put.expect("read").manifest.broken, <[String; 0]>::default());
    open(&data).await
}

async fn release(store: &Store, id: &str) -> (StreamId, u64, Release) {
    let stream = StreamId::new(format!("release/{id}")).expect("a name");
    let events = store.read(&stream, 0, 1_000).await.expect("read");
    let mut folded: Option<Release> = None;
    for envelope in &events {
        let event = Event::from_stored(&envelope.kind, &envelope.payload).expect("known");
        match (&mut folded, event) {
            (None, Event::Requested(requested)) => {
                let by = envelope.actor.clone();
                folded = Some(Release::begin(*requested, by, envelope.at));
            }
            (None, other) => panic!("{other:?}"),
            (Some(release), event) => release
                .apply(&event, &envelope.actor, envelope.at)
                .expect("it may follow"),
        }
    }
    (stream, events.len() as u64, folded.expect("a release"))
}

async fn service(store: &Store, name: &str) -> Service {
    let name = ServiceName::new(name).expect("a name");
    let mut service = Service::new(name.clone());
    for envelope in store
        .read(&StreamId::service(&name), 0, 1_000)
        .await
        .expect("read")
    {
        let event = ServiceEvent::from_stored(&envelope.kind, &envelope.payload).expect("known");
        service.apply(&event, envelope.at).expect("it may follow");
    }
    service
}

// RBK-10: upgrade in the middle of releases.
#[tokio::test]
async fn state_of_an_earlier_build_is_proved_and_folded() {
    let dir = folder();
    let store = taken_up(dir.path()).await;
    assert_eq!(store.epoch(), Epoch(3));
    let found = store.verify().await.expect("read");
    assert_eq!((found.streams, found.broken), (11, Vec::new()));
    assert_eq!(store.verify_heads().await.expect("read").broken, []);
    let ended = |outcome| (Some(outcome), None);
    for (id, outcome) in [
        ("shop-1", ended(Outcome::Promoted)),
        ("shop-2", ended(Outcome::RolledBack)),
        ("shop-3", ended(Outcome::RollbackFailed)),
        ("desk-1", ended(Outcome::Aborted)),
        ("till-1", ended(Outcome::Promoted)),
        ("shop-4", (None, Some(Phase::Stage(1)))),
        ("till-2", (None, Some(Phase::Stage(0)))),
        ("desk-2", (None, Some(Phase::Undoing))),
    ] {
        let (.., release) = release(&store, id).await;
        let phase = release.ended.is_none().then_some(release.phase);
        let end = release.ended.map(|ended| ended.outcome);
        assert_eq!((end, phase), outcome, "{id}");
    }
    let (.., paused) = release(&store, "shop-4").await;
    let why = paused.paused.and_then(|pause| pause.because);
    assert_eq!(why.map(|because| because.reason).as_deref(), Some("lunch"));
    let (.., returned) = release(&store, "till-2").await;
    assert!(returned.returned_by_proxy.is_some() && returned.exposure().is_nobody());

    let shop = service(&store, "shop").await;
    let name = |deployed: &Option<Deployed>| deployed.as_ref().map(|d| d.version.name.to_string());
    assert_eq!(name(&shop.stable).as_deref(), Some("1.0"));
    let waits: Vec<String> = shop.queue.iter().map(ToString::to_string).collect();
    assert_eq!(waits, ["shop-5"]);
    let till = service(&store, "till").await;
    assert_eq!(
        (name(&till.stable).as_deref(), till.warm),
        (Some("1"), None)
    );
    assert_eq!(name(&service(&store, "desk").await.stable), None);
}

#[tokio::test]
async fn every_kind_of_event_of_an_earlier_build_is_there() {
    let dir = folder();
    let store = taken_up(dir.path()).await;
    let mut kinds = BTreeSet::new();
    for (stream, _) in store.streams("").await.expect("listed") {
        let events = store.read(&stream, 0, 1_000).await.expect("read");
        kinds.extend(events.into_iter().map(|event| event.kind));
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, KINDS);
}

#[tokio::test]
async fn what_an_earlier_build_began_goes_on() {
    let dir = folder();
    let store = taken_up(dir.path()).await;
    let before = store.verify().await.expect("read").events;
    for (id, event) in [
        ("shop-4", Event::Resumed(None)),
        ("till-2", Event::Resumed(None)),
        (
            "desk-2",
            Event::TaskEnded {
                task: Task::UndoBefore(0),
                attempt: 1,
                end: TaskEnd::Cancelled,
            },
        ),
    ] {
        let (stream, position, mut release) = release(&store, id).await;
        release
            .apply(&event, &actor("ana"), NOW)
            .expect("it may follow");
        let (kind, payload) = event.to_stored().expect("JSON");
        let new = [NewEvent {
            actor: actor("ana"),
            kind,
            payload,
        }];
        let appended = store.append(&stream, position, NOW, &new).await;
        appended.expect("appended");
    }
    store.close().await;
    let store = open(&dir.path().join("data")).await;
    let found = store.verify().await.expect("read");
    assert_eq!((found.events, found.broken), (before + 3, Vec::new()));
    let (.., resumed) = release(&store, "till-2").await;
    assert!(resumed.returned_by_proxy.is_none());
}

#[tokio::test]
async fn keys_tokens_and_counts_of_an_earlier_build_are_read() {
    let dir = folder();
    let store = taken_up(dir.path()).await;
    let token = store.find_token(&Digest::of(b"the secret of ana")).await;
    let token = token.expect("read").expect("live");
    assert_eq!(token.roles, ["admin", "security"]);
    let revoked = store.find_token(&Digest::of(b"the secret of ci")).await;
    assert_eq!(revoked.expect("read"), None);
    let key: Option<String> = store.setting("cookie-key/shop").await.expect("read");
    assert_eq!(key, Some(Digest::of(b"shop").hex()));
    let request: Option<BTreeMap<String, serde_json::Value>> =
        store.setting("queue/shop-5").await.expect("read");
    assert_eq!(request.expect("there")["version"], "1.4");

    let golden = include_str!("../../../wire/golden/slice-batch-v1.json");
    let batch: esclusa_wire::SliceBatch = serde_json::from_str(golden).expect("a batch");
    let local = ProxyId::new("local").expect("a name");
    for stamped in &batch.slices {
        let second = stamped.slice.second;
        let slices = store
            .slices(&stamped.slice.service, second, second + 1)
            .await;
        let slices = slices.expect("read");
        assert!(
            slices.contains(&(local.clone(), stamped.clone())),
            "{stamped:?}"
        );
    }
}

/// The test above would notice: one letter of what somebody said.
#[tokio::test]
async fn a_changed_letter_is_found() {
    let dir = folder();
    let store = taken_up(dir.path()).await;
    store.close().await;
    let file = dir.path().join("data/esclusa.db");
    let mut bytes = std::fs::read(&file).expect("read");
    let said = b"seen enough";
    // Also where pages that were moved left it behind.
    let all = bytes.windows(said.len()).enumerate();
    let places: Vec<usize> = all
        .filter_map(|(at, part)| (part == said).then_some(at))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] = b'S';
    }
    std::fs::write(&file, bytes).expect("written");
    let store = open(&dir.path().join("data")).await;
    let found = store.verify().await.expect("read");
    let streams: Vec<&str> = found.broken.iter().map(|b| b.stream.as_str()).collect();
    assert_eq!(streams, ["release/shop-3"]);
}
