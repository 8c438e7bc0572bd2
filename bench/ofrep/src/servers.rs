//! The servers, each in a process of its own. They print their address, take one word a line
//! and print one line for it.

use esclusa_flags::{FlagSet, Kills};
use esclusa_model::{Epoch, GenerationId};
use esclusa_ofrep::{FlagTable, Limits, Shared, serve};
use esclusa_wire::{FlagDocument, WIRE_VERSION};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io::{self, BufRead as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// The answer that the bare responder gives: as long as ours.
const ANSWER: &str = r#"{"key":"exec","value":true,"reason":"TARGETING_MATCH","variant":"on","metadata":{},"eventStreams":[{"type":"sse","endpoint":{"requestUri":"/ofrep/v1/events?ticket=00000000.e70726f64756374696f6e.00000000000000000000000000000000"},"inactivityDelaySec":120}]}"#;

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn document() -> io::Result<FlagDocument> {
    let set = FlagSet::from_json(json!({
        "revision": 1,
        "environments": ["production"],
        "attributes": { "country": { "type": "string" } },
        "flags": { "exec": { "type": "boolean", "environments": { "production": { "rules": [
            { "when": "country == 'es'", "variant": "on" },
            { "share": { "basis-points": 5000 }, "variant": "on" },
        ] } } } },
    }));
    Ok(FlagDocument {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(1),
            number: 1,
        },
        set: set.map_err(io::Error::other)?,
        kills: Kills::default(),
        rollouts: Vec::new(),
        tokens: Vec::new(),
        key: "07".repeat(32),
        journal: Vec::new(),
    })
}

/// Ours. `kill` kills, or lifts the kill before it; the line says when that began.
pub(crate) fn esclusa() -> io::Result<()> {
    raise_limit()?;
    let table = FlagTable::compile(&document()?).map_err(|p| io::Error::other(format!("{p:?}")))?;
    let shared = Arc::new(Shared::new(table));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let limits = Limits {
        client_rate: None,
        max_connections: 20_000,
        // Nobody is dropped for being slow while it is measured what that costs the others.
        write_timeout: std::time::Duration::from_secs(600),
        ..Limits::default()
    };
    let of_server = Arc::clone(&shared);
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(serve(listener, of_server, limits, stopped))
    });
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "kill" => {
                let began = monotonic();
                let mut kills = shared.table().kills().clone();
                match kills.of("exec") {
                    None => kills.kill(Some("exec")),
                    Some(_) => kills.lift(Some("exec")),
                }
                shared.merge_kills(&kills);
                say(&began.to_string())?;
            }
            "count" => say(&shared.hub().count().to_string())?,
            _ => break,
        }
    }
    let _ = stop.send(true);
    match serving.join() {
        Ok(ended) => ended,
        Err(_) => Err(io::Error::other("the server panicked")),
    }
}

/// The bare responder: reads the body, answers with text that is there already.
pub(crate) fn hyper() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    for _ in 0..threads {
        let listener = listener.try_clone()?;
        listener.set_nonblocking(true)?;
        std::thread::spawn(move || -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(async move {
                        let service =
                            service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                                request.into_body().collect().await?;
                                let mut answer =
                                    http::Response::new(Full::<bytes::Bytes>::from(ANSWER));
                                let json = http::HeaderValue::from_static("application/json");
                                answer.headers_mut().insert("content-type", json);
                                Ok::<_, hyper::Error>(answer)
                            });
                        let http = hyper::server::conn::http1::Builder::new();
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            })
        });
    }
    // Until whoever started it is done.
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map(|_| ())
}

/// The bare loop: accepts, reads a head, and writes an event to every socket when told.
pub(crate) fn socket_loop() -> io::Result<()> {
    raise_limit()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    let sockets: Arc<std::sync::Mutex<Vec<TcpStream>>> = Arc::default();
    let accepted = Arc::clone(&sockets);
    std::thread::spawn(move || -> io::Result<()> {
        for socket in listener.incoming() {
            let mut socket = socket?;
            socket.set_nodelay(true)?;
            let mut head = [0; 4096];
            io::Read::read(&mut socket, &mut head)?;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
            socket.write_all(event(0).as_bytes())?;
            if let Ok(mut sockets) = accepted.lock() {
                sockets.push(socket);
            }
        }
        Ok(())
    });
    let mut number = 0;
    for line in io::stdin().lock().lines() {
        let Ok(mut sockets) = sockets.lock() else {
            break;
        };
        match line?.as_str() {
            "kill" => {
                number += 1;
                let event = event(number);
                let began = monotonic();
                for socket in sockets.iter_mut() {
                    socket.write_all(event.as_bytes())?;
                }
                say(&began.to_string())?;
            }
            "count" => say(&sockets.len().to_string())?,
            _ => break,
        }
    }
    Ok(())
}

/// As long as one of ours.
fn event(number: u64) -> String {
    format!(
        "event: message\nid: {number:016x}\ndata: {{\"type\":\"refetchEvaluation\",\
         \"etag\":\"{number:016x}\",\"lastModified\":1795308411}}\n\n"
    )
}

/// Nanoseconds of the machine's monotonic clock, which all processes share.
pub(crate) fn monotonic() -> u128 {
    use nix::time::{ClockId, clock_gettime};
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => std::time::Duration::from(time).as_nanos(),
        // Every Linux has that clock.
        Err(_) => Instant::now().elapsed().as_nanos(),
    }
}

/// As many open files as this machine allows.
pub(crate) fn raise_limit() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
