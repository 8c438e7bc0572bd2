//! The demo shop: a few routes over HTTP/1.1, each answer naming its version.

use super::behaviour::{Answer, Asked, Behaviour, Course, FailAfter, Verdict};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Names the version in each answer.
pub const VERSION_HEADER: &str = "x-demo-version";
/// By what a person gives a name.
const PERSON_HEADER: &str = "x-tenant-id";
/// Where a test talks to the app itself; from this machine only.
pub const CONTROL_PREFIX: &str = "/__demo";

/// A demo version.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Port on 127.0.0.1; 0 takes any.
    pub port: u16,
    /// What it calls itself.
    pub version: String,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// The file that triggers [`FailAfter::File`].
    pub trigger_file: Option<PathBuf>,
    /// How long after its start its health check says 503.
    pub ready_after: Duration,
    /// What its randomness depends on.
    pub seed: u64,
    /// What its metrics say of its queue.
    pub queue_depth: u32,
}

impl WebConfig {
    /// A good version on any port.
    #[must_use]
    pub fn good(version: &str) -> Self {
        Self {
            port: 0,
            version: version.to_owned(),
            behaviour: Behaviour::default(),
            trigger_file: None,
            ready_after: Duration::ZERO,
            seed: 1,
            queue_depth: 0,
        }
    }
}

/// A running demo shop in this process. Stops when dropped, without waiting.
#[derive(Debug)]
pub struct DemoApp {
    address: SocketAddr,
    shop: Arc<Shop>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shop {
    version: String,
    header: HeaderValue,
    ready_at: Instant,
    queue_depth: u32,
    course: Mutex<Course>,
    /// Answers by status, health checks and control calls left out.
    answers: Mutex<BTreeMap<u16, u64>>,
    /// Requests whose answer is being made.
    under_way: AtomicU64,
}

impl DemoApp {
    /// Starts to listen; it answers when this returns.
    ///
    /// # Errors
    /// When the port cannot be bound or the version's name does not fit into a header.
    pub async fn start(config: WebConfig) -> std::io::Result<Self> {
        let header = HeaderValue::from_str(&config.version).map_err(std::io::Error::other)?;
        let shop = Arc::new(Shop {
            version: config.version,
            header,
            ready_at: Instant::now() + config.ready_after,
            queue_depth: config.queue_depth,
            course: Mutex::new(Course::new(config.behaviour, config.seed)),
            answers: Mutex::new(BTreeMap::new()),
            under_way: AtomicU64::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // Slower when it fails, but never wrong.
            let _ = stream.set_nodelay(true);
        });
        if let (FailAfter::File, Some(file)) = (config.behaviour.fail_after, config.trigger_file) {
            tokio::spawn(watch(file, Arc::downgrade(&shop)));
        }
        let service = router(Arc::clone(&shop)).into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            axum::serve(listener, service)
                .with_graceful_shutdown(async move {
                    let _ = stopped.await;
                })
                .await
        });
        Ok(Self {
            address,
            shop,
            stop: Some(stop),
            served,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails at this rate from now on, whatever its kind; 0 heals it.
    pub fn fail(&self, rate: f64) {
        self.shop.course().order_rate(rate);
    }

    /// Its own count of answers by status, without health checks and control calls.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        self.shop.answers().clone()
    }

    /// Stops to accept, finishes what it has begun, at most for `bound`.
    ///
    /// # Errors
    /// When serving failed; [`std::io::ErrorKind::TimedOut`] when requests were cut off.
    pub async fn stop(mut self, bound: Duration) -> std::io::Result<()> {
        drop(self.stop.take());
        match tokio::time::timeout(bound, &mut self.served).await {
            Ok(ended) => ended.map_err(std::io::Error::other)?,
            Err(_) => {
                self.served.abort();
                Err(std::io::ErrorKind::TimedOut.into())
            }
        }
    }
}

impl Shop {
    fn course(&self) -> std::sync::MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, u64>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, headers: &HeaderMap, weight: f64, body: Value) -> Response {
        let asked = Asked {
            organic: is_organic(headers),
            person: headers
                .get(PERSON_HEADER)
                .and_then(|name| name.to_str().ok()),
            weight,
        };
        let Verdict { delay, answer } = self.course().answer(Instant::now(), asked);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _leaves = OnDrop(|| {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
        });
        tokio::time::sleep(delay).await;
        let error = |what: &str| json!({ "version": self.version, "error": what });
        match answer {
            Answer::Page => {}
            Answer::Error => {
                return reply(StatusCode::INTERNAL_SERVER_ERROR, &error("the shop broke"));
            }
            Answer::NotFound => return reply(StatusCode::NOT_FOUND, &error("no such page")),
            Answer::None => std::future::pending().await,
        }
        let mut answer = json!({
            "version": self.version,
            "pid": std::process::id(),
            "track": std::env::var("ESCLUSA_TRACK").ok(),
        });
        if let (Value::Object(answer), Value::Object(body)) = (&mut answer, body) {
            answer.extend(body);
        }
        reply(StatusCode::OK, &answer)
    }
}

/// Also when the client goes away and the answer is given up.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// People's requests; probes and warm-ups of a controller say who they are.
fn is_organic(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    !headers.contains_key("x-esclusa-synthetic") && !agent.starts_with("esclusa/")
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

fn router(shop: Arc<Shop>) -> Router {
    let control = Router::new()
        .route("/fail", post(order_failure))
        .route("/stats", get(stats))
        .layer(axum::middleware::from_fn(from_this_machine));
    Router::new()
        .route("/", get(front))
        .route("/cart", get(cart))
        .route("/item/{id}", get(item))
        .route("/checkout", post(checkout))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .nest(CONTROL_PREFIX, control)
        .fallback(nothing)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&shop),
            sign_and_count,
        ))
        .with_state(shop)
}

type TheShop = State<Arc<Shop>>;

async fn front(State(shop): TheShop, headers: HeaderMap) -> Response {
    shop.serve(&headers, 1.0, json!({ "page": "front" })).await
}

async fn cart(State(shop): TheShop, headers: HeaderMap) -> Response {
    shop.serve(&headers, 1.2, json!({ "page": "cart" })).await
}

async fn item(State(shop): TheShop, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let body = json!({ "page": "item", "id": id });
    shop.serve(&headers, 1.0, body).await
}

async fn checkout(State(shop): TheShop, headers: HeaderMap, order: Bytes) -> Response {
    let body = json!({ "page": "checkout", "bytes": order.len() });
    shop.serve(&headers, 1.6, body).await
}

async fn health(State(shop): TheShop) -> Response {
    if Instant::now() < shop.ready_at {
        reply(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "starting" }),
        )
    } else {
        reply(StatusCode::OK, &json!({ "status": "ok" }))
    }
}

/// As Prometheus reads it.
async fn metrics(State(shop): TheShop) -> String {
    let (version, depth) = (&shop.version, shop.queue_depth);
    format!("# TYPE demo_queue_depth gauge\ndemo_queue_depth{{version=\"{version}\"}} {depth}\n")
}

async fn nothing(method: Method, request: Request) -> Response {
    let what = format!("{method} {}", request.uri().path());
    reply(StatusCode::NOT_FOUND, &json!({ "nothing-at": what }))
}

async fn order_failure(State(shop): TheShop, body: Bytes) -> Response {
    let rate = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|order| order.get("rate")?.as_f64())
        .filter(|rate| (0.0..=1.0).contains(rate));
    let Some(rate) = rate else {
        let wanted = json!({ "error": "send {\"rate\": 0 to 1}" });
        return reply(StatusCode::BAD_REQUEST, &wanted);
    };
    shop.course().order_rate(rate);
    reply(StatusCode::OK, &json!({ "rate": rate }))
}

async fn stats(State(shop): TheShop) -> Response {
    let stats = json!({
        "version": shop.version,
        "answers": shop.answers().clone(),
        "under-way": shop.under_way.load(Ordering::Relaxed),
    });
    reply(StatusCode::OK, &stats)
}

async fn from_this_machine(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if peer.ip().is_loopback() {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

async fn sign_and_count(State(shop): TheShop, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let counted = !matches!(path, "/health" | "/metrics") && !path.starts_with(CONTROL_PREFIX);
    let mut response = next.run(request).await;
    if counted {
        *shop
            .answers()
            .entry(response.status().as_u16())
            .or_default() += 1;
    }
    response
        .headers_mut()
        .insert(VERSION_HEADER, shop.header.clone());
    response
}

/// Looks for the trigger file until it is there or the app is gone.
async fn watch(file: PathBuf, shop: std::sync::Weak<Shop>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let Some(shop) = shop.upgrade() else { return };
        if tokio::fs::try_exists(&file).await.unwrap_or(false) {
            shop.course().file_appeared();
            return;
        }
    }
}
