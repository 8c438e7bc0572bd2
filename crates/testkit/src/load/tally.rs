//! Counting what happens while it happens.

use super::connections::{Failure, Reply};
use super::report::{LoadReport, SecondCount, VersionReport};
use crate::demo::VERSION_HEADER;
use esclusa_judge::{Histogram, lower_edge};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Transport failures kept in full.
const MAX_EXAMPLES: usize = 5;

/// Wall-clock times that never run backwards: read once, then counted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_ms: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: Instant::now(),
            start_ms: whole_ms(since_1970),
        }
    }

    fn ms(self, at: Instant) -> i64 {
        self.start_ms + whole_ms(at.saturating_duration_since(self.start))
    }
}

fn whole_ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
struct VersionTally {
    report: VersionReport,
    latency: Histogram,
}

/// Everything counted so far.
#[derive(Debug)]
pub(crate) struct Tally {
    clock: Clock,
    report: LoadReport,
    versions: BTreeMap<String, VersionTally>,
    /// ok and failed by second and version.
    seconds: BTreeMap<(i64, String), (u64, u64)>,
    /// The version each person saw last, and how often it changed.
    people: Vec<(Option<String>, u64)>,
}

/// One request that has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) user: usize,
    pub(crate) at: Instant,
}

impl Tally {
    pub(crate) fn new(clock: Clock, users: usize) -> Self {
        Self {
            clock,
            report: LoadReport {
                started_ms: clock.start_ms,
                ..LoadReport::default()
            },
            versions: BTreeMap::new(),
            seconds: BTreeMap::new(),
            people: vec![(None, 0); users],
        }
    }

    /// A request leaves, `lag` behind its time.
    pub(crate) fn leaves(&mut self, lag: Duration) {
        self.report.sent += 1;
        self.report.under_way += 1;
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.report.max_lag_ms = self.report.max_lag_ms.max(lag);
    }

    /// A request was due and too many are under way.
    pub(crate) fn not_sent(&mut self) {
        self.report.not_sent += 1;
    }

    /// How many requests have ended.
    pub(crate) const fn ended(&self) -> u64 {
        self.report.ok + self.report.failed
    }

    /// A request has ended now.
    pub(crate) fn ends(&mut self, departure: Departure, end: Result<&Reply, &Failure>) {
        let now = Instant::now();
        let now_ms = self.clock.ms(now);
        self.report.under_way -= 1;
        let (version, ok) = match end {
            Ok(reply) => self.reply(reply, departure, now),
            Err(failure) => {
                *self
                    .report
                    .transport
                    .entry(failure.kind.to_owned())
                    .or_default() += 1;
                if self.report.examples.len() < MAX_EXAMPLES {
                    let example = format!("{}: {}", failure.kind, failure.detail);
                    self.report.examples.push(example);
                }
                (String::new(), false)
            }
        };
        let second = self
            .seconds
            .entry((now_ms.div_euclid(1_000), version))
            .or_default();
        if ok {
            second.0 += 1;
            self.report.ok += 1;
        } else {
            second.1 += 1;
            self.report.failed += 1;
            self.report.first_failure_ms.get_or_insert(now_ms);
            self.report.last_failure_ms = Some(now_ms);
        }
    }

    fn reply(&mut self, reply: &Reply, departure: Departure, now: Instant) -> (String, bool) {
        let (now_ms, sent_ms) = (self.clock.ms(now), self.clock.ms(departure.at));
        let version = reply
            .headers
            .get(VERSION_HEADER)
            .and_then(|version| version.to_str().ok())
            .unwrap_or_default();
        let ok = reply.status.as_u16() < 400;
        *self
            .report
            .by_status
            .entry(reply.status.as_u16())
            .or_default() += 1;
        let tally = self.versions.entry(version.to_owned()).or_default();
        let counts = &mut tally.report;
        if counts.ok + counts.failed == 0 {
            counts.first_ms = now_ms;
        }
        counts.last_ms = now_ms;
        counts.last_sent_ms = counts.last_sent_ms.max(sent_ms);
        if ok {
            counts.ok += 1;
        } else {
            counts.failed += 1;
            counts.first_failure_ms.get_or_insert(now_ms);
        }
        let latency = now.saturating_duration_since(departure.at).as_micros();
        tally
            .latency
            .record(u64::try_from(latency).unwrap_or(u64::MAX));
        if !version.is_empty() {
            self.saw(departure.user, version);
        }
        (version.to_owned(), ok)
    }

    fn saw(&mut self, user: usize, version: &str) {
        let Some((last, switches)) = self.people.get_mut(user) else {
            return;
        };
        if last.as_deref() != Some(version) {
            if last.is_some() {
                *switches += 1;
            }
            *last = Some(version.to_owned());
        }
    }

    /// The state of things now.
    pub(crate) fn report(&self, connections: u64) -> LoadReport {
        let mut report = self.report.clone();
        report.reported_ms = self.clock.ms(Instant::now());
        report.connections = connections;
        report.users_switched = self.people.iter().filter(|(_, n)| *n > 0).count() as u64;
        report.switches = self.people.iter().map(|(_, n)| n).sum();
        for (version, tally) in &self.versions {
            let quantile = |q| tally.latency.quantile_bucket(q).map(lower_edge);
            let counts = VersionReport {
                p50_us: quantile(0.50),
                p95_us: quantile(0.95),
                p99_us: quantile(0.99),
                ..tally.report.clone()
            };
            report.by_version.insert(version.clone(), counts);
        }
        report.timeline = self
            .seconds
            .iter()
            .map(|((second, version), (ok, failed))| SecondCount {
                second: *second,
                version: version.clone(),
                ok: *ok,
                failed: *failed,
            })
            .collect();
        report
    }
}
