//! Whose fault it is that an error budget burns, and what follows.
//!
//! A budget that burns is a fact about users, not yet about the canary. The canary is
//! blamed when its comparison says so as well, or when there is nobody to compare it
//! with and stable was well before. A fault that both share holds: taking the canary
//! back would not mend it.

use crate::assess::Evidence;
use crate::burn::{Objective, Spent, Tracked, Who};
use crate::fast::Window;
use crate::hosts::Spread;
use crate::judge::Judge;
use crate::metric::Metric;
use crate::rails::stands_above_stable;
use crate::second::Comparable;
use crate::verdict::{Cause, Label, Reason};
use crate::warm_up::Phase;
use esclusa_model::BasisPoints;

/// Fewest bad events that may return a canary by its budget alone.
const FEWEST: u64 = 10;
/// ln 20: evidence from which the comparison supports the blame.
const SUPPORT_NATS: f64 = 2.995_732_273_553_991;
/// Least time of a canary before it is blamed without a comparison.
const SEEN_S: i64 = 60;
/// Seconds without stable traffic after which there is nobody to compare with.
const ALONE_S: i64 = 30;

const LATENCY: [Metric; 3] = [Metric::P99, Metric::P95, Metric::P50];

/// Who is to blame for a burn.
enum Blame {
    /// The canary; the metric that shows it.
    Canary(Spent, Metric),
    /// Both, or whatever both use.
    Shared(Spent),
    /// Not known yet.
    Unclear(Spent),
}

impl Judge {
    /// A return, when the canary is to blame for a burn.
    pub(crate) fn burn_return(&self, t: i64, evidence: &Evidence) -> Option<(Reason, Vec<Cause>)> {
        let Some(Blame::Canary(spent, metric)) = self.blame(t, evidence) else {
            return None;
        };
        let mut causes = self.guilty(t, metric, evidence);
        if self.is_alone(t) {
            causes.push(Cause::of(Label::NoConcurrentBaseline));
        }
        Some((Reason::SloBurn { spent }, causes))
    }

    /// A hold, when a budget burns and the canary is not to blame, or not yet.
    pub(crate) fn burn_hold(&self, t: i64, evidence: &Evidence) -> Option<Reason> {
        match self.blame(t, evidence)? {
            Blame::Shared(spent) => Some(Reason::SharedBurn { spent }),
            Blame::Canary(spent, _) | Blame::Unclear(spent) => Some(Reason::SloBurning { spent }),
        }
    }

    /// The label that goes with such a hold.
    pub(crate) fn burn_context(&self, t: i64, evidence: &Evidence) -> Option<Cause> {
        self.burn_hold(t, evidence).map(|reason| {
            Cause::of(match reason {
                Reason::SharedBurn { .. } => Label::SharedDependency,
                _ => Label::SloBurn,
            })
        })
    }

    /// The weightiest answer over all objectives.
    fn blame(&self, t: i64, evidence: &Evidence) -> Option<Blame> {
        self.stage.as_ref()?;
        let found: Vec<Blame> = self
            .burn
            .objectives()
            .iter()
            .filter_map(|tracked| self.blame_for(tracked, t, evidence))
            .collect();
        let weight = |blame: &Blame| match blame {
            Blame::Canary(..) => 2,
            Blame::Shared(_) => 1,
            Blame::Unclear(_) => 0,
        };
        found.into_iter().max_by_key(weight)
    }

    fn blame_for(&self, tracked: &Tracked, t: i64, evidence: &Evidence) -> Option<Blame> {
        let everybody = tracked.spent(t, Who::Everybody);
        let stable = tracked.stable_spends(t);
        let canary = tracked.spent(t, Who::Canary);
        let shared = everybody.filter(|spent| stable == Some(true) && spent.bad >= FEWEST);
        let Some(spent) = canary else {
            return shared.map(Blame::Shared);
        };
        let enough = spent.bad >= FEWEST;
        if enough && let Some(metric) = self.supports(tracked.objective, t, evidence) {
            return Some(Blame::Canary(spent, metric));
        }
        if let Some(spent) = shared {
            return Some(Blame::Shared(spent));
        }
        let first = match tracked.objective {
            Objective::Availability => Metric::Errors,
            Objective::Latency { .. } => Metric::P99,
        };
        let alone = !self.is_compared(t) && stable != Some(true);
        if enough && alone && self.stands_out(tracked, &spent, first, t) {
            return Some(Blame::Canary(spent, first));
        }
        Some(Blame::Unclear(spent))
    }

    /// Whether the canary has far more bad events than stable ever had, counted in units
    /// of the size in which stable's own come: a burst is no fault of a version.
    fn stands_out(&self, tracked: &Tracked, spent: &Spent, metric: Metric, t: i64) -> bool {
        let (baseline_bad, baseline) = tracked.stable_was(t);
        let window = Window {
            seconds: spent.seconds,
            canary: spent.all,
            canary_bad: spent.bad,
            baseline,
            baseline_bad,
        };
        let cluster = self.cluster(metric);
        // A burst in the first seconds is all that such a window holds.
        tracked.canary_seen_s(t) >= SEEN_S
            && spent.bad as f64 >= FEWEST as f64 * cluster
            && stands_above_stable(&window, cluster)
    }

    /// The metric by which the comparison says that the canary is worse, too.
    fn supports(&self, objective: Objective, t: i64, evidence: &Evidence) -> Option<Metric> {
        if !self.is_compared(t) {
            return None;
        }
        let metrics = match objective {
            Objective::Availability if evidence.spread != Spread::Version => return None,
            Objective::Availability => &[Metric::Errors][..],
            Objective::Latency { .. } if self.warm_up.phase(t) != Phase::Armed => return None,
            Objective::Latency { .. } => &LATENCY,
        };
        metrics.iter().copied().find(|metric| {
            self.index_of(*metric).is_some_and(|index| {
                evidence.log_e[index] >= SUPPORT_NATS
                    && evidence.excuses[index].is_none()
                    && (metric.is_latency() || self.reaches_floors(&self.comparisons[index]))
            })
        })
    }

    /// Whether evidence by comparison is gathered now.
    fn is_compared(&self, t: i64) -> bool {
        let random = |stage: &crate::judge::Stage| stage.info.comparable == Comparable::Random;
        self.stage.as_ref().is_some_and(random) && !self.is_alone(t)
    }

    /// Whether stable serves nobody beside the canary.
    fn is_alone(&self, t: i64) -> bool {
        self.stage.as_ref().is_some_and(|stage| {
            let silent = stage.last_baseline.is_none_or(|last| t - last >= ALONE_S);
            stage.info.share == BasisPoints::FULL
                || silent && crate::assess::age(stage, t) >= ALONE_S
        })
    }
}
