//! One proxy takes over from another, or tries to.
//!
//! Both live in this process: sockets, locks and files behave as between two.

use crate::support::{
    BOUND, Client, World, config, eventually, get, raw_backend, read_head, upstream, whole_answer,
};
use crate::take_back::{nobody_is_at_the_canary, take_back};
use bytes::Bytes;
use esclusa_model::{GenerationId, Millis};
use esclusa_proxy::{Proxy, ProxyConfig, ProxyError, ProxyHandle};
use esclusa_wire::{FromLeader, HAND_OVER_VERSION, LostControlThen, SliceAck, ToLeader};
use http::Method;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

fn newcomer(world: &World) -> ProxyConfig {
    let mut config = config(&world.dir);
    config.take_over = true;
    config
}

/// Starts a proxy that takes over; both are returned, the one that drains first.
pub(crate) fn take_over(world: &mut World) -> ProxyHandle {
    let old = world.proxy.take().expect("a proxy");
    world.proxy = Some(Proxy::start(newcomer(world)).expect("takes over"));
    old
}

/// Speaks the protocol by hand, as a newcomer that can die at any step.
pub(crate) struct ByHand(BufReader<UnixStream>);

impl ByHand {
    pub(crate) async fn connect(world: &World) -> Self {
        let path = world.dir.path().join("data/next.sock");
        Self(BufReader::new(
            UnixStream::connect(path).await.expect("connects"),
        ))
    }

    async fn say(&mut self, message: &ToLeader) {
        let line = serde_json::to_string(message).expect("JSON");
        let stream = self.0.get_mut();
        stream
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("said");
    }

    pub(crate) async fn ask(&mut self, world: &World, v: u16, proxy: &str) -> FromLeader {
        let boot = world.proxy.as_ref().expect("a proxy").boot().clone();
        let proxy = esclusa_model::ProxyId::new(proxy).expect("id");
        self.say(&ToLeader::TakeOver { v, proxy, boot }).await;
        self.hear().await.expect("an answer")
    }

    /// Accepts what it was given and dies. The older one drains and leads nobody; the next
    /// begins from the disk and the holder, and answers who waits in the queue.
    pub(crate) async fn dies_after_the_last_word(
        mut self,
        world: &mut World,
        holder: PathBuf,
    ) -> ProxyHandle {
        self.say(&ToLeader::Accepting {}).await;
        assert_eq!(self.hear().await, Some(FromLeader::Committed {}));
        drop(self);
        let mut waiting = TcpStream::connect(world.listen).await.expect("not refused");
        let asked = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        waiting.write_all(asked).await.expect("written");
        let mut next = newcomer(world);
        next.holder = Some(holder);
        let old = world.proxy.take().expect("the older");
        world.proxy = Some(Proxy::start(next).expect("starts"));
        let answer = whole_answer(&mut waiting).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        old
    }

    /// Files that come along are dropped by a plain read.
    async fn hear(&mut self) -> Option<FromLeader> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("read");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("understood"))
    }
}

// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_proxy_serves_before_the_older_ends() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let mut kept = Client::http1(world.listen).await;
    assert_eq!(kept.get("/", &[]).await.status, 200);
    let mut two = Client::http2(world.listen).await;
    let slow = tokio::spawn(async move { two.get("/slow/1000", &[]).await.status });
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        status.load.iter().any(|l| l.in_flight > 0).then_some(())
    })
    .await;
    let before = world.control.hello().await.expect("hello").boot;
    let old = take_over(&mut world);
    // The same call on the same socket reaches the newer one.
    let after = world.control.hello().await.expect("hello").boot;
    assert_ne!(before, after);
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
    // What is open at the older one still counts.
    let status = world.control.status().await.expect("status");
    assert!(status.load.iter().any(|l| l.in_flight > 0), "{status:?}");
    // Its clients are answered and told to go, each when it comes.
    let got = kept.get("/", &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.headers.get("connection").expect("a word"), "close");
    assert_eq!(slow.await.expect("answer"), 200);
    let mut old = old;
    tokio::time::timeout(BOUND, old.gone())
        .await
        .expect("ends by itself");
    assert_eq!(old.drain(Duration::ZERO).await.cut_off, 0);
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
    // Five requests, counted by two processes, once each.
    let slices = world.slices_with(5).await;
    let boots: std::collections::BTreeSet<_> = slices.iter().map(|s| s.boot.clone()).collect();
    assert_eq!(boots.len(), 2);
    for boot in boots {
        let mine = slices.iter().filter(|s| s.boot == boot);
        let mut sequences: Vec<u64> = mine.map(|s| s.sequence).collect();
        let count = sequences.len() as u64;
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len() as u64, count, "each number once");
        let sequence = *sequences.last().expect("some");
        world
            .control
            .ack(&SliceAck { boot, sequence })
            .await
            .expect("acknowledged");
    }
    // Nothing of the older one's files is left once all is acknowledged.
    eventually(|| async {
        let folder = std::fs::read_dir(world.dir.path().join("data/slices")).expect("folder");
        let old = folder
            .flatten()
            .any(|f| f.file_name().to_string_lossy().contains(before.as_str()));
        (!old).then_some(())
    })
    .await;
}

// RBK-14, TRF-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_meets_no_old_generation() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut client = Client::http1(world.listen).await;
        assert_eq!(client.get("/", &[]).await.version(), "canary");
        kept.push(client);
    }
    let _old = take_over(&mut world);
    // Everybody is returned by way of the newer one; the older one's clients come later.
    world.share(0).await;
    for client in &mut kept {
        assert_eq!(client.get("/", &[]).await.version(), "stable");
    }
}

/// A client of the one in charge, served by the canary. One that drains may still take a
/// connection for a moment: it answers, and tells the client to go.
async fn at_the_newest(world: &World) -> Client {
    let kept = async {
        loop {
            let mut client = Client::http1(world.listen).await;
            let got = client.get("/", &[]).await;
            assert_eq!(got.version(), "canary");
            if !got.headers.contains_key("connection") {
                return client;
            }
        }
    };
    let kept = tokio::time::timeout(BOUND, kept).await;
    kept.expect("the newest takes connections")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_follows_leads_those_before_it() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let mut kept = Client::http1(world.listen).await;
    assert_eq!(kept.get("/", &[]).await.version(), "canary");
    let _first = take_over(&mut world);
    let mut later = at_the_newest(&world).await;
    // The second hands over too, while the first still drains.
    let _second = take_over(&mut world);
    // What the third serves reaches the first by way of the second, before it is answered.
    world.share(0).await;
    assert_eq!(kept.get("/", &[]).await.version(), "stable");
    assert_eq!(later.get("/", &[]).await.version(), "stable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_dies_changes_nothing() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let boot = world.control.hello().await.expect("hello").boot;
    for step in 0..3 {
        let mut hand = ByHand::connect(&world).await;
        if step > 0 {
            let answer = hand.ask(&world, HAND_OVER_VERSION, "p1").await;
            let FromLeader::Yours(yours) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(yours.boot, boot);
            assert!(yours.state.is_some());
        }
        if step == 2 {
            // A second one meanwhile is told to wait its turn.
            let mut other = ByHand::connect(&world).await;
            let answer = other.ask(&world, HAND_OVER_VERSION, "p1").await;
            assert!(matches!(answer, FromLeader::Refused { .. }), "{answer:?}");
        }
        // As the kernel does for a process that was killed.
        drop(hand);
        eventually(|| async {
            let hello = world.control.hello().await.ok()?;
            (hello.boot == boot).then_some(())
        })
        .await;
        // It is in charge: it takes a generation, and serves it.
        world.share(if step % 2 == 0 { 0 } else { 10_000 }).await;
        let expected = if step % 2 == 0 { "stable" } else { "canary" };
        assert_eq!(get(world.listen, "/", &[]).await.version(), expected);
    }
    // And it can still hand over to one that lives.
    let _old = take_over(&mut world);
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_hangs_does_not_hold_a_change_up() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let mut hand = ByHand::connect(&world).await;
    let answer = hand.ask(&world, HAND_OVER_VERSION, "p1").await;
    assert!(matches!(answer, FromLeader::Yours(_)), "{answer:?}");
    // It never says that it accepts. The change calls the hand-over off.
    world.share(0).await;
    assert_eq!(get(world.listen, "/", &[]).await.version(), "stable");
    assert_eq!(hand.hear().await, None);
}

// EMG-04: going back at the proxy meets a hand-over in every state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_took_back_is_handed_over_and_waits_for_no_newcomer() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let mut hand = ByHand::connect(&world).await;
    let answer = hand.ask(&world, HAND_OVER_VERSION, "p1").await;
    assert!(matches!(answer, FromLeader::Yours(_)), "{answer:?}");
    let tenant = crate::survival::canary_tenant(&world).await;
    // The newcomer never accepts; the person does not wait for it.
    let took = take_back(&world).await;
    nobody_is_at_the_canary(&world).await;
    assert_eq!(hand.hear().await, None);
    // One that lives is told of it, and holds it.
    let _first = take_over(&mut world);
    let status = world.control.status().await.expect("status");
    assert_eq!(status.taken_back, took.taken_back);
    world.share(10_000).await;
    nobody_is_at_the_canary(&world).await;
    world.share(0).await;
    world.share(5_000).await;
    let mut kept = Client::http1(world.listen).await;
    let got = kept.get("/", &[("x-tenant", &tenant)]).await;
    assert_eq!(got.version(), "canary");
    // On a connection of one that drains, it is in force before it is answered.
    let _second = take_over(&mut world);
    let took = take_back(&world).await;
    assert!(took.everywhere, "{took:?}");
    let got = kept.get("/", &[("x-tenant", &tenant)]).await;
    assert_eq!((got.status, got.version()), (200, "stable"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_dies_after_the_last_word_leaves_the_sockets_to_the_next() {
    let held = tempfile::tempdir().expect("folder");
    let holder = crate::holding::Holder::start(held.path());
    let folder = held.path().to_owned();
    let mut world = World::with(|config| config.holder = Some(folder.clone())).await;
    world.share(10_000).await;
    holder.holds(1).await;
    let mut kept = Client::http1(world.listen).await;
    assert_eq!(kept.get("/", &[]).await.version(), "canary");
    let mut hand = ByHand::connect(&world).await;
    let answer = hand.ask(&world, HAND_OVER_VERSION, "p1").await;
    assert!(matches!(answer, FromLeader::Yours(_)), "{answer:?}");
    let mut old = hand.dies_after_the_last_word(&mut world, folder).await;
    // It follows the next one before its clients are served again.
    eventually(|| async {
        let metrics = world.control.metrics().await.expect("metrics");
        metrics.contains("esclusa_proxy_followers 1").then_some(())
    })
    .await;
    world.share(0).await;
    let got = kept.get("/", &[]).await;
    assert_eq!((got.status, got.version()), (200, "stable"));
    tokio::time::timeout(BOUND, old.gone())
        .await
        .expect("ends by itself");
}

// Who leads nobody any more answers for a moment, and then lets go of its sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_sent_away_by_one_that_is_not_in_charge_begins_by_itself() {
    let mut world = World::new().await;
    world.share(0).await;
    world.stop().await;
    let path = world.dir.path().join("data/next.sock");
    let former = tokio::net::UnixListener::bind(path).expect("free");
    let answered = tokio::spawn(async move {
        let (stream, _) = former.accept().await.expect("a newcomer");
        let mut hand = ByHand(BufReader::new(stream));
        let mut asked = String::new();
        hand.0.read_line(&mut asked).await.expect("read");
        let refused = FromLeader::Refused {
            reason: "it was handed over already".into(),
        };
        let line = serde_json::to_string(&refused).expect("JSON") + "\n";
        let said = hand.0.get_mut().write_all(line.as_bytes()).await;
        said.expect("said");
        asked
    });
    world.proxy = Some(Proxy::start(newcomer(&world)).expect("nobody is in charge"));
    assert!(answered.await.expect("asked").contains("p1"));
    assert_eq!(get(world.listen, "/", &[]).await.version(), "stable");
}

#[tokio::test]
async fn strangers_are_refused_with_a_reason() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut hand = ByHand::connect(&world).await;
    let answer = hand.ask(&world, HAND_OVER_VERSION + 1, "p1").await;
    assert!(matches!(answer, FromLeader::Refused { .. }), "{answer:?}");
    let mut other = newcomer(&world);
    other.id = esclusa_model::ProxyId::new("p2").expect("id");
    let refused = Proxy::start(other);
    assert!(
        matches!(&refused, Err(ProxyError::NotHandedOver(why)) if why.contains("p1")),
        "{refused:?}"
    );
    assert_eq!(get(world.listen, "/", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_cannot_serve_gives_it_back() {
    let mut world = World::new().await;
    world.share(0).await;
    let boot = world.control.hello().await.expect("hello").boot;
    // The address for metrics is taken: it fails after it was given everything.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let mut next = newcomer(&world);
    next.metrics_listen = Some(taken.local_addr().expect("address"));
    assert!(matches!(Proxy::start(next), Err(ProxyError::Listen { .. })));
    world.share(0).await;
    assert_eq!(world.control.hello().await.expect("hello").boot, boot);
}

// Design: dead-man.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silence_goes_on_across_a_hand_over() {
    let mut world = World::new().await;
    let mut service = world.service(5_000);
    service.lost_control.after = Millis(8_000);
    service.lost_control.then = LostControlThen::Return;
    world.publish(vec![service]).await;
    let silent = Instant::now();
    let tenant = crate::survival::canary_tenant(&world).await;
    tokio::time::sleep(Duration::from_millis(7_000)).await;
    let _old = take_over(&mut world);
    eventually(|| async {
        let got = get(world.listen, "/", &[("x-tenant", &tenant)]).await;
        (got.version() == "stable").then_some(())
    })
    .await;
    // A budget that began anew could not be over before 15 s.
    assert!(
        silent.elapsed() < Duration::from_millis(14_700),
        "{:?}",
        silent.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fence_holds_across_a_hand_over() {
    let mut world = World::new().await;
    world.share(0).await;
    world.share(10_000).await;
    let service = world.service(0);
    let mut old = world.generation(vec![service]);
    let _old_proxy = take_over(&mut world);
    old.id = GenerationId {
        epoch: old.id.epoch,
        number: 1,
    };
    assert!(world.control.publish(&old).await.is_err());
    let status = world.control.status().await.expect("status");
    assert_eq!(status.generation.number, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_the_middle_of_an_upload_or_a_download_notices_nothing() {
    let mut world = World::new().await;
    let drip = raw_backend(|mut stream: TcpStream| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("POST") {
                let mut body = vec![0; 1_000];
                if stream.read_exact(&mut body).await.is_err() {
                    return;
                }
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                .await;
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let _ = stream.write_all(&[b'x'; 10]).await;
            }
        }
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[drip]);
    world.publish(vec![service]).await;
    let mut download = Client::http1(world.listen).await;
    let download = tokio::spawn(async move { download.get("/", &[]).await.body.len() });
    let mut upload = TcpStream::connect(world.listen).await.expect("connects");
    let head = b"POST /up HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000\r\n\r\n";
    upload.write_all(head).await.expect("written");
    upload.write_all(&[b'u'; 500]).await.expect("written");
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        let open: u64 = status.load.iter().map(|l| l.in_flight).sum();
        (open == 2).then_some(())
    })
    .await;
    let _old = take_over(&mut world);
    upload.write_all(&[b'u'; 500]).await.expect("written");
    let head = read_head(&mut upload).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = vec![0; 1_000];
    upload.read_exact(&mut body).await.expect("all of it");
    assert_eq!(download.await.expect("download"), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_of_later_generations_are_handed_over_and_given_up() {
    let held = tempfile::tempdir().expect("folder");
    let holder = crate::holding::Holder::start(held.path());
    let folder = held.path().to_owned();
    let mut world = World::with(|config| config.holder = Some(folder.clone())).await;
    world.share(0).await;
    let second = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let address = second.local_addr().expect("address");
    drop(second);
    let mut more = world.service(0);
    more.service = esclusa_model::ServiceName::new("more").expect("name");
    more.listen = address.to_string();
    let first = world.service(0);
    world.publish(vec![first, more]).await;
    holder.holds(2).await;
    let mut next = newcomer(&world);
    next.holder = Some(folder);
    let old = world.proxy.replace(Proxy::start(next).expect("takes over"));
    assert_eq!(get(address, "/", &[]).await.status, 200);
    drop(old);
    assert_eq!(get(address, "/", &[]).await.status, 200);
    world.share(0).await;
    holder.holds(1).await;
    eventually(|| async { TcpStream::connect(address).await.is_err().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_in_flight_is_not_sent_twice() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut client = Client::http1(world.listen).await;
    let sent = tokio::spawn(async move {
        client
            .send(Method::POST, "/slow/700", &[], Bytes::from_static(b"once"))
            .await
            .expect("an answer")
            .status
    });
    eventually(|| async { (world.stable.requests() == 1).then_some(()) }).await;
    let _old = take_over(&mut world);
    assert_eq!(sent.await.expect("task"), 200);
    assert_eq!(world.stable.requests(), 1);
}
