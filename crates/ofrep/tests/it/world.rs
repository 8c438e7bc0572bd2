//! A flag server on a port of its own, and a client that says exactly what it is told.

use bytes::Bytes;
use esclusa_flags::{FlagSet, Kills};
use esclusa_model::{Digest, Epoch, GenerationId};
use esclusa_ofrep::{FlagTable, Limits, Shared, serve};
use esclusa_wire::{FlagDocument, FlagToken, FlagTokenKind, WIRE_VERSION};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Long enough for a machine that does much else.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The flags that most tests ask for.
pub(crate) fn flags() -> Value {
    json!({
        "revision": 1,
        "environments": ["production", "staging"],
        "attributes": { "country": { "type": "string" } },
        "flags": {
            "exec": { "type": "boolean", "browsers": true, "message": "ExecReports not available",
                "environments": { "production": {
                    "tenants": { "acme": "on" },
                    "rules": [{ "when": "country == 'es'", "variant": "on" }],
                } } },
            "plain": { "type": "boolean", "default": "on", "browsers": true },
            "half": { "type": "boolean", "environments": { "production": { "rules": [
                { "share": { "basis-points": 5000 }, "variant": "on" }] } } },
            "ten": { "type": "integer", "variants": { "off": 0, "ten": 10 }, "default": "ten" },
            "tenth": { "type": "float", "variants": { "off": 0, "ten": 10 }, "default": "ten" },
            "word": { "type": "string", "variants": { "off": "", "hi": "h\"i" }, "default": "hi", "project": "shop" },
            "thing": { "type": "object", "variants": { "off": {}, "a": { "b": [1, 2.5, null] } }, "default": "a" },
            "unused": { "type": "boolean", "default": "on",
                "environments": { "production": { "state": "disabled" } } },
            "needs": { "type": "boolean", "default": "on",
                "prerequisites": [{ "flag": "unused", "variant": "on" }] },
            "weird+key/with:chars": { "type": "boolean", "default": "on" },
        },
        "guards": { "shop": {
            "environment": "production",
            "tenant": [{ "header": "x-tenant-id" }],
            "routes": [
                { "method": "POST", "path": "/modules/:id/execute", "flag": "exec" },
                { "path": "/soft/*", "flag": "exec", "mode": "fallback" },
            ],
        } },
    })
}

pub(crate) fn token(name: &str, kind: FlagTokenKind, environment: &str) -> FlagToken {
    FlagToken {
        name: name.to_owned(),
        hash: Digest::of(format!("secret-of-{name}").as_bytes()),
        kind,
        environment: environment.to_owned(),
        project: None,
        strict: false,
        expires: None,
    }
}

/// A document; each later one has a higher number.
pub(crate) fn document(number: u64, set: Value, tokens: Vec<FlagToken>) -> FlagDocument {
    FlagDocument {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(1),
            number,
        },
        set: FlagSet::from_json(set).expect("a set"),
        kills: Kills::default(),
        rollouts: Vec::new(),
        tokens,
        key: "07".repeat(32),
        journal: Vec::new(),
    }
}

pub(crate) fn table(document: &FlagDocument) -> FlagTable {
    FlagTable::compile(document).expect("valid")
}

/// A server that ends with the test.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) fn start(document: &FlagDocument) -> World {
    start_with(
        Shared::new(table(document)),
        Limits {
            workers: 2,
            stream_threads: 2,
            ..Limits::default()
        },
    )
}

pub(crate) fn start_with(shared: Shared, limits: Limits) -> World {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let shared = Arc::new(shared);
    let (stop, stopped) = watch::channel(false);
    let ended = tokio::spawn(serve(listener, Arc::clone(&shared), limits, stopped));
    World {
        address,
        shared,
        stop,
        ended,
    }
}

/// The server most tests ask: nobody needs a token.
pub(crate) fn open_world() -> World {
    start(&document(1, flags(), Vec::new()))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }
}

impl World {
    pub(crate) async fn call(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let socket = tokio::net::TcpStream::connect(self.address)
            .await
            .expect("connects");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .expect("a connection");
        let driving = tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::<Bytes>::from(body.to_owned()))
            .expect("valid");
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        driving.abort();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    /// One flag in production, as somebody on this machine.
    pub(crate) async fn flag(&self, key: &str, body: &str) -> Answer {
        let target = format!("/ofrep/v1/evaluate/flags/{key}");
        let production = [("x-esclusa-environment", "production")];
        self.call("POST", &target, &production, body).await
    }

    pub(crate) async fn bulk(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let target = "/ofrep/v1/evaluate/flags";
        let mut all = vec![("x-esclusa-environment", "production")];
        all.extend_from_slice(headers);
        self.call("POST", target, &all, body).await
    }
}
