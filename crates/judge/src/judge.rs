//! The judge: takes seconds in, keeps the evidence, and states a verdict.
//!
//! This file moves data to where it is counted; what counts means is decided in the
//! modules it calls, and what to say of it in `assess`.

use crate::burn::Burn;
use crate::comparison::{Block, Collect, Comparison, long_bursts};
use crate::config::JudgeConfig;
use crate::fast::FastPaths;
use crate::hosts::Spread;
use crate::metric::{Counting, Entry, Metric, entries};
use crate::mix::Mix;
use crate::rails::Rail;
use crate::report::{Margin, Report};
use crate::second::{Comparable, Second, StageInfo};
use crate::series::{SeriesTest, SeriesValue};
use crate::side::Side;
use crate::stratum::{ErrorMargins, Stratum};
use crate::surplus::Surplus;
use crate::verdict::{Reason, Verdict};
use crate::warm_up::{Phase, WarmUp};
use crate::witness::Witness;
use esclusa_model::{BasisPoints, Digest, InstanceId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds between two takings of latency edges.
const MINUTE_S: i64 = 60;
/// Seconds without canary traffic after which its proof is worth nothing.
const STALE_PROOF_S: i64 = 120;
/// The rate that requests without a counterpart must not exceed beyond the service's
/// own: a burn of 14.4 at 99.9 %, which spends 2 % of a month's budget in an hour.
const ALONE_RATE: f64 = 0.014_4;

/// A judge of one canary against one baseline, over one release.
///
/// Serialise it after any second, read it back, and go on: the verdicts are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    pub(crate) config: JudgeConfig,
    pub(crate) baseline: Digest,
    pub(crate) canary: Digest,
    pub(crate) stage: Option<Stage>,
    /// First and last second seen.
    span: Option<(i64, i64)>,
    pub(crate) silent_s: i64,
    pub(crate) strata: Vec<Stratum>,
    /// The routes that are told apart; all of them before the first stage.
    pub(crate) routes: Option<BTreeSet<String>>,
    /// Their names by number.
    pub(crate) route_names: Vec<String>,
    /// The canary's instances, in the order of their first request.
    pub(crate) instances: Vec<InstanceId>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) organic: FastPaths,
    pub(crate) synthetic: FastPaths,
    pub(crate) rails: Vec<Rail>,
    pub(crate) warm_up: WarmUp,
    pub(crate) witness: Witness,
    /// Requests beyond the canary's share, over the release.
    pub(crate) surplus: Surplus,
    #[serde(default, skip_serializing_if = "Burn::is_empty")]
    pub(crate) burn: Burn,
    /// Set once, for good.
    pub(crate) returned: Option<(Reason, Vec<crate::verdict::Cause>)>,
    /// What is proved, as of the last block.
    pub(crate) margins: Vec<Margin>,
    pub(crate) series: Vec<SeriesTest>,
    /// Readings of later seconds than the last.
    pub(crate) readings: Vec<SeriesValue>,
    /// Organic requests of the baseline and the canary so far.
    pub(crate) served: [u64; 2],
    verdict: Option<Verdict>,
}

/// The stage that is being judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub info: StageInfo,
    pub report: Report,
    pub mix: Mix,
    pub misrouted: u64,
    pub last_canary: Option<i64>,
    pub last_baseline: Option<i64>,
}

impl Judge {
    /// A judge that has seen nothing. Feed it the baseline's seconds from before the
    /// first stage too: edges and dispersion come from there.
    #[must_use]
    pub fn new(config: JudgeConfig, baseline: Digest, canary: Digest) -> Self {
        let comparisons = entries(&config)
            .into_iter()
            .map(|entry| Comparison::new(entry, &config))
            .collect();
        Self {
            rails: rails(&config),
            warm_up: WarmUp::new(config.warm_up.clone()),
            baseline,
            canary,
            stage: None,
            span: None,
            silent_s: 0,
            strata: Vec::new(),
            routes: None,
            route_names: Vec::new(),
            instances: Vec::new(),
            comparisons,
            organic: FastPaths::default(),
            synthetic: FastPaths::default(),
            witness: Witness::default(),
            surplus: Surplus::default(),
            burn: Burn::new(config.slo.as_ref()),
            returned: None,
            margins: Vec::new(),
            series: config.series.iter().cloned().map(SeriesTest::new).collect(),
            readings: Vec::new(),
            served: [0; 2],
            verdict: None,
            config,
        }
    }

    /// Enters a stage. Evidence for harmlessness begins anew; evidence for harm stays.
    pub fn enter_stage(&mut self, info: StageInfo) {
        self.end_block();
        self.strata.iter_mut().for_each(Stratum::drop_open);
        let first = self.routes.is_none();
        if first {
            self.choose_routes();
        }
        let entries: Vec<_> = self.comparisons.iter().map(|c| c.entry).collect();
        self.strata
            .iter_mut()
            .for_each(|s| s.take_edges(&entries, &self.config));
        if first {
            self.remember_before(&entries);
        }
        let before = self.stage.as_ref().map(|stage| stage.info.share);
        if before.is_some_and(|before| before < info.share) {
            // New hosts join with a larger share, and they are cold.
            self.warm_up.begin_again();
        }
        if !self.witness.suspects_fault() {
            self.take_reference(info.entered_at_s);
        }
        self.comparisons
            .iter_mut()
            .for_each(Comparison::restart_harmless);
        for series in &mut self.series {
            series.enter_stage(info.entered_at_s);
        }
        let nobody_left = info.share == BasisPoints::FULL;
        self.burn.freeze(info.entered_at_s, nobody_left);
        self.stage = Some(Stage {
            info,
            report: Report::default(),
            mix: Mix::default(),
            misrouted: 0,
            last_canary: None,
            last_baseline: None,
        });
        // What was said of the last stage does not hold for this one.
        self.margins.clear();
        self.verdict = None;
    }

    /// The stage that is being judged.
    #[must_use]
    pub fn stage(&self) -> Option<&StageInfo> {
        self.stage.as_ref().map(|stage| &stage.info)
    }

    /// Takes one second in. Seconds that do not rise are ignored; skipped ones count
    /// as silence.
    pub fn tick(&mut self, second: &Second) {
        let t = second.t;
        let previous = self.span.map_or(t - 1, |(_, last)| last);
        if t <= previous {
            return;
        }
        let (first, _) = *self.span.get_or_insert((t, t));
        let skipped = t - previous - 1;
        self.silent_s = if second.heard {
            0
        } else {
            self.silent_s + skipped + 1
        };
        let block_s = i64::from(self.config.evidence.block_s.max(1));
        if (previous - first).div_euclid(block_s) != (t - 1 - first).div_euclid(block_s) {
            self.end_block();
        }
        self.span = Some((first, t));
        if second.heard {
            self.count(t, &second.cells);
        }
        self.take_readings(t);
        if (t - first + 1) % block_s == 0 {
            self.end_block();
        }
        if (t - first + 1) % MINUTE_S == 0 {
            self.end_minute(t);
        }
        if self.warm_up.excuse_ends(t) {
            self.comparisons
                .iter_mut()
                .filter(|c| c.entry.metric.is_latency())
                .for_each(Comparison::restart_harm);
            self.series.iter_mut().for_each(SeriesTest::restart_harm);
        }
        self.verdict = Some(self.assess(t));
    }

    /// The last second that was taken in.
    pub(crate) fn last_second(&self) -> Option<i64> {
        self.span.map(|(_, last)| last)
    }

    /// The verdict at the last second; `HOLD` when there is none in this stage.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.verdict {
            Some(verdict) => verdict.clone(),
            None => {
                let mut unspoken = self.clone();
                unspoken.assess(self.span.map_or(0, |(_, t)| t))
            }
        }
    }

    /// Fixes what the baseline is before the canary comes.
    fn remember_before(&mut self, entries: &[Entry]) {
        let requests: u64 = self.organic_strata().map(Stratum::past_requests).sum();
        let rates: Vec<f64> = (0..entries.len())
            .map(|index| {
                let bad: u64 = self.organic_strata().map(|s| s.past_bad(index)).sum();
                (bad as f64 + 0.5) / (requests as f64 + 500.0)
            })
            .collect();
        for stratum in &mut self.strata {
            stratum.remember(entries, &rates);
        }
        for (index, comparison) in self.comparisons.iter_mut().enumerate() {
            let strata = self.strata.iter().filter(|s| !s.key.synthetic);
            let (bad, expected) = strata
                .map(|s| s.remembered(index))
                .fold((0.0, 0.0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
            comparison.ledger.begin(bad, expected);
            comparison.change_edges();
        }
    }

    fn organic_strata(&self) -> impl Iterator<Item = &Stratum> {
        self.strata.iter().filter(|s| !s.key.synthetic)
    }

    /// The rate of failures that stable has over the release.
    pub(crate) fn service_rate(&self) -> f64 {
        let index = self.index_of(Metric::Errors).unwrap_or(usize::MAX);
        let requests: u64 = self.organic_strata().map(Stratum::past_requests).sum();
        let bad: u64 = self.organic_strata().map(|s| s.past_bad(index)).sum();
        (bad as f64 + 0.5) / (requests as f64 + 500.0)
    }

    /// What is weighed of one metric in the open block.
    fn open_block(&self, index: usize, margins: &ErrorMargins, few_hosts: bool) -> Block {
        let entry = self.comparisons[index].entry;
        let strata = self.strata.iter();
        let mut block = Block {
            strata: strata
                .filter_map(|s| s.weighed(index, &entry, margins))
                .collect(),
            bursts: long_bursts(&self.comparisons),
            // Only failures are told apart by instance.
            few_hosts: few_hosts && entry.metric == Metric::Errors,
            ..Block::default()
        };
        if entry.metric == Metric::Errors {
            block.alone = self
                .organic_strata()
                .filter_map(|s| s.alone(index))
                .collect();
            let rate = self.service_rate();
            block.alone_limit = (margins.ratio * rate + ALONE_RATE).min(0.5);
            block.alone_harmless = margins.ratio * rate + margins.delta_harmless;
        }
        block
    }

    fn end_block(&mut self) {
        let t = self.span.map_or(0, |(_, t)| t);
        let cap = self.config.evidence.cap_nats;
        let phi = |metric: Metric| {
            self.comparisons
                .iter()
                .find(|c| c.entry.metric == metric)
                .map_or(1.0, Comparison::phi)
        };
        self.witness
            .end_block([phi(Metric::Errors), phi(Metric::P95)], cap);
        self.warm_up.end_block(t);
        let comparable = self
            .stage
            .as_ref()
            .is_some_and(|s| s.info.comparable == Comparable::Random);
        let worthless = self.witness.suspects_fault() || self.proof_is_stale(t);
        let armed = self.warm_up.phase(t) == Phase::Armed;
        let margins = self.error_margins();
        let few_hosts = self.spread(t) == Spread::FewHosts;
        let blocks: Vec<Block> = (0..self.comparisons.len())
            .map(|index| self.open_block(index, &margins, few_hosts))
            .collect();
        for (comparison, block) in self.comparisons.iter_mut().zip(&blocks) {
            if !comparable {
                comparison.skip_block();
                continue;
            }
            let counts = armed || !comparison.entry.metric.is_latency();
            let counts = if counts { Collect::Yes } else { Collect::No };
            comparison.end_block(block, counts, &self.surplus);
            if worthless {
                comparison.restart_harmless();
            }
        }
        for stratum in &mut self.strata {
            if comparable {
                stratum.end_block();
            } else {
                stratum.drop_open();
            }
        }
        self.margins = self.proved_margins();
    }

    fn proof_is_stale(&self, t: i64) -> bool {
        let last = self.stage.as_ref().and_then(|s| s.last_canary);
        self.silent_s >= STALE_PROOF_S || last.is_some_and(|last| t - last >= STALE_PROOF_S)
    }

    fn end_minute(&mut self, t: i64) {
        let entries: Vec<_> = self.comparisons.iter().map(|c| c.entry).collect();
        for stratum in &mut self.strata {
            stratum.end_minute();
            stratum.take_edges(&entries, &self.config);
        }
        if self.stage.is_some() && self.witness.wants_reference(t) {
            self.take_reference(t);
        }
    }

    fn take_reference(&mut self, t: i64) {
        let edges = self.strata.iter().map(Stratum::reference_edge).collect();
        self.witness.take_reference(t, self.service_rate(), edges);
    }

    /// The margins of the errors test for this stage's next step.
    pub(crate) fn error_margins(&self) -> ErrorMargins {
        let errors = &self.config.errors;
        let next = self
            .stage
            .as_ref()
            .map_or(BasisPoints::FULL, |s| s.info.next_share)
            .fraction();
        // The harm that the next step could do is what has to be excluded.
        let risk = errors.risk_budget.get() / next.max(1e-4);
        ErrorMargins {
            ratio: errors.ratio,
            delta_harm: errors.delta.get(),
            delta_harmless: risk.max(errors.delta.get()),
        }
    }

    /// Each metric's log evidence for harm, and that of its routes, the open block
    /// included.
    pub(crate) fn log_harm(&self, spread: Spread) -> Vec<(f64, BTreeMap<u32, f64>)> {
        let comparable = self
            .stage
            .as_ref()
            .is_some_and(|s| s.info.comparable == Comparable::Random);
        let margins = self.error_margins();
        let few_hosts = spread == Spread::FewHosts;
        self.comparisons
            .iter()
            .enumerate()
            .map(|(index, c)| {
                let open = if comparable {
                    self.open_block(index, &margins, few_hosts)
                } else {
                    Block::default()
                };
                (c.log_harm(&open), c.log_harm_of_routes(&open))
            })
            .collect()
    }
}

impl Stage {
    pub(crate) fn count(&mut self, t: i64, route: u32, baseline: &Side, canary: &Side) {
        self.mix.observe(route, baseline, canary);
        if baseline.requests + baseline.pending.total() > 0 {
            self.last_baseline = Some(t);
        }
        if canary.requests + canary.pending.total() > 0 {
            self.last_canary = Some(t);
        }
        self.report.add(baseline, canary);
    }
}

/// The configured guard rails.
fn rails(config: &JudgeConfig) -> Vec<Rail> {
    let errors = config.errors.never_above.map(|limit| Rail {
        metric: Metric::Errors,
        limit: limit.get(),
        edge_us: None,
    });
    let latency = [Metric::P50, Metric::P95, Metric::P99]
        .into_iter()
        .filter_map(|metric| {
            let Counting::SlowerThan(q) = metric.counting() else {
                return None;
            };
            let limit = metric.margins(config)?.never_above?;
            Some(Rail {
                metric,
                limit: 1.0 - q,
                edge_us: Some(limit.0.saturating_mul(1_000)),
            })
        });
    errors.into_iter().chain(latency).collect()
}
