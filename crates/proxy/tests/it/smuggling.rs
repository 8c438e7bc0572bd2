//! One request in is at most one request out, whatever bytes a client sends.

use crate::support::{World, raw};

/// Head and body; each body hides a request that must never reach a version.
const CASES: &[(&str, &str, u16)] = &[
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        400,
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        400,
    ),
    (
        "length list",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
        400,
    ),
    (
        "signed length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        400,
    ),
    (
        "negative length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        400,
    ),
    (
        "empty length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
        400,
    ),
    (
        "space before colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "NUL in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        400,
    ),
    (
        "bare CR in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n",
        400,
    ),
    (
        "folded line",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 5\r\n\r\n",
        400,
    ),
    (
        "unknown coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two codings",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "hidden coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding in 1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two hosts",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        400,
    ),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("bad host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    (
        "other target",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
    ),
    ("tunnel", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    (
        "bad chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
    ),
    (
        "huge chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        400,
    ),
    (
        "negative chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        400,
    ),
    (
        "bare LF after chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n",
        400,
    ),
    (
        "LF in chunk extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
        400,
    ),
    (
        "chunk longer than said",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        400,
    ),
    ("not HTTP", "hello\r\n\r\n", 400),
];

#[tokio::test]
async fn doubtful_requests_are_refused_and_hide_nothing() {
    let mut world = World::new().await;
    world.share(0).await;
    for (name, request, status) in CASES {
        let before = world.stable.requests();
        let answer = raw(
            world.listen,
            format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}"))
                || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{name}: {answer:?}");
        assert!(world.stable.requests() - before <= 1, "{name}");
    }
    let seen = world.stable.seen.lock().expect("lock").clone();
    assert!(seen.iter().all(|r| r.path == "/"), "{seen:?}");
    // None of it is charged to the version.
    let slices = world.slices_with(CASES.len() as u64).await;
    assert!(
        slices.iter().all(|s| s
            .slice
            .cells
            .iter()
            .all(|c| c.events.is_empty() && c.requests == 0)),
        "{slices:#?}"
    );
}

#[tokio::test]
async fn heads_have_a_size() {
    let mut world = World::new().await;
    world.share(0).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(200 * 1024)
    );
    assert!(
        raw(world.listen, long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    assert!(
        raw(world.listen, many.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let fine = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(50 * 1024)
    );
    assert!(
        raw(world.listen, fine.as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(world.stable.requests(), 1);
}

#[tokio::test]
async fn plain_pipelining_works() {
    let mut world = World::new().await;
    world.share(0).await;
    let two = "POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n\
        \r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /three HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n\
        GET /four HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(world.listen, two.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 4, "{answer}");
    let seen = world.stable.seen.lock().expect("lock").clone();
    let list: Vec<_> = seen
        .iter()
        .map(|r| (r.path.as_str(), &r.body[..]))
        .collect();
    assert_eq!(
        list,
        [
            ("/one", &b"abc"[..]),
            ("/two", b"hi"),
            ("/three", b""),
            ("/four", b"")
        ]
    );
}
