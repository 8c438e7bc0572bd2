//! How far a stage is, how long a proof will take, and what is proved so far.

use crate::assess::age;
use crate::comparison::proof_nats;
use crate::judge::Judge;
use crate::metric::Counting;
use crate::report::Margin;
use crate::second::Comparable;
use crate::verdict::{Progress, Reason};

impl Judge {
    /// How far the stage is.
    pub(crate) fn progress(&self, t: i64, requests: u64) -> Progress {
        let age_s = self.stage.as_ref().map_or(0, |stage| age(stage, t));
        let watch = self
            .stage
            .as_ref()
            .map_or(0, |stage| i64::from(stage.info.min_watch_s));
        let comparable = self
            .stage
            .as_ref()
            .is_some_and(|s| s.info.comparable == Comparable::Random);
        Progress {
            age_s,
            watched: self.stage.is_some() && age_s >= watch,
            floor_reached: self.stage.is_some() && requests >= self.config.floor.min_requests,
            proven: comparable
                && self.farthest_from_proof().is_none()
                && self.unproven_series().is_none(),
        }
    }

    /// Seconds to a proof at the present pace.
    pub(crate) fn eta(&self, t: i64, reason: &Reason) -> Option<u64> {
        let waits = match reason {
            Reason::Watching { left_s } | Reason::ColdStart { left_s } => *left_s,
            Reason::TooLittle { .. } | Reason::Unproven { .. } => 0,
            _ => return None,
        };
        let needed = proof_nats(&self.config);
        let block_s = f64::from(self.config.evidence.block_s.max(1));
        let mut seconds = waits as f64;
        for comparison in self.gates() {
            let missing = needed - comparison.log_harmless();
            if missing > 0.0 {
                let pace = comparison.pace().filter(|pace| *pace > 0.0)?;
                seconds = seconds.max(libm::ceil(missing / pace) * block_s);
            }
        }
        let stage = self.stage.as_ref()?;
        let seen = stage.report.canary_requests();
        let lacking = self.config.bake.min_requests.saturating_sub(seen);
        if lacking > 0 {
            let rate = seen as f64 / age(stage, t).max(1) as f64;
            seconds = seconds.max(lacking as f64 / rate);
        }
        (seconds.is_finite() && seconds < 1e9).then_some(libm::ceil(seconds) as u64)
    }

    /// What is proved about the gate metrics in this stage.
    pub(crate) fn proved_margins(&self) -> Vec<Margin> {
        let Some(stage) = self
            .stage
            .as_ref()
            .filter(|s| s.info.comparable == Comparable::Random)
        else {
            return Vec::new();
        };
        let delta = self.error_margins().delta_harmless;
        self.gates()
            .filter_map(|c| match c.entry.metric.counting() {
                Counting::Events(_) => {
                    Some(stage.report.error_margin(&self.config, delta, c.phi()))
                }
                Counting::SlowerThan(q) => {
                    stage
                        .report
                        .latency_margin(&self.config, c.entry.metric, q, c.phi())
                }
            })
            .collect()
    }
}
