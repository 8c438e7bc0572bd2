//! Every endpoint as its description says: who gets in, who does not, and what the
//! rest of the interface promises. In process, without a proxy.

mod access;
mod flag_changes;
mod flags;
mod links;
mod logs;
mod scopes;

use super::openapi::description;
use super::{ApiState, Door, router};
use crate::app::App;
use crate::auth::TokenAsk;
use crate::clock;
use crate::dataplane::DataPlane;
use crate::world::Drivers;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use esclusa_drivers::run::RunSettings;
use esclusa_proxy::client::ControlClient;
use esclusa_shim::ShimCommand;
use esclusa_store::Store;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// Endpoints that the description leaves out: they are for browsers and generators.
const UNDESCRIBED: [&str; 4] = ["/", "/assets/{file}", "/openapi.json", "/l/{link}"];
const LIMIT: Duration = Duration::from_secs(20);

const PLAN: &str = "
esclusa: 1
service: shop
route: { listen: 127.0.0.1:1, host: shop.example }
address: { url: 'http://127.0.0.1:9/${version}' }
requires:
  - sign-off: { roles: [security], within: 1h }
stages:
  - to: 50%
    for: 5m
  - { to: 100%, watch: 10m }
";

struct Server {
    state: ApiState,
    _ending: watch::Sender<bool>,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().to_owned();
        let store = Store::open(&data, clock::now()).await.expect("opens");
        let client = ControlClient::new(data.join("no-proxy.sock"));
        let dataplane = DataPlane::start(client.clone(), store.clone(), None);
        let shim = ShimCommand {
            program: PathBuf::from("/bin/false"),
            args: Vec::new(),
        };
        let drivers = Drivers::new(&RunSettings { shim });
        let app = App::start(store, dataplane, data, drivers)
            .await
            .expect("starts");
        let (ending, ended) = watch::channel(false);
        Self {
            state: ApiState::new(app, Door::Token, client, ended),
            _ending: ending,
            dir,
        }
    }

    fn data(&self) -> &std::path::Path {
        self.dir.path()
    }

    fn router(&self) -> Router {
        router(self.state.clone())
    }

    async fn token(&self, name: &str, roles: &[&str]) -> String {
        self.token_of(name, roles, None).await
    }

    async fn token_of(&self, name: &str, roles: &[&str], person: Option<&str>) -> String {
        let ask = TokenAsk {
            name: name.to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            person: person.map(str::to_owned),
            ..TokenAsk::default()
        };
        self.state
            .auth
            .create(&ask)
            .await
            .expect("made")
            .reveal()
            .to_owned()
    }

    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        answer(self.send(method, path, token, body).await).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Response<Body> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let authorization = bearer.as_deref().map(|bearer| ("authorization", bearer));
        let headers: Vec<(&str, &str)> = authorization.into_iter().collect();
        self.ask(method, path, &headers, body).await
    }

    /// With these headers.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::from(body.to_owned()))
            .expect("a request");
        self.router().oneshot(request).await.expect("an answer")
    }

    /// Logs in; the cookie and what is to be sent along.
    async fn session(&self, token: &str) -> (String, String) {
        let body = json!({ "token": token }).to_string();
        let answered = self.send("post", "/api/v1/login", None, &body).await;
        assert_eq!(answered.status(), StatusCode::OK);
        let cookie = answered.headers()[header::SET_COOKIE]
            .to_str()
            .expect("text");
        let cookie = cookie.split(';').next().expect("a value").to_owned();
        let me = answer(answered).await.json;
        (cookie, me["csrf"].as_str().expect("a mark").to_owned())
    }

    /// Starts a release of the plan; gives its id.
    async fn release(&self, token: &str, plan: &str) -> String {
        let start = json!({
            "plan_name": "esclusa.yaml", "plan": plan, "version": "2.4.1", "base_dir": "/tmp"
        });
        let path = "/api/v1/releases";
        let started = self
            .call("post", path, Some(token), &start.to_string())
            .await;
        assert_eq!(started.status, StatusCode::CREATED, "{}", started.json);
        started.json["release"].as_str().expect("an id").to_owned()
    }
}

struct Answer {
    status: StatusCode,
    json: Value,
}

async fn answer(response: Response<Body>) -> Answer {
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    Answer {
        status,
        json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

// A change of the interface is seen in review. `UPDATE=1` writes the file anew.
#[test]
fn the_description_is_checked_in() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/esclusa.json");
    let now = serde_json::to_string_pretty(description()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &now).expect("written");
    }
    let known = std::fs::read_to_string(file).expect("openapi/esclusa.json");
    assert!(
        known == now,
        "openapi/esclusa.json is out of date: run this test with UPDATE=1"
    );
}

#[tokio::test]
async fn a_wrong_token_does_not_shut_out_a_right_one() {
    let server = Server::start().await;
    let viewer = server.token("viewer", &["viewer"]).await;
    let mut last = StatusCode::OK;
    for _ in 0..12 {
        last = server
            .call("get", "/api/v1/services", Some("wrong"), "")
            .await
            .status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let right = server
        .call("get", "/api/v1/services", Some(&viewer), "")
        .await;
    assert_eq!(right.status, StatusCode::OK);
}

#[tokio::test]
async fn the_unix_socket_needs_no_token() {
    let server = Server::start().await;
    let local = router(server.state.behind(Door::Local));
    let request = Request::get("/api/v1/me")
        .body(Body::empty())
        .expect("a request");
    let answer = answer(local.oneshot(request).await.expect("an answer")).await;
    assert_eq!(
        (answer.status, &answer.json["actor"]),
        (StatusCode::OK, &json!("local"))
    );
}

#[tokio::test]
async fn without_login_only_loopback_names_are_answered() {
    let server = Server::start().await;
    for (host, expected) in [
        ("127.0.0.1:7300", StatusCode::OK),
        ("evil.example:7300", StatusCode::FORBIDDEN),
    ] {
        let dev = router(server.state.behind(Door::Dev { port: 7300 }));
        let request = Request::get("/api/v1/services").header(header::HOST, host);
        let request = request.body(Body::empty()).expect("a request");
        let answer = dev.oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{host}");
    }
}

#[tokio::test]
async fn wrong_input_is_refused_with_the_next_step() {
    let server = Server::start().await;
    let token = server.token("root", &["admin"]).await;
    let too_large = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    for (method, path, body, status, code) in [
        ("post", "/api/v1/tokens", "{", 400, "ESC-0408"),
        (
            "post",
            "/api/v1/tokens",
            "{\"name\":\"a\",\"roles\":[],\"x\":1}",
            400,
            "ESC-0408",
        ),
        (
            "post",
            "/api/v1/tokens",
            too_large.as_str(),
            400,
            "ESC-0409",
        ),
        (
            "post",
            "/api/v1/tokens",
            "{\"name\":\"a b\",\"roles\":[\"viewer\"]}",
            400,
            "ESC-0416",
        ),
        ("delete", "/api/v1/tokens/nobody", "", 404, "ESC-0411"),
        ("get", "/api/v1/releases?limit=0", "", 400, "ESC-0408"),
        ("get", "/api/v1/releases?limt=3", "", 400, "ESC-0408"),
        ("get", "/api/v1/releases/0191", "", 404, "ESC-0404"),
        ("get", "/api/v1/releases/0191/events", "", 404, "ESC-0404"),
        ("get", "/api/v1/releases/0191/stream", "", 404, "ESC-0404"),
        ("get", "/api/v1/releases/0191/series", "", 404, "ESC-0404"),
        (
            "get",
            "/api/v1/releases/0191/series?points=0",
            "",
            400,
            "ESC-0408",
        ),
        (
            "get",
            "/api/v1/releases/0191/series?points=1001",
            "",
            400,
            "ESC-0408",
        ),
        ("get", "/api/v1/releases/0191/logs", "", 404, "ESC-0404"),
        ("get", "/api/v1/releases/0191/logs/x", "", 404, "ESC-0404"),
        (
            "get",
            "/api/v1/releases/0191/logs/x?limit=0",
            "",
            400,
            "ESC-0408",
        ),
        ("get", "/api/v1/services/nobody", "", 404, "ESC-0405"),
        ("get", "/api/v2/services", "", 404, "ESC-0406"),
        ("put", "/api/v1/services", "", 405, "ESC-0407"),
    ] {
        let answer = server.call(method, path, Some(&token), body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{method} {path} {}",
            answer.json
        );
        assert_eq!(answer.json["code"], code, "{method} {path}");
        assert!(
            !answer.json["help"].as_str().unwrap_or_default().is_empty(),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn browsers_are_told_what_the_page_may_do() {
    let server = Server::start().await;
    let page = server.send("get", "/", None, "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let text = |name| {
        page.headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let policy = text("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(text("x-content-type-options"), "nosniff");
    // Asked for anew each time, and not sent anew to whoever has it.
    assert_eq!(text("cache-control"), "no-cache");
    let tag = text("etag");
    assert!(tag.starts_with('"'), "{tag}");
    let known = server.ask("get", "/", &[("if-none-match", tag)], "").await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let nothing = server.send("get", "/assets/nothing.js", None, "").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    let foreign = server.send("get", "/healthz", None, "").await;
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn a_plan_is_checked_and_shown() {
    let server = Server::start().await;
    let token = server.token("viewer", &["viewer"]).await;
    let check = async |plan: &str| {
        let body = json!({ "name": "esclusa.yaml", "plan": plan }).to_string();
        server
            .call("post", "/api/v1/plans/check", Some(&token), &body)
            .await
            .json
    };
    let good = check(PLAN).await;
    assert_eq!(good["accepted"], true, "{good}");
    assert!(
        good["show"]
            .as_str()
            .is_some_and(|show| show.contains("50%")),
        "{good}"
    );
    let bad = check("esclusa: 1\nstagess: []\n").await;
    assert_eq!(bad["accepted"], false);
    assert!(
        bad["diagnostics"]
            .as_array()
            .is_some_and(|found| !found.is_empty())
    );
    let schema = server
        .call("get", "/api/v1/plans/schema", Some(&token), "")
        .await
        .json;
    assert!(schema["properties"]["stages"].is_object() || schema["$defs"].is_object());
}

#[tokio::test]
async fn probes_say_unknown_and_fail_as_such() {
    let server = Server::start().await;
    let ready = server.call("get", "/readyz", None, "").await;
    assert_eq!(
        (ready.status, &ready.json["store"]),
        (StatusCode::OK, &json!("pass"))
    );
    assert_ne!(ready.json["proxy"], "pass", "no proxy is there");
    let token = server.token("viewer", &["viewer"]).await;
    let metrics = server.send("get", "/metrics", Some(&token), "").await;
    let text = metrics
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let text = String::from_utf8(text.to_vec()).expect("text");
    assert!(text.contains("esclusa_proxy_scraped 0"), "{text}");
    assert!(
        text.contains(
            "esclusa_api_requests_total{path=\"/readyz\",method=\"GET\",status=\"200\"} 1"
        )
    );
}

/// Reads a stream until a message of this kind, whole.
async fn message(body: &mut Body, text: &mut String, kind: &str) -> Value {
    let wanted = format!("event: {kind}\n");
    let reading = async {
        loop {
            while let Some((message, rest)) = text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                *text = rest;
                if format!("{message}\n").contains(&wanted) {
                    let data = message.lines().find_map(|line| line.strip_prefix("data: "));
                    return serde_json::from_str(data.expect("data")).expect("JSON");
                }
            }
            let frame = body.frame().await.expect("goes on").expect("readable");
            if let Ok(data) = frame.into_data() {
                text.push_str(std::str::from_utf8(&data).expect("text"));
            }
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .unwrap_or_else(|_| panic!("no {kind} came"))
}

/// One release through the interface: asked for, followed, signed off, taken back.
#[tokio::test]
async fn a_release_is_started_followed_and_taken_back() {
    let server = Server::start().await;
    let operator = server.token("ci", &["operator"]).await;
    let security = server.token("eve", &["security"]).await;
    let start = json!({
        "plan_name": "esclusa.yaml", "plan": PLAN, "version": "2.4.1", "base_dir": "/tmp"
    });
    let started = server
        .call(
            "post",
            "/api/v1/releases",
            Some(&operator),
            &start.to_string(),
        )
        .await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.json);
    assert_eq!(started.json["queued"], false);
    let id = started.json["release"].as_str().expect("an id").to_owned();
    let at = |rest: &str| format!("/api/v1/releases/{id}{rest}");

    let mut body = server
        .send("get", &at("/stream"), Some(&operator), "")
        .await
        .into_body();
    let mut text = String::new();
    let first = message(&mut body, &mut text, "event").await;
    assert_eq!(
        (&first["kind"], &first["actor"]),
        (&json!("requested"), &json!("ci"))
    );
    let view = message(&mut body, &mut text, "release").await;
    assert_eq!(view["missing_sign_offs"], json!(["security"]));

    let second = server
        .call(
            "post",
            "/api/v1/releases",
            Some(&operator),
            &start.to_string(),
        )
        .await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    let agreed = json!({ "role": "security", "comment": "looked at it" }).to_string();
    let signed = server
        .call("post", &at("/sign-offs"), Some(&security), &agreed)
        .await;
    assert_eq!(signed.status, StatusCode::OK, "{}", signed.json);
    let signed = loop {
        let event = message(&mut body, &mut text, "event").await;
        if event["kind"] == "signed_off" {
            break event;
        }
    };
    assert_eq!(signed["actor"], "eve");

    let why = json!({ "reason": "not today" }).to_string();
    let aborted = server
        .call("post", &at("/abort"), Some(&operator), &why)
        .await;
    assert_eq!(aborted.status, StatusCode::OK, "{}", aborted.json);
    let decided = loop {
        let event = message(&mut body, &mut text, "event").await;
        if event["kind"] == "return_decided" {
            break event;
        }
    };
    assert!(
        decided["payload"]["reason"]
            .as_str()
            .is_some_and(|r| r.contains("not today"))
    );

    let report = server
        .call("get", &at("/report"), Some(&operator), "")
        .await
        .json;
    assert_eq!(
        (&report["verdict"], &report["requested_by"]),
        (&json!("rollback"), &json!("ci"))
    );
    assert_eq!(report["sign_offs"][0]["by"], "eve");
    let audit = server
        .call("get", "/api/v1/audit/verify", Some(&operator), "")
        .await
        .json;
    assert_eq!(audit["intact"], true, "{audit}");
}
