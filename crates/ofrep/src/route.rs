//! Which request is answered by what.

use crate::access::recognise;
use crate::conn::Connection;
use crate::hub::Client;
use crate::reply::{self, Reply};
use crate::shared::unix_second;
use crate::ticket::STREAM_PATH;
use crate::{bulk, cors, forward_auth, single, stream};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{Method, StatusCode, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;

const EVALUATE: &str = "/ofrep/v1/evaluate/flags";
const GUARD: &str = "/guard/";

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It has an answer.
    Answered(Reply),
    /// Its connection is a stream from now on.
    Stream,
}

/// Answers a request.
pub(crate) async fn answer(connection: &Connection, request: Request<Incoming>) -> Asked {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if path.starts_with("/ofrep/") {
        return ofrep(connection, &parts, body).await;
    }
    Asked::Answered(if let Some(name) = path.strip_prefix(GUARD) {
        forward_auth::answer(connection, name, &parts)
    } else if path == "/healthz" {
        match parts.method {
            Method::GET | Method::HEAD => reply::text(StatusCode::OK, "ok\n"),
            _ => reply::wrong_method("GET, HEAD"),
        }
    } else {
        nothing_there()
    })
}

fn nothing_there() -> Reply {
    reply::details(StatusCode::NOT_FOUND, "there is nothing at this address")
}

async fn ofrep(connection: &Connection, parts: &Parts, body: Incoming) -> Asked {
    let shared = &connection.server.shared;
    let (is_open, headers) = (shared.current().is_open(), &parts.headers);
    let origin = cors::origin(headers, is_open);
    if parts.method == Method::OPTIONS {
        return Asked::Answered(cors::preflight(headers, origin));
    }
    let asked = if parts.uri.path() == STREAM_PATH {
        match parts.method {
            Method::GET => {
                let query = parts.uri.query();
                stream::begin(connection, &shared.table(), headers, query, unix_second())
            }
            _ => Asked::Answered(reply::wrong_method("GET")),
        }
    } else {
        Asked::Answered(evaluation(connection, parts, body).await)
    };
    match asked {
        Asked::Answered(mut reply) => {
            cors::allow(&mut reply, origin);
            Asked::Answered(reply)
        }
        Asked::Stream => Asked::Stream,
    }
}

async fn evaluation(connection: &Connection, parts: &Parts, body: Incoming) -> Reply {
    let key = match parts.uri.path().strip_prefix(EVALUATE) {
        Some("" | "/") => None,
        Some(rest) if rest.starts_with('/') => Some(&rest[1..]),
        _ => return nothing_there(),
    };
    if parts.method != Method::POST {
        return reply::wrong_method("POST, OPTIONS");
    }
    let (shared, second) = (&connection.server.shared, unix_second());
    // Before the body is read: strangers send none.
    let table = shared.table();
    if !table.ready {
        return reply::not_ready();
    }
    let access = match recognise(connection, &table, &parts.headers, second) {
        Ok(access) => access,
        Err(refusal) => return refusal.reply(),
    };
    let body = match whole(connection, parts, body).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    // What changed while the body was on its way counts.
    let newer = shared.table();
    let access = match std::sync::Arc::ptr_eq(&table, &newer) {
        true => access,
        false => match recognise(connection, &newer, &parts.headers, second) {
            Ok(access) => access,
            Err(refusal) => return refusal.reply(),
        },
    };
    let reply = match key {
        Some(key) => single::evaluate(
            shared,
            &newer,
            &access,
            key,
            (&parts.headers, &body),
            second,
        ),
        None => {
            let reply = bulk::evaluate(shared, &newer, &access, &parts.headers, &body, second);
            if reply.status() != StatusCode::BAD_REQUEST {
                let agent = parts.headers.get(USER_AGENT);
                let agent = agent.map_or(&b""[..], |agent| agent.as_bytes());
                let client = Client::new(access.scope.subject, connection.peer, agent);
                shared.hub().fetched(client, newer.state);
            }
            reply
        }
    };
    if reply.status().is_success() && !access.scope.watcher {
        let environment = &access.scope.environment;
        shared.recent.note(environment, &body, second);
    }
    reply
}

/// Reads a body, within its limits.
async fn whole(connection: &Connection, parts: &Parts, body: Incoming) -> Result<Bytes, Reply> {
    let limits = &connection.server.limits;
    let most = limits.max_body_bytes;
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > most as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_timeout, collect(body, most)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_)) => Err(reply::bad_request("the body broke off")),
        Err(_) => Err(reply::details(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )),
    }
}

fn too_large() -> Reply {
    reply::details(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
}

/// `None` when it is too large. A body of one piece is not copied.
async fn collect(mut body: Incoming, most: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if whole.len() + piece.len() > most {
            return Ok(None);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(Some(piece));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}
