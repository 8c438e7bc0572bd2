//! Connections that have left HTTP, such as WebSockets.

use super::headers;
use super::reply::Reply;
use super::ticket::Ticket;
use crate::worker::Worker;
use http::Response;
use http::header::{HeaderValue, UPGRADE};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Joins both sides once the client has been told. `asked` is the protocol that the
/// client wanted; the version's own word counts.
pub(super) fn start(
    worker: &Arc<Worker>,
    mut response: Response<Incoming>,
    asked: HeaderValue,
    client: OnUpgrade,
    ticket: Ticket,
) -> Reply {
    let version = hyper::upgrade::on(&mut response);
    let account = ticket.into_tunnel();
    let mut killed = worker.shared.phase.subscribe();
    tokio::spawn(async move {
        let joined = async {
            let (client, version) = tokio::try_join!(client, version)?;
            let (mut client, mut version) = (TokioIo::new(client), TokioIo::new(version));
            // A side that ends is told to the other, which may still speak.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut version).await;
            Ok::<(), hyper::Error>(())
        };
        tokio::select! {
            _ = joined => {}
            _ = killed.wait_for(|phase| phase.is_killed()) => {}
        }
        drop(account);
    });
    let mut headers = std::mem::take(response.headers_mut());
    let protocol = headers.get(UPGRADE).cloned().unwrap_or(asked);
    headers::to_client(&mut headers);
    Reply::switching(headers, protocol)
}
