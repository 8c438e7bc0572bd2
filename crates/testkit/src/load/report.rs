//! What came of a load, in numbers and in words.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One second of one version. `version` is empty where no reply named one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondCount {
    /// The second in which the requests ended, since 1970.
    pub second: i64,
    /// The version that answered.
    pub version: String,
    /// Requests that ended well.
    pub ok: u64,
    /// Requests that ended badly.
    pub failed: u64,
}

/// What one version answered. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionReport {
    /// Replies below 400.
    pub ok: u64,
    /// Replies of 400 and above.
    pub failed: u64,
    /// When its first reply was complete.
    pub first_ms: i64,
    /// When its last reply was complete.
    pub last_ms: i64,
    /// When the last request that it answered was sent.
    pub last_sent_ms: i64,
    /// When its first failed reply was complete.
    pub first_failure_ms: Option<i64>,
    /// Time to the complete reply in microseconds, to 3 %: median.
    pub p50_us: Option<u64>,
    /// The same: 95 of 100 were faster.
    pub p95_us: Option<u64>,
    /// The same: 99 of 100 were faster.
    pub p99_us: Option<u64>,
}

/// What came of a load. `sent = ok + failed + under_way`, always.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadReport {
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// When this was written, milliseconds since 1970.
    pub reported_ms: i64,
    /// Requests sent.
    pub sent: u64,
    /// Requests the generator owed but did not send: too many were under way.
    pub not_sent: u64,
    /// Replies below 400, read to the end.
    pub ok: u64,
    /// Replies of 400 and above, and transport failures.
    pub failed: u64,
    /// Requests without an end yet; none after a stop.
    pub under_way: u64,
    /// Replies by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Replies by version; under the empty name those that named none.
    pub by_version: BTreeMap<String, VersionReport>,
    /// Requests without a complete reply, by kind: connect, reset, body, timeout.
    pub transport: BTreeMap<String, u64>,
    /// The first few transport failures in full.
    pub examples: Vec<String>,
    /// When the first request failed, in any way; milliseconds since 1970.
    pub first_failure_ms: Option<i64>,
    /// When the last request failed, in any way; milliseconds since 1970.
    pub last_failure_ms: Option<i64>,
    /// People who were ever answered by another version than the time before.
    pub users_switched: u64,
    /// How often that happened.
    pub switches: u64,
    /// Connections opened.
    pub connections: u64,
    /// How far the generator itself fell behind its schedule at worst, milliseconds.
    pub max_lag_ms: u64,
    /// Each second and version with at least one end, in order.
    pub timeline: Vec<SecondCount>,
}

impl LoadReport {
    /// All replies and failures of this version; a version that never answered has none.
    #[must_use]
    pub fn requests_of(&self, version: &str) -> u64 {
        self.by_version
            .get(version)
            .map_or(0, |counts| counts.ok + counts.failed)
    }

    /// Which part of all replies came from this version, 0 to 1; nothing without replies.
    #[must_use]
    pub fn share_of(&self, version: &str) -> Option<f64> {
        let all: u64 = self.by_status.values().sum();
        (all > 0).then(|| self.requests_of(version) as f64 / all as f64)
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.reported_ms - self.started_ms) as f64 / 1_000.0;
        writeln!(
            f,
            "{} requests in {seconds:.1} s: {} ok, {} failed, {} under way, {} not sent",
            self.sent, self.ok, self.failed, self.under_way, self.not_sent
        )?;
        for (version, counts) in &self.by_version {
            let name = if version.is_empty() {
                "(no version)"
            } else {
                version
            };
            let ms = |us: Option<u64>| us.map_or("?".into(), |us| format!("{}", us / 1_000));
            writeln!(
                f,
                "  {name:<16} {:>8} ok {:>6} failed   p50 {} ms  p95 {} ms  p99 {} ms",
                counts.ok,
                counts.failed,
                ms(counts.p50_us),
                ms(counts.p95_us),
                ms(counts.p99_us)
            )?;
        }
        let list = |map: &mut dyn Iterator<Item = String>| map.collect::<Vec<_>>().join(", ");
        let statuses = list(&mut self.by_status.iter().map(|(s, n)| format!("{s}: {n}")));
        writeln!(f, "  status           {statuses}")?;
        if !self.transport.is_empty() {
            let kinds = list(&mut self.transport.iter().map(|(k, n)| format!("{k}: {n}")));
            writeln!(f, "  transport        {kinds}")?;
            for example in &self.examples {
                writeln!(f, "                   {example}")?;
            }
        }
        if let (Some(first), Some(last)) = (self.first_failure_ms, self.last_failure_ms) {
            writeln!(
                f,
                "  failures         from {:.1} s to {:.1} s after the start",
                (first - self.started_ms) as f64 / 1_000.0,
                (last - self.started_ms) as f64 / 1_000.0
            )?;
        }
        write!(
            f,
            "  people           {} changed version, {} times; generator at most {} ms late",
            self.users_switched, self.switches, self.max_lag_ms
        )
    }
}
