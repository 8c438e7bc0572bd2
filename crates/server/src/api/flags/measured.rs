//! What the built-in subscriber measured, as answers and metrics show it.

use crate::app::App;
use crate::figures::LatencyMs;
use crate::flags::propagation::{Delays, EDGES, Kind, Reached};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

/// What a subscriber of this server measured at one proxy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MeasuredView {
    /// The proxy's name, once it has said it.
    pub proxy: Option<String>,
    /// Where it answers flags.
    pub address: String,
    /// Whether the subscriber's event stream is open.
    pub connected: bool,
    /// Since when it is, or is not, microseconds since 1970.
    pub since_us: i64,
    /// Why it is not.
    pub trouble: Option<String>,
    /// How many changes and kills have not arrived yet.
    pub under_way: usize,
    /// For how long the oldest of them has been under way.
    pub oldest_ms: Option<LatencyMs>,
    /// How many were given up unmeasured.
    pub unmeasured: u64,
    /// Changes of the flags, from when they are recorded.
    pub changes: ArrivedView,
    /// Kills, from when they are ordered.
    pub kills: ArrivedView,
}

/// How long one kind took to arrive.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ArrivedView {
    /// Until the event arrived; absent when none was measured.
    pub told: Option<DelaysView>,
    /// Until an answer showed it; absent when none was measured.
    pub seen: Option<DelaysView>,
}

/// The newest delays, at most 256.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DelaysView {
    /// How many there are.
    pub count: usize,
    /// Half of them took no longer.
    pub p50_ms: LatencyMs,
    /// 99 in a hundred took no longer.
    pub p99_ms: LatencyMs,
    /// The longest.
    pub max_ms: LatencyMs,
    /// The newest.
    pub last_ms: LatencyMs,
}

fn delays(of: &Delays) -> Option<DelaysView> {
    let percentile = |percent| of.percentile(percent).map(LatencyMs::from_micros);
    Some(DelaysView {
        count: of.count(),
        p50_ms: percentile(50)?,
        p99_ms: percentile(99)?,
        max_ms: percentile(100)?,
        last_ms: LatencyMs::from_micros(of.last()?),
    })
}

fn reached(of: &Reached) -> ArrivedView {
    ArrivedView {
        told: delays(&of.told),
        seen: delays(&of.seen),
    }
}

fn proxy_name(app: &App) -> Option<String> {
    let contact = app.shared.dataplane.contact();
    let contact = contact.borrow();
    let (status, _) = contact.status.as_ref()?;
    Some(status.hello.proxy.to_string())
}

/// What is measured, by proxy.
pub(super) fn views(app: &App) -> Vec<MeasuredView> {
    let measured = app.shared.flags.propagation.now();
    let view = measured.map(|(measured, oldest)| MeasuredView {
        proxy: proxy_name(app),
        address: measured.address.to_string(),
        connected: measured.connected,
        since_us: measured.since.0,
        trouble: measured.trouble,
        under_way: measured.book.under_way(),
        oldest_ms: oldest.map(LatencyMs::from_micros),
        unmeasured: measured.book.unmeasured(),
        changes: reached(measured.book.of(Kind::Change)),
        kills: reached(measured.book.of(Kind::Kill)),
    });
    view.into_iter().collect()
}

/// The same for machines. What was not measured has no lines.
pub(crate) fn metrics(app: &App, out: &mut String) {
    let Some((measured, _)) = app.shared.flags.propagation.now() else {
        return;
    };
    let proxy = proxy_name(app).unwrap_or_else(|| "unknown".into());
    let name = "esclusa_flag_subscriber_connected";
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "# HELP {name} Whether the subscriber that measures flags is connected.\n\
         # TYPE {name} gauge\n{name}{{proxy=\"{proxy}\"}} {}",
        u8::from(measured.connected)
    );
    let name = "esclusa_flag_propagation_seconds";
    let (changes, kills) = (measured.book.of(Kind::Change), measured.book.of(Kind::Kill));
    let all = [
        ("change", "told", &changes.told),
        ("change", "seen", &changes.seen),
        ("kill", "told", &kills.told),
        ("kill", "seen", &kills.seen),
    ];
    if all.iter().all(|(_, _, delays)| delays.count() == 0) {
        return;
    }
    let _ = writeln!(
        out,
        "# HELP {name} Time until a change or kill of flags reached the subscriber.\n\
         # TYPE {name} histogram"
    );
    for (kind, to, delays) in all {
        if delays.count() > 0 {
            let labels = format!("proxy=\"{proxy}\",kind=\"{kind}\",to=\"{to}\"");
            histogram(out, name, &labels, delays);
        }
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, delays: &Delays) {
    let (buckets, sum) = delays.histogram();
    let mut all = 0;
    for (count, edge) in buckets.iter().zip(EDGES) {
        all += count;
        let edge = edge as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{edge}\"}} {all}");
    }
    all += buckets.last().unwrap_or(&0);
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}");
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}", sum as f64 / 1e6);
    let _ = writeln!(out, "{name}_count{{{labels}}} {all}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::propagation::{Book, State};

    #[test]
    fn a_histogram_adds_up() {
        let mut book = Book::default();
        let state = State {
            revision: 2,
            kills: 0,
        };
        book.began(Kind::Change, state, 0);
        book.told(state, 3_000);
        book.began(Kind::Change, state, 0);
        book.told(state, 90_000_000);
        let mut out = String::new();
        histogram(&mut out, "h", "a=\"b\"", &book.of(Kind::Change).told);
        for line in [
            "h_bucket{a=\"b\",le=\"0.0025\"} 0",
            "h_bucket{a=\"b\",le=\"0.005\"} 1",
            "h_bucket{a=\"b\",le=\"60\"} 1",
            "h_bucket{a=\"b\",le=\"+Inf\"} 2",
            "h_sum{a=\"b\"} 90.003",
            "h_count{a=\"b\"} 2",
        ] {
            assert!(out.lines().any(|found| found == line), "{line}:\n{out}");
        }
        assert!(reached(book.of(Kind::Kill)).told.is_none());
    }
}
