//! Bounds, and addresses where nothing is.

use crate::world::{LONG, document, flags, open_world, start_with, table};
use esclusa_ofrep::{Limits, Shared};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_not_there_says_so() {
    let world = open_world();
    assert_eq!(world.call("GET", "/healthz", &[], "").await.status, 200);
    for (method, target, status) in [
        ("GET", "/", 404),
        ("GET", "/ofrep/v1/configuration", 404),
        ("POST", "/ofrep/v1/evaluate/flagsx", 404),
        ("POST", "/ofrep/v2/evaluate/flags", 404),
        ("GET", "/ofrep/v1/evaluate/flags", 405),
        ("PUT", "/ofrep/v1/evaluate/flags/plain", 405),
        ("POST", "/ofrep/v1/events", 405),
        ("GET", "/ofrep/v1/events", 401),
        ("GET", "/ofrep/v1/events?ticket=x.y.z", 401),
        ("POST", "/healthz", 405),
    ] {
        let answer = world.call(method, target, &[], "").await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
}

#[tokio::test]
async fn before_the_first_document_nothing_is_answered() {
    let world = start_with(Shared::default(), Limits::default());
    let answer = world.flag("plain", "").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.header("retry-after").is_empty());
    assert!(answer.json()["errorDetails"].is_string());
    assert_eq!(world.call("GET", "/healthz", &[], "").await.status, 200);
}

#[tokio::test]
async fn large_bodies_are_refused_announced_or_not() {
    let world = open_world();
    let large = format!("{{\"context\":{{\"x\":\"{}\"}}}}", "x".repeat(70_000));
    assert_eq!(world.flag("plain", &large).await.status, 413);
    let mut socket = TcpStream::connect(world.address).await.expect("connects");
    let head = "POST /ofrep/v1/evaluate/flags/plain HTTP/1.1\r\nhost: localhost\r\n\
                x-esclusa-environment: production\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    for _ in 0..5 {
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        if socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn nobody_holds_a_connection_by_being_slow() {
    let limits = Limits {
        head_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        body_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let shared = Shared::new(table(&document(1, flags(), Vec::new())));
    let world = start_with(shared, limits);
    let ending = async |said: &str| {
        let mut socket = TcpStream::connect(world.address).await.expect("connects");
        socket.write_all(said.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        tokio::time::timeout(LONG, read)
            .await
            .expect("it ends")
            .expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(ending("").await, "", "idle");
    assert_eq!(ending("POST /ofrep").await, "", "half a head");
    let body = "POST /ofrep/v1/evaluate/flags/plain HTTP/1.1\r\nhost: localhost\r\n\
                x-esclusa-environment: production\r\ncontent-length: 10\r\n\r\n{";
    assert!(
        ending(body).await.starts_with("HTTP/1.1 408"),
        "half a body"
    );
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    assert!(
        ending(&head).await.starts_with("HTTP/1.1 431"),
        "a large head"
    );
}
