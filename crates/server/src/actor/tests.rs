//! How an actor begins again after the program ended between two records. In process,
//! without a proxy.

use super::queue_key;
use crate::app::{App, AskStart, StartRequest};
use crate::clock;
use crate::dataplane::DataPlane;
use crate::world::Drivers;
use esclusa_drivers::run::RunSettings;
use esclusa_model::{Actor, Digest, Envelope, ReleaseId, ServiceName, StreamId, VersionName};
use esclusa_plan::SourceFile;
use esclusa_proxy::client::ControlClient;
use esclusa_release::ServiceEvent;
use esclusa_shim::ShimCommand;
use esclusa_store::{NewEvent, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:1, host: shop.example }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off: { roles: [security], within: 1h }
stages:
  - to: 50%
    for: 5m
  - { to: 100%, watch: 10m }
";

fn by() -> Actor {
    Actor::new("tester").expect("a name")
}

fn shop() -> ServiceName {
    ServiceName::new("shop").expect("a name")
}

async fn open(dir: &Path) -> Store {
    Store::open(dir, clock::now()).await.expect("opens")
}

async fn start(store: &Store, dir: &Path) -> Arc<App> {
    let client = ControlClient::new(dir.join("no-proxy.sock"));
    let dataplane = DataPlane::start(client, store.clone(), None);
    let shim = ShimCommand {
        program: "/bin/false".into(),
        args: Vec::new(),
    };
    let drivers = Drivers::new(&RunSettings { shim });
    let app = App::start(store.clone(), dataplane, dir.to_owned(), drivers);
    app.await.expect("starts")
}

/// The first event of a release, as a control plane records it.
async fn requested() -> Envelope {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await;
    let app = start(&store, dir.path()).await;
    let ask = AskStart {
        plan_name: "esclusa.yaml".into(),
        plan_text: PLAN.into(),
        version: VersionName::new("v1").ok(),
        base_dir: "/".into(),
        on_conflict: None,
        actor: by(),
        person: None,
        source: None,
    };
    let id = app.start_release(ask).await.expect("begins");
    let events = store.read(&StreamId::release(&id), 0, 1).await;
    events.expect("read").remove(0)
}

async fn put(
    store: &Store,
    stream: &StreamId,
    position: u64,
    kind: &str,
    payload: serde_json::Value,
) {
    let new = NewEvent {
        actor: by(),
        kind: kind.to_owned(),
        payload,
    };
    let stored = store.append(stream, position, clock::now(), &[new]).await;
    stored.expect("appended");
}

fn id_of(event: &Envelope) -> ReleaseId {
    let id = event.stream.as_str().trim_start_matches("release/");
    ReleaseId::new(id).expect("an id")
}

async fn until(app: &App, id: &ReleaseId, wanted: impl Fn(&crate::view::ReleaseView) -> bool) {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if app.release_view(id).await.is_ok_and(|view| wanted(&view)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let found = found.await;
    let view = app.release_view(id).await;
    assert!(found.is_ok(), "{view:#?}");
}

// RBK-06: nobody was told that it began, so it did not.
#[tokio::test]
async fn a_release_that_never_got_on_its_way_is_closed() {
    let first = requested().await;
    let id = id_of(&first);
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await;
    put(&store, &first.stream, 0, &first.kind, first.payload.clone()).await;
    let service = StreamId::service(&shop());
    let other = ReleaseId::new("other").expect("an id");
    for event in [
        ServiceEvent::ReleaseAdmitted {
            release: other.clone(),
        },
        ServiceEvent::ReleaseEnded {
            release: other,
            outcome: esclusa_model::Outcome::Aborted,
        },
    ] {
        let position = store.streams("service/").await.expect("read");
        let position = position.first().map_or(0, |(_, position)| *position);
        let (kind, payload) = event.to_stored().expect("JSON");
        put(&store, &service, position, &kind, payload).await;
    }
    let begun = store.put_setting("begun/shop", &id, clock::now()).await;
    begun.expect("stored");
    let app = start(&store, dir.path()).await;
    until(&app, &id, |view| view.outcome.as_deref() == Some("refused")).await;
    // The next one is free to begin.
    let view = app.service(&shop()).await.expect("known");
    assert!(view.queue.is_empty(), "{view:#?}");
}

// A release in line whose first event is stored begins, and is not refused for ever.
#[tokio::test]
async fn a_release_from_the_line_begins_where_it_was_left() {
    let first = requested().await;
    let id = id_of(&first);
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await;
    put(&store, &first.stream, 0, &first.kind, first.payload.clone()).await;
    let queued = ServiceEvent::ReleaseQueued {
        release: id.clone(),
    };
    let (kind, payload) = queued.to_stored().expect("JSON");
    put(&store, &StreamId::service(&shop()), 0, &kind, payload).await;
    let source = SourceFile::new("esclusa.yaml", PLAN);
    let plan = esclusa_plan::parse(&source, &esclusa_drivers::catalog());
    let request = StartRequest {
        plan: plan.expect("a plan").plan,
        plan_digest: Digest::of(PLAN.as_bytes()),
        version: VersionName::new("v1").expect("a name"),
        base_dir: "/".into(),
        actor: by(),
        on_conflict: None,
        asked_at: clock::now(),
        person: None,
        source: None,
    };
    let stored = store
        .put_setting(&queue_key(&id), &request, clock::now())
        .await;
    stored.expect("stored");
    let app = start(&store, dir.path()).await;
    until(&app, &id, |view| view.phase == "preflight").await;
}
