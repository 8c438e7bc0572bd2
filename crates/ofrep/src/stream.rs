//! `GET /ofrep/v1/events`: an event stream begins.

use crate::conn::{Begins, Connection};
use crate::cors;
use crate::hub::{Client, StreamInfo};
use crate::reply::{self, Reply};
use crate::route::Asked;
use crate::table::FlagTable;
use crate::ticket::Ticket;
use bytes::Bytes;
use http::header::{HeaderMap, USER_AGENT};
use std::sync::Arc;
use std::time::Duration;

/// Longest piece of a client's own name that is kept.
const AGENT_BYTES: usize = 120;

/// Checks the ticket and lets the connection become a stream.
pub(crate) fn begin(
    connection: &Connection,
    table: &Arc<FlagTable>,
    headers: &HeaderMap,
    query: Option<&str>,
    second: u64,
) -> Asked {
    let ticket = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("ticket="));
    let ticket = ticket.zip(table.signer.as_ref());
    let Some(ticket) = ticket.and_then(|(text, signer)| signer.read(text, second)) else {
        return Asked::Answered(reply::unauthorized());
    };
    let access = match &ticket {
        Ticket::Token(id) => table.by_id(id),
        Ticket::Neighbour(environment) => table
            .neighbour(environment)
            .filter(|_| crate::access::is_neighbour(connection.peer, headers)),
    };
    let Some(access) = access.filter(|access| !access.has_expired(second)) else {
        return Asked::Answered(reply::unauthorized());
    };
    let hub = connection.server.shared.hub();
    if hub.count() >= connection.server.limits.max_streams || !connection.state.is_clean() {
        return Asked::Answered(full());
    }
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |a| a.as_bytes());
    let client = Client::new(access.scope.subject, connection.peer, agent);
    let agent = String::from_utf8_lossy(&agent[..agent.len().min(AGENT_BYTES)]);
    let who = match agent.is_empty() {
        true => access.scope.name.clone(),
        false => format!("{} {agent}", access.scope.name),
    };
    let knows = headers
        .get("last-event-id")
        .and_then(|id| u64::from_str_radix(id.to_str().ok()?, 16).ok());
    connection.become_stream(Begins {
        head: head(headers, table),
        subject: access.scope.subject,
        environment: access.scope.environment.as_str().into(),
        info: Arc::new(StreamInfo::new(client, who, !access.scope.watcher)),
        knows,
    });
    Asked::Stream
}

fn full() -> Reply {
    let mut reply = reply::too_many(Duration::from_secs(5));
    *reply.body_mut() = http_body_util::Full::from("{\"errorDetails\":\"too many event streams\"}");
    reply
}

/// The response's head. The stream ends with its connection, which every proxy understands.
fn head(headers: &HeaderMap, table: &FlagTable) -> Bytes {
    let mut head = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
         x-accel-buffering: no\r\nconnection: close\r\n",
    );
    if let Some(origin) = cors::origin(headers, table.is_open())
        && let Ok(origin) = origin.to_str()
    {
        head.push_str(&format!("access-control-allow-origin: {origin}\r\n"));
    }
    head.push_str("\r\n");
    head.into()
}
