//! For machines that watch this one.

use super::ApiState;
use crate::error::ApiError;
use crate::proof::NAMED;
use crate::view::ServiceView;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use esclusa_model::CheckStatus;
use esclusa_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

/// Whether this server can do its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Ready {
    /// Whether the store answers; without it nothing is decided.
    pub ready: bool,
    /// `pass` or `fail`.
    pub store: String,
    /// Why the store fails, with the next step.
    pub store_trouble: Option<String>,
    /// Whether the record is what was written: `pass`, `fail`, or `unknown` until all
    /// chains have been looked at. This alone makes nobody unready: a release must go
    /// back over a damaged record too.
    pub audit: String,
    /// The first misfits of the record, where it does not fit.
    pub audit_broken: Vec<String>,
    /// `pass`, `fail`, or `unknown` before the first answer. Users are served without
    /// the control plane and the other way round, so this alone makes nobody unready.
    pub proxy: String,
    /// The proxy's process, once it was adopted or started.
    pub proxy_pid: Option<u32>,
    /// Who starts the proxy again when it ends: `esclusa`, `others`, or `nobody` before
    /// one was seen.
    pub proxy_kept_by: String,
    /// How often the proxy was started again since this control plane began.
    pub proxy_restarts: u32,
    /// How the proxy was lost last.
    pub proxy_last_end: Option<String>,
    /// What is wrong with the proxy now.
    pub proxy_trouble: Option<String>,
    /// Instances that have to run and do not.
    pub instances_down: usize,
    /// What is set up in a way that will hurt, each with what to change.
    pub warnings: Vec<String>,
}

/// Whether the program runs
#[utoipa::path(get, path = "/healthz", tag = "probes", responses((status = 200, body = String)))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Whether it can do its work
#[utoipa::path(
    get, path = "/readyz", tag = "probes",
    responses((status = 200, body = Ready), (status = 503, body = Ready))
)]
pub(super) async fn ready(State(state): State<ApiState>) -> impl IntoResponse {
    let (store, store_trouble) = match answers(&state.app.shared.store).await {
        Ok(()) => (true, None),
        Err(error) => (false, Some(format!("{error}; {}", error.next_step()))),
    };
    let (audit, audit_broken) = audit(&state.app.shared.store);
    let contact = state.app.shared.dataplane.contact().borrow().clone();
    let trouble = contact.care.trouble.or(contact.trouble);
    let proxy = match (&trouble, &contact.status) {
        (Some(_), _) => CheckStatus::Fail,
        (None, Some(_)) => CheckStatus::Pass,
        (None, None) => CheckStatus::Unknown,
    };
    let services = state.app.services().await;
    let status = if store {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if store {
        CheckStatus::Pass
    } else {
        CheckStatus::Fail
    };
    let body = Ready {
        ready: store,
        store: word.to_string(),
        store_trouble,
        audit: audit.to_string(),
        audit_broken,
        proxy: proxy.to_string(),
        proxy_pid: contact.care.pid,
        proxy_kept_by: contact.care.kept_by.as_str().to_owned(),
        proxy_restarts: contact.care.restarts,
        proxy_last_end: contact.care.last_end,
        proxy_trouble: trouble,
        instances_down: down(&services),
        warnings: warnings(&state),
    };
    (status, Json(body))
}

/// Metrics of this server and its proxy as Prometheus text
#[utoipa::path(
    get, path = "/metrics", tag = "probes",
    responses((status = 200, content_type = "text/plain", body = String), (status = 503, body = ApiError))
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let services = state.app.services().await;
    let proxy = state.proxy.metrics().await;
    let mut out = String::new();
    gauge(
        &mut out,
        "esclusa_services",
        "Services known.",
        services.len(),
    );
    let running = services.iter().filter(|service| {
        service
            .release
            .as_ref()
            .is_some_and(|release| release.outcome.is_none())
    });
    gauge(
        &mut out,
        "esclusa_releases_running",
        "Releases under way.",
        running.count(),
    );
    let waiting = services.iter().map(|service| service.queue.len()).sum();
    gauge(
        &mut out,
        "esclusa_releases_queued",
        "Releases in line.",
        waiting,
    );
    let held = services.iter().filter(|service| {
        service
            .release
            .as_ref()
            .is_some_and(|release| release.hold.is_some())
    });
    gauge(
        &mut out,
        "esclusa_releases_holding",
        "Releases that wait for something.",
        held.count(),
    );
    gauge(
        &mut out,
        "esclusa_instances_down",
        "Instances that have to run and do not.",
        down(&services),
    );
    let restarts = services.iter().flat_map(|service| &service.instances);
    gauge(
        &mut out,
        "esclusa_instance_restarts",
        "How often instances that have to run were started again.",
        restarts.map(|one| one.restarts as usize).sum(),
    );
    let care = state.app.shared.dataplane.contact().borrow().care.clone();
    gauge(
        &mut out,
        "esclusa_proxy_restarts",
        "How often the proxy was started again.",
        care.restarts as usize,
    );
    let (word, _) = audit(&state.app.shared.store);
    gauge(
        &mut out,
        "esclusa_audit_broken",
        "Whether the record was found changed or damaged.",
        usize::from(word == CheckStatus::Fail),
    );
    let help = "Whether the proxy's metrics follow.";
    gauge(
        &mut out,
        "esclusa_proxy_scraped",
        help,
        usize::from(proxy.is_ok()),
    );
    state.app.notifier.metrics(&mut out).await;
    super::flags::measured::metrics(&state.app, &mut out);
    state.app.shared.flags.sink_metrics(&mut out);
    state.app.shared.flags.standing_metrics(&mut out);
    state.count.write(&mut out);
    if let Ok(proxy) = proxy {
        out.push_str(&proxy);
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        out,
    )
}

/// Whether the store can be read, and its files are those that were opened.
async fn answers(store: &Store) -> Result<(), StoreError> {
    store.check_in_place()?;
    store.setting::<serde_json::Value>("ready").await.map(drop)
}

fn warnings(state: &ApiState) -> Vec<String> {
    let mut all = crate::service_manager::warnings().to_vec();
    if state.app.notifier.loaded().trouble.is_some() {
        all.push(
            "the file that says who is told what is wrong and not in force (ESC-0704): run \
             `esclusa notify status`"
                .to_owned(),
        );
    }
    if state.app.shared.flags.sinks_trouble().is_some() {
        all.push(
            "the file that says which tables follow the flags is wrong and not in force \
             (ESC-0720): run `esclusa flag status`"
                .to_owned(),
        );
    }
    all
}

/// What the newest look at the record found.
fn audit(store: &Store) -> (CheckStatus, Vec<String>) {
    match store.last_verification() {
        None => (CheckStatus::Unknown, Vec::new()),
        Some(found) if found.broken.is_empty() => (CheckStatus::Pass, Vec::new()),
        Some(found) => {
            let first = found.broken.iter().take(NAMED);
            (CheckStatus::Fail, first.map(ToString::to_string).collect())
        }
    }
}

fn down(services: &[ServiceView]) -> usize {
    let instances = services.iter().flat_map(|service| &service.instances);
    instances
        .filter(|one| matches!(one.state.as_str(), "down" | "starting"))
        .count()
}

fn gauge(out: &mut String, name: &str, help: &str, value: usize) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
    );
}
