//! Sends one request to one version: which instance, which connection, and when again.
//!
//! A request is sent a second time only when the version cannot have acted on it, or
//! when acting twice is the same as once. It never goes to another version.

use super::connect::connect;
use super::pool::{Lease, Pool};
use crate::exchange::body::RequestBody;
use crate::exchange::headers::{for_instance, to_client};
use crate::exchange::ticket::Ticket;
use crate::inbound::io::ConnState;
use crate::table::Target;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A request as any instance of the version could be sent it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    /// Whether there is no body to lose.
    pub(crate) bodiless: bool,
    /// The client's connection and turn, for answers before the answer.
    pub(crate) early: Option<(Arc<ConnState>, u64)>,
}

/// Why a version gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// It has no instances.
    NoInstance,
    /// None of its instances took a connection.
    Connect,
    /// The connection broke before an answer.
    Reset,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) pool: &'a Arc<Pool>,
    /// The copies of the chosen version that answer such requests.
    pub(crate) instances: &'a [Arc<Target>],
    pub(crate) connect_timeout: Duration,
}

impl Sending<'_> {
    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(
        self,
        mut out: Outgoing,
        ticket: &mut Ticket,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let mut tried: Vec<usize> = Vec::new();
        while let Some((at, target)) = self.pick(&tried) {
            ticket.asks(target);
            if let Some(sender) = self.pool.take(target.load.pool_key) {
                out = match self.attempt_reused(out, target, sender).await {
                    Attempt::Answer(response, lease) => return Ok((response, lease)),
                    Attempt::Again(out) => out,
                    Attempt::Lost => return Err(SendError::Reset),
                };
            }
            match connect(target, self.connect_timeout).await {
                Ok(mut sender) => {
                    target.load.connect_worked();
                    let request = build(out, target);
                    let response = sender.send_request(request).await.map_err(|error| {
                        tracing::debug!(address = target.address, %error, "no answer");
                        SendError::Reset
                    })?;
                    return Ok((
                        response,
                        Lease::new(self.pool, target.load.pool_key, sender),
                    ));
                }
                Err(error) => {
                    tracing::debug!(address = target.address, %error, "cannot connect");
                    target.load.connect_failed();
                    tried.push(at);
                }
            }
        }
        Err(if tried.is_empty() {
            SendError::NoInstance
        } else {
            SendError::Connect
        })
    }

    /// The instance with the fewest requests in flight; those that lately refused a
    /// connection come last.
    fn pick(&self, tried: &[usize]) -> Option<(usize, &Arc<Target>)> {
        self.instances
            .iter()
            .enumerate()
            .filter(|(at, _)| !tried.contains(at))
            .min_by_key(|(_, t)| (t.load.avoided(), t.load.in_flight.load(Ordering::Relaxed)))
    }

    async fn attempt_reused(
        &self,
        out: Outgoing,
        target: &Target,
        mut sender: super::pool::Sender,
    ) -> Attempt {
        let repeatable = out.bodiless && (out.method.is_idempotent());
        let spare = repeatable.then(|| (out.method.clone(), out.path.clone(), out.headers.clone()));
        let original_host = out.headers.get(http::header::HOST).cloned();
        let (path, bodiless, early) = (out.path.clone(), out.bodiless, out.early.clone());
        let mut error = match sender.try_send_request(build(out, target)).await {
            Ok(response) => {
                return Attempt::Answer(
                    response,
                    Lease::new(self.pool, target.load.pool_key, sender),
                );
            }
            Err(error) => error,
        };
        if let Some(request) = error.take_message() {
            // Nothing was written.
            let (parts, body) = request.into_parts();
            let mut headers = parts.headers;
            headers.remove(http::header::HOST);
            if let Some(host) = original_host {
                headers.insert(http::header::HOST, host);
            }
            return Attempt::Again(Outgoing {
                method: parts.method,
                path,
                headers,
                body,
                bodiless,
                early,
            });
        }
        tracing::debug!(address = target.address, error = %error.error(), "no answer on a reused connection");
        match spare {
            Some((method, path, headers)) => Attempt::Again(Outgoing {
                method,
                path,
                headers,
                body: RequestBody::empty(),
                bodiless,
                early,
            }),
            None => Attempt::Lost,
        }
    }
}

enum Attempt {
    Answer(Response<Incoming>, Lease),
    Again(Outgoing),
    Lost,
}

/// Puts in what belongs to the instance.
fn build(out: Outgoing, target: &Target) -> Request<RequestBody> {
    let mut headers = out.headers;
    for_instance(&mut headers, target);
    let path = if target.path_prefix.is_empty() || out.path.path() == "*" {
        out.path
    } else {
        // Both parts are valid, and so is one behind the other.
        PathAndQuery::try_from(format!("{}{}", target.path_prefix, out.path)).unwrap_or(out.path)
    };
    let mut request = Request::new(out.body);
    *request.method_mut() = out.method;
    *request.uri_mut() = Uri::from(path);
    *request.headers_mut() = headers;
    if let Some((client, turn)) = out.early {
        hyper::ext::on_informational(&mut request, move |answer| {
            // The proxy itself says when a body may come.
            if answer.status() != StatusCode::CONTINUE {
                let mut headers = answer.headers().clone();
                to_client(&mut headers);
                client.early.add(turn, answer.status(), &headers);
            }
        });
    }
    request
}
