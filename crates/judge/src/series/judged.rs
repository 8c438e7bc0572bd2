//! What series add to a judge: their evidence beside that of requests, and their lacks.

use super::pairs::{Mode, SeriesTest};
use super::{Lack, SeriesValue};
use crate::comparison::proof_nats;
use crate::judge::Judge;
use crate::metric::Metric;
use crate::second::Comparable;
use crate::verdict::Reason;
use crate::warm_up::Phase;
use esclusa_model::BasisPoints;
use libm::log;

/// The weight of one series beside all metrics of requests, which together weigh one.
const WEIGHT: f64 = 0.15;
/// Readings that wait for their second; more are no measurement.
const MOST_QUEUED: usize = 10_000;

/// See [`Judge::scale_of_weights`].
pub(crate) fn scale_of_weights(series: usize) -> f64 {
    if series == 0 {
        return 1.0;
    }
    1.0 / (1.0 + WEIGHT * series as f64)
}

impl Judge {
    /// Takes a reading of a series. It is weighed with the first second that is not before
    /// it; one of a series that nobody configured is ignored.
    pub fn take_series(&mut self, value: SeriesValue) {
        let known = self.series.iter().any(|s| s.config.name == value.name);
        if known && self.readings.len() < MOST_QUEUED {
            self.readings.push(value);
        }
    }

    /// Weighs the readings up to `t`.
    pub(crate) fn take_readings(&mut self, t: i64) {
        if self.series.is_empty() {
            return;
        }
        let mode = self.series_mode();
        let alpha = self.alpha_of_proof();
        let requests = self.served;
        let (due, later) = std::mem::take(&mut self.readings)
            .into_iter()
            .partition::<Vec<_>, _>(|value| value.t <= t);
        self.readings = later;
        for value in due {
            let series = self.series.iter_mut();
            for test in series.filter(|s| s.config.name == value.name) {
                test.take(&value, mode, requests, alpha);
            }
        }
        if self.nobody_is_compared(t) {
            self.series.iter_mut().for_each(|s| s.excuse(t));
        }
    }

    fn series_mode(&self) -> Mode {
        match &self.stage {
            Some(stage) if stage.info.share == BasisPoints::FULL => Mode::Remember,
            Some(stage) if stage.info.comparable == Comparable::Random => Mode::Compare,
            Some(_) | None => Mode::Follow,
        }
    }

    fn alpha_of_proof(&self) -> f64 {
        self.config.alpha.proceed.get().clamp(1e-12, 0.5)
    }

    /// What weights are multiplied by so that those of all series fit beside them; exactly
    /// one without any.
    pub(crate) fn scale_of_weights(&self) -> f64 {
        scale_of_weights(self.series.len())
    }

    /// The weight of one series.
    pub(crate) fn weight_of_series(&self) -> f64 {
        WEIGHT * self.scale_of_weights()
    }

    /// Log evidence of each series for harm.
    pub(crate) fn log_harm_of_series(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.series
            .iter()
            .map(|s| (Metric::Series(s.config.name), s.log_harm()))
    }

    /// Log evidence of each required series for harmlessness.
    pub(crate) fn log_harmless_of_series(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        let alpha = self.alpha_of_proof();
        self.required()
            .map(move |s| (Metric::Series(s.config.name), s.log_harmless(alpha)))
    }

    pub(crate) fn required(&self) -> impl Iterator<Item = &SeriesTest> {
        self.series.iter().filter(|s| s.config.required)
    }

    /// The series that leads those whose evidence may act now.
    pub(crate) fn leading_series(&self, t: i64) -> Option<(Metric, f64)> {
        let weight = log(self.weight_of_series());
        self.log_harm_of_series()
            .filter(|_| self.warm_up.phase(t) == Phase::Armed)
            .map(|(metric, log_e)| (metric, weight + log_e))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The required series that is farthest from its proof.
    pub(crate) fn unproven_series(&self) -> Option<(Metric, f64)> {
        let needed = proof_nats(&self.config);
        self.log_harmless_of_series()
            .map(|(metric, log_ni)| (metric, needed - log_ni))
            .filter(|(_, missing)| *missing > 0.0)
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// A required series that nobody has seen for longer than the plan tolerates.
    pub(crate) fn blind_series(&self, t: i64) -> Option<Reason> {
        self.stage.as_ref()?;
        let rule_s = i64::try_from(self.config.blind.hold.as_secs()).unwrap_or(i64::MAX);
        self.series.iter().find_map(|s| {
            let for_s = s.blind_for(t, rule_s)?;
            Some(Reason::BlindSeries {
                metric: Metric::Series(s.config.name),
                for_s,
                why: s.lack(t, true).and_then(|lack| lack.why),
            })
        })
    }

    /// Why a required series was not seen for longer than tolerated, as of the last second.
    /// While nobody is served, nothing can be seen, and that is no lack of the series.
    #[must_use]
    pub fn unread(&self) -> Option<Reason> {
        self.returned.is_none().then_some(())?;
        self.blind_series(self.last_second()?)
    }

    /// A series that lacks values; also one that had none yet when `all_told`.
    pub(crate) fn missing_series(&self, t: i64, all_told: bool) -> Option<Reason> {
        self.stage.as_ref()?;
        self.series.iter().find_map(|s| {
            let Lack {
                for_s,
                pairs,
                expected,
                why,
            } = s.lack(t, all_told)?;
            Some(Reason::MissingSeries {
                metric: Metric::Series(s.config.name),
                for_s,
                pairs,
                expected,
                why,
            })
        })
    }

    /// What series have against going on: unseen for too long, worse than before, missing.
    pub(crate) fn held_by_series(&self, t: i64) -> Option<Reason> {
        let worse = || {
            let (metric, log_m) = self.series_worse_than_before()?;
            Some(Reason::Suspicious { metric, log_m })
        };
        self.blind_series(t)
            .or_else(worse)
            .or_else(|| self.missing_series(t, false))
    }

    /// The series that lacks values now.
    pub(crate) fn lacking_series(&self, t: i64) -> Option<Metric> {
        match self.missing_series(t, false)? {
            Reason::MissingSeries { metric, .. } => Some(metric),
            _ => None,
        }
    }

    /// Whether what is absent is only stable's traffic, as it has to be at 100 %.
    pub(crate) fn stands_alone(&self, absent: Option<&Reason>) -> bool {
        matches!(absent, Some(Reason::NoBaseline { .. })) && self.series_mode() == Mode::Remember
    }

    /// Whether no pair can be expected: nobody is served, or nothing is counted.
    fn nobody_is_compared(&self, t: i64) -> bool {
        let absent = self.stage.as_ref().and_then(|stage| self.absence(t, stage));
        absent.is_some() && !self.stands_alone(absent.as_ref())
    }

    /// A series that is worse at 100 % than stable was. Nobody serves beside the canary
    /// then, so this may be the time of day: it holds and never returns anybody.
    pub(crate) fn series_worse_than_before(&self) -> Option<(Metric, f64)> {
        if self.series_mode() != Mode::Remember {
            return None;
        }
        let alpha = self.alpha_of_proof();
        self.series
            .iter()
            .map(|s| (Metric::Series(s.config.name), s.log_alone(alpha)))
            .filter(|(_, log_e)| *log_e >= proof_nats(&self.config))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }
}
