//! One request from its head to the end of its response.

pub(crate) mod body;
pub(crate) mod headers;
mod reply;
pub(crate) mod ticket;
mod tunnel;
mod validate;

use crate::choose::Asking;
use crate::count::shard::CellKey;
use crate::inbound::framing::Verdict;
use crate::inbound::io::ConnState;
use crate::sign::SYNTHETIC_HEADER;
use crate::table::{RouteTable, Service};
use crate::unit::{Unit, strip_cookie, unit_of};
use crate::upstream::pool::Lease;
use crate::upstream::send::{Outgoing, SendError, Sending};
use crate::worker::Worker;
use body::{Busy, Progress, RequestBody, ResponseBody, Upload, UploadFault, grpc_status};
use esclusa_judge::EventClass;
use esclusa_model::Digest;
use headers::Origin;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use reply::Reply;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
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
        Protocol::Http1 => connection.state.take_verdict(),
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
    }
    response
}

/// A version's answer, with what has to live as long as its body.
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
    let on_upgrade = gate.shut.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let table = worker.shared.table.load();
    let asked = validate::validate(&parts, verdict).map_err(|refused| {
        worker
            .shard
            .client_fault(only_service(&table, connection.listener));
        Reply::refused(refused)
    })?;
    let Some(service) = table
        .find(connection.listener, &asked.host, parts.uri.path())
        .cloned()
    else {
        worker.shard.proxy_fault(None);
        return Err(Reply::no_service());
    };
    // From here on the request belongs to this generation, whatever is published.
    drop(table);
    let choice = choose(&service, &parts, &asked.host);
    let version = &service.versions[choice.version];
    let key = CellKey {
        service: service.key,
        intended: version.key,
        served: None,
        route: service.patterns.key(
            &service.route_names,
            parts.method.as_str(),
            parts.uri.path(),
        ),
        instance: None,
        synthetic: choice.synthetic,
    };
    let mut ticket = Ticket::open(
        Arc::clone(&worker.shard),
        key,
        choice.unit_hash,
        arrived,
        Arc::clone(&version.load),
    );
    let too_large = body.size_hint().lower() > service.max_body_bytes;
    if too_large {
        ticket.client_fault();
        return Err(Reply::upload(UploadFault::TooLarge).cookie(choice.set_cookie));
    }
    let (body, upload) = RequestBody::new(body, service.max_body_bytes);
    if let Some(upload) = &upload {
        ticket.watch(Arc::clone(upload));
    }
    let upgrade = asked.upgrade.clone();
    let grpc = is_grpc(&parts.headers);
    prepare_headers(&mut parts, &asked, connection, &service);
    let path = parts
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let bodiless = upload.is_none();
    let out = Outgoing {
        method: parts.method,
        path,
        headers: parts.headers,
        body,
        bodiless,
    };
    let limits = &worker.shared.limits;
    let sending = Sending {
        pool: &worker.pool,
        version,
        connect_timeout: limits.connect_timeout,
    };
    let waited = Patience {
        response: service.response_timeout,
        body: limits.body_timeout,
        arrived,
    };
    let sent = waited
        .on(sending.send(out, &mut ticket), upload.as_deref())
        .await;
    let (mut response, mut lease) = match sent {
        Ok(answer) => answer,
        Err(failure) => {
            return Err(failed(failure, ticket, upload.as_deref()).cookie(choice.set_cookie));
        }
    };
    let head_says = if grpc {
        grpc_status(response.headers())
    } else {
        None
    };
    ticket.answered(version.key, response.status(), head_says);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(protocol), Some(client)) = (upgrade, on_upgrade) else {
            ticket.cut_off();
            return Err(Reply::bad_gateway("protocol_error", ticket));
        };
        gate.open(true);
        return Err(tunnel::start(worker, response, protocol, client, ticket));
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

/// The service that faults are counted under when the request does not say which.
fn only_service(table: &RouteTable, listener: SocketAddr) -> Option<crate::registry::Key> {
    table.only(listener).map(|service| service.key)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Which version, and for whom.
struct Choice {
    version: usize,
    unit_hash: Option<u64>,
    synthetic: bool,
    set_cookie: Option<HeaderValue>,
}

fn choose(service: &Service, parts: &Parts, host: &str) -> Choice {
    if let Some(version) = synthetic_version(service, &parts.headers) {
        return Choice {
            version,
            unit_hash: None,
            synthetic: true,
            set_cookie: None,
        };
    }
    let unit = unit_of(&service.sources, &service.signer, &parts.headers, service.is_partial());
    let tenant = if let Unit::Header(id) = &unit { id.clone() } else { String::new() };
    let (id, set_cookie) = match unit {
        Unit::Header(id) | Unit::Cookie(id) => (Some(id), None),
        Unit::New { id, set_cookie } => (Some(id), HeaderValue::try_from(set_cookie).ok()),
        Unit::None => (None, None),
    };
    let version = match &service.split {
        None => service.stable,
        Some(active) => {
            // Without any source of units each request is its own.
            let own = (id.is_none() && service.sources.is_empty())
                .then(|| format!("{:032x}", rand::random::<u128>()));
            let unit = id.as_deref().or(own.as_deref()).unwrap_or("");
            let asking = Asking { parts, host, tenant: &tenant };
            if active.split.to_canary(unit, asking) {
                active.canary
            } else {
                service.stable
            }
        }
    };
    let unit_hash = id.as_deref().map(esclusa_flags::unit_hash);
    Choice {
        version,
        unit_hash,
        synthetic: false,
        set_cookie,
    }
}

/// The version that esclusa's own request is for. A token that is not genuine, or names
/// a version that is not here, makes it an ordinary request.
fn synthetic_version(service: &Service, headers: &HeaderMap) -> Option<usize> {
    let token = headers.get(SYNTHETIC_HEADER)?.to_str().ok()?;
    let digest: Digest = service.signer.synthetic_target(token)?;
    service.version(&digest)
}

fn prepare_headers(parts: &mut Parts, asked: &Asked, connection: &Connection, service: &Service) {
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
}

/// How a request ended without an answer.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Send(SendError),
    Timeout,
    SlowClient,
}

/// How long a request waits for whom.
#[derive(Debug, Clone, Copy)]
struct Patience {
    response: Duration,
    body: Duration,
    arrived: Instant,
}

impl Patience {
    /// Waits for `answer`. The version's time begins when it has the whole request; time
    /// that a client takes to send it is not the version's.
    async fn on<T>(
        self,
        answer: impl Future<Output = Result<T, SendError>>,
        upload: Option<&Upload>,
    ) -> Result<T, Failure> {
        let mut answer = std::pin::pin!(answer);
        let first = if upload.is_some() {
            self.response.min(self.body)
        } else {
            self.response
        };
        let mut alarm = std::pin::pin!(tokio::time::sleep_until((self.arrived + first).into()));
        loop {
            tokio::select! {
                biased;
                result = &mut answer => return result.map_err(Failure::Send),
                () = &mut alarm => match self.next_alarm(upload) {
                    Ok(next) => alarm.as_mut().reset(next.into()),
                    Err(failure) => return Err(failure),
                },
            }
        }
    }

    fn next_alarm(&self, upload: Option<&Upload>) -> Result<Instant, Failure> {
        let (until, failure) = match upload.map(Upload::progress) {
            None => (self.arrived + self.response, Failure::Timeout),
            Some(Progress::Complete(since) | Progress::Version(since)) => {
                (since + self.response, Failure::Timeout)
            }
            Some(Progress::Client(since)) => (since + self.body, Failure::SlowClient),
        };
        if until > Instant::now() {
            Ok(until)
        } else {
            Err(failure)
        }
    }
}

/// Decides whose fault it is and says so.
fn failed(failure: Failure, mut ticket: Ticket, upload: Option<&Upload>) -> Reply {
    if let Some(fault) = upload.and_then(Upload::fault) {
        ticket.client_fault();
        return Reply::upload(fault);
    }
    match failure {
        Failure::SlowClient => {
            ticket.client_fault();
            Reply::slow_client()
        }
        Failure::Timeout => {
            ticket.failed(EventClass::Timeout);
            Reply::timeout(ticket)
        }
        Failure::Send(SendError::NoInstance) => {
            ticket.failed(EventClass::Connect);
            Reply::unavailable(ticket)
        }
        Failure::Send(SendError::Connect) => {
            ticket.failed(EventClass::Connect);
            Reply::bad_gateway("connection_refused", ticket)
        }
        Failure::Send(SendError::Reset) => {
            ticket.failed(EventClass::Reset);
            Reply::bad_gateway("connection_terminated", ticket)
        }
    }
}
