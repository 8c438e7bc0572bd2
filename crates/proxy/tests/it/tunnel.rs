//! Upgraded connections.

use crate::support::{BOUND, World, digest, eventually, raw_backend, read_head, upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Upgrades on `/ws` and echoes until the client ends; answers 426 elsewhere.
async fn echo() -> std::net::SocketAddr {
    raw_backend(|mut stream: TcpStream| async move {
        while let Some(head) = read_head(&mut stream).await {
            if !head.starts_with("GET /ws ") {
                let _ = stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").await;
                continue;
            }
            assert!(head.to_ascii_lowercase().contains("upgrade: websocket\r\n"), "{head}");
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello ")
                .await;
            let (mut from, mut to) = stream.into_split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
            // The client's half is closed; ours is not.
            let _ = to.write_all(b" bye").await;
            return;
        }
    })
    .await
}

const UPGRADE: &str = "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn tunnels(world: &World, wanted: u64) {
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        let load = status
            .load
            .iter()
            .find(|l| l.version == digest("stable"))
            .expect("load");
        ((load.tunnels, load.in_flight) == (wanted, 0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bytes_go_both_ways_until_both_sides_end() {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[echo().await]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    // The first frame may come before the answer; it must not be read as HTTP.
    let early = format!("GET /ws HTTP/1.1\r\n{UPGRADE}GET /smuggled HTTP/1.1\r\n\r\n");
    stream.write_all(early.as_bytes()).await.expect("written");
    let head = read_head(&mut stream)
        .await
        .expect("head")
        .to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("upgrade: websocket") && head.contains("sec-websocket-accept: x"),
        "{head}"
    );
    tunnels(&world, 1).await;
    let payload = vec![7_u8; 1_000_000];
    let (mut from, mut to) = stream.split();
    let (written, read) = tokio::join!(
        async {
            to.write_all(&payload).await?;
            to.shutdown().await
        },
        async {
            let mut all = Vec::new();
            from.read_to_end(&mut all).await.map(|_| all)
        }
    );
    written.expect("written");
    let read = read.expect("read");
    let expected = [
        b"hello GET /smuggled HTTP/1.1\r\n\r\n",
        &payload[..],
        b" bye",
    ]
    .concat();
    assert_eq!(read.len(), expected.len());
    assert!(read == expected);
    tunnels(&world, 0).await;
    assert_eq!(
        world.cells(1).await.iter().map(|c| c.requests).sum::<u64>(),
        1
    );
}

#[tokio::test]
async fn a_refused_upgrade_leaves_the_connection_usable() {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[echo().await]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    let two = format!("GET /no HTTP/1.1\r\n{UPGRADE}GET /plain HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(two.as_bytes()).await.expect("written");
    for _ in 0..2 {
        assert!(
            read_head(&mut stream)
                .await
                .expect("head")
                .starts_with("HTTP/1.1 426")
        );
    }
    let upgrade = format!("GET /ws HTTP/1.1\r\n{UPGRADE}");
    stream.write_all(upgrade.as_bytes()).await.expect("written");
    assert!(
        read_head(&mut stream)
            .await
            .expect("head")
            .starts_with("HTTP/1.1 101")
    );
    tunnels(&world, 1).await;
    drop(stream);
    tunnels(&world, 0).await;
}

#[tokio::test]
async fn a_tunnel_outlives_its_generation_but_not_the_deadline() {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[echo().await]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(format!("GET /ws HTTP/1.1\r\n{UPGRADE}").as_bytes())
        .await
        .expect("written");
    assert!(read_head(&mut stream).await.is_some());
    let mut hello = [0; 6];
    stream.read_exact(&mut hello).await.expect("hello");
    // The version is retired: the tunnel goes on and is still shown.
    let mut gone = world.service(0);
    gone.upstreams.remove(0);
    gone.stable = digest("canary");
    world.publish(vec![gone]).await;
    tunnels(&world, 1).await;
    stream.write_all(b"ping").await.expect("written");
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.expect("pong");
    assert_eq!(&pong, b"ping");
    world.stop().await;
    // The version may hear of the end a moment before its client, and say its last word.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(BOUND, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it goes on: {rest:?}");
    assert!(b" bye".starts_with(&rest), "{rest:?}");
}
