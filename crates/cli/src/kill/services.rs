//! Services whose users go back, by the server.

use super::{Meant, PATIENCE, at_proxy};
use crate::args::Global;
use crate::client::Client;
use crate::exit::Failure;
use crate::release::path_part;
use esclusa_model::ServiceName;
use esclusa_proxy::client::ControlClient;
use esclusa_server::body::{Killed, Reason};
use esclusa_server::{ErrorKind, ServiceView, proxy_socket_path};
use futures_util::future::join_all;
use std::path::Path;

/// What became of them.
pub(super) struct Services {
    pub done: Vec<Killed>,
    /// Names that no service has.
    pub unknown: Vec<String>,
}

pub(super) async fn by_server(meant: &Meant, global: &Global) -> Result<Services, Failure> {
    let client = Client::new(global)?;
    let body = Reason {
        reason: meant.reason.clone(),
    };
    let ask = async |path: String| {
        let done: Result<Vec<Killed>, Failure> = client.post_within(&path, &body, PATIENCE).await;
        match done {
            Err(failure) if failure.error.kind == ErrorKind::NotFound => Ok(None),
            done => done.map(Some),
        }
    };
    let Some(services) = meant.services() else {
        let done = ask("/api/v1/kill".to_owned()).await?;
        return Ok(Services {
            done: done.unwrap_or_default(),
            unknown: Vec::new(),
        });
    };
    let asked = services.iter().map(async |name| {
        let path = format!("/api/v1/services/{}/kill", path_part(name.as_str()));
        (name.to_string(), ask(path).await)
    });
    let (mut found, mut failed) = (Vec::new(), None);
    let mut unknown = meant.names.clone();
    for (name, done) in join_all(asked).await {
        match done {
            Ok(Some(done)) => {
                unknown.retain(|other| *other != name);
                found.extend(done);
            }
            Ok(None) => {}
            Err(failure) => failed = Some(failure),
        }
    }
    let done = Services {
        done: found,
        unknown,
    };
    failed.map_or(Ok(done), Err)
}

/// Where the server has not brought everybody back, the local proxy may: its store may have
/// failed, or whatever else it waits for.
pub(super) async fn second_try(
    mut services: Vec<Killed>,
    reason: &str,
    data: Option<&Path>,
) -> Vec<Killed> {
    let open = services.iter().filter(|killed| !killed.at_stable);
    let open: Vec<ServiceName> = open.filter_map(|k| k.service.parse().ok()).collect();
    let Some(data) = data.filter(|_| !open.is_empty()) else {
        return services;
    };
    let control = ControlClient::new(proxy_socket_path(data));
    // Whatever is wrong with the proxy too, what the server said stands.
    let Ok(by) = at_proxy::me() else {
        return services;
    };
    let Ok(took) = at_proxy::take_back(&control, Some(open), &by, reason).await else {
        return services;
    };
    for killed in &mut services {
        let taken = took.taken_back.iter().any(|taken| {
            taken.service.as_str() == killed.service
                && killed.release.as_deref() == Some(taken.release.as_str())
        });
        if taken && took.everywhere {
            killed.at_stable = true;
            let why = killed.note.take().unwrap_or_default();
            killed.note = Some(format!(
                "taken back at the proxy, because of the server: {why}"
            ));
        }
    }
    services
}

/// Names of services that the server knows.
pub(super) async fn known(global: &Global) -> Vec<String> {
    let services = async {
        let client = Client::new(global)?;
        client.get::<Vec<ServiceView>>("/api/v1/services").await
    };
    let services = services.await.unwrap_or_default();
    services
        .into_iter()
        .map(|service| service.service)
        .collect()
}
