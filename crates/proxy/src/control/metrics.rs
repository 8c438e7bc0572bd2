//! `/metrics` in Prometheus' text format.

use super::state::Control;
use crate::count::totals::{BOUNDS_US, Sum, SumKey, Totals};
use esclusa_judge::EventClass;
use esclusa_model::{Digest, ServiceName, VersionName};
use esclusa_wire::ProxyStatus;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Writes everything. Writing to a string cannot fail, so results are not looked at.
pub(crate) async fn render(control: &Control) -> String {
    let status = control.status_quietly().await;
    let totals = {
        let totals = control
            .totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Totals {
            sums: totals.sums.clone(),
            faults: totals.faults.clone(),
            unrouted: totals.unrouted,
        }
    };
    let names = control.shared.registry.called();
    let mut text = String::new();
    head(
        &mut text,
        "esclusa_proxy_info",
        "gauge",
        "Who this proxy is; always 1.",
    );
    let _ = writeln!(
        text,
        "esclusa_proxy_info{{proxy=\"{}\",boot=\"{}\"}} 1",
        status.hello.proxy, status.hello.boot
    );
    gauges(&mut text, control, &status);
    head(
        &mut text,
        "esclusa_proxy_silence_seconds",
        "gauge",
        "For how long no controller was heard.",
    );
    let silence = control.silence().await.as_secs_f64();
    let _ = writeln!(text, "esclusa_proxy_silence_seconds {silence}");
    head(
        &mut text,
        "esclusa_proxy_slices_lost_total",
        "counter",
        "Slices lost for good.",
    );
    let _ = writeln!(
        text,
        "esclusa_proxy_slices_lost_total {}",
        control.store.lost()
    );
    tracks(&mut text, control, &names);
    shares(&mut text, control);
    load(&mut text, &status.load, &names);
    requests(&mut text, &totals.sums, &names);
    latency(&mut text, &totals.sums, &names);
    faults(&mut text, &totals);
    guards(&mut text, control);
    exposures(&mut text, control);
    text
}

/// What there is one of.
fn gauges(text: &mut String, control: &Control, status: &ProxyStatus) {
    for (name, help, value) in [
        (
            "esclusa_proxy_generation_epoch",
            "Epoch of the generation in force.",
            status.generation.epoch.0,
        ),
        (
            "esclusa_proxy_generation_number",
            "Number of the generation in force.",
            status.generation.number,
        ),
        (
            "esclusa_proxy_connections",
            "Open client connections.",
            control.shared.connections.load(Ordering::Relaxed) as u64,
        ),
        // Read in this order: when none waits, all that were finished are told.
        (
            "esclusa_proxy_slices_finished",
            "Number of the newest finished slice of this start.",
            status.last_sequence,
        ),
        (
            "esclusa_proxy_slices_expected",
            "Whether earlier processes may still add slices.",
            u64::from(control.store.expects_others()),
        ),
        (
            "esclusa_proxy_slices_waiting",
            "Slices that are not acknowledged.",
            control.store.waiting() as u64,
        ),
        (
            "esclusa_proxy_splits_returned",
            "Splits taken back because nobody controlled them.",
            status.returned.len() as u64,
        ),
        (
            "esclusa_proxy_splits_taken_back",
            "Splits that a person took back at this proxy.",
            status.taken_back.len() as u64,
        ),
        (
            "esclusa_proxy_followers",
            "Earlier processes that have handed over and still drain.",
            control.followers.count() as u64,
        ),
        (
            "esclusa_proxy_listen_errors",
            "Listeners that could not be opened.",
            status.listen_errors.len() as u64,
        ),
    ] {
        head(text, name, "gauge", help);
        let _ = writeln!(text, "{name} {value}");
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

type Names = BTreeMap<(ServiceName, Digest), VersionName>;

/// Which part each version plays right now, to be joined to its counters: their own
/// labels never change.
fn tracks(text: &mut String, control: &Control, names: &Names) {
    let name = "esclusa_version_info";
    head(
        text,
        name,
        "gauge",
        "Versions that are served: stable, canary, or ready to be returned to.",
    );
    for service in control.shared.table.load().services() {
        let canary = service.split.as_ref().map(|split| split.canary);
        for (at, version) in service.versions.iter().enumerate() {
            let track = if at == service.stable {
                "stable"
            } else if canary == Some(at) {
                "canary"
            } else {
                "standby"
            };
            let _ = writeln!(
                text,
                "{name}{{{},track=\"{track}\"}} 1",
                labels(names, &service.name, version.digest)
            );
        }
    }
}

/// The labels of a version: people's name and the digest's beginning.
fn labels(names: &Names, service: &ServiceName, digest: Digest) -> String {
    let name = names
        .get(&(service.clone(), digest))
        .map_or("", |n| n.as_str());
    format!(
        "service=\"{service}\",version=\"{name}\",digest=\"{}\"",
        digest.short()
    )
}

fn shares(text: &mut String, control: &Control) {
    let name = "esclusa_canary_share_ratio";
    head(
        text,
        name,
        "gauge",
        "Share of units that the canary is given right now.",
    );
    for service in control.shared.table.load().services() {
        if let Some(split) = &service.split {
            let _ = writeln!(
                text,
                "{name}{{service=\"{}\",release=\"{}\"}} {}",
                service.name,
                split.release,
                split.share.fraction()
            );
        }
    }
}

fn load(text: &mut String, load: &[esclusa_wire::VersionLoad], names: &Names) {
    for (name, help, value) in [
        (
            "esclusa_requests_in_flight",
            "Requests whose response is not complete.",
            (|l| l.in_flight) as fn(&esclusa_wire::VersionLoad) -> u64,
        ),
        ("esclusa_tunnels", "Upgraded connections.", |l| l.tunnels),
    ] {
        head(text, name, "gauge", help);
        for l in load {
            let _ = writeln!(
                text,
                "{name}{{{}}} {}",
                labels(names, &l.service, l.version),
                value(l)
            );
        }
    }
}

const CLASSES: [(EventClass, &str); 8] = [
    (EventClass::ServerError, "5xx"),
    (EventClass::Connect, "connect"),
    (EventClass::Reset, "reset"),
    (EventClass::Timeout, "timeout"),
    (EventClass::ClientError, "4xx"),
    (EventClass::GrpcStatus, "grpc"),
    (EventClass::Cancelled, "cancelled"),
    (EventClass::FeatureDisabled, "feature_disabled"),
];

fn requests(text: &mut String, sums: &BTreeMap<SumKey, Sum>, names: &Names) {
    let name = "esclusa_requests_total";
    head(
        text,
        name,
        "counter",
        "Finished requests by intended version, served version and how they ended.",
    );
    for (key, sum) in sums {
        let served = key.served.map_or_else(String::new, |d| d.short());
        let base = format!(
            "{},served=\"{served}\",synthetic=\"{}\"",
            labels(names, &key.service, key.intended),
            key.synthetic
        );
        let events: u64 = sum.events.values().sum();
        let _ = writeln!(
            text,
            "{name}{{{base},class=\"ok\"}} {}",
            sum.requests.saturating_sub(events)
        );
        for (class, label) in CLASSES {
            if let Some(n) = sum.events.get(&class) {
                let _ = writeln!(text, "{name}{{{base},class=\"{label}\"}} {n}");
            }
        }
    }
}

fn latency(text: &mut String, sums: &BTreeMap<SumKey, Sum>, names: &Names) {
    let name = "esclusa_response_seconds";
    head(
        text,
        name,
        "histogram",
        "Time from a request's arrival to its response's head, users' requests that did not fail.",
    );
    let mut merged: BTreeMap<(&ServiceName, Digest), esclusa_judge::Histogram> = BTreeMap::new();
    for (key, sum) in sums.iter().filter(|(key, _)| !key.synthetic) {
        merged
            .entry((&key.service, key.intended))
            .or_default()
            .merge(&sum.latency);
    }
    for ((service, digest), histogram) in merged {
        let base = labels(names, service, digest);
        let total = histogram.total();
        for bound in BOUNDS_US {
            let below = total - histogram.at_or_above(bound);
            let _ = writeln!(
                text,
                "{name}_bucket{{{base},le=\"{}\"}} {below}",
                bound as f64 / 1e6
            );
        }
        let _ = writeln!(text, "{name}_bucket{{{base},le=\"+Inf\"}} {total}");
        let _ = writeln!(text, "{name}_count{{{base}}} {total}");
        // The middle of each bucket: at most 1.6 % off.
        let sum: f64 = histogram
            .iter()
            .map(|(at, n)| {
                let middle =
                    (esclusa_judge::lower_edge(at) + esclusa_judge::upper_edge(at)) as f64 / 2.0;
                middle * n as f64 / 1e6
            })
            .sum();
        let _ = writeln!(text, "{name}_sum{{{base}}} {sum}");
    }
}

/// What became of exposures, where any are recorded or were.
fn exposures(text: &mut String, control: &Control) {
    let Some(found) = control.shared.flags.status(Vec::new()).exposures else {
        return;
    };
    let name = "esclusa_flag_exposures_total";
    let help = "Sampled answers of flags by what became of their record: recorded, repeated, \
                dropped because the queue was full, unwritten because of the disk.";
    head(text, name, "counter", help);
    for (outcome, count) in [
        ("recorded", found.recorded),
        ("repeated", found.repeated),
        ("dropped", found.dropped),
        ("unwritten", found.unwritten),
    ] {
        let _ = writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}");
    }
}

/// Requests before guarded routes. What a guard answered is in no other count.
fn guards(text: &mut String, control: &Control) {
    let all = control.shared.guard_counts.all();
    let name = "esclusa_guard_requests_total";
    head(
        text,
        name,
        "counter",
        "Requests for guarded routes by flag and what the guard did: open, blocked, fallback.",
    );
    for (service, flag, count) in &all {
        for (outcome, n) in [
            ("open", count.open),
            ("blocked", count.blocked),
            ("fallback", count.fallback),
        ] {
            let _ = writeln!(
                text,
                "{name}{{service=\"{service}\",flag=\"{flag}\",outcome=\"{outcome}\"}} {n}"
            );
        }
    }
    let name = "esclusa_guard_without_tenant_total";
    head(
        text,
        name,
        "counter",
        "Requests for guarded routes whose tenant was looked for and not found: the safe value decided.",
    );
    for (service, flag, count) in &all {
        let _ = writeln!(
            text,
            "{name}{{service=\"{service}\",flag=\"{flag}\"}} {}",
            count.without_tenant
        );
    }
    let keyless = |guard: &esclusa_ofrep::Guard| guard.trouble().is_some();
    let table = control.shared.flags.current();
    let name = "esclusa_guards_without_key";
    head(
        text,
        name,
        "gauge",
        "Guards whose key for claims cannot be read now: claims name nobody to them.",
    );
    let count = table.guards().filter(|(_, guard)| keyless(guard)).count();
    let _ = writeln!(text, "{name} {count}");
}

fn faults(text: &mut String, totals: &Totals) {
    let name = "esclusa_faults_total";
    head(
        text,
        name,
        "counter",
        "Requests that no version answers for, by whose fault it was.",
    );
    let none = std::iter::once(("", totals.unrouted));
    for (service, faults) in totals
        .faults
        .iter()
        .map(|(s, f)| (s.as_str(), *f))
        .chain(none)
    {
        for (owner, n) in [("client", faults.client), ("proxy", faults.proxy)] {
            let _ = writeln!(
                text,
                "{name}{{service=\"{service}\",owner=\"{owner}\"}} {n}"
            );
        }
    }
}
