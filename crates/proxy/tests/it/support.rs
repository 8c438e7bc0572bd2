//! A small world: two versions, a proxy between them and the test.

use bytes::Bytes;
use esclusa_flags::SplitSpec;
use esclusa_judge::{Cell, EventClass};
use esclusa_model::{
    BasisPoints, Digest, Epoch, GenerationId, InstanceId, Millis, ProxyId, ReleaseId, Salt,
    ServiceName, VersionName,
};
use esclusa_proxy::client::ControlClient;
use esclusa_proxy::{Proxy, ProxyConfig, ProxyHandle};
use esclusa_wire::{
    Generation, Instance, LostControl, LostControlThen, RouteMatch, ServiceRoute, StampedSlice,
    StickySource, Upstream, WIRE_VERSION,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
/// Nothing here takes nearly as long, unless it hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// What a version was sent.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A version that answers 200 with its name; `/status/N` answers N, `/slow/N` after N ms,
/// `/trailers` with trailers, `/echo` with the request's body.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Recorded>>>,
    pub(crate) count: Arc<AtomicU64>,
}

impl Backend {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("port");
        let address = listener.local_addr().expect("address");
        let backend = Self {
            address,
            seen: Arc::default(),
            count: Arc::default(),
        };
        let me = backend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let me = me.clone();
                stream.set_nodelay(true).expect("nodelay");
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let me = me.clone();
                        async move { Ok::<_, Infallible>(me.answer(name, request).await) }
                    });
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        backend
    }

    async fn answer(
        &self,
        name: &'static str,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let (parts, body) = request.into_parts();
        let path = parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        let number = |prefix: &str| {
            path.strip_prefix(prefix)
                .and_then(|n| n.parse::<u64>().ok())
        };
        if let Some(ms) = number("/slow/") {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let status = number("/status/")
            .and_then(|n| StatusCode::from_u16(n as u16).ok())
            .unwrap_or(StatusCode::OK);
        let text = if path == "/echo" {
            body.clone()
        } else {
            Bytes::from_static(name.as_bytes())
        };
        let record = Recorded {
            path,
            headers: parts.headers,
            body,
        };
        self.seen.lock().expect("lock").push(record);
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert("x-version", http::HeaderValue::from_static(name));
        response
            .headers_mut()
            .insert("server", http::HeaderValue::from_static("backend/1"));
        response
    }

    pub(crate) fn requests(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self) -> Recorded {
        self.seen
            .lock()
            .expect("lock")
            .last()
            .cloned()
            .expect("a request")
    }
}

/// A version made of a function over a raw socket.
pub(crate) async fn raw_backend<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("port");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads up to the end of a head; nothing when the other side leaves first.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(crate) fn upstream(name: &str, addresses: &[SocketAddr]) -> Upstream {
    let instances = addresses
        .iter()
        .enumerate()
        .map(|(n, address)| Instance {
            id: InstanceId::new(format!("{name}-{n}")).expect("id"),
            address: address.to_string(),
            host_header: None,
            tls: None,
            path_prefix: String::new(),
        })
        .collect();
    Upstream {
        digest: digest(name),
        name: VersionName::new(name).expect("name"),
        instances,
        parts: Vec::new(),
    }
}

pub(crate) fn split(share_bp: u16) -> SplitSpec {
    SplitSpec {
        release: ReleaseId::new("r1").expect("id"),
        salt: Salt::new("r1").expect("salt"),
        canary: digest("canary"),
        share: BasisPoints::new(share_bp).expect("share"),
        segments: Vec::new(),
        population: Vec::new(),
        by_flag: None,
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) proxy: Option<ProxyHandle>,
    pub(crate) control: ControlClient,
    pub(crate) listen: SocketAddr,
    pub(crate) stable: Backend,
    pub(crate) canary: Backend,
    pub(crate) next: u64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One that is told whether the disk has a change however slow that is.
    pub(crate) async fn patient() -> Self {
        Self::with(|config| config.limits.disk_patience = BOUND / 4).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ProxyConfig)) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
        let listen = socket.local_addr().expect("address");
        let mut config = config(&dir);
        config.inherited.push(socket);
        change(&mut config);
        let proxy = Proxy::start(config).expect("starts");
        let control = ControlClient::new(proxy.admin_socket());
        let (stable, canary) = (
            Backend::start("stable").await,
            Backend::start("canary").await,
        );
        Self {
            dir,
            proxy: Some(proxy),
            control,
            listen,
            stable,
            canary,
            next: 1,
        }
    }

    /// The service as its plan would have it, with the canary at a share.
    pub(crate) fn service(&self, share_bp: u16) -> ServiceRoute {
        ServiceRoute {
            service: ServiceName::new("shop").expect("name"),
            listen: self.listen.to_string(),
            matches: RouteMatch::default(),
            sticky: vec![
                StickySource::Header("x-tenant".into()),
                StickySource::Cookie,
            ],
            cookie_key: KEY.into(),
            upstreams: vec![
                upstream("stable", &[self.stable.address]),
                upstream("canary", &[self.canary.address]),
            ],
            stable: digest("stable"),
            split: (share_bp > 0).then(|| split(share_bp)),
            lost_control: LostControl {
                after: Millis::from_secs(120),
                then: LostControlThen::Return,
            },
            routes: Vec::new(),
            response_timeout: Millis::from_secs(10),
            max_body_bytes: 1_000_000,
            trusted_proxies: Vec::new(),
        }
    }

    pub(crate) fn generation(&mut self, services: Vec<ServiceRoute>) -> Generation {
        let id = GenerationId {
            epoch: Epoch(1),
            number: self.next,
        };
        self.next += 1;
        Generation {
            v: WIRE_VERSION,
            id,
            services,
            journal: Vec::new(),
        }
    }

    pub(crate) async fn publish(&mut self, services: Vec<ServiceRoute>) -> GenerationId {
        let generation = self.generation(services);
        self.control
            .publish(&generation)
            .await
            .expect("published")
            .generation
    }

    pub(crate) async fn share(&mut self, share_bp: u16) {
        let service = self.service(share_bp);
        self.publish(vec![service]).await;
    }

    /// Waits until the disk has what was published last.
    pub(crate) async fn saved(&self) {
        let folder = self.dir.path().join("data");
        eventually(|| async {
            let saved = esclusa_proxy::saved_state(&folder)?;
            (saved.generation.id.number + 1 == self.next).then_some(())
        })
        .await;
    }

    /// Ends the proxy and starts another on the same folder and address.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.shutdown().await;
        }
    }

    pub(crate) fn start(&mut self) {
        self.proxy = Some(Proxy::start(config(&self.dir)).expect("starts again"));
    }

    /// All cells of all slices up to now, once the counts of finished requests have
    /// reached `requests`.
    pub(crate) async fn cells(&self, requests: u64) -> Vec<Cell> {
        self.slices_with(requests)
            .await
            .into_iter()
            .flat_map(|s| s.slice.cells)
            .collect()
    }

    pub(crate) async fn slices_with(&self, requests: u64) -> Vec<StampedSlice> {
        let deadline = Instant::now() + BOUND;
        let mut last = 0;
        loop {
            let batch = self
                .control
                .slices(last, Duration::from_secs(2))
                .await
                .expect("slices");
            last = batch.slices.last().map_or(last, |s| s.sequence);
            let all = self
                .control
                .slices(0, Duration::ZERO)
                .await
                .expect("slices")
                .slices;
            let counted: u64 = all
                .iter()
                .flat_map(|s| &s.slice.cells)
                .map(|c| c.requests)
                .sum();
            let faults: u64 = all
                .iter()
                .map(|s| s.slice.client_faults + s.slice.proxy_faults)
                .sum();
            if counted + faults >= requests {
                assert_eq!(
                    counted + faults,
                    requests,
                    "more was counted than was sent: {all:#?}"
                );
                return all;
            }
            assert!(
                Instant::now() < deadline,
                "only {counted} of {requests} were counted: {all:#?}"
            );
        }
    }
}

pub(crate) fn config(dir: &tempfile::TempDir) -> ProxyConfig {
    let mut config = ProxyConfig::new(ProxyId::new("p1").expect("id"), dir.path().join("data"));
    config.workers = 2;
    config
}

/// Sums over cells.
pub(crate) fn total(cells: &[Cell], pick: impl Fn(&Cell) -> bool) -> u64 {
    cells.iter().filter(|c| pick(c)).map(|c| c.requests).sum()
}

pub(crate) fn events(cells: &[Cell], class: EventClass) -> u64 {
    cells.iter().filter_map(|c| c.events.get(&class)).sum()
}

/// What a client got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Got {
    pub(crate) fn version(&self) -> &str {
        self.headers
            .get("x-version")
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    }

    /// The unit cookie that was set, as a client sends it back.
    pub(crate) fn cookie(&self) -> Option<String> {
        let value = self.headers.get("set-cookie")?.to_str().ok()?;
        Some(value.split(';').next()?.to_owned())
    }
}

/// A client that keeps one connection open and never tries again.
pub(crate) enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("nodelay");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("handshake");
        tokio::spawn(connection);
        Self::One(sender)
    }

    pub(crate) async fn http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("nodelay");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("handshake");
        tokio::spawn(connection);
        Self::Two(sender)
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.send(Method::GET, path, headers, Bytes::new())
            .await
            .expect("an answer")
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Got, hyper::Error> {
        let mut request = Request::builder().method(method);
        let host = headers
            .iter()
            .find(|(n, _)| *n == "host")
            .map_or("shop.example", |(_, v)| v);
        request = match self {
            Self::One(_) => request.uri(path).header("host", host),
            Self::Two(_) => request.uri(format!("http://{host}{path}")),
        };
        for (name, value) in headers.iter().filter(|(n, _)| *n != "host") {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("request");
        let response = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => sender.send_request(request).await?,
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        let body = body.to_bytes();
        Ok(Got {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            trailers,
        })
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Got {
    Client::http1(address).await.get(path, headers).await
}

/// Sends bytes and reads until the proxy closes, or nothing more comes for a while.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    let mut space = [0; 4096];
    while let Ok(Ok(n)) =
        tokio::time::timeout(Duration::from_millis(700), stream.read(&mut space)).await
    {
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&space[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A disk that takes one of a proxy's files no longer, until it is mended.
pub(crate) struct StuckDisk(PathBuf);

impl StuckDisk {
    pub(crate) async fn at(world: &World, file: &str) -> Self {
        // No temporary file can be made where a folder has its name, whoever makes it.
        let name = world.dir.path().join(format!("data/{file}.new"));
        eventually(|| async {
            match std::fs::create_dir(&name) {
                // It is being written at this moment.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
                made => {
                    made.expect("a folder");
                    Some(())
                }
            }
        })
        .await;
        Self(name)
    }

    pub(crate) fn mend(self) {
        std::fs::remove_dir(self.0).expect("removed");
    }
}

/// All that a client is answered until its connection ends.
pub(crate) async fn whole_answer<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await;
    read.expect("an answer, and the end").expect("read");
    answer
}

/// Waits until `check` gives a value.
pub(crate) async fn eventually<T, W: Future<Output = Option<T>>>(
    mut check: impl FnMut() -> W,
) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
