//! Whose fault a failed request is, and that failures are counted where they belong.

use crate::support::{
    Client, World, digest, events, eventually, get, raw, raw_backend, read_head, total, upstream,
};
use bytes::Bytes;
use esclusa_judge::EventClass as E;
use esclusa_model::Millis;
use http::Method;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A world whose only version is behind `address`.
async fn behind(address: SocketAddr) -> World {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    service.response_timeout = Millis(400);
    world.publish(vec![service]).await;
    world
}

#[tokio::test]
async fn statuses_are_classed() {
    let mut world = World::new().await;
    world.share(10_000).await;
    let mut client = Client::http1(world.listen).await;
    for (path, status) in [
        ("/status/503", 503),
        ("/status/404", 404),
        ("/status/204", 204),
        ("/status/304", 304),
        ("/", 200),
    ] {
        assert_eq!(client.get(path, &[("x-tenant", "t")]).await.status, status);
    }
    let cells = world.cells(5).await;
    assert_eq!(
        (
            events(&cells, E::ServerError),
            events(&cells, E::ClientError)
        ),
        (1, 1)
    );
    let latencies: u64 = cells.iter().map(|c| c.latency.total()).sum();
    let failures: u64 = cells
        .iter()
        .flat_map(|c| &c.units)
        .map(|u| u.failures)
        .sum();
    assert_eq!((latencies, failures), (4, 1));
    assert!(cells.iter().all(|c| c.intended == digest("canary")));
}

// A canary that is down must look down: nobody else answers for it.
#[tokio::test]
async fn a_version_that_cannot_be_reached_is_not_covered_up() {
    let mut world = World::new().await;
    let mut service = world.service(10_000);
    let closed = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        socket.local_addr().expect("address")
    };
    service.upstreams[1] = upstream("canary", &[closed]);
    world.publish(vec![service.clone()]).await;
    assert_eq!(
        get(world.listen, "/", &[("x-tenant", "a")]).await.status,
        502
    );
    service.upstreams[1] = upstream("canary", &[]);
    world.publish(vec![service.clone()]).await;
    assert_eq!(
        get(world.listen, "/", &[("x-tenant", "a")]).await.status,
        503
    );
    // One instance of two is enough.
    service.upstreams[1] = upstream("canary", &[closed, world.canary.address]);
    world.publish(vec![service]).await;
    for _ in 0..5 {
        assert_eq!(
            get(world.listen, "/", &[("x-tenant", "a")]).await.version(),
            "canary"
        );
    }
    let cells = world.cells(7).await;
    assert_eq!(events(&cells, E::Connect), 2);
    assert_eq!(
        total(&cells, |c| c.intended == digest("canary")
            && c.served.is_none()),
        2
    );
    assert_eq!(
        total(&cells, |c| c.served == Some(digest("canary"))
            && c.instance
                .as_ref()
                .is_some_and(|i| i.as_str() == "canary-1")),
        5
    );
    assert_eq!(world.stable.requests(), 0);
}

#[tokio::test]
async fn a_version_that_hangs_breaks_off_or_babbles_is_charged() {
    let address = raw_backend(|mut stream: TcpStream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let answer: &[u8] = match head.split(' ').nth(1) {
                Some("/hang") => {
                    let _ = stream.read_u8().await;
                    return;
                }
                Some("/reset") => return,
                Some("/babble") => b"SSH-2.0-OpenSSH\r\n\r\n",
                Some("/cut") => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                Some("/cut-chunks") => {
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
                }
                Some("/unasked") => {
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                }
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            let _ = stream.write_all(answer).await;
            if answer.starts_with(b"SSH") || head.contains("/cut") {
                return;
            }
        }
    })
    .await;
    let world = behind(address).await;
    for (path, status) in [
        ("/hang", 504),
        ("/reset", 502),
        ("/babble", 502),
        ("/unasked", 502),
        ("/fine", 200),
    ] {
        assert_eq!(get(world.listen, path, &[]).await.status, status, "{path}");
    }
    for path in ["/cut", "/cut-chunks"] {
        let cut = Client::http1(world.listen)
            .await
            .send(Method::GET, path, &[], Bytes::new())
            .await;
        assert!(cut.is_err(), "{path}: a cut body must not look complete");
    }
    let cells = world.cells(7).await;
    assert_eq!(
        (events(&cells, E::Timeout), events(&cells, E::Reset)),
        (1, 5)
    );
    assert_eq!(total(&cells, |c| c.served.is_none()), 4, "{cells:#?}");
}

#[tokio::test]
async fn a_broken_upload_is_the_clients_fault() {
    let mut world = World::new().await;
    let mut service = world.service(0);
    service.max_body_bytes = 100;
    world.publish(vec![service]).await;
    // Goes away in the middle.
    for head in [
        "Content-Length: 50\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let mut stream = TcpStream::connect(world.listen).await.expect("connects");
        let text = format!("POST /up HTTP/1.1\r\nHost: a\r\n{head}");
        stream.write_all(text.as_bytes()).await.expect("written");
        eventually(|| async {
            let status = world.control.status().await.expect("status");
            status.load.iter().any(|l| l.in_flight == 1).then_some(())
        })
        .await;
        drop(stream);
        eventually(|| async {
            let status = world.control.status().await.expect("status");
            status.load.iter().all(|l| l.in_flight == 0).then_some(())
        })
        .await;
    }
    // Says too much, beforehand or on the way.
    let big = "x".repeat(101);
    let said = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n{big}");
    assert!(
        raw(world.listen, said.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
    let unsaid = format!(
        "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{big}\r\n0\r\n\r\n"
    );
    assert!(
        raw(world.listen, unsaid.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
    let slices = world.slices_with(4).await;
    assert_eq!(slices.iter().map(|s| s.slice.client_faults).sum::<u64>(), 4);
    assert_eq!(
        slices
            .iter()
            .flat_map(|s| &s.slice.cells)
            .map(|c| c.requests)
            .sum::<u64>(),
        0
    );
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_by_when_it_leaves() {
    let mut world = World::new().await;
    world.share(0).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"GET /slow/60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    // It shows as waiting, older each second.
    let mut last = 0;
    loop {
        let batch = world
            .control
            .slices(last, Duration::from_secs(3))
            .await
            .expect("slices");
        last = batch.slices.last().map_or(last, |s| s.sequence);
        if batch
            .slices
            .iter()
            .flat_map(|s| &s.slice.cells)
            .any(|c| c.pending.at_or_above(900_000) == 1)
        {
            break;
        }
        assert!(last < 10, "it never showed as waiting");
    }
    drop(stream);
    let cells = world.cells(1).await;
    assert_eq!(events(&cells, E::Cancelled), 1);
    assert_eq!(cells.iter().map(|c| c.latency.total()).sum::<u64>(), 1);

    // After the head it is the client's own affair.
    let address = raw_backend(|mut stream: TcpStream| async move {
        let _ = read_head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
            .await;
        let _ = stream.read_u8().await;
    })
    .await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    world.publish(vec![service]).await;
    let mut stream = TcpStream::connect(world.listen).await.expect("connects");
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    assert!(read_head(&mut stream).await.is_some());
    drop(stream);
    let cells = world.cells(2).await;
    assert_eq!(total(&cells, |c| c.events.is_empty()), 1);
    assert_eq!(events(&cells, E::Reset), 0);
}

/// Answers the first request of a connection and leaves at the second.
async fn once_then_gone() -> SocketAddr {
    raw_backend(|mut stream: TcpStream| async move {
        if read_head(&mut stream).await.is_some() {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
            let _ = stream.read_u8().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_died_is_noticed_by_nobody() {
    let mut world = World::with(|config| config.workers = 1).await;
    let address = once_then_gone().await;
    let mut service = world.service(0);
    service.upstreams[0] = upstream("stable", &[address]);
    world.publish(vec![service]).await;
    let mut client = Client::http1(world.listen).await;
    for n in 0..20 {
        assert_eq!(client.get("/", &[]).await.status, 200, "request {n}");
    }
    // Sent twice it could act twice: the client is told.
    let lost = client
        .send(Method::POST, "/", &[], Bytes::from_static(b"x"))
        .await
        .expect("an answer");
    assert_eq!(lost.status, 502);
    let cells = world.cells(21).await;
    assert_eq!(events(&cells, E::Reset), 1);
}

#[tokio::test]
async fn how_a_grpc_call_ended_is_counted() {
    let address = raw_backend(|mut stream: TcpStream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let answer: &[u8] = if head.starts_with("GET /trailer") {
                b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 13\r\n\r\n"
            } else if head.starts_with("GET /header") {
                b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 7\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n"
            };
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let world = behind(address).await;
    let mut client = Client::http2(world.listen).await;
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    for path in ["/trailer", "/header", "/fine"] {
        let got = client.get(path, &grpc).await;
        assert_eq!(got.status, 200);
        let trailer = got.trailers.as_ref().and_then(|t| t.get("grpc-status"));
        let expected = match path {
            "/trailer" => Some("13"),
            "/fine" => Some("0"),
            _ => None,
        };
        assert_eq!(
            trailer.map(|v| v.to_str().expect("text")),
            expected,
            "{path}"
        );
    }
    let cells = world.cells(3).await;
    assert_eq!(events(&cells, E::GrpcStatus), 2);
}
