//! From evidence to a verdict: the order of what outranks what.

use crate::comparison::{Comparison, combine, long_bursts, proof_nats};
use crate::fast::{FastPaths, Window};
use crate::hosts::{self, Spread};
use crate::judge::{Judge, Stage};
use crate::ledger::Excuse;
use crate::metric::{Gate, Metric};
use crate::rails::State;
use crate::second::Comparable;
use crate::verdict::{Cause, Decision, Label, Reason, Standing, Verdict};
use crate::warm_up::Phase;
use libm::log;
use std::collections::BTreeMap;

/// Seconds without traffic or data after which a proof is withdrawn.
const SILENCE_S: i64 = 30;
/// Seconds without slices after which the judge calls it missing data.
const MISSING_S: i64 = 10;
/// Combined evidence up to which the canary is quiet, and from which it is suspicious.
const QUIET: f64 = 1.0 + 1e-9;
const SUSPICIOUS: f64 = 5.0;
/// An e-value from which it is asked whether the harm is the canary's.
const ASKED_NATS: f64 = 1.6;
/// An outage may have come over from stable when so much of the canary's traffic did.
const CAME_OVER: f64 = 0.4;
/// Error rate with which guilty routes are named.
const NAMED: f64 = 0.05;
/// A tail: evidence 20 at p99, none at p50, and a mean gap below this.
const TAIL_NATS: f64 = 2.995_732_273_553_991;
const TAIL_GAP: f64 = 0.12;
/// Evidence from which the canary is taken to have more slow answers.
const SLOWER_NATS: f64 = 0.5;
/// A drift: from this age on, when half of the gap came after the first minute.
const DRIFT_AGE_S: i64 = 150;
const DRIFT_PART: f64 = 0.5;
/// Seconds in which one instance may have all failures.
const ONE_HOST_S: i64 = 60;
/// Misrouted requests that void a comparison: so many, and this part of the served.
const MISROUTED: u64 = 10;
const MISROUTED_PART: f64 = 0.05;

/// Everything that a verdict is made from, computed once a second.
pub(crate) struct Evidence {
    pub log_e: Vec<f64>,
    /// By metric and route.
    routes: Vec<BTreeMap<u32, f64>>,
    /// By metric: why its harm would not be the canary's.
    pub excuses: Vec<Option<Excuse>>,
    /// Combined evidence.
    m: f64,
    /// Combined evidence of what may act now.
    acting: f64,
    /// The metric that contributes most.
    leading: Metric,
    /// On how many instances failures lie.
    pub spread: Spread,
}

impl Evidence {
    /// Whether harm of a metric may be held against the version: it is not excused, and
    /// not that of few instances.
    fn is_the_versions(&self, index: usize, metric: Metric) -> bool {
        self.excuses[index].is_none() && may_blame(metric, self.spread)
    }
}

/// Whether failures that lie so may be held against the version.
fn may_blame(metric: Metric, spread: Spread) -> bool {
    metric != Metric::Errors || spread == Spread::Version
}

impl Judge {
    /// States the verdict at `t`, and remembers a return for good.
    pub(crate) fn assess(&mut self, t: i64) -> Verdict {
        let evidence = self.evidence(t);
        if self.returned.is_none() {
            self.returned = self.grounds_for_return(t, &evidence);
        }
        let (decision, reason, causes) = match &self.returned {
            Some((reason, causes)) => (Decision::Rollback, reason.clone(), causes.clone()),
            None => {
                let reason = self.grounds_for_holding(t, &evidence);
                let decision = if reason == Reason::Proven {
                    Decision::Proceed
                } else {
                    Decision::Hold
                };
                (decision, reason, self.context(t, &evidence))
            }
        };
        self.speak(t, decision, reason, causes, &evidence)
    }

    fn evidence(&self, t: i64) -> Evidence {
        let latency_acts = self.warm_up.phase(t) == Phase::Armed;
        let share = self
            .stage
            .as_ref()
            .map_or(0.0, |stage| stage.info.share.fraction());
        let ratio = self.config.errors.ratio;
        let scale = self.scale_of_weights();
        let spread = self.spread(t);
        let (mut all, mut acting) = (Vec::new(), Vec::new());
        let (mut log_e, mut of_routes, mut excuses) = (Vec::new(), Vec::new(), Vec::new());
        let mut leading = (f64::NEG_INFINITY, Metric::Errors);
        for (comparison, (own, routes)) in self.comparisons.iter().zip(self.log_harm(spread)) {
            let entry = comparison.entry;
            let acts = if entry.metric.is_latency() {
                latency_acts
            } else {
                self.reaches_floors(comparison)
            };
            let each = entry.weight_of_routes / routes.len().max(1) as f64;
            let parts = std::iter::once((entry.weight * scale, own))
                .chain(routes.values().map(|log_e| (each * scale, *log_e)));
            let asked = parts.clone().any(|(_, log_e)| log_e > ASKED_NATS);
            let excuse = if asked {
                comparison.excuse(ratio, share, &self.surplus)
            } else {
                None
            };
            let mut most = f64::NEG_INFINITY;
            for (weight, log_e) in parts {
                all.push((weight, log_e));
                let counts = acts && excuse.is_none() && may_blame(entry.metric, spread);
                acting.push((weight, if counts { log_e } else { log_e.min(0.0) }));
                most = most.max(log(weight) + log_e);
            }
            if most > leading.0 {
                leading = (most, entry.metric);
            }
            log_e.push(own);
            of_routes.push(routes);
            excuses.push(excuse);
        }
        for (metric, log_e) in self.log_harm_of_series() {
            let weight = self.weight_of_series();
            all.push((weight, log_e));
            acting.push((weight, if latency_acts { log_e } else { log_e.min(0.0) }));
            if log(weight) + log_e > leading.0 {
                leading = (log(weight) + log_e, metric);
            }
        }
        Evidence {
            m: combine(&all),
            acting: combine(&acting),
            log_e,
            routes: of_routes,
            excuses,
            leading: leading.1,
            spread,
        }
    }

    pub(crate) fn index_of(&self, metric: Metric) -> Option<usize> {
        self.comparisons
            .iter()
            .position(|c| c.entry.metric == metric)
    }

    fn excuse_of(&self, metric: Metric, evidence: &Evidence) -> Option<Excuse> {
        self.index_of(metric)
            .and_then(|index| evidence.excuses[index])
    }

    pub(crate) fn reaches_floors(&self, comparison: &Comparison) -> bool {
        let (bad, seconds) = comparison.canary_bad();
        bad >= self.config.errors.min_errors && seconds >= self.config.errors.min_seconds
    }

    /// Harm, if there is any. Nothing here fires without data of this very second.
    fn grounds_for_return(&self, t: i64, evidence: &Evidence) -> Option<(Reason, Vec<Cause>)> {
        self.stage.as_ref()?;
        let cluster = self.cluster(Metric::Errors);
        let outage = |paths: &FastPaths| {
            paths
                .outage(t, cluster)
                .or_else(|| paths.sparse_outage(t, cluster))
        };
        // Whoever always fails may have come over from stable, with as many requests:
        // that is no outage.
        let moved = self.excuse_of(Metric::Errors, evidence) == Some(Excuse::Reassigned)
            && self.surplus.part() >= CAME_OVER;
        let organic = outage(&self.organic).filter(|_| !moved);
        if let Some(window) = organic.or_else(|| outage(&self.synthetic)) {
            let causes = vec![
                cause(Label::Errors, Some(Metric::Errors)),
                cause(Label::Outage, None),
            ];
            return Some((Reason::Outage { window }, causes));
        }
        for (rail, state) in self.rail_states(t) {
            let moved = self.excuse_of(rail.0, evidence) == Some(Excuse::Reassigned);
            if let State::Broken(window) = state
                && !moved
            {
                let reason = Reason::NeverAbove {
                    metric: rail.0,
                    limit: rail.1,
                    window,
                };
                return Some((reason, self.guilty(t, rail.0, evidence)));
            }
        }
        let limit = 1.0 / self.config.alpha.rollback.get().clamp(1e-12, 1.0);
        if evidence.acting >= limit {
            let metric = self.leading_now(t, evidence);
            let reason = Reason::Harm {
                metric,
                log_m: log(evidence.acting),
            };
            return Some((reason, self.guilty(t, metric, evidence)));
        }
        self.burn_return(t, evidence)
    }

    /// The metric that contributes most among those that may act.
    fn leading_now(&self, t: i64, evidence: &Evidence) -> Metric {
        let latency_acts = self.warm_up.phase(t) == Phase::Armed;
        let scale = self.scale_of_weights();
        let contribution = |index: usize| {
            let entry = self.comparisons[index].entry;
            let routes = &evidence.routes[index];
            let each = entry.weight_of_routes / routes.len().max(1) as f64;
            let own = log(entry.weight * scale) + evidence.log_e[index];
            routes
                .values()
                .map(|log_e| log((each * scale).max(1e-300)) + log_e)
                .fold(own, f64::max)
        };
        (0..self.comparisons.len())
            .filter(|index| {
                let metric = self.comparisons[*index].entry.metric;
                (latency_acts || !metric.is_latency()) && evidence.is_the_versions(*index, metric)
            })
            .map(|index| (self.comparisons[index].entry.metric, contribution(index)))
            .chain(self.leading_series(t))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(evidence.leading, |(metric, _)| metric)
    }

    /// What the harm that `metric` shows comes from.
    pub(crate) fn guilty(&self, t: i64, metric: Metric, evidence: &Evidence) -> Vec<Cause> {
        let index = self.index_of(metric);
        let log_e = index.map(|index| evidence.log_e[index]);
        if metric.is_series() {
            let mut of_series = self.log_harm_of_series();
            return vec![Cause {
                log_e: of_series.find(|(own, _)| *own == metric).map(|(_, e)| e),
                ..cause(Label::Series, Some(metric))
            }];
        }
        let label = if !metric.is_latency() {
            Label::Errors
        } else if self.is_tail(evidence) {
            Label::Tail
        } else if self.drifts(t) {
            Label::Drift
        } else {
            Label::Latency
        };
        // Routes are weighed at p95; they tell for the other quantiles too.
        let by_route = if metric.is_latency() {
            Metric::P95
        } else {
            metric
        };
        let routes = self
            .index_of(by_route)
            .map(|index| self.named(&evidence.routes[index]))
            .unwrap_or_default();
        vec![Cause {
            label,
            metric: Some(metric),
            log_e,
            routes,
        }]
    }

    fn is_tail(&self, evidence: &Evidence) -> bool {
        let at = |metric| self.index_of(metric).map(|index| evidence.log_e[index]);
        at(Metric::P99).is_some_and(|e| e >= TAIL_NATS)
            && at(Metric::P50).is_none_or(|e| e < 0.0)
            && self.warm_up.gap() < TAIL_GAP
    }

    fn drifts(&self, t: i64) -> bool {
        let gap = self.warm_up.gap();
        self.warm_up.age(t) > DRIFT_AGE_S
            && gap > 0.0
            && gap - self.warm_up.early_gap() > DRIFT_PART * gap
    }

    /// Routes that are guilty by themselves: Benjamini and Hochberg's rule for e-values.
    fn named(&self, routes: &BTreeMap<u32, f64>) -> Vec<String> {
        let names = &self.route_names;
        crate::math::e_benjamini_hochberg(routes, NAMED)
            .into_iter()
            .filter_map(|route| names.get(route as usize).cloned())
            .collect()
    }

    /// On how many of the canary's instances the failures of the last minute lie.
    pub(crate) fn spread(&self, t: i64) -> Spread {
        let mut instances: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for recent in self.organic.last(t, ONE_HOST_S) {
            for (instance, (served, failed)) in &recent.instances {
                let sum = instances.entry(*instance).or_default();
                sum.0 += served;
                sum.1 += failed;
            }
        }
        hosts::spread(&instances, self.service_rate())
    }

    fn rail_states(&self, t: i64) -> Vec<((Metric, f64), State)> {
        let mut states = Vec::new();
        for (index, rail) in self.rails.iter().enumerate() {
            let cluster = self.cluster(rail.metric);
            let burst_s = self.burst_s(rail.metric);
            for paths in [&self.organic, &self.synthetic] {
                let state = rail.state(index, paths, t, cluster, burst_s);
                states.extend(state.map(|state| ((rail.metric, rail.limit), state)));
            }
        }
        states
    }

    /// Seconds that known bursts of a metric's bad events last.
    fn burst_s(&self, metric: Metric) -> u64 {
        let own = self.comparisons.iter().find(|c| c.entry.metric == metric);
        let blocks = own.map_or(0, Comparison::burst_blocks);
        let longest = blocks.max(long_bursts(&self.comparisons));
        u64::from(longest) * u64::from(self.config.evidence.block_s)
    }

    /// In what size the baseline's bad events of a metric come.
    pub(crate) fn cluster(&self, metric: Metric) -> f64 {
        let comparison = self.comparisons.iter().find(|c| c.entry.metric == metric);
        comparison.map_or(1.0, Comparison::burstiness)
    }

    fn shared_rail(&self, t: i64) -> Option<(Metric, Window)> {
        self.rail_states(t)
            .into_iter()
            .find_map(|((metric, _), state)| match state {
                State::Shared(window) => Some((metric, window)),
                State::Broken(_) => None,
            })
    }

    /// Why not to go on, the weightiest first; `Proven` when nothing speaks against it.
    fn grounds_for_holding(&self, t: i64, evidence: &Evidence) -> Reason {
        let Some(stage) = &self.stage else {
            return Reason::NotStarted;
        };
        let absent = self.absence(t, stage);
        if matches!(absent, Some(Reason::NoBaseline { .. }))
            && let Some(burning) = self.burn_hold(t, evidence)
        {
            return burning;
        }
        if self.stands_alone(absent.as_ref()) {
            // Nothing serves beside it, and its own numbers still tell.
            let watched = age(stage, t) >= i64::from(stage.info.min_watch_s);
            let own = self.held_by_series(t);
            let own = own.or_else(|| self.missing_series(t, true).filter(|_| watched));
            return own.or(absent).unwrap_or(Reason::NotStarted);
        }
        if let Some(reason) = absent.or_else(|| self.blind_series(t)) {
            return reason;
        }
        if let Some((metric, window)) = self.shared_rail(t) {
            return Reason::SharedLimit { metric, window };
        }
        if self.witness.sees_fault() {
            return Reason::SharedFault {
                log_e: self.witness.log_evidence(),
            };
        }
        if evidence.spread == Spread::FewHosts {
            return Reason::BadHost {
                metric: Metric::Errors,
            };
        }
        if evidence.m > SUSPICIOUS {
            let metric = evidence.leading;
            match self.excuse_of(metric, evidence) {
                Some(Excuse::Reassigned) => return Reason::Reassigned { metric },
                Some(Excuse::BaselineMoved) => return Reason::BaselineMoved { metric },
                None => {}
            }
            return Reason::Suspicious {
                metric: evidence.leading,
                log_m: log(evidence.m),
            };
        }
        let own = self.held_by_series(t);
        if let Some(reason) = own.or_else(|| self.burn_hold(t, evidence)) {
            return reason;
        }
        let armed_in = self.warm_up.armed_at().map_or(0, |at| at - t);
        if self.warm_up.phase(t) == Phase::Cold {
            return Reason::ColdStart { left_s: armed_in };
        }
        let needed = self.config.bake.min_requests;
        let left_s = i64::from(stage.info.min_watch_s) - age(stage, t);
        if left_s > 0 || armed_in > 0 {
            return Reason::Watching {
                left_s: left_s.max(armed_in),
            };
        }
        if stage.report.canary_requests() < needed {
            return Reason::TooLittle {
                requests: stage.report.canary_requests(),
                needed,
            };
        }
        if let Some(reason) = self.missing_series(t, true) {
            return reason;
        }
        if stage.info.comparable == Comparable::NotRandom {
            return Reason::NotComparable;
        }
        if let Some(route) = self.too_good(evidence) {
            return Reason::TooGood { route };
        }
        match self
            .unproven_series()
            .or_else(|| self.farthest_from_proof())
        {
            Some((metric, missing)) => Reason::Unproven { metric, missing },
            None => Reason::Proven,
        }
    }

    /// Data that is not there: never a proof, never a guilt.
    pub(crate) fn absence(&self, t: i64, stage: &Stage) -> Option<Reason> {
        let silent = self.silent_s;
        let tolerated = i64::try_from(self.config.blind.hold.as_secs()).unwrap_or(i64::MAX);
        if silent > 0 && silent >= tolerated {
            return Some(Reason::Blind { for_s: silent });
        }
        if silent >= MISSING_S {
            return Some(Reason::MissingData { for_s: silent });
        }
        let since = |last: Option<i64>| last.map_or(age(stage, t), |last| t - last);
        let served = stage.report.canary_requests();
        let misrouted = stage.misrouted;
        if misrouted >= MISROUTED && misrouted as f64 > MISROUTED_PART * served as f64 {
            return Some(Reason::SplitMismatch { misrouted, served });
        }
        if stage.last_canary.is_none() || since(stage.last_canary) >= SILENCE_S {
            return Some(Reason::NoTraffic {
                for_s: since(stage.last_canary),
            });
        }
        let for_s = since(stage.last_baseline);
        (for_s >= SILENCE_S).then_some(Reason::NoBaseline { for_s })
    }

    fn too_good(&self, evidence: &Evidence) -> Option<String> {
        let slower = [Metric::P95, Metric::P99].into_iter().any(|metric| {
            let index = self.index_of(metric);
            index.is_some_and(|index| evidence.log_e[index] > SLOWER_NATS)
        });
        let route = self.stage.as_ref()?.mix.too_good(slower)?;
        self.route_names.get(route as usize).cloned()
    }

    pub(crate) fn farthest_from_proof(&self) -> Option<(Metric, f64)> {
        let needed = proof_nats(&self.config);
        self.gates()
            .map(|c| (c.entry.metric, needed - c.log_harmless()))
            .filter(|(_, missing)| *missing > 0.0)
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    pub(crate) fn gates(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons
            .iter()
            .filter(|c| c.entry.gate == Gate::Proof)
    }

    /// Labels beside a hold.
    fn context(&self, t: i64, evidence: &Evidence) -> Vec<Cause> {
        let mut causes = Vec::new();
        if let Some(reason) = self.stage.as_ref().and_then(|stage| self.absence(t, stage)) {
            causes.push(cause(
                match reason {
                    Reason::SplitMismatch { .. } => Label::SampleRatioMismatch,
                    Reason::NoTraffic { .. } => Label::NoTraffic,
                    Reason::NoBaseline { .. } => Label::NoConcurrentBaseline,
                    _ => Label::MissingData,
                },
                None,
            ));
        }
        if let Some(metric) = self.lacking_series(t) {
            causes.push(cause(Label::MissingData, Some(metric)));
        }
        if self.witness.sees_fault() || self.shared_rail(t).is_some() {
            causes.push(Cause {
                log_e: Some(self.witness.log_evidence()),
                ..cause(Label::SharedDependency, None)
            });
        }
        let known = causes.iter().any(|c| c.label == Label::SharedDependency);
        let burning = self.burn_context(t, evidence);
        causes.extend(burning.filter(|c| c.label != Label::SharedDependency || !known));
        if self.warm_up.is_cold() || self.warm_up.phase(t) == Phase::Cold {
            causes.push(cause(Label::ColdStart, None));
        }
        if evidence.m > SUSPICIOUS {
            let metric = evidence.leading;
            let excused = match self.excuse_of(metric, evidence) {
                Some(Excuse::Reassigned) => Some(Label::TrafficReassigned),
                Some(Excuse::BaselineMoved) => Some(Label::BaselineMoved),
                None => None,
            };
            match excused {
                Some(label) => causes.push(cause(label, Some(metric))),
                None => causes.extend(self.guilty(t, metric, evidence)),
            }
        }
        if evidence.spread == Spread::FewHosts {
            causes.push(cause(Label::BadHost, Some(Metric::Errors)));
        }
        if self.stage.as_ref().is_some_and(|stage| stage.mix.differs()) {
            causes.push(cause(Label::TrafficMix, None));
        }
        if let Some(route) = self.too_good(evidence) {
            causes.push(Cause {
                routes: vec![route],
                ..cause(Label::TooGood, None)
            });
        }
        causes
    }

    fn speak(
        &self,
        t: i64,
        decision: Decision,
        reason: Reason,
        causes: Vec<Cause>,
        evidence: &Evidence,
    ) -> Verdict {
        let standing = if evidence.m > SUSPICIOUS {
            Standing::Suspicious
        } else if evidence.m > QUIET {
            Standing::Unclear
        } else {
            Standing::Quiet
        };
        let [baseline, canary] = self
            .stage
            .as_ref()
            .map(|s| s.report.observed())
            .unwrap_or_default();
        let log_e: BTreeMap<Metric, f64> = self
            .comparisons
            .iter()
            .zip(&evidence.log_e)
            .map(|(c, e)| (c.entry.metric, *e))
            .chain(self.log_harm_of_series())
            .collect();
        let log_ni = self
            .gates()
            .map(|c| (c.entry.metric, c.log_harmless()))
            .chain(self.log_harmless_of_series())
            .collect();
        let word = match decision {
            Decision::Proceed => "PROCEED",
            Decision::Hold => "HOLD",
            Decision::Rollback => "ROLLBACK",
        };
        let summary = format!(
            "{word}: {reason}; canary failed {} of {}, stable {} of {} in this stage",
            canary.failures, canary.requests, baseline.failures, baseline.requests
        );
        Verdict {
            at: t,
            decision,
            summary,
            eta_s: self.eta(t, &reason),
            reason,
            causes,
            standing,
            progress: self.progress(t, canary.requests),
            log_m: log(evidence.m),
            log_e,
            log_ni,
            canary,
            baseline,
            margins: self.margins.clone(),
            silent_s: self.silent_s,
        }
    }
}

pub(crate) fn age(stage: &Stage, t: i64) -> i64 {
    (t - stage.info.entered_at_s + 1).max(0)
}

fn cause(label: Label, metric: Option<Metric>) -> Cause {
    Cause {
        metric,
        ..Cause::of(label)
    }
}
