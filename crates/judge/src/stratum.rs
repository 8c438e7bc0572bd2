//! One stratum: one route of one proxy, organic or synthetic.
//!
//! Comparing inside strata keeps differing route mixes and clocks of proxies out of
//! the comparison. A stratum knows the baseline's recent past, from which it takes
//! latency edges before they are used, and the counts of the open block. What it
//! does not do: weigh evidence.

use crate::config::JudgeConfig;
use crate::evidence::Counts;
use crate::histogram::{Histogram, bucket_of, lower_edge, upper_edge};
use crate::ledger::Sums;
use crate::metric::{Counting, Entry, Gate, Metric};
use crate::side::Side;
use crate::slice::EventClass;
use esclusa_model::ProxyId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Minutes of the baseline's latency that edges are taken from.
const HISTORY_MINUTES: usize = 5;

/// A route with fewer baseline latencies than this takes no part in latency tests.
const FEWEST_LATENCIES: u64 = 20;

/// Blocks for which counts of one side wait for the other side's traffic.
const PATIENCE_BLOCKS: u32 = 24;
/// Blocks without any baseline request after which the canary's are judged alone: what
/// has no counterpart is not excused.
const ALONE_BLOCKS: u32 = 6;
/// Requests at the whole service's rate that a route's own rate starts from.
const PRIOR_REQUESTS: f64 = 50.0;

/// A request hangs when it waits this many times longer than the baseline's 99th
/// percentile, but never before the shortest.
const HANG_FACTOR: u64 = 8;
const SHORTEST_HANG_US: u64 = 2_000_000;
/// The same while nothing is known of the baseline.
const UNKNOWN_HANG_US: u64 = 10_000_000;

/// Bounds of the bet on equality; at one it would bet nothing.
const LEAST_EQUAL: f64 = 0.05;
const MOST_EQUAL: f64 = 0.95;

/// Standard deviations below the baseline's count of bad events.
const CERTAIN: f64 = 2.0;

const FAILURES: &[EventClass] = &[
    EventClass::ServerError,
    EventClass::Connect,
    EventClass::Reset,
    EventClass::Timeout,
];

/// What names a stratum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct StratumKey {
    pub route: String,
    pub synthetic: bool,
    pub proxy: ProxyId,
}

/// Latency edges of one quantile, each the lower edge of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edges {
    /// The baseline is slow from here.
    pub baseline: u64,
    /// The canary is harmfully slow from here.
    pub harm: u64,
    /// The canary is not proved harmless from here.
    pub harmless: u64,
}

impl Edges {
    /// Edges for quantile `q` of `history`, or nothing when too little is known.
    pub(crate) fn of(history: &Histogram, q: f64, harm: f64, harmless: f64) -> Option<Self> {
        let total = history.total();
        if total < FEWEST_LATENCIES {
            return None;
        }
        let baseline = upper_edge(history.quantile_bucket(q.min(1.0 - 5.0 / total as f64))?);
        let scaled = |margin: f64| (1.0 + margin) * baseline as f64;
        let at_least = libm::ceil(scaled(harm)) as u64;
        let bucket = bucket_of(at_least);
        let harm = if lower_edge(bucket) == at_least {
            at_least
        } else {
            upper_edge(bucket)
        };
        let harmless = lower_edge(bucket_of(scaled(harmless) as u64));
        Some(Self {
            baseline,
            harm,
            harmless,
        })
    }
}

/// The open block of one metric in one stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Counts for the test of harm.
    pub harm: Counts,
    /// The canary's bad events in the test of harmlessness (other edge).
    pub canary_bad_harmless: u64,
}

/// One stratum's part of a block, ready to be weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighed {
    pub tally: Tally,
    pub synthetic: bool,
    /// Number of the route.
    pub route: u32,
    /// Rate ratio at the margin of harm.
    pub rho_harm: f64,
    /// Rate ratio at the margin of harmlessness.
    pub rho_harmless: f64,
    /// How far inside the margin of harmlessness a canary lies that equals the baseline.
    pub equal: f64,
    /// Absolute rate that proves harmlessness by itself.
    pub limit: Option<f64>,
    /// Absolute rate from which the canary's is harm, whatever its part of the bad events.
    pub limit_harm: f64,
    /// The baseline's rate before the open block.
    pub rate: f64,
}

/// Canary requests that have no counterpart on the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alone {
    pub counts: Counts,
    pub route: u32,
    pub synthetic: bool,
}

/// What a metric was before the canary came.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Before {
    edges: Option<Edges>,
    rate: f64,
}

/// Margins of the errors test that depend on the stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ErrorMargins {
    pub ratio: f64,
    pub delta_harm: f64,
    pub delta_harmless: f64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stratum {
    pub key: StratumKey,
    /// Number of its route among the judge's.
    pub route: u32,
    minutes: VecDeque<Histogram>,
    minute: Histogram,
    edges: Vec<Option<Edges>>,
    /// By metric: see [`Weighed::equal`], for latency.
    equal: Vec<f64>,
    before: Vec<Option<Before>>,
    waiting: [Histogram; 2],
    hang_edge: u64,
    past_requests: u64,
    past_bad: Vec<u64>,
    open: Vec<Tally>,
    one_sided_blocks: u32,
}

impl Stratum {
    /// A stratum that has seen nothing, for `metrics` compared metrics.
    pub(crate) fn new(key: StratumKey, route: u32, metrics: usize) -> Self {
        Self {
            key,
            route,
            minutes: VecDeque::new(),
            minute: Histogram::default(),
            edges: vec![None; metrics],
            equal: vec![1.0; metrics],
            before: vec![None; metrics],
            waiting: Default::default(),
            hang_edge: UNKNOWN_HANG_US,
            past_requests: 0,
            past_bad: vec![0; metrics],
            open: vec![Tally::default(); metrics],
            one_sided_blocks: 0,
        }
    }

    /// Counts one second; returns it by metric, for the comparison and against before, and
    /// the baseline's bad events by edges that stay. `delta` is the absolute margin of
    /// events.
    pub(crate) fn observe(
        &mut self,
        entries: &[Entry],
        baseline: &Side,
        canary: &Side,
        delta: f64,
    ) -> Vec<(Counts, Sums, u64)> {
        let mut counted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let tally = match entry.metric.counting() {
                Counting::Events(classes) => event_tally(classes, baseline, canary),
                Counting::SlowerThan(_) => self.edges[index]
                    .map(|edges| self.slow_tally(&edges, baseline, canary))
                    .unwrap_or_default(),
            };
            let sums = self.before[index].map(|before| match before.edges {
                Some(edges) => self.slow_sums(&edges, before.rate, baseline, canary),
                None => event_sums(&tally.harm, before.rate, delta),
            });
            // Edges are taken anew each minute. To count by other edges is no cluster.
            let steady = sums.map_or(tally.harm.baseline_bad, |sums| sums.baseline as u64);
            counted.push((tally.harm, sums.unwrap_or_default(), steady));
            self.past_bad[index] += tally.harm.baseline_bad;
            let open = &mut self.open[index];
            open.harm.canary += tally.harm.canary;
            open.harm.canary_bad += tally.harm.canary_bad;
            open.harm.baseline += tally.harm.baseline;
            open.harm.baseline_bad += tally.harm.baseline_bad;
            open.canary_bad_harmless += tally.canary_bad_harmless;
        }
        self.past_requests += baseline.requests;
        self.minute.merge(&baseline.latency);
        self.waiting = [baseline.pending.clone(), canary.pending.clone()];
        counted
    }

    fn slow_tally(&self, edges: &Edges, baseline: &Side, canary: &Side) -> Tally {
        let (baseline_bad, baseline_all) = baseline.slower_than(edges.baseline, &self.waiting[0]);
        let (canary_bad, canary_all) = canary.slower_than(edges.harm, &self.waiting[1]);
        let (canary_bad_harmless, _) = canary.slower_than(edges.harmless, &self.waiting[1]);
        Tally {
            harm: Counts {
                canary_bad,
                canary: canary_all,
                baseline_bad,
                baseline: baseline_all,
            },
            canary_bad_harmless: canary_bad_harmless.min(canary_all),
        }
    }

    fn slow_sums(&self, edges: &Edges, rate: f64, baseline: &Side, canary: &Side) -> Sums {
        if canary.requests + canary.pending.total() == 0 && baseline.requests == 0 {
            return Sums::default();
        }
        let tally = self.slow_tally(edges, baseline, canary).harm;
        let (canary_bad, _) = canary.slower_than(edges.baseline, &self.waiting[1]);
        Sums {
            baseline: tally.baseline_bad as f64,
            baseline_expected: rate * tally.baseline as f64,
            canary: canary_bad as f64,
            canary_harm: tally.canary_bad as f64,
            canary_expected: rate * tally.canary as f64,
            canary_margin: 0.0,
        }
    }

    /// Remembers what the baseline is like before the canary comes. `rates` are those of
    /// the whole service, by metric.
    pub(crate) fn remember(&mut self, entries: &[Entry], rates: &[f64]) {
        let history = self.history();
        for (index, (entry, rate)) in entries.iter().zip(rates).enumerate() {
            self.before[index] = match (entry.metric.counting(), self.edges[index]) {
                (Counting::Events(_), _) => {
                    let bad = self.past_bad[index] as f64 + PRIOR_REQUESTS * rate;
                    Some(Before {
                        edges: None,
                        rate: bad / (self.past_requests as f64 + PRIOR_REQUESTS),
                    })
                }
                (Counting::SlowerThan(_), Some(edges)) => Some(Before {
                    edges: Some(edges),
                    rate: part_above(&history, edges.baseline),
                }),
                (Counting::SlowerThan(_), None) => None,
            };
        }
    }

    /// Bad events of metric `index` among those that [`Stratum::remember`] has seen, and
    /// how many the remembered rate expects: none seen is something known, too.
    pub(crate) fn remembered(&self, index: usize) -> (f64, f64) {
        match self.before[index] {
            Some(Before { edges: None, rate }) => (
                self.past_bad[index] as f64,
                rate * self.past_requests as f64,
            ),
            Some(Before { rate, .. }) => {
                let bad = rate * self.history().total() as f64;
                (bad, bad)
            }
            None => (0.0, 0.0),
        }
    }

    /// Canary requests of the open block that the baseline has no counterpart for.
    pub(crate) fn alone(&self, index: usize) -> Option<Alone> {
        let counts = self.open[index].harm;
        let waited = self.past_requests == 0 || self.one_sided_blocks >= ALONE_BLOCKS;
        (counts.canary > 0 && counts.baseline == 0 && waited).then_some(Alone {
            counts,
            route: self.route,
            synthetic: self.key.synthetic,
        })
    }

    /// This stratum's part of the open block of metric `index`, unless a side is empty.
    pub(crate) fn weighed(
        &self,
        index: usize,
        entry: &Entry,
        margins: &ErrorMargins,
    ) -> Option<Weighed> {
        let tally = self.open[index];
        if tally.harm.canary == 0 || tally.harm.baseline == 0 {
            return None;
        }
        let latency = entry.metric.is_latency();
        // The baseline's rate is taken from before the open block, so the bet is fair.
        let bad = self.past_bad[index].saturating_sub(tally.harm.baseline_bad) as f64;
        let all = self.past_requests.saturating_sub(tally.harm.baseline) as f64;
        let rate = (bad + 0.5) / (all + 500.0);
        let proves_alone = entry.gate == Gate::Proof && entry.metric == Metric::Errors;
        let (rho_harm, rho_harmless) = if latency {
            (1.0, 1.0)
        } else {
            (
                margins.ratio + margins.delta_harm / rate,
                margins.ratio + margins.delta_harmless / rate,
            )
        };
        Some(Weighed {
            tally,
            synthetic: self.key.synthetic,
            route: self.route,
            rho_harm,
            rho_harmless,
            equal: if latency {
                self.equal[index]
            } else {
                1.0 / rho_harmless
            },
            rate,
            limit_harm: {
                // What hits both now is no harm of the canary's.
                let now = tally.harm.baseline_bad as f64;
                let most = match tally.harm.baseline_bad {
                    0 => 0.0,
                    _ => (now + CERTAIN * libm::sqrt(now)) / tally.harm.baseline as f64,
                };
                margins.ratio * rate.max(most) + margins.delta_harm
            },
            limit: proves_alone.then(|| {
                // What the baseline has for certain is no harm either.
                let certain = (bad - CERTAIN * libm::sqrt(bad)).max(0.0) / all.max(1.0);
                margins.ratio * certain + margins.delta_harmless
            }),
        })
    }

    /// Ends the block: what was weighed is spent, one-sided counts wait a while.
    pub(crate) fn end_block(&mut self) {
        if self.open.iter().any(|tally| tally.harm.canary > 0) && self.past_requests == 0 {
            // Judged alone.
            self.open.fill(Tally::default());
            return;
        }
        if self.one_sided_blocks >= ALONE_BLOCKS {
            let alone = |tally: &Tally| tally.harm.canary > 0 && tally.harm.baseline == 0;
            self.open
                .iter_mut()
                .filter(|tally| alone(tally))
                .for_each(|tally| *tally = Tally::default());
        }
        let mut waits = false;
        for tally in &mut self.open {
            if tally.harm.canary > 0 && tally.harm.baseline > 0 {
                *tally = Tally::default();
            } else {
                waits |= tally.harm.canary + tally.harm.baseline > 0;
            }
        }
        self.one_sided_blocks = if waits { self.one_sided_blocks + 1 } else { 0 };
        if self.one_sided_blocks > PATIENCE_BLOCKS {
            self.drop_open();
        }
    }

    /// Forgets the open block.
    pub(crate) fn drop_open(&mut self) {
        self.open.fill(Tally::default());
        self.one_sided_blocks = 0;
    }

    /// Failed requests, and those that began to hang in this second as if they had
    /// failed: a canary that answers nothing fails nothing.
    pub(crate) fn outage_counts(&self, baseline: &Side, canary: &Side) -> Counts {
        let (baseline_hanging, canary_hanging) = (
            baseline.began_to_hang(self.hang_edge),
            canary.began_to_hang(self.hang_edge),
        );
        Counts {
            canary_bad: canary.failures + canary_hanging,
            canary: canary.requests + canary_hanging,
            baseline_bad: baseline.failures + baseline_hanging,
            baseline: baseline.requests + baseline_hanging,
        }
    }

    /// Bad events of a guard rail: failures, or requests slower than `edge_us`.
    pub(crate) fn rail_counts(
        &self,
        edge_us: Option<u64>,
        baseline: &Side,
        canary: &Side,
    ) -> Counts {
        match edge_us {
            None => event_tally(FAILURES, baseline, canary).harm,
            Some(edge) => {
                self.slow_tally(
                    &Edges {
                        baseline: edge,
                        harm: edge,
                        harmless: edge,
                    },
                    baseline,
                    canary,
                )
                .harm
            }
        }
    }

    /// The baseline's requests slower than `edge_us`, and all with a latency.
    pub(crate) fn baseline_slower(&self, edge_us: u64, baseline: &Side) -> (u64, u64) {
        baseline.slower_than(edge_us, &self.waiting[0])
    }

    /// The edge that one baseline request in twenty lies beyond.
    pub(crate) fn reference_edge(&self) -> Option<u64> {
        Edges::of(&self.history(), 0.95, 0.0, 0.0).map(|edges| edges.baseline)
    }

    /// The baseline's bad events of metric `index` since the beginning.
    pub(crate) fn past_bad(&self, index: usize) -> u64 {
        self.past_bad.get(index).copied().unwrap_or(0)
    }

    /// Ends a minute of history and takes new edges from the past.
    pub(crate) fn end_minute(&mut self) {
        self.minutes.push_back(std::mem::take(&mut self.minute));
        while self.minutes.len() > HISTORY_MINUTES {
            self.minutes.pop_front();
        }
    }

    /// Takes edges from what the baseline did so far.
    pub(crate) fn take_edges(&mut self, entries: &[Entry], config: &JudgeConfig) {
        let history = self.history();
        for (slot, entry) in self.edges.iter_mut().zip(entries) {
            if let (Counting::SlowerThan(q), Some(margins)) =
                (entry.metric.counting(), entry.metric.margins(config))
            {
                *slot = Edges::of(&history, q, margins.harm.get(), margins.noninferior.get());
            }
        }
        for (equal, edges) in self.equal.iter_mut().zip(&self.edges) {
            *equal = edges.map_or(1.0, |edges| {
                let beyond = part_above(&history, edges.harmless);
                (beyond / part_above(&history, edges.baseline)).clamp(LEAST_EQUAL, MOST_EQUAL)
            });
        }
        let slowest = Edges::of(&history, 0.99, 0.0, 0.0).map_or(0, |edges| edges.baseline);
        self.hang_edge = slowest.saturating_mul(HANG_FACTOR).max(SHORTEST_HANG_US);
    }

    /// The baseline's latencies of the last five minutes.
    pub(crate) fn history(&self) -> Histogram {
        let mut history = self.minute.clone();
        self.minutes.iter().for_each(|minute| history.merge(minute));
        history
    }

    /// The baseline's requests since the beginning.
    pub(crate) const fn past_requests(&self) -> u64 {
        self.past_requests
    }

    /// Takes over the baseline's past of a stratum that is no longer told apart.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (index, minute) in other.minutes.into_iter().rev().enumerate() {
            match self.minutes.len().checked_sub(index + 1) {
                Some(at) => self.minutes[at].merge(&minute),
                None => self.minutes.push_front(minute),
            }
        }
        self.minute.merge(&other.minute);
        self.past_requests += other.past_requests;
        self.past_bad
            .iter_mut()
            .zip(other.past_bad)
            .for_each(|(sum, n)| *sum += n);
        for (waiting, more) in self.waiting.iter_mut().zip(&other.waiting) {
            waiting.merge(more);
        }
    }
}

/// The part of a history at or beyond an edge, half an event given.
fn part_above(history: &Histogram, edge: u64) -> f64 {
    (history.at_or_above(edge) as f64 + 0.5) / (history.total() as f64 + 1.0)
}

fn event_sums(counts: &Counts, rate: f64, delta: f64) -> Sums {
    Sums {
        baseline: counts.baseline_bad as f64,
        baseline_expected: rate * counts.baseline as f64,
        canary: counts.canary_bad as f64,
        canary_harm: counts.canary_bad as f64,
        canary_expected: rate * counts.canary as f64,
        canary_margin: delta * counts.canary as f64,
    }
}

fn event_tally(classes: &[EventClass], baseline: &Side, canary: &Side) -> Tally {
    let canary_bad = canary.events_of(classes).min(canary.requests);
    Tally {
        harm: Counts {
            canary_bad,
            canary: canary.requests,
            baseline_bad: baseline.events_of(classes).min(baseline.requests),
            baseline: baseline.requests,
        },
        canary_bad_harmless: canary_bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_lie_on_buckets_outside_and_inside_the_margins() {
        let mut history = Histogram::default();
        history.add(367, 100);
        let edges = Edges::of(&history, 0.95, 0.10, 0.20).expect("enough latencies");
        assert_eq!(
            edges,
            Edges {
                baseline: lower_edge(368),
                harm: 54_272,
                harmless: 58_368
            }
        );
        assert_eq!(lower_edge(368), 49_152);
    }

    #[test]
    fn clusters_are_looked_for_by_edges_that_stay() {
        let entries = crate::metric::entries(&JudgeConfig::default());
        let p95 = entries
            .iter()
            .position(|entry| entry.metric == Metric::P95)
            .expect("it is compared");
        let side = |bucket| {
            let mut side = Side {
                requests: 100,
                ..Side::default()
            };
            side.latency.add(bucket, 100);
            side
        };
        let key = StratumKey {
            route: "GET /".into(),
            synthetic: false,
            proxy: ProxyId::new("p1").expect("a name"),
        };
        let mut stratum = Stratum::new(key, 0, entries.len());
        let config = JudgeConfig::default();
        stratum.observe(&entries, &side(300), &Side::default(), 0.0);
        stratum.take_edges(&entries, &config);
        stratum.remember(&entries, &vec![0.0; entries.len()]);
        for _ in 0..=HISTORY_MINUTES {
            stratum.observe(&entries, &side(340), &Side::default(), 0.0);
            stratum.end_minute();
        }
        // By the edges of today none is slow, by the first ones all are.
        stratum.take_edges(&entries, &config);
        let (counts, _, steady) = stratum.observe(&entries, &side(340), &Side::default(), 0.0)[p95];
        assert_eq!((counts.baseline_bad, steady), (0, 100));
    }

    // CAN-09: what hits both versions at one moment raises the rate from which it is harm.
    #[test]
    fn the_absolute_limit_follows_what_stable_fails_now() {
        let entries = crate::metric::entries(&JudgeConfig::default());
        let errors = entries
            .iter()
            .position(|entry| entry.metric == Metric::Errors)
            .expect("it is compared");
        let side = |requests, failed| Side {
            requests,
            failures: failed,
            events: vec![(EventClass::ServerError, failed)],
            ..Side::default()
        };
        let limit = |failed| {
            let key = StratumKey {
                route: "GET /".into(),
                synthetic: false,
                proxy: ProxyId::new("p1").expect("a name"),
            };
            let mut stratum = Stratum::new(key, 0, entries.len());
            stratum.observe(&entries, &side(10_000, 10), &side(10, 0), 0.0);
            stratum.end_block();
            stratum.observe(&entries, &side(100, failed), &side(100, failed), 0.0);
            let margins = ErrorMargins {
                ratio: 1.0,
                delta_harm: 0.005,
                delta_harmless: 0.01,
            };
            let weighed = stratum.weighed(errors, &entries[errors], &margins);
            weighed.expect("both sides served").limit_harm
        };
        assert!((0.005..0.007).contains(&limit(0)), "{}", limit(0));
        assert!(limit(20) > 0.2, "{}", limit(20));
    }

    #[test]
    fn too_few_latencies_give_no_edge() {
        let mut history = Histogram::default();
        history.add(367, 19);
        assert_eq!(Edges::of(&history, 0.95, 0.10, 0.20), None);
    }
}
