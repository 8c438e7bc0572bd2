//! WebSockets whose version is taken back, or whose proxy ends.

use crate::support::{Client, World, digest, eventually, raw_backend, read_head, upstream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a version of WebSockets was sent behind the upgrade.
type Seen = Arc<Mutex<Vec<u8>>>;

const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// Upgrades to the protocol that is asked for, says `first`, then only listens.
async fn listener(first: &'static [u8]) -> (std::net::SocketAddr, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let address = raw_backend(move |mut stream: TcpStream| {
        let seen = Arc::clone(&noted);
        async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            let protocol = if head.to_ascii_lowercase().contains("upgrade: websocket") {
                "websocket"
            } else {
                "foo"
            };
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.write_all(first).await;
            let mut space = [0; 1_000];
            while let Ok(n @ 1..) = stream.read(&mut space).await {
                seen.lock().expect("lock").extend_from_slice(&space[..n]);
            }
        }
    })
    .await;
    (address, seen)
}

async fn open(world: &World, protocol: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let head = read_head(&mut stream).await.expect("head");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

/// A world whose canary is such a version and has everybody.
async fn world(first: &'static [u8]) -> (World, std::net::SocketAddr, Seen) {
    let mut world = World::new().await;
    let (address, seen) = listener(first).await;
    share(&mut world, address, 10_000).await;
    (world, address, seen)
}

async fn share(world: &mut World, canary: std::net::SocketAddr, share: u16) {
    let mut service = world.service(share);
    service.upstreams[1] = upstream("canary", &[canary]);
    if share == 0 {
        // As a controller returns a release: nobody is left in its split.
        service.split = Some(crate::support::split(0));
    }
    world.publish(vec![service]).await;
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(crate::support::BOUND, stream.read_to_end(&mut all)).await;
    read.expect("it ends").expect("in order, not by a reset");
    all
}

// RBK-14, TRF-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_taken_back_says_goodbye_to_both_sides() {
    // A text frame "hi" and the first half of nothing.
    let (mut world, canary, seen) = world(b"\x81\x02hi").await;
    let mut client = open(&world, "websocket").await;
    let mut frame = [0; 4];
    client.read_exact(&mut frame).await.expect("a frame");
    client
        .write_all(b"\x81\x82\0\0\0\0yo")
        .await
        .expect("written");
    eventually(|| async { (seen.lock().expect("lock").len() == 8).then_some(()) }).await;
    // A share that shrinks and keeps somebody leaves it alone.
    share(&mut world, canary, 5_000).await;
    client
        .write_all(b"\x81\x82\0\0\0\0yo")
        .await
        .expect("written");
    eventually(|| async { (seen.lock().expect("lock").len() == 16).then_some(()) }).await;
    share(&mut world, canary, 0).await;
    assert_eq!(rest(&mut client).await, GOING_AWAY);
    let close = eventually(|| async {
        let seen = seen.lock().expect("lock");
        (seen.len() == 24).then(|| seen[16..].to_vec())
    })
    .await;
    assert_eq!(close[..2], [0x88, 0x82], "masked, as a client must");
    assert_eq!([close[6] ^ close[2], close[7] ^ close[3]], [0x03, 0xe9]);
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        status.load.iter().all(|l| l.tunnels == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_frame_the_stream_just_ends() {
    let (mut world, canary, _seen) = world(b"\x81\x7e\x10\x00half").await;
    let mut client = open(&world, "websocket").await;
    let mut begun = [0; 8];
    client.read_exact(&mut begun).await.expect("half a frame");
    share(&mut world, canary, 0).await;
    assert_eq!(
        rest(&mut client).await,
        b"",
        "nothing may look like payload"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_protocol_gets_no_frame() {
    let (mut world, canary, _seen) = world(b"hello").await;
    let mut client = open(&world, "foo").await;
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.expect("hello");
    share(&mut world, canary, 0).await;
    assert_eq!(rest(&mut client).await, b"");
}

// TRF-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_ends_nobodys_websocket() {
    let mut world = World::new().await;
    let (old, seen) = listener(b"").await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[old]);
    world.publish(vec![service.clone()]).await;
    let mut client = open(&world, "websocket").await;
    service.split = Some(crate::support::split(10_000));
    world.publish(vec![service.clone()]).await;
    service.split = None;
    service.stable = digest("canary");
    world.publish(vec![service]).await;
    client
        .write_all(b"\x81\x82\0\0\0\0yo")
        .await
        .expect("written");
    eventually(|| async { (seen.lock().expect("lock").len() == 8).then_some(()) }).await;
}

// Design: dead-man.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_the_proxy_takes_back_ends_them_too() {
    let mut world = World::new().await;
    let (canary, _seen) = listener(b"").await;
    let mut service = world.service(5_000);
    service.upstreams[1] = upstream("canary", &[canary]);
    service.lost_control.after = esclusa_model::Millis(3_000);
    world.publish(vec![service]).await;
    // One that is in the canary's half.
    let tenant = (0..)
        .map(|n| format!("t{n}"))
        .find(|t| {
            let salt = esclusa_model::Salt::new("r1").expect("salt");
            let half = esclusa_model::BasisPoints::new(5_000).expect("share");
            esclusa_flags::in_share(esclusa_flags::bucket(&salt, t), half)
        })
        .expect("somebody");
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nX-Tenant: {tenant}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    assert!(
        read_head(&mut stream)
            .await
            .expect("head")
            .starts_with("HTTP/1.1 101")
    );
    assert_eq!(rest(&mut stream).await, GOING_AWAY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_ends_says_goodbye_at_the_deadline() {
    let (mut world, _, seen) = world(b"").await;
    let mut client = open(&world, "websocket").await;
    let proxy = world.proxy.take().expect("a proxy");
    let drained = tokio::spawn(proxy.drain(Duration::from_millis(700)));
    // Until then it lives.
    client
        .write_all(b"\x81\x82\0\0\0\0yo")
        .await
        .expect("written");
    eventually(|| async { (seen.lock().expect("lock").len() == 8).then_some(()) }).await;
    assert_eq!(rest(&mut client).await, GOING_AWAY);
    assert_eq!(drained.await.expect("drained").cut_off, 1);
}

/// Hints before the answer (RFC 8297) reach a client that knows them, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_hints_come_before_the_answer() {
    let mut world = World::new().await;
    let hinting = raw_backend(|mut stream: TcpStream| async move {
        while read_head(&mut stream).await.is_some() {
            for n in 1..=2 {
                let early = format!(
                    "HTTP/1.1 103 Early Hints\r\nLink: </{n}.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
                );
                let _ = stream.write_all(early.as_bytes()).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[hinting]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("written");
        for n in 1..=2 {
            let head = read_head(&mut stream)
                .await
                .expect("a hint")
                .to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 103 early hints\r\n"), "{head}");
            assert!(
                head.contains(&format!("link: </{n}.css>; rel=preload")),
                "{head}"
            );
            assert!(!head.contains("x-hop"), "{head}");
        }
        let head = read_head(&mut stream).await.expect("the answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = [0; 2];
        stream.read_exact(&mut body).await.expect("body");
        assert_eq!(&body, b"ok");
    }
    // Who speaks HTTP/1.0 or HTTP/2 gets the answer alone.
    let old = crate::support::raw(
        world.listen,
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(!old.contains(" 103 ") && old.contains(" 200 "), "{old}");
    let mut two = Client::http2(world.listen).await;
    assert_eq!(two.get("/", &[]).await.status, 200);
}

/// A body is asked for once, by the proxy, and only when somebody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    let head =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.expect("written");
    let told = read_head(&mut stream).await.expect("a word");
    assert!(told.starts_with("HTTP/1.1 100"), "{told}");
    stream.write_all(b"body").await.expect("written");
    let answer = read_head(&mut stream).await.expect("the answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.stable.last().body, "body");
    assert!(world.stable.last().headers.get("expect").is_none());
}
