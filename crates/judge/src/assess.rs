//! From evidence to a verdict: the order of what outranks what.

use crate::comparison::{Comparison, combine, proof_nats};
use crate::fast::{FastPaths, Window};
use crate::judge::{Judge, Stage};
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
/// Misrouted requests that void a comparison: so many, and this part of the served.
const MISROUTED: u64 = 10;
const MISROUTED_PART: f64 = 0.05;

/// Everything that a verdict is made from, computed once a second.
struct Evidence {
    log_e: Vec<f64>,
    /// Combined evidence.
    m: f64,
    /// Combined evidence of what may act now.
    acting: f64,
    /// The metric that contributes most.
    leading: Metric,
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
        let log_e = self.log_harm();
        let latency_acts = self.warm_up.phase(t) == Phase::Armed;
        let (mut all, mut acting) = (Vec::new(), Vec::new());
        for (comparison, log_e) in self.comparisons.iter().zip(&log_e) {
            let weight = comparison.entry.weight;
            let acts = if comparison.entry.metric.is_latency() {
                latency_acts
            } else {
                self.reaches_floors(comparison)
            };
            all.push((weight, *log_e));
            acting.push((weight, if acts { *log_e } else { log_e.min(0.0) }));
        }
        let part = |(comparison, log_e): (&Comparison, &f64)| {
            (
                comparison.entry.metric,
                log(comparison.entry.weight) + log_e,
            )
        };
        let leading = self
            .comparisons
            .iter()
            .zip(&log_e)
            .map(part)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(Metric::Errors, |(metric, _)| metric);
        Evidence {
            m: combine(&all),
            acting: combine(&acting),
            log_e,
            leading,
        }
    }

    fn reaches_floors(&self, comparison: &Comparison) -> bool {
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
        if let Some(window) = outage(&self.organic).or_else(|| outage(&self.synthetic)) {
            let causes = vec![
                cause(Label::Errors, Some(Metric::Errors)),
                cause(Label::Outage, None),
            ];
            return Some((Reason::Outage { window }, causes));
        }
        for (rail, state) in self.rail_states(t) {
            if let State::Broken(window) = state {
                let reason = Reason::NeverAbove {
                    metric: rail.0,
                    limit: rail.1,
                    window,
                };
                return Some((reason, vec![cause(label_of(rail.0), Some(rail.0))]));
            }
        }
        let limit = 1.0 / self.config.alpha.rollback.get().clamp(1e-12, 1.0);
        if evidence.acting >= limit {
            let metric = self.leading_now(t, evidence);
            let reason = Reason::Harm {
                metric,
                log_m: log(evidence.acting),
            };
            return Some((reason, self.guilty(metric, evidence)));
        }
        None
    }

    /// The metric that contributes most among those that may act.
    fn leading_now(&self, t: i64, evidence: &Evidence) -> Metric {
        let latency_acts = self.warm_up.phase(t) == Phase::Armed;
        if evidence.leading.is_latency() && !latency_acts {
            Metric::Errors
        } else {
            evidence.leading
        }
    }

    fn guilty(&self, metric: Metric, evidence: &Evidence) -> Vec<Cause> {
        let log_e = self
            .comparisons
            .iter()
            .zip(&evidence.log_e)
            .find(|(c, _)| c.entry.metric == metric)
            .map(|(_, e)| *e);
        vec![Cause {
            label: label_of(metric),
            metric: Some(metric),
            log_e,
        }]
    }

    fn rail_states(&self, t: i64) -> Vec<((Metric, f64), State)> {
        let mut states = Vec::new();
        for (index, rail) in self.rails.iter().enumerate() {
            let cluster = self.cluster(rail.metric);
            for paths in [&self.organic, &self.synthetic] {
                let state = rail.state(index, paths, t, cluster);
                states.extend(state.map(|state| ((rail.metric, rail.limit), state)));
            }
        }
        states
    }

    /// In what size the baseline's bad events of a metric come.
    fn cluster(&self, metric: Metric) -> f64 {
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
        if let Some(reason) = self.absence(t, stage) {
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
        if evidence.m > SUSPICIOUS {
            return Reason::Suspicious {
                metric: evidence.leading,
                log_m: log(evidence.m),
            };
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
        if stage.info.comparable == Comparable::NotRandom {
            return Reason::NotComparable;
        }
        match self.farthest_from_proof() {
            Some((metric, missing)) => Reason::Unproven { metric, missing },
            None => Reason::Proven,
        }
    }

    /// Data that is not there: never a proof, never a guilt.
    fn absence(&self, t: i64, stage: &Stage) -> Option<Reason> {
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
        if self.witness.sees_fault() || self.shared_rail(t).is_some() {
            causes.push(Cause {
                log_e: Some(self.witness.log_evidence()),
                ..cause(Label::SharedDependency, None)
            });
        }
        if self.warm_up.phase(t) == Phase::Cold {
            causes.push(cause(Label::ColdStart, None));
        }
        if evidence.m > SUSPICIOUS {
            causes.extend(self.guilty(evidence.leading, evidence));
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
            .collect();
        let log_ni = self
            .gates()
            .map(|c| (c.entry.metric, c.log_harmless()))
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

const fn label_of(metric: Metric) -> Label {
    if metric.is_latency() {
        Label::Latency
    } else {
        Label::Errors
    }
}

const fn cause(label: Label, metric: Option<Metric>) -> Cause {
    Cause {
        label,
        metric,
        log_e: None,
    }
}
