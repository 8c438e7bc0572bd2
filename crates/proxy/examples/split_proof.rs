//! Proves a share over many requests: `cargo run --release --example split_proof -- [requests] [basis points]`.
//!
//! A proxy, two versions and eight clients in one process, once over HTTP/1 with units
//! from a header, once over HTTP/2 with units from fresh cookies. Prints the versions'
//! own counts, |z| and chi-square, compares the slices with what the clients saw, and
//! ends with 1 when anything is off. Counts, not speed.

#![expect(
    clippy::expect_used,
    reason = "a proof that cannot be run fails by panicking"
)]

use bytes::Bytes;
use esclusa_flags::SplitSpec;
use esclusa_model::{
    BasisPoints, Digest, Epoch, GenerationId, InstanceId, Millis, ProxyId, ReleaseId, Salt,
    ServiceName, VersionName,
};
use esclusa_proxy::client::ControlClient;
use esclusa_proxy::{Proxy, ProxyConfig};
use esclusa_wire::{
    Generation, Instance, LostControl, LostControlThen, RouteMatch, ServiceRoute, SliceAck,
    StickySource, Upstream, WIRE_VERSION,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: u64 = 8;
/// Two-sided p = 0.0001: a sound split fails once in 10,000 runs.
const WORST_Z: f64 = 3.89;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let requests = number(100_000) / CLIENTS * CLIENTS;
    let share_bp = u16::try_from(number(500)).expect("basis points");
    let mut sound = true;
    for protocol in [Protocol::One, Protocol::Two] {
        sound &= prove(protocol, requests, share_bp).await;
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    One,
    Two,
}

async fn prove(protocol: Protocol, requests: u64, share_bp: u16) -> bool {
    let folder = tempfile::tempdir().expect("folder");
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let listen = socket.local_addr().expect("address");
    let mut config = ProxyConfig::new(ProxyId::new("proof").expect("id"), folder.path().to_owned());
    config.inherited.push(socket);
    let proxy = Proxy::start(config).expect("starts");
    let control = ControlClient::new(proxy.admin_socket());
    let (stable, canary) = (version().await, version().await);
    control
        .publish(&generation(listen, stable.0, canary.0, share_bp))
        .await
        .expect("published");

    let begun = Instant::now();
    let mut failed = 0;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            tokio::spawn(client(
                protocol,
                listen,
                n * (requests / CLIENTS),
                requests / CLIENTS,
            ))
        })
        .collect();
    for task in clients {
        failed += task.await.expect("client");
    }
    let took = begun.elapsed();
    let (to_stable, to_canary) = (
        stable.1.load(Ordering::SeqCst),
        canary.1.load(Ordering::SeqCst),
    );
    let p = f64::from(share_bp) / 10_000.0;
    let expected = requests as f64 * p;
    let off = to_canary as f64 - expected;
    let chi_square = off * off / expected + off * off / (requests as f64 - expected);
    let z = chi_square.sqrt();
    let counted = counted(&control, requests).await;
    let same =
        counted.get("stable") == Some(&to_stable) && counted.get("canary") == Some(&to_canary);
    println!(
        "{protocol:?}: {requests} requests in {took:.1?}, {failed} failed, canary {to_canary} ({:.3} %), \
         stable {to_stable}, |z| {z:.2}, chi-square {chi_square:.2}, slices {}",
        100.0 * to_canary as f64 / requests as f64,
        if same { "agree" } else { "DIFFER" },
    );
    proxy.shutdown().await;
    failed == 0 && to_stable + to_canary == requests && z < WORST_Z && same
}

/// A version that counts and says `ok`.
async fn version() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("port");
    let address = listener.local_addr().expect("address");
    let count = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&counting);
            tokio::spawn(async move {
                let service = service_fn(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                    async {
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                    }
                });
                // A proxy that lets go of a connection is no news.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, count)
}

/// Sends requests of ever new units one after the other; returns how many failed.
async fn client(protocol: Protocol, listen: SocketAddr, first: u64, count: u64) -> u64 {
    let stream = TcpStream::connect(listen).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let io = TokioIo::new(stream);
    let mut failed = 0;
    match protocol {
        Protocol::One => {
            let (mut sender, connection) = http1::handshake(io).await.expect("handshake");
            tokio::spawn(connection);
            for unit in first..first + count {
                let request = Request::builder()
                    .uri("/item/1")
                    .header("host", "shop.example")
                    .header("x-tenant", format!("user-{unit:06}"))
                    .body(Empty::<Bytes>::new())
                    .expect("request");
                sender.ready().await.expect("ready");
                failed += finish(sender.send_request(request).await).await;
            }
        }
        Protocol::Two => {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("handshake");
            tokio::spawn(connection);
            for _ in 0..count {
                let request = Request::builder()
                    .uri("http://shop.example/item/1")
                    .body(Empty::<Bytes>::new())
                    .expect("request");
                failed += finish(sender.send_request(request).await).await;
            }
        }
    }
    failed
}

async fn finish(answer: Result<Response<hyper::body::Incoming>, hyper::Error>) -> u64 {
    match answer {
        Ok(response) if response.status() == 200 => {
            u64::from(response.into_body().collect().await.is_err())
        }
        _ => 1,
    }
}

/// Requests by version in the proxy's slices.
async fn counted(control: &ControlClient, requests: u64) -> BTreeMap<&'static str, u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut sums = BTreeMap::new();
    let mut last = 0;
    while sums.values().sum::<u64>() < requests && Instant::now() < deadline {
        let batch = control
            .slices(last, Duration::from_secs(2))
            .await
            .expect("slices");
        for stamped in batch.slices {
            last = stamped.sequence;
            for cell in &stamped.slice.cells {
                let name = if cell.intended == digest("canary") {
                    "canary"
                } else {
                    "stable"
                };
                *sums.entry(name).or_default() += cell.requests;
            }
            let ack = SliceAck {
                boot: stamped.boot,
                sequence: last,
            };
            control.ack(&ack).await.expect("acknowledged");
        }
    }
    sums
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn upstream(name: &str, address: SocketAddr) -> Upstream {
    Upstream {
        digest: digest(name),
        name: VersionName::new(name).expect("name"),
        instances: vec![Instance {
            id: InstanceId::new(name).expect("id"),
            address: address.to_string(),
            host_header: None,
            tls: None,
            path_prefix: String::new(),
        }],
        parts: Vec::new(),
    }
}

fn generation(
    listen: SocketAddr,
    stable: SocketAddr,
    canary: SocketAddr,
    share_bp: u16,
) -> Generation {
    Generation {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(1),
            number: 1,
        },
        services: vec![ServiceRoute {
            service: ServiceName::new("shop").expect("name"),
            listen: listen.to_string(),
            matches: RouteMatch::default(),
            sticky: vec![
                StickySource::Header("x-tenant".into()),
                StickySource::Cookie,
            ],
            cookie_key: "ab".repeat(32),
            upstreams: vec![upstream("stable", stable), upstream("canary", canary)],
            stable: digest("stable"),
            split: Some(SplitSpec {
                release: ReleaseId::new("proof").expect("id"),
                salt: Salt::new("proof").expect("salt"),
                canary: digest("canary"),
                share: BasisPoints::new(share_bp).expect("share"),
                segments: Vec::new(),
                population: Vec::new(),
                by_flag: None,
            }),
            lost_control: LostControl {
                after: Millis::from_secs(3_600),
                then: LostControlThen::Hold,
            },
            routes: Vec::new(),
            response_timeout: Millis::from_secs(10),
            max_body_bytes: 1_000,
            trusted_proxies: Vec::new(),
        }],
        journal: Vec::new(),
    }
}
