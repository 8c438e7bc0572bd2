//! An end in order fails nobody's request.

use crate::support::{Client, World, eventually};
use bytes::Bytes;
use http::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Clients that never try again and use their connection until they are told to close.
// TRF-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_get_their_answers_and_are_told_to_close() {
    let mut world = World::new().await;
    world.share(5_000).await;
    let sent = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..40_u64 {
        let (listen, sent) = (world.listen, Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            let mut client = Client::http1(listen).await;
            let tenant = format!("t{n}");
            loop {
                let got = client
                    .send(Method::GET, "/", &[("x-tenant", &tenant)], Bytes::new())
                    .await;
                let got = got.expect("no request fails");
                assert_eq!(got.status, 200);
                sent.fetch_add(1, Ordering::SeqCst);
                if got.headers.get("connection").is_some_and(|c| c == "close") {
                    return;
                }
                // Idle for a while, each for another.
                tokio::time::sleep(Duration::from_millis(n * 7)).await;
            }
        }));
    }
    let mut slow = Client::http1(world.listen).await;
    let slow = tokio::spawn(async move { slow.get("/slow/1500", &[]).await.status });
    let mut slow_two = Client::http2(world.listen).await;
    let slow_two = tokio::spawn(async move { slow_two.get("/slow/1500", &[]).await.status });
    eventually(|| async { (sent.load(Ordering::SeqCst) > 400).then_some(()) }).await;
    let drained = world
        .proxy
        .take()
        .expect("proxy")
        .drain(Duration::from_secs(15))
        .await;
    assert_eq!(drained.cut_off, 0);
    for task in tasks {
        task.await.expect("no request fails");
    }
    assert_eq!(
        (slow.await.expect("answer"), slow_two.await.expect("answer")),
        (200, 200)
    );
    assert!(TcpStream::connect(world.listen).await.is_err());
    // Nothing that was answered is uncounted.
    world.start();
    world.slices_with(sent.load(Ordering::SeqCst) + 2).await;
}

#[tokio::test]
async fn the_deadline_holds() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut idle = Client::http1(world.listen).await;
    assert_eq!(idle.get("/", &[]).await.status, 200);
    let mut slow = Client::http1(world.listen).await;
    let slow = tokio::spawn(async move {
        slow.send(Method::GET, "/slow/60000", &[], Bytes::new())
            .await
    });
    eventually(|| async {
        let status = world.control.status().await.expect("status");
        status.load.iter().any(|l| l.in_flight == 1).then_some(())
    })
    .await;
    let begun = Instant::now();
    let drained = world
        .proxy
        .take()
        .expect("proxy")
        .drain(Duration::from_millis(500))
        .await;
    assert!(
        begun.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(drained.cut_off, 2);
    assert!(slow.await.expect("task").is_err());
    // Cut off by the proxy: its own fault, not the version's.
    world.start();
    let slices = world.slices_with(2).await;
    assert_eq!(slices.iter().map(|s| s.slice.proxy_faults).sum::<u64>(), 1);
}
