//! What the control plane can rely on.

use crate::support::{Client, World, eventually, get, whole_answer};
use esclusa_model::{Epoch, GenerationId};
use esclusa_proxy::client::ControlError;
use esclusa_wire::{Heartbeat, SliceAck, WIRE_VERSION};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn id(epoch: u64, number: u64) -> GenerationId {
    GenerationId {
        epoch: Epoch(epoch),
        number,
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ControlError>) -> (GenerationId, String) {
    match result {
        Err(ControlError::Refused(refusal)) => (refusal.current, refusal.reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn only_a_newer_generation_is_taken() {
    let mut world = World::patient().await;
    let hello = world.control.hello().await.expect("hello");
    assert_eq!((hello.v, hello.proxy.as_str()), (WIRE_VERSION, "p1"));
    assert_eq!(
        world.control.status().await.expect("status").generation,
        GenerationId::default()
    );
    let service = world.service(500);
    let mut generation = world.generation(vec![service]);
    generation.id = id(2, 7);
    let published = world.control.publish(&generation).await.expect("published");
    assert_eq!(
        (published.generation, published.persisted),
        (id(2, 7), true)
    );
    assert_eq!(
        world
            .control
            .publish(&generation)
            .await
            .expect("again")
            .generation,
        id(2, 7)
    );
    let mut other = generation.clone();
    other.services[0].max_body_bytes += 1;
    assert_eq!(refusal(world.control.publish(&other).await).0, id(2, 7));
    for older in [id(2, 6), id(1, 900)] {
        other.id = older;
        assert_eq!(refusal(world.control.publish(&other).await).0, id(2, 7));
    }
    let beat = |generation| Heartbeat { generation };
    assert_eq!(
        world
            .control
            .heartbeat(&beat(id(2, 1)))
            .await
            .expect("beat")
            .generation,
        id(2, 7)
    );
    assert_eq!(
        refusal(world.control.heartbeat(&beat(id(1, 9))).await).0,
        id(2, 7)
    );
}

#[tokio::test]
async fn a_generation_that_cannot_be_served_changes_nothing() {
    let mut world = World::new().await;
    world.share(0).await;
    type Change = fn(&mut esclusa_wire::ServiceRoute);
    let table: [(&str, Change); 10] = [
        ("not an IP address", |s| s.listen = "nowhere".into()),
        ("cookie key", |s| s.cookie_key = "short".into()),
        ("stable version", |s| {
            s.stable = crate::support::digest("unknown");
        }),
        ("canary version", |s| {
            s.split = Some(crate::support::split(500));
            s.upstreams.pop();
        }),
        ("host:port", |s| {
            s.upstreams[0].instances[0].address = "no-port".into();
        }),
        ("there twice", |s| {
            s.upstreams[1].digest = s.upstreams[0].digest;
        }),
        ("address range", |s| {
            s.trusted_proxies.push("10.0.0.0/99".into());
        }),
        ("header name", |s| {
            s.sticky
                .push(esclusa_wire::StickySource::Header("no name".into()));
        }),
        ("must begin with /", |s| s.matches.path = Some("api".into())),
        ("certificate authority", |s| {
            s.upstreams[0].instances[0].tls = Some(esclusa_wire::UpstreamTls {
                sni: "a".into(),
                ca_file: Some("/nonexistent".into()),
            });
        }),
    ];
    for (expected, change) in table {
        let mut service = world.service(0);
        change(&mut service);
        let generation = world.generation(vec![service]);
        let (current, reason) = refusal(world.control.publish(&generation).await);
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert_eq!(current, id(1, 1));
        assert_eq!(get(world.listen, "/", &[]).await.status, 200);
    }
    let mut unknown = serde_json::to_value(world.generation(Vec::new())).expect("json");
    unknown["surprise"] = 1.into();
    let socket = world.control.socket().to_owned();
    let answer = unix_put(&socket, "/v1/generation", &unknown.to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
}

async fn unix_put(socket: &std::path::Path, path: &str, body: &str) -> String {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::UnixStream::connect(socket)
        .await
        .expect("connects");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .expect("written");
    whole_answer(&mut stream).await
}

/// While clients send without pause, shares flip between nobody and everybody. A request
/// that begins after an answer must be served as published.
// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_in_force_when_it_is_answered() {
    let mut world = World::new().await;
    world.share(0).await;
    // Even: everybody is at the stable version; odd: at the canary. Changed only after the answer.
    let answered = Arc::new(AtomicU64::new(0));
    let begun = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (answered, begun, stop, listen) = (
            Arc::clone(&answered),
            Arc::clone(&begun),
            Arc::clone(&stop),
            world.listen,
        );
        tasks.push(tokio::spawn(async move {
            let mut client = Client::http1(listen).await;
            let mut checked = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                let before = answered.load(Ordering::SeqCst);
                let got = client.get("/", &[]).await;
                assert_eq!(got.status, 200);
                // No publish began while the request ran: its answer is known.
                if begun.load(Ordering::SeqCst) == before {
                    let expected = if before % 2 == 0 { "stable" } else { "canary" };
                    assert_eq!(got.version(), expected, "after publish {before}");
                    checked += 1;
                }
            }
            checked
        }));
    }
    for n in 1..=200_u64 {
        begun.store(n, Ordering::SeqCst);
        world.share(if n % 2 == 0 { 0 } else { 10_000 }).await;
        answered.store(n, Ordering::SeqCst);
        // One request of our own right behind the answer.
        let expected = if n % 2 == 0 { "stable" } else { "canary" };
        assert_eq!(get(world.listen, "/", &[]).await.version(), expected);
    }
    stop.store(true, Ordering::SeqCst);
    let mut checked = 0;
    for task in tasks {
        checked += task.await.expect("no failed request");
    }
    assert!(checked > 100, "only {checked} requests were checked");
}

#[tokio::test]
async fn slices_come_every_second_without_gaps_and_survive_until_acknowledged() {
    let mut world = World::new().await;
    world.share(500).await;
    for _ in 0..3 {
        get(world.listen, "/", &[("x-tenant", "a")]).await;
    }
    let first = world.slices_with(3).await;
    let boot = first[0].boot.clone();
    let last = first.last().expect("slices").sequence;
    // The long poll waits for the next second, which nobody made busy.
    let next = world
        .control
        .slices(last, Duration::from_secs(5))
        .await
        .expect("slices")
        .slices;
    assert_eq!(next[0].sequence, last + 1);
    assert!(next[0].slice.cells.is_empty());
    let all = world
        .control
        .slices(0, Duration::ZERO)
        .await
        .expect("slices")
        .slices;
    let expected: Vec<u64> = (1..=all.len() as u64).collect();
    assert_eq!(all.iter().map(|s| s.sequence).collect::<Vec<_>>(), expected);
    assert!(
        all.windows(2)
            .all(|w| w[0].slice.uptime_s <= w[1].slice.uptime_s)
    );

    world.restart().await;
    let kept = world
        .control
        .slices(0, Duration::ZERO)
        .await
        .expect("slices")
        .slices;
    let old: Vec<_> = kept.iter().filter(|s| s.boot == boot).cloned().collect();
    assert_eq!(old[..all.len()], all[..]);
    let acked = old[1].sequence;
    world
        .control
        .ack(&SliceAck {
            boot: boot.clone(),
            sequence: acked,
        })
        .await
        .expect("ack");
    world.restart().await;
    let kept = world
        .control
        .slices(0, Duration::ZERO)
        .await
        .expect("slices")
        .slices;
    assert_eq!(kept[0].boot, boot);
    assert_eq!(kept[0].sequence, acked + 1);
    let folder = world.dir.path().join("data/slices");
    let mut last_of: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
    for s in &kept {
        last_of.insert(s.boot.clone(), s.sequence);
    }
    for (boot, sequence) in last_of {
        world
            .control
            .ack(&SliceAck { boot, sequence })
            .await
            .expect("ack");
    }
    // Earlier boots' files go once nothing in them is needed.
    eventually(|| async {
        let files = std::fs::read_dir(&folder).expect("folder").count();
        (files <= 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_proxy_on_the_same_folder_is_refused() {
    let world = World::new().await;
    let second = esclusa_proxy::Proxy::start(crate::support::config(&world.dir));
    assert!(matches!(
        second,
        Err(esclusa_proxy::ProxyError::AlreadyRunning { .. })
    ));
    assert!(world.control.hello().await.is_ok());
}

#[tokio::test]
async fn a_missing_proxy_is_unreachable_and_not_silent() {
    let mut world = World::new().await;
    world.stop().await;
    assert!(matches!(
        world.control.status().await,
        Err(ControlError::Unreachable { .. })
    ));
}
