//! One metric's evidence, for harm over the release and for harmlessness in a stage.

use crate::config::{BurstMode, Evidence, JudgeConfig};
use crate::dispersion::{Dispersion, Split};
use crate::evidence::{
    ChangePoint, Counts, HARM_FACTORS, HARMLESS_FACTORS, HarmProcess, HarmlessProcess, Temper,
    log_ratio_absolute,
};
use crate::ledger::{Excuse, Ledger, Sums};
use crate::math::log_weighted_mean;
use crate::metric::{Entry, Gate, Metric};
use crate::stratum::{Alone, Weighed};
use crate::strict;
use crate::surplus::Surplus;
use libm::{exp, log};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// From here on a block counts as part of a burst.
const BURSTY: f64 = 1.5;
/// From this size of clusters on, an episode as short as a burst is one observation.
const CLUSTERED: f64 = 3.0;
/// Less is enough on scales of so many blocks, where chance averages out.
const CLUSTERED_LONG: f64 = 2.5;
const LONG_SPAN: u32 = 8;
/// Blocks that a burst lasts at most where shorter ones are known, or twice the scale on
/// which they cluster; a longer episode is more than one observation.
const EPISODE_BLOCKS: u32 = 4;
const MOST_EPISODE_BLOCKS: u32 = 24;
/// Bursts of so many blocks or more are told to the other metrics.
const TOLD_BLOCKS: u32 = 16;
/// The least that a block of a burst may add.
const SMALLEST_CAP: f64 = 0.3;
/// Blocks from which the pace of a proof is read.
const PACE_BLOCKS: usize = 12;
/// Seconds of a block that may speak for harm before more of them raise the cap: a
/// burst of a second decides no more than a block did, a fault shows in many.
const SECONDS_AT_CAP: u32 = 1;
/// What each further second adds to the cap, as a part of it.
const CAP_A_SECOND: f64 = 1.0 / 3.0;
/// A burst on a host brings many failures at once. So few in a block, that are no more
/// than this part of its requests and lie in several seconds, count as if they lay in
/// this many.
const HANDFUL: u64 = 6;
const HANDFUL_PART: f64 = 0.04;
const SECONDS_OF_HANDFUL: u32 = 5;
/// Weight of the sides of episodes beside the comparison itself.
const EPISODES_WEIGHT: f64 = 0.08;
/// Canary requests without counterpart from which their harmlessness is asked for.
const ALONE_REQUESTS: u64 = 20;
/// A bet on the margin itself says nothing.
const ALMOST: f64 = 0.95;
/// The bet on requests without counterpart: far inside the margin.
const WELL_INSIDE: f64 = 0.15;
/// From this margin of failures on, a tenth of a point, rates are weighed by themselves too.
const WIDE_MARGIN: f64 = 0.001;
/// Nats kept beyond what one alternative alone needs for a proof.
const PROOF_RESERVE: f64 = 2.0;
/// Part of the later faults for which the prior keeps a very heavy tail.
const LATE_FAULTS: f64 = 0.2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub entry: Entry,
    cap_nats: f64,
    mode: BurstMode,
    harm: HarmProcess,
    /// Harm on single routes, by number, where the metric is weighed by route too.
    routes: BTreeMap<u32, HarmProcess>,
    pub ledger: Ledger,
    harmless: HarmlessProcess,
    /// Harmlessness of requests that the baseline has no counterpart for.
    harmless_apart: HarmlessProcess,
    apart: u64,
    /// Harmlessness from the canary's own rate; where the baseline has no bad
    /// events, the split of bad events can prove nothing.
    harmless_alone: HarmlessProcess,
    dispersion: Dispersion,
    pace: VecDeque<f64>,
    open_baseline: (u64, u64),
    /// Seconds of the open block that speak for harm: the canary's part of their bad
    /// events is a standard deviation above its part of the requests.
    open_speaking: u32,
    episode: Episode,
    canary_bad: u64,
    canary_bad_seconds: u64,
}

/// Blocks in a row that speak for harm.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Episode {
    blocks: u32,
    /// Nats that they added, by the alternative that gained most.
    nats: f64,
}

impl Episode {
    /// After a block; `speaks` when it spoke for harm, whatever a cap left of it.
    fn after(self, speaks: bool, nats: &[f64]) -> Self {
        if !speaks {
            return Self::default();
        }
        Self {
            blocks: self.blocks + 1,
            nats: self.nats + nats.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl Comparison {
    /// A comparison that has seen nothing.
    pub(crate) fn new(entry: Entry, config: &JudgeConfig) -> Self {
        let Evidence {
            cap_nats,
            change_point_start,
            change_point_blocks,
            ..
        } = &config.evidence;
        let prior = ChangePoint {
            start: change_point_start.get().min(1.0),
            blocks: f64::from((*change_point_blocks).max(1)),
            late: LATE_FAULTS,
        };
        let evidence = &config.evidence;
        let ceiling = proof_nats(config) + log(HARMLESS_FACTORS.len() as f64) + PROOF_RESERVE;
        Self {
            entry,
            cap_nats: *cap_nats,
            mode: evidence.mode,
            harm: HarmProcess::new(prior, alternatives(&entry, config)),
            routes: BTreeMap::new(),
            ledger: Ledger::default(),
            harmless: HarmlessProcess::new(ceiling),
            harmless_apart: HarmlessProcess::new(ceiling),
            apart: 0,
            harmless_alone: HarmlessProcess::new(ceiling),
            dispersion: Dispersion::new(
                evidence.phi_prior_blocks,
                evidence.phi_window,
                evidence.fano_window,
            ),
            pace: VecDeque::new(),
            open_baseline: (0, 0),
            open_speaking: 0,
            episode: Episode::default(),
            canary_bad: 0,
            canary_bad_seconds: 0,
        }
    }

    /// Counts one second's bad events over all strata, against before, and the baseline's
    /// by edges that stay.
    pub(crate) fn count(&mut self, second: &Counts, against_before: &Sums, steady: u64) {
        let (theta, bad) = (second.theta(1.0), second.bad() as f64);
        let above = second.canary_bad as f64 - bad * theta;
        let speaks = above > 0.0 && above > libm::sqrt(bad * theta * (1.0 - theta));
        self.open_speaking += u32::from(speaks);
        self.ledger.count(against_before);
        self.open_baseline.0 += steady;
        self.open_baseline.1 += second.baseline;
        self.canary_bad += second.canary_bad;
        self.canary_bad_seconds += u64::from(second.canary_bad > 0);
    }

    /// Log evidence for harm, the open block included.
    pub(crate) fn log_harm(&self, open: &Block) -> f64 {
        let own = if open.is_empty() {
            self.harm.log_evidence()
        } else {
            self.harm.log_evidence_with(&self.harm_nats(open))
        };
        let parts = [
            (1.0 - EPISODES_WEIGHT, own),
            (EPISODES_WEIGHT, self.ledger.log_episodes()),
        ];
        log_weighted_mean(&parts)
    }

    /// Log evidence for harm by route, the open block included.
    pub(crate) fn log_harm_of_routes(&self, open: &Block) -> BTreeMap<u32, f64> {
        let mut routes: BTreeMap<u32, f64> = self
            .routes
            .iter()
            .map(|(route, process)| (*route, process.log_evidence()))
            .collect();
        for (route, part) in self.by_route(open) {
            let fresh = HarmProcess::new(self.harm.prior(), self.harm.alternatives());
            let process = self.routes.get(&route).unwrap_or(&fresh);
            let nats = self.harm_nats_of(&part, open);
            routes.insert(route, process.log_evidence_with(&nats));
        }
        routes
    }

    /// From now on the baseline's slow requests are counted by other edges.
    pub(crate) fn change_edges(&mut self) {
        if self.entry.metric.is_latency() {
            self.dispersion.begin_counts();
        }
    }

    /// Why harm that was found here would not be the canary's.
    pub(crate) fn excuse(&self, ratio: f64, share: f64, surplus: &Surplus) -> Option<Excuse> {
        let ratio = if self.entry.metric.is_latency() {
            1.0
        } else {
            ratio
        };
        self.ledger.excuse(ratio, share, self.phi(), surplus)
    }

    /// Log evidence for harmlessness in this stage, closed blocks only.
    pub(crate) fn log_harmless(&self) -> f64 {
        let split = self.harmless.log_evidence();
        if self.entry.metric != Metric::Errors {
            return split;
        }
        // The mean of two e-values is one.
        let alone = self.harmless_alone.log_evidence();
        let both = crate::math::log_mean_exp(&[split, alone]);
        if self.apart >= ALONE_REQUESTS {
            // What cannot be compared has to be proved by itself too.
            both.min(self.harmless_apart.log_evidence())
        } else {
            both
        }
    }

    /// Nats a block that the proof came nearer lately; nothing before two blocks.
    pub(crate) fn pace(&self) -> Option<f64> {
        let (first, last) = (self.pace.front()?, self.pace.back()?);
        (self.pace.len() > 1).then(|| (last - first) / (self.pace.len() - 1) as f64)
    }

    /// The canary's bad events over the release, and the seconds that they lie in.
    pub(crate) const fn canary_bad(&self) -> (u64, u64) {
        (self.canary_bad, self.canary_bad_seconds)
    }

    /// How the baseline's own bad events cluster; see [`Dispersion::burstiness`].
    pub(crate) fn burstiness(&self) -> f64 {
        self.dispersion.burstiness()
    }

    /// Overdispersion before the open block.
    pub(crate) const fn phi(&self) -> f64 {
        self.dispersion.before()
    }

    /// Ends a block.
    pub(crate) fn end_block(&mut self, block: &Block, harmless: Collect, surplus: &Surplus) {
        if !block.is_empty() {
            if harmless == Collect::Yes && self.entry.gate == Gate::Proof {
                self.absorb_harmless(block);
            }
            let nats = self.harm_nats(block);
            let by_route: Vec<(u32, Vec<f64>)> = self
                .by_route(block)
                .into_iter()
                .map(|(route, part)| (route, self.harm_nats_of(&part, block)))
                .collect();
            self.harm.absorb(&nats);
            for (route, nats) in by_route {
                let fresh = HarmProcess::new(self.harm.prior(), self.harm.alternatives());
                self.routes.entry(route).or_insert(fresh).absorb(&nats);
            }
            self.episode = self.episode.after(block.speaks(), &nats);
        }
        self.open_speaking = 0;
        let quiet = self.harm.log_evidence() <= 0.0;
        let phi = self.phi();
        self.ledger.end_block(quiet, phi, surplus);
        let (bad, all) = std::mem::take(&mut self.open_baseline);
        self.dispersion.absorb(split(&block.strata), bad, all);
        self.pace.push_back(self.log_harmless());
        while self.pace.len() > PACE_BLOCKS {
            self.pace.pop_front();
        }
    }

    /// Ends a block whose traffic cannot be compared.
    pub(crate) fn skip_block(&mut self) {
        self.open_speaking = 0;
        self.ledger.end_block(true, self.phi(), &Surplus::default());
        let (bad, all) = std::mem::take(&mut self.open_baseline);
        self.dispersion.absorb(None, bad, all);
    }

    /// Forgets the evidence for harmlessness.
    pub(crate) fn restart_harmless(&mut self) {
        self.harmless.restart();
        self.harmless_alone.restart();
        self.harmless_apart.restart();
        self.apart = 0;
        self.pace.clear();
    }

    /// Forgets the evidence for harm.
    pub(crate) fn restart_harm(&mut self) {
        self.harm.restart();
        self.routes.clear();
    }

    /// The parts of a block by route; nothing where the metric is weighed as a whole only.
    fn by_route(&self, block: &Block) -> BTreeMap<u32, Block> {
        let mut parts: BTreeMap<u32, Block> = BTreeMap::new();
        if self.entry.weight_of_routes > 0.0 {
            for weighed in &block.strata {
                parts
                    .entry(weighed.route)
                    .or_default()
                    .strata
                    .push(*weighed);
            }
            for alone in &block.alone {
                let part = parts.entry(alone.route).or_default();
                part.alone.push(*alone);
                part.alone_limit = block.alone_limit;
                part.alone_harmless = block.alone_harmless;
            }
        }
        parts
    }

    fn harm_nats(&self, block: &Block) -> Vec<f64> {
        self.harm_nats_of(block, block)
    }

    /// Nats of a part of a block, tempered as the whole block is.
    fn harm_nats_of(&self, part: &Block, whole: &Block) -> Vec<f64> {
        if self.mode == BurstMode::Strict {
            return strict::nats(&part.strata, self.harm.alternatives());
        }
        let temper = self.temper(whole);
        let sum = |factor: &f64| {
            let split: f64 = part
                .strata
                .iter()
                .map(|w| w.tally.harm.log_ratio(w.rho_harm, *factor))
                .sum();
            let alone: f64 = part
                .alone
                .iter()
                .map(|a| log_ratio_absolute(&a.counts, part.alone_limit, *factor))
                .sum();
            split + alone
        };
        let absolute = |factor: &f64| {
            let strata = part.strata.iter().filter(|w| w.limit_harm < 1.0);
            let ratios = strata.map(|w| log_ratio_absolute(&w.tally.harm, w.limit_harm, *factor));
            let alone = part.alone.iter();
            let alone = alone.map(|a| log_ratio_absolute(&a.counts, part.alone_limit, *factor));
            ratios.sum::<f64>() + alone.sum::<f64>()
        };
        let most = if whole.few_hosts { 0.0 } else { f64::INFINITY };
        let by_part = HARM_FACTORS.iter().map(sum);
        let by_rate = HARM_FACTORS.iter().map(absolute);
        by_part
            .chain(by_rate)
            .take(self.harm.alternatives())
            .map(|nats| temper.apply(nats).min(most))
            .collect()
    }

    fn absorb_harmless(&mut self, block: &Block) {
        // Synthetic requests may prove harm, never harmlessness.
        let organic: Vec<&Weighed> = block.strata.iter().filter(|w| !w.synthetic).collect();
        let phi = self.dispersion.with(split(&block.strata)).max(self.phi());
        let temper = Temper {
            phi_for: phi,
            phi_against: self.phi(),
            cap: self.cap_nats,
        };
        let counts = |w: &Weighed| Counts {
            canary_bad: w.tally.canary_bad_harmless,
            ..w.tally.harm
        };
        let nats = |ratio: &dyn Fn(&Weighed, f64) -> f64| -> Vec<f64> {
            let sum = |factor: &f64| organic.iter().map(|w| ratio(w, *factor)).sum::<f64>();
            HARMLESS_FACTORS
                .iter()
                .map(|factor| temper.apply(sum(factor)))
                .collect()
        };
        let alone_ratio = |w: &Weighed, factor: f64| match w.limit {
            Some(limit) if limit < 1.0 => log_ratio_absolute(&counts(w), limit, factor),
            _ => 0.0,
        };
        let split = nats(&|w, factor| counts(w).log_ratio(w.rho_harmless, factor));
        let split_equal = organic
            .iter()
            .map(|w| counts(w).log_ratio(w.rho_harmless, w.equal))
            .sum();
        let alone = nats(&alone_ratio);
        let alone_equal = organic
            .iter()
            .map(|w| match w.limit {
                Some(limit) => alone_ratio(w, (w.rate / limit).min(ALMOST)),
                None => 0.0,
            })
            .sum();
        self.harmless.absorb(&split, temper.apply(split_equal));
        self.harmless_alone
            .absorb(&alone, temper.apply(alone_equal));
        let limit = block.alone_harmless;
        if !block.alone.is_empty() && limit < 1.0 {
            let mut sum = vec![0.0; HARMLESS_FACTORS.len()];
            for apart in &block.alone {
                self.apart += apart.counts.canary;
                for (sum, factor) in sum.iter_mut().zip(HARMLESS_FACTORS) {
                    *sum += log_ratio_absolute(&apart.counts, limit, *factor);
                }
            }
            let apart: Vec<f64> = sum.iter().map(|nats| temper.apply(*nats)).collect();
            let well_inside = block
                .alone
                .iter()
                .map(|a| log_ratio_absolute(&a.counts, limit, WELL_INSIDE))
                .sum();
            self.harmless_apart
                .absorb(&apart, temper.apply(well_inside));
        }
    }

    /// Blocks that the baseline's bursts of bad events last at most; none when it has none.
    pub(crate) fn burst_blocks(&self) -> u32 {
        let span = self.dispersion.span();
        let clustered = if span >= LONG_SPAN {
            CLUSTERED_LONG
        } else {
            CLUSTERED
        };
        if self.burstiness() >= clustered {
            (2 * span).clamp(EPISODE_BLOCKS, MOST_EPISODE_BLOCKS)
        } else {
            0
        }
    }

    fn temper(&self, block: &Block) -> Temper {
        let before = self.phi();
        let now = self.dispersion.with(split(&block.strata)).max(before);
        let (mut bad, mut expected) = (0.0, 0.0);
        let (mut canary_bad, mut canary) = (0, 0);
        for w in &block.strata {
            canary_bad += w.tally.harm.canary_bad;
            canary += w.tally.harm.canary;
            bad += w.tally.harm.bad() as f64;
            expected += w.tally.harm.bad() as f64 * w.tally.harm.theta(w.rho_harm);
        }
        let handful = canary_bad <= HANDFUL && canary_bad as f64 <= HANDFUL_PART * canary as f64;
        let speaking = if handful && self.open_speaking > SECONDS_AT_CAP {
            SECONDS_OF_HANDFUL
        } else {
            self.open_speaking
        };
        let further = f64::from(speaking.saturating_sub(SECONDS_AT_CAP));
        let cap = if self.burstiness() > BURSTY && expected > 0.0 {
            // A block that is one cluster cannot say more than on which side it fell.
            log(bad / expected).clamp(SMALLEST_CAP, self.cap_nats.max(SMALLEST_CAP))
        } else {
            self.cap_nats * (1.0 + CAP_A_SECOND * further)
        };
        let cap = if self.episode.blocks < self.burst_blocks().max(block.bursts) {
            // Up to the length of a burst, an episode is one observation.
            (cap.min(self.cap_nats) - self.episode.nats).max(0.0)
        } else {
            cap
        };
        Temper {
            phi_for: now,
            phi_against: before,
            cap,
        }
    }
}

/// What is weighed of one metric at the end of a block.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Block {
    /// Strata with requests on both sides.
    pub strata: Vec<Weighed>,
    /// Strata that the baseline serves nobody of.
    pub alone: Vec<Alone>,
    /// The rate beyond which those are harmful.
    pub alone_limit: f64,
    /// The rate below which they are harmless.
    pub alone_harmless: f64,
    /// Blocks that long bursts last which are known from any metric: what hits a host
    /// shows in several.
    pub bursts: u32,
    /// Few of several instances have the bad events: no evidence against the version.
    pub few_hosts: bool,
}

impl Block {
    const fn is_empty(&self) -> bool {
        self.strata.is_empty() && self.alone.is_empty()
    }

    /// Whether the canary has more bad events than it may at the margin of harm.
    fn speaks(&self) -> bool {
        let split: f64 = self
            .strata
            .iter()
            .map(|w| {
                let counts = w.tally.harm;
                counts.canary_bad as f64 - counts.bad() as f64 * counts.theta(w.rho_harm)
            })
            .sum();
        let alone: f64 = self
            .alone
            .iter()
            .map(|a| a.counts.canary_bad as f64 - self.alone_limit * a.counts.canary as f64)
            .sum();
        split + alone > 0.0
    }
}

/// How many alternatives harm is weighed by: rates that the canary's part of the bad events
/// shows, and beside a wide margin in points rates that show by themselves. Where stable
/// hardly ever fails, such a margin allows the canary all bad events there are.
fn alternatives(entry: &Entry, config: &JudgeConfig) -> usize {
    let wide = entry.metric == Metric::Errors && config.errors.delta.get() >= WIDE_MARGIN;
    HARM_FACTORS.len() * if wide { 2 } else { 1 }
}

/// Blocks that the longest known bursts of a service last, where they are long.
pub(crate) fn long_bursts(comparisons: &[Comparison]) -> u32 {
    // One of many estimates is large by chance sooner than one.
    let known = comparisons.iter().filter(|c| c.burstiness() >= CLUSTERED);
    let longest = known.map(Comparison::burst_blocks).max();
    longest.filter(|blocks| *blocks >= TOLD_BLOCKS).unwrap_or(0)
}

/// Whether evidence for harmlessness counts at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collect {
    Yes,
    No,
}

/// Nats that a proof asks for.
pub(crate) fn proof_nats(config: &JudgeConfig) -> f64 {
    -log(config.alpha.proceed.get().clamp(1e-12, 1.0))
}

/// Combined evidence: the weighted mean, unused weight counting as one.
pub(crate) fn combine(parts: &[(f64, f64)]) -> f64 {
    let used: f64 = parts.iter().map(|(weight, _)| weight).sum();
    let sum: f64 = parts
        .iter()
        .map(|(weight, log_e)| weight * exp(log_e.min(460.0)))
        .sum();
    sum + (1.0 - used).max(0.0)
}

fn split(block: &[Weighed]) -> Option<Split> {
    let (mut canary_bad, mut bad, mut expected) = (0, 0, 0.0);
    for weighed in block {
        let counts = weighed.tally.harm;
        canary_bad += counts.canary_bad;
        bad += counts.bad();
        expected += counts.bad() as f64 * counts.theta(1.0);
    }
    (bad > 0).then(|| Split {
        canary_bad,
        bad,
        theta: expected / bad as f64,
    })
}
