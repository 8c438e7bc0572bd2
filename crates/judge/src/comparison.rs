//! One metric's evidence, for harm over the release and for harmlessness in a stage.

use crate::config::{Evidence, JudgeConfig};
use crate::dispersion::{Dispersion, Split};
use crate::evidence::{
    ChangePoint, Counts, HARM_FACTORS, HARMLESS_FACTORS, HarmProcess, HarmlessProcess, Temper,
    log_ratio_absolute,
};
use crate::metric::{Entry, Gate, Metric};
use crate::stratum::Weighed;
use libm::{exp, log};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// From here on a block counts as part of a burst.
const BURSTY: f64 = 1.5;
/// From this size of clusters on, an episode as short as a burst is one observation.
const CLUSTERED: f64 = 3.0;
/// Blocks that a burst lasts at most; a longer episode is more than one observation.
const EPISODE_BLOCKS: u32 = 4;
/// The least that a block of a burst may add.
const SMALLEST_CAP: f64 = 0.3;
/// Blocks from which the pace of a proof is read.
const PACE_BLOCKS: usize = 12;
/// Nats kept beyond what one alternative alone needs for a proof.
const PROOF_RESERVE: f64 = 2.0;
/// Part of the later faults for which the prior keeps a very heavy tail.
const LATE_FAULTS: f64 = 0.2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub entry: Entry,
    cap_nats: f64,
    harm: HarmProcess,
    harmless: HarmlessProcess,
    /// Harmlessness from the canary's own rate; where the baseline has no bad
    /// events, the split of bad events can prove nothing.
    harmless_alone: HarmlessProcess,
    dispersion: Dispersion,
    pace: VecDeque<f64>,
    open_baseline: (u64, u64),
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
    fn after(self, nats: &[f64]) -> Self {
        match nats.iter().copied().fold(0.0, f64::max) {
            most if most > 0.0 => Self {
                blocks: self.blocks + 1,
                nats: self.nats + most,
            },
            _ => Self::default(),
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
        let ceiling = proof_nats(config) + log(HARMLESS_FACTORS.len() as f64) + PROOF_RESERVE;
        let evidence = &config.evidence;
        Self {
            entry,
            cap_nats: *cap_nats,
            harm: HarmProcess::new(prior),
            harmless: HarmlessProcess::new(ceiling),
            harmless_alone: HarmlessProcess::new(ceiling),
            dispersion: Dispersion::new(
                evidence.phi_prior_blocks,
                evidence.phi_window,
                evidence.fano_window,
            ),
            pace: VecDeque::new(),
            open_baseline: (0, 0),
            episode: Episode::default(),
            canary_bad: 0,
            canary_bad_seconds: 0,
        }
    }

    /// Counts one second's bad events over all strata.
    pub(crate) fn count(&mut self, second: &Counts) {
        self.open_baseline.0 += second.baseline_bad;
        self.open_baseline.1 += second.baseline;
        self.canary_bad += second.canary_bad;
        self.canary_bad_seconds += u64::from(second.canary_bad > 0);
    }

    /// Log evidence for harm, the open block included.
    pub(crate) fn log_harm(&self, open: &[Weighed]) -> f64 {
        if open.is_empty() {
            self.harm.log_evidence()
        } else {
            self.harm.log_evidence_with(&self.harm_nats(open))
        }
    }

    /// Log evidence for harmlessness in this stage, closed blocks only.
    pub(crate) fn log_harmless(&self) -> f64 {
        let split = self.harmless.log_evidence();
        if self.entry.metric == Metric::Errors {
            // The mean of two e-values is one.
            let alone = self.harmless_alone.log_evidence();
            crate::math::log_mean_exp(&[split, alone])
        } else {
            split
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

    /// Ends a block whose two-sided strata are `block`.
    pub(crate) fn end_block(&mut self, block: &[Weighed], harmless: Collect) {
        if !block.is_empty() {
            if harmless == Collect::Yes && self.entry.gate == Gate::Proof {
                self.absorb_harmless(block);
            }
            let nats = self.harm_nats(block);
            self.harm.absorb(&nats);
            self.episode = self.episode.after(&nats);
        }
        let (bad, all) = std::mem::take(&mut self.open_baseline);
        self.dispersion.absorb(split(block), bad, all);
        self.pace.push_back(self.log_harmless());
        while self.pace.len() > PACE_BLOCKS {
            self.pace.pop_front();
        }
    }

    /// Ends a block whose traffic cannot be compared.
    pub(crate) fn skip_block(&mut self) {
        let (bad, all) = std::mem::take(&mut self.open_baseline);
        self.dispersion.absorb(None, bad, all);
    }

    /// Forgets the evidence for harmlessness.
    pub(crate) fn restart_harmless(&mut self) {
        self.harmless.restart();
        self.harmless_alone.restart();
        self.pace.clear();
    }

    /// Forgets the evidence for harm.
    pub(crate) fn restart_harm(&mut self) {
        self.harm.restart();
    }

    fn harm_nats(&self, block: &[Weighed]) -> Vec<f64> {
        let temper = self.temper(block, |w| (w.tally.harm, w.rho_harm));
        let sum = |factor: &f64| {
            block
                .iter()
                .map(|w| w.tally.harm.log_ratio(w.rho_harm, *factor))
                .sum::<f64>()
        };
        HARM_FACTORS
            .iter()
            .map(|factor| temper.apply(sum(factor)))
            .collect()
    }

    fn absorb_harmless(&mut self, block: &[Weighed]) {
        // Synthetic requests may prove harm, never harmlessness.
        let organic: Vec<&Weighed> = block.iter().filter(|w| !w.synthetic).collect();
        let phi = self.dispersion.with(split(block)).max(self.phi());
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
        let split = nats(&|w, factor| counts(w).log_ratio(w.rho_harmless, factor));
        let alone = nats(&|w, factor| match w.limit {
            Some(limit) if limit < 1.0 => log_ratio_absolute(&counts(w), limit, factor),
            _ => 0.0,
        });
        self.harmless.absorb(&split);
        self.harmless_alone.absorb(&alone);
    }

    fn temper(&self, block: &[Weighed], part: impl Fn(&Weighed) -> (Counts, f64)) -> Temper {
        let before = self.phi();
        let now = self.dispersion.with(split(block)).max(before);
        let (mut bad, mut expected) = (0.0, 0.0);
        for (counts, rho) in block.iter().map(part) {
            bad += counts.bad() as f64;
            expected += counts.bad() as f64 * counts.theta(rho);
        }
        let cap = if now > BURSTY && expected > 0.0 {
            // A block that is one cluster cannot say more than on which side it fell.
            log(bad / expected).clamp(SMALLEST_CAP, self.cap_nats.max(SMALLEST_CAP))
        } else {
            self.cap_nats
        };
        let cap = if self.burstiness() >= CLUSTERED && self.episode.blocks < EPISODE_BLOCKS {
            // Up to the length of a burst, an episode is one observation.
            (cap - self.episode.nats).max(0.0)
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
