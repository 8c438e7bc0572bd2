//! One request from its head to the end of its response.

pub(crate) mod body;
mod choice;
mod guard;
pub(crate) mod headers;
mod patience;
mod reply;
pub(crate) mod ticket;
mod tunnel;
mod validate;
mod websocket;

use crate::count::cutter::this_second;
use crate::count::shard::CellKey;
use crate::inbound::framing::Verdict;
use crate::inbound::io::ConnState;
use crate::table::Service;
use crate::unit::strip_cookie;
use crate::upstream::pool::Lease;
use crate::upstream::send::{Outgoing, Sending};
use crate::worker::Worker;
use body::{Busy, RequestBody, ResponseBody, UploadFault, grpc_status};
use choice::{Choice, choose};
use esclusa_judge::EventClass;
use headers::Origin;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use patience::Patience;
use reply::Reply;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use ticket::Ticket;
use validate::Asked;

/// What all requests of one connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    pub(crate) listener: SocketAddr,
    pub(crate) peer: IpAddr,
    pub(crate) state: Arc<ConnState>,
    pub(crate) protocol: Protocol,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Lets the bytes behind an upgrade request through however its handling ends.
struct Gate {
    state: Arc<ConnState>,
    shut: bool,
}

impl Gate {
    fn open(&mut self, tunnel: bool) {
        if std::mem::take(&mut self.shut) {
            self.state.open_gate(tunnel);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open(false);
    }
}

/// Answers one request.
pub(crate) async fn handle(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let busy = Busy::new(Arc::clone(&connection.state));
    let verdict = match connection.protocol {
        // Each head that reaches us was scanned; one that was not is not to be trusted.
        Protocol::Http1 => Some(agreed(connection.state.take_verdict(), request.body())),
        Protocol::Http2 => None,
    };
    let gate = Gate {
        state: Arc::clone(&connection.state),
        shut: verdict == Some(Verdict::Upgrade),
    };
    let mut response = match exchange(&connection, request, verdict, gate).await {
        Ok(Answer {
            response,
            ticket,
            lease,
            grpc,
        }) => response.map(|body| ResponseBody::version(body, ticket, lease, grpc, busy)),
        Err(reply) => reply.into_response(busy),
    };
    if connection.protocol == Protocol::Http1 {
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if connection.worker.shared.is_draining() && !switching {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // What the version spoke says nothing about what the client speaks.
        *response.version_mut() = Version::HTTP_11;
    } else if connection.worker.shared.is_draining() {
        connection.state.used.notify_one();
    }
    response
}

/// The scanner's verdict, if the library has read the same: two readers of one stream
/// that disagree are what smuggling is made of, even when both are ours.
fn agreed(verdict: Option<Verdict>, body: &Incoming) -> Verdict {
    let scanned = match verdict {
        Some(Verdict::Plain(length)) => length,
        Some(Verdict::Upgrade) => Some(0),
        Some(Verdict::Ambiguous) | None => return Verdict::Ambiguous,
    };
    let read = if body.is_end_stream() {
        Some(0)
    } else {
        body.size_hint().exact()
    };
    match verdict {
        Some(verdict) if read == scanned => verdict,
        _ => Verdict::Ambiguous,
    }
}

/// A version's answer (an error is what the proxy says instead), with what has to live as long as its body.
struct Answer {
    response: Response<Incoming>,
    ticket: Ticket,
    lease: Lease,
    grpc: bool,
}

async fn exchange(
    connection: &Connection,
    mut request: Request<Incoming>,
    verdict: Option<Verdict>,
    mut gate: Gate,
) -> Result<Answer, Reply> {
    let arrived = Instant::now();
    let worker = &connection.worker;
    let client = gate.shut.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let (service, asked) = admit(connection, &parts, verdict).map_err(|reply| *reply)?;
    let flags = worker.shared.flags.current();
    let passage = guard::pass(&flags, &worker.shared, &service, &parts, &asked.host)
        .map_err(|reply| *reply)?;
    let choice = choose(
        &service,
        &parts,
        &asked.host,
        &flags,
        passage.units.as_ref(),
    );
    drop(flags);
    let version = &service.versions[choice.version];
    let mut ticket = open_ticket(worker, &service, &parts, &choice, arrived);
    if body.size_hint().lower() > service.max_body_bytes {
        ticket.client_fault();
        return Err(Reply::upload(UploadFault::TooLarge).cookie(choice.set_cookie));
    }
    let (body, upload) = RequestBody::new(body, service.max_body_bytes);
    if let Some(upload) = &upload {
        ticket.watch(Arc::clone(upload));
    }
    let grpc = is_grpc(&parts.headers);
    let instances = version.instances_for(&asked.host, parts.uri.path());
    let bodiless = upload.is_none();
    let mut out = outgoing(parts, body, bodiless, &asked, connection, &service);
    passage.tell(&mut out.headers);
    let limits = &worker.shared.limits;
    let sending = Sending {
        pool: &worker.pool,
        instances,
        connect_timeout: limits.connect_timeout,
    };
    let patience = Patience {
        response: service.response_timeout,
        body: limits.body_timeout,
        arrived,
    };
    let sent = {
        let sent = patience.on(sending.send(out, &mut ticket), upload.as_deref());
        hinting(&connection.state, std::pin::pin!(sent)).await
    };
    let (mut response, mut lease) = match sent {
        Ok(answer) => answer,
        Err(failure) => {
            return Err(failure
                .settle(ticket, upload.as_deref())
                .cookie(choice.set_cookie));
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(protocol), Some(client)) = (asked.upgrade, client) else {
            // Nobody asked: that is no answer.
            ticket.failed(EventClass::Reset);
            return Err(Reply::bad_gateway("protocol_error", ticket));
        };
        ticket.answered(version.key, response.status(), None);
        gate.open(true);
        let owner = if choice.synthetic {
            tunnel::Owner::Synthetic
        } else {
            tunnel::Owner::User
        };
        return Err(tunnel::start(
            worker, response, protocol, client, ticket, owner,
        ));
    }
    let ended = if grpc {
        grpc_status(response.headers())
    } else {
        None
    };
    if guard::says_feature_is_off(&response) {
        ticket.feature_is_off(version.key);
    } else {
        ticket.answered(version.key, response.status(), ended);
    }
    if let Some(seconds) = headers::keep_alive_seconds(response.headers()) {
        lease.server_keeps_for(seconds);
    }
    headers::to_client(response.headers_mut());
    if let Some(cookie) = choice.set_cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(Answer {
        response,
        ticket,
        lease,
        grpc,
    })
}

/// Waits for an answer. Whenever something arrives before it, this is woken, and with it
/// the connection, which writes it.
async fn hinting<T>(state: &ConnState, mut answer: Pin<&mut impl Future<Output = T>>) -> T {
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer,
            () = state.early.arrived() => {}
        }
    };
    state.early.close();
    answer
}

/// Where early answers to this request go: nowhere, unless the client's protocol has
/// them and the library leaves a way.
fn early(connection: &Connection, parts: &Parts) -> Option<(Arc<ConnState>, u64)> {
    let can = connection.protocol == Protocol::Http1 && parts.version == Version::HTTP_11;
    can.then(|| {
        let state = Arc::clone(&connection.state);
        let turn = state.early.open();
        (state, turn)
    })
}

/// Checks a request and finds its service. It belongs to the generation that this reads,
/// whatever is published from then on.
fn admit(
    connection: &Connection,
    parts: &Parts,
    verdict: Option<Verdict>,
) -> Result<(Arc<Service>, Asked), Box<Reply>> {
    let worker = &connection.worker;
    let table = worker.shared.table.load();
    let asked = validate::validate(parts, verdict, worker.shared.limits.max_headers).map_err(
        |refused| {
            // It does not say reliably whose it is.
            let service = table.only(connection.listener).map(|service| service.key);
            worker.shard.client_fault(this_second(), service);
            Box::new(Reply::refused(refused))
        },
    )?;
    match table.find(connection.listener, &asked.host, parts.uri.path()) {
        Some(service) => Ok((Arc::clone(service), asked)),
        None => {
            worker.shard.proxy_fault(this_second(), None);
            Err(Box::new(Reply::no_service()))
        }
    }
}

fn open_ticket(
    worker: &Worker,
    service: &Service,
    parts: &Parts,
    choice: &Choice,
    arrived: Instant,
) -> Ticket {
    let version = &service.versions[choice.version];
    let route = service.patterns.key(
        &service.route_names,
        parts.method.as_str(),
        parts.uri.path(),
    );
    let key = CellKey {
        service: service.key,
        intended: version.key,
        served: None,
        route,
        instance: None,
        synthetic: choice.synthetic,
    };
    let (shard, load) = (Arc::clone(&worker.shard), Arc::clone(&version.load));
    Ticket::open(shard, key, choice.unit_hash, arrived, load)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The request as any instance of a version could be sent it.
fn outgoing(
    mut parts: Parts,
    body: RequestBody,
    bodiless: bool,
    asked: &Asked,
    connection: &Connection,
    service: &Service,
) -> Outgoing {
    let early = early(connection, &parts);
    let origin = Origin {
        peer: connection.peer,
        trusted: &service.trusted,
        host: asked.authority.as_ref(),
    };
    headers::to_version(&mut parts.headers, origin, asked.upgrade.clone());
    strip_cookie(&mut parts.headers);
    if let Some(host) = &asked.authority {
        parts.headers.insert(HOST, host.clone());
    }
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    Outgoing {
        method: parts.method,
        path,
        headers: parts.headers,
        body,
        bodiless,
        early,
    }
}
