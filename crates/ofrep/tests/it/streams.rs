//! Event streams.

use crate::world::{LONG, World, document, flags, open_world, start, start_with, table, token};
use esclusa_ofrep::{Limits, Shared};
use esclusa_wire::FlagTokenKind;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A stream as a client reads it.
struct Stream {
    socket: TcpStream,
    text: String,
}

impl Stream {
    async fn open(world: &World, target: &str, more: &str) -> Self {
        let mut socket = TcpStream::connect(world.address).await.expect("connects");
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
        socket.write_all(request.as_bytes()).await.expect("sent");
        Self {
            socket,
            text: String::new(),
        }
    }

    /// Reads until the text is there, and gives everything up to its end.
    async fn until(&mut self, wanted: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.text.find(wanted) {
                    let rest = self.text.split_off(at + wanted.len());
                    return std::mem::replace(&mut self.text, rest);
                }
                let mut piece = [0; 4096];
                let read = self.socket.read(&mut piece).await.expect("read");
                assert!(read > 0, "it ended; {wanted:?} is not in {:?}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        };
        tokio::time::timeout(LONG, reading).await.expect("in time")
    }

    /// The next event's id and data.
    async fn event(&mut self) -> (String, Value) {
        self.until("event: message\n").await;
        let lines = self.until("\n\n").await;
        let field = |name: &str| {
            let found = lines.lines().find_map(|line| line.strip_prefix(name));
            found.expect("the field").to_owned()
        };
        let data = serde_json::from_str(&field("data: ")).expect("JSON");
        (field("id: "), data)
    }

    /// Waits for its end.
    async fn end(mut self) {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        // Ended or reset, both are an end.
        let _ = tokio::time::timeout(LONG, read).await.expect("it ends");
    }
}

async fn target(world: &World, headers: &[(&str, &str)]) -> String {
    let answer = world.bulk(headers, "{}").await;
    let json = answer.json();
    let target = json["eventStreams"][0]["endpoint"]["requestUri"].as_str();
    target.expect("a stream").to_owned()
}

fn kill(world: &World, flag: &str) {
    let mut kills = world.shared.table().kills().clone();
    kills.kill(Some(flag));
    world.shared.merge_kills(&kills);
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect(what);
}

// BLD-07: a change reaches an open stream, in the shape that providers read.
#[tokio::test]
async fn a_kill_is_told_at_once() {
    let world = open_world();
    let target = target(&world, &[]).await;
    let mut stream = Stream::open(&world, &target, "origin: http://localhost:1\r\n").await;
    let head = stream.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(
        head.contains("access-control-allow-origin: http://localhost:1\r\n"),
        "{head}"
    );
    assert!(stream.until("\n\n").await.starts_with("retry: "));
    let (first, data) = stream.event().await;
    assert_eq!(data["type"], "refetchEvaluation");
    assert!(data["lastModified"].is_u64());
    kill(&world, "plain");
    let (second, data) = stream.event().await;
    assert_ne!(first, second);
    assert_eq!(data["etag"], second.as_str());
    assert_eq!(world.flag("plain", "").await.json()["value"], false);
}

#[tokio::test]
async fn who_comes_back_is_told_only_what_is_new() {
    let world = open_world();
    let target = target(&world, &[]).await;
    let mut stream = Stream::open(&world, &target, "").await;
    let (id, _) = stream.event().await;
    drop(stream);
    let knows = format!("last-event-id: {id}\r\n");
    let mut again = Stream::open(&world, &target, &knows).await;
    again.until("retry: ").await;
    again.until("\n\n").await;
    eventually("listed", || world.shared.hub().count() > 0).await;
    kill(&world, "plain");
    let (next, _) = again.event().await;
    assert_ne!(next, id, "nothing was told before the change");
    drop(again);
    kill(&world, "exec");
    let missed = format!("last-event-id: {next}\r\n");
    let (now, _) = Stream::open(&world, &target, &missed).await.event().await;
    assert_ne!(now, next);
}

// The status names who was told and who has fetched since.
#[tokio::test]
async fn it_is_known_how_far_each_stream_has_come() {
    let world = start(&document(
        1,
        flags(),
        vec![token("shop", FlagTokenKind::Server, "production")],
    ));
    let secret = ("authorization", "Bearer secret-of-shop");
    let target = target(&world, &[secret]).await;
    let mut stream = Stream::open(&world, &target, "user-agent: node\r\n").await;
    stream.event().await;
    let status = || world.shared.status(Vec::new());
    eventually("told", || {
        status().streams.first().is_some_and(|s| s.told == (1, 0))
    })
    .await;
    let one = status().streams[0].clone();
    assert_eq!((one.who.as_str(), one.fetched), ("shop node", None));
    world.bulk(&[secret, ("user-agent", "node")], "{}").await;
    assert_eq!(status().streams[0].fetched, Some((1, 0)));
    kill(&world, "plain");
    stream.event().await;
    eventually("told", || status().streams[0].told == (1, 1)).await;
    assert_eq!(status().streams[0].fetched, Some((1, 0)), "not fetched yet");
    world.bulk(&[secret, ("user-agent", "other")], "{}").await;
    assert_eq!(status().streams[0].fetched, Some((1, 0)), "somebody else");
    world.bulk(&[secret, ("user-agent", "node")], "{}").await;
    assert_eq!(status().streams[0].fetched, Some((1, 1)));
    drop(stream);
    eventually("it is gone", || status().streams.is_empty()).await;
}

#[tokio::test]
async fn a_token_that_is_revoked_loses_its_streams() {
    let shop = token("shop", FlagTokenKind::Server, "production");
    let other = token("other", FlagTokenKind::Server, "production");
    let world = start(&document(1, flags(), vec![shop, other.clone()]));
    let target = target(&world, &[("x-api-key", "secret-of-shop")]).await;
    let mut stream = Stream::open(&world, &target, "").await;
    stream.event().await;
    world
        .shared
        .publish(table(&document(2, flags(), vec![other])));
    stream.end().await;
    let mut again = Stream::open(&world, &target, "").await;
    assert!(again.until("\r\n").await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_ticket_is_good_for_this_key_alone() {
    let world = open_world();
    let target = target(&world, &[]).await;
    let mut other = document(2, flags(), Vec::new());
    other.key = "08".repeat(32);
    world.shared.publish(table(&other));
    let mut stream = Stream::open(&world, &target, "").await;
    assert!(stream.until("\r\n").await.starts_with("HTTP/1.1 401"));
}

// A reader that takes nothing keeps nobody else waiting, and costs no memory that grows.
#[tokio::test]
async fn a_slow_reader_changes_nothing_for_others() {
    let limits = Limits {
        stream_threads: 1,
        write_timeout: Duration::from_millis(300),
        heartbeat: Duration::from_millis(150),
        ..Limits::default()
    };
    let shared = Shared::new(table(&document(1, flags(), Vec::new())));
    let world = start_with(shared, limits);
    let target = target(&world, &[]).await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(1024).expect("set");
    let slow = socket.connect(world.address).await.expect("connects");
    let mut slow = Stream {
        socket: slow,
        text: String::new(),
    };
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    slow.socket
        .write_all(request.as_bytes())
        .await
        .expect("sent");
    slow.event().await;
    let mut quick = Stream::open(&world, &target, "").await;
    quick.event().await;
    // Far more than the kernel holds for somebody who does not read.
    let mut told = 0;
    let full = async {
        while world.shared.hub().count() > 1 {
            kill(&world, "plain");
            quick.event().await;
            told += 1;
        }
    };
    tokio::time::timeout(LONG, full)
        .await
        .expect("the slow one is dropped");
    assert!(told > 100, "{told}");
    kill(&world, "exec");
    quick.event().await;
}

#[tokio::test]
async fn streams_show_that_they_live_and_end_with_the_server() {
    let limits = Limits {
        heartbeat: Duration::from_millis(75),
        ..Limits::default()
    };
    let shared = Shared::new(table(&document(1, flags(), Vec::new())));
    let world = start_with(shared, limits);
    let target = target(&world, &[]).await;
    let mut stream = Stream::open(&world, &target, "").await;
    stream.event().await;
    stream.until(":\n\n").await;
    stream.until(":\n\n").await;
    world.stop.send(true).expect("it listens");
    stream.end().await;
    let ended = tokio::time::timeout(LONG, world.ended)
        .await
        .expect("in time");
    ended.expect("no panic").expect("in order");
    assert_eq!(world.shared.hub().count(), 0);
}

#[tokio::test]
async fn only_so_many_streams_are_held() {
    let limits = Limits {
        max_streams: 1,
        ..Limits::default()
    };
    let shared = Shared::new(table(&document(1, flags(), Vec::new())));
    let world = start_with(shared, limits);
    let target = target(&world, &[]).await;
    let mut first = Stream::open(&world, &target, "").await;
    first.event().await;
    let more = world.call("GET", &target, &[], "").await;
    assert_eq!(more.status, 429);
    assert_eq!(more.header("retry-after"), "5");
}

// The control plane measures as a client does, with a token that only the key gives, and is
// not among those who follow the flags.
#[tokio::test]
async fn the_control_plane_follows_and_is_nobodys_reader() {
    let secret = esclusa_ofrep::watcher_secret(&"07".repeat(32)).expect("a key");
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let shop = token("shop", FlagTokenKind::Server, "production");
    for tokens in [Vec::new(), vec![shop]] {
        let is_open = tokens.is_empty();
        let world = start(&document(1, flags(), tokens));
        let json = world.bulk(&headers, "{}").await.json();
        assert_eq!(json["metadata"], json!({ "revision": 1, "kills": 0 }));
        let target = target(&world, &headers).await;
        let mut stream = Stream::open(&world, &target, "").await;
        let first = stream.until("event: message\n").await;
        assert!(
            first.ends_with("\n\n: revision 1 kills 0\nevent: message\n"),
            "{first}"
        );
        kill(&world, "plain");
        let next = stream.until("event: message\n").await;
        assert!(next.contains(": revision 1 kills 1\n"), "{next}");
        assert_eq!(world.shared.hub().streams(), []);
        // It opens nothing to others: whoever has no token is served as before.
        let status = world.bulk(&[], "{}").await.status;
        assert_eq!(status == 200, is_open, "{status}");
        let other = esclusa_ofrep::watcher_secret(&"08".repeat(32)).expect("a key");
        let other = format!("Bearer {other}");
        let status = world.bulk(&[("authorization", &other)], "{}").await.status;
        assert_eq!(status == 200, is_open, "{status}");
    }
}
