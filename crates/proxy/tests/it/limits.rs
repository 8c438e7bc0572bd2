//! Slow clients cost a bound and no version.

use crate::support::{BOUND, Client, World, raw_backend, read_head, upstream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(400);

async fn impatient() -> World {
    let mut world = World::with(|config| {
        config.limits.head_timeout = SHORT;
        config.limits.idle_timeout = SHORT;
        config.limits.body_timeout = SHORT;
        config.limits.write_timeout = SHORT;
    })
    .await;
    world.share(0).await;
    world
}

/// What the proxy says before it closes, and after how long it does.
async fn until_closed(mut stream: TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    // A reset is an end as well.
    let _ = closed.expect("the proxy closes the connection");
    (
        String::from_utf8_lossy(&answer).into_owned(),
        begun.elapsed(),
    )
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_silent_client_are_let_go() {
    let world = impatient().await;
    for start in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(world.listen).await.expect("connects");
        stream.write_all(start.as_bytes()).await.expect("written");
        let (answer, took) = until_closed(stream).await;
        assert_eq!(answer, "", "{start:?}");
        assert!(took > SHORT / 2, "{start:?}: {took:?}");
    }
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    let (answer, _) = until_closed(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("stable"),
        "{answer}"
    );
}

#[tokio::test]
async fn dripping_bytes_do_not_extend_a_heads_time() {
    let world = impatient().await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"GET / HTTP/1.1\r\nX: ")
        .await
        .expect("written");
    let begun = Instant::now();
    // The proxy's end shows as an error of a later write.
    while stream.write_all(b"x").await.is_ok() {
        assert!(begun.elapsed() < BOUND, "it goes on for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.stable.requests(), 0);
}

#[tokio::test]
async fn a_body_that_stalls_is_the_clients_fault() {
    let world = impatient().await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await
        .expect("written");
    let (answer, took) = until_closed(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(took > SHORT / 2, "{took:?}");
    let slices = world.slices_with(1).await;
    assert_eq!(slices.iter().map(|s| s.slice.client_faults).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_slow_upload_is_not_the_versions_time() {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.response_timeout = esclusa_model::Millis(1_500);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 8\r\n\r\n",
        )
        .await
        .expect("written");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(b"x").await.expect("written");
    }
    let (answer, _) = until_closed(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("xxxxxxxx"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_the_version_is_not_charged() {
    let mut world = impatient().await;
    let address = raw_backend(|mut stream: TcpStream| async move {
        if read_head(&mut stream).await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20);
            let _ = stream.write_all(head.as_bytes()).await;
            let block = vec![b'x'; 1 << 20];
            for _ in 0..64 {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    // Counted as finished without a byte of it having been read.
    let cells = world.cells(1).await;
    assert!(cells.iter().all(|c| c.events.is_empty()), "{cells:#?}");
    drop(stream);
}

#[tokio::test]
async fn an_idle_http_2_client_is_told_before_it_is_let_go() {
    let world = impatient().await;
    let Client::Two(mut sender) = Client::http2(world.listen).await else {
        unreachable!()
    };
    let mut client = Client::Two(sender.clone());
    assert_eq!(client.get("/", &[]).await.status, 200);
    // GOAWAY makes the sender refuse new requests instead of losing them.
    crate::support::eventually(|| {
        let closed = sender.is_closed();
        async move { closed.then_some(()) }
    })
    .await;
    assert!(sender.ready().await.is_err());
}
