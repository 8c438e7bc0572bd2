//! A small OFREP server: two routes, and every fault that a test plants.

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use esclusa_client::{Client, Config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Longest wait of any test.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How the server answers.
#[derive(Debug, Clone, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Never.
    Silent,
    /// As it should, after a while.
    Slow(Duration),
    /// With this status and these headers.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// With this body and 200.
    Body(&'static str),
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) flags: BTreeMap<String, Value>,
    pub(crate) revision: u64,
    pub(crate) single: Fault,
    pub(crate) bulk: Fault,
    pub(crate) offers_stream: bool,
    streams: Vec<mpsc::Sender<Bytes>>,
    /// What was asked: context and flag.
    pub(crate) asked: Vec<(String, Value)>,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) last_ids: Vec<Option<String>>,
    pub(crate) queries: Vec<String>,
    pub(crate) not_modified: usize,
}

type Shared = Arc<(Mutex<World>, watch::Sender<u64>)>;

pub(crate) struct Stub {
    pub(crate) url: String,
    world: Shared,
    server: JoinHandle<()>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Stub {
    pub(crate) async fn start(flags: &[(&str, Value)]) -> Self {
        Self::start_at("127.0.0.1:0", flags).await
    }

    /// On a runtime of its own, so that its end takes every connection with it.
    pub(crate) async fn start_at(address: &str, flags: &[(&str, Value)]) -> Self {
        let owned = flags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let world = World {
            offers_stream: true,
            flags: owned.collect(),
            ..World::default()
        };
        let world: Shared = Arc::new((Mutex::new(world), watch::Sender::new(0)));
        let app = Router::new()
            .route("/ofrep/v1/evaluate/flags", post(bulk))
            .route("/ofrep/v1/evaluate/flags/{*key}", post(single))
            .route("/events", get(events))
            .with_state(Arc::clone(&world));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let address = address.to_owned();
        let bound = runtime.spawn(async move { tokio::net::TcpListener::bind(address).await });
        let listener = bound.await.expect("it runs").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = runtime.spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        let runtime = Some(runtime);
        Self {
            url,
            world,
            server,
            runtime,
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.0.lock().expect("no test failed in it")
    }

    pub(crate) fn config(&self) -> Config {
        Config::new(&self.url)
            .expect("an address")
            .timeout(Duration::from_secs(5))
            .poll(Duration::from_millis(100))
    }

    pub(crate) async fn client(&self) -> Client {
        let client = Client::start(self.config()).expect("it starts");
        assert!(client.ready(LIMIT).await.is_ready());
        client
    }

    /// Changes flags without a word.
    pub(crate) fn set(&self, key: &str, value: Value) {
        let mut world = self.world();
        world.flags.insert(key.to_owned(), value);
        world.revision += 1;
    }

    /// Tells all streams.
    pub(crate) fn tell(&self) {
        let revision = self.world().revision;
        self.say(&format!(
            "event: message\nid: {revision}\n\
             data: {{\"type\":\"refetchEvaluation\",\"etag\":\"r{revision}\",\"lastModified\":7}}\n\n"
        ));
    }

    pub(crate) fn say(&self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        for stream in &self.world().streams {
            let _ = stream.try_send(text.clone());
        }
    }

    pub(crate) fn break_streams(&self) {
        self.world().streams.clear();
    }

    pub(crate) fn asked(&self) -> usize {
        self.world().asked.len()
    }

    /// Waits until something holds of what was asked.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let mut moves = self.world.1.subscribe();
        let wait = async {
            while !holds(&self.world()) {
                moves.changed().await.expect("it lives");
            }
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        assert!(waited.is_ok(), "never: {what}");
    }

    pub(crate) async fn until_streams(&self, count: usize) {
        let open = |world: &World| world.streams.iter().filter(|s| !s.is_closed()).count();
        self.until("open streams", |world| open(world) == count)
            .await;
    }

    /// Ends it with all its connections.
    pub(crate) fn end(mut self) {
        self.server.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn planted(fault: Fault) -> Option<Response> {
    match fault {
        Fault::None => None,
        Fault::Slow(wait) => {
            tokio::time::sleep(wait).await;
            None
        }
        Fault::Silent => std::future::pending().await,
        Fault::Body(text) => Some(text.into_response()),
        Fault::Status(status, headers) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let mut answer = status.into_response();
            for (name, value) in headers {
                let value = value.parse().expect("a value");
                answer.headers_mut().insert(name, value);
            }
            Some(answer)
        }
    }
}

async fn single(
    State(shared): State<Shared>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let (fault, found) = {
        let mut world = shared.0.lock().expect("no test failed in it");
        world.asked.push((key.clone(), body["context"].clone()));
        world.headers = Some(headers);
        (world.single.clone(), world.flags.get(&key).cloned())
    };
    shared.1.send_modify(|moves| *moves += 1);
    if let Some(answer) = planted(fault).await {
        return answer;
    }
    match found {
        None => {
            let error = json!({ "key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": "no" });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
        Some(value) => Json(json!({
            "key": key, "value": value, "variant": "v", "reason": "SPLIT",
            "metadata": { "revision": 1 },
        }))
        .into_response(),
    }
}

async fn bulk(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let (fault, answer) = {
        let mut world = shared.0.lock().expect("no test failed in it");
        world.queries.extend(uri.query().map(str::to_owned));
        let etag = format!("\"r{}\"", world.revision);
        let asked = headers.get("if-none-match").map(|tag| tag.as_bytes());
        let answer = if asked == Some(etag.as_bytes()) {
            world.not_modified += 1;
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut body = json!({ "flags": [], "metadata": {} });
            if world.offers_stream {
                let ours =
                    json!({ "type": "sse", "endpoint": { "requestUri": "/events?ticket=t" } });
                body["eventStreams"] = json!([{ "type": "carrier-pigeon", "url": "x" }, ours]);
            }
            ([("etag", etag)], Json(body)).into_response()
        };
        (world.bulk.clone(), answer)
    };
    shared.1.send_modify(|moves| *moves += 1);
    planted(fault).await.unwrap_or(answer)
}

async fn events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(64);
    let _ = sender.try_send(Bytes::from_static(b": hello\n\n"));
    {
        let mut world = shared.0.lock().expect("no test failed in it");
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        world.last_ids.push(last.map(str::to_owned));
        world.streams.push(sender);
    }
    shared.1.send_modify(|moves| *moves += 1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let stream = tokio_stream::StreamExt::map(stream, Ok::<_, Infallible>);
    (
        [("content-type", "text/event-stream")],
        Body::from_stream(stream),
    )
        .into_response()
}

/// Waits until a value is what it should be. What is asked may take its time, but not more.
pub(crate) async fn becomes<T: PartialEq + std::fmt::Debug>(
    expected: T,
    mut ask: impl AsyncFnMut() -> T,
) {
    let mut last = None;
    let wait = async {
        loop {
            let now = ask().await;
            if now == expected {
                return;
            }
            last = Some(now);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(LIMIT, wait).await.is_err() {
        panic!("it is {last:?}, never {expected:?}");
    }
}
