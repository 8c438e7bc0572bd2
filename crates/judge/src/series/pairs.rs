//! One series: its readings paired, its pairs weighed.

use super::attendance::Attendance;
use super::config::{Direction, Per, Series, SeriesKind};
use super::onset::Onset;
use super::run::{Bet, Run};
use super::serial::{WINDOW, is_correlated};
use super::{Lack, SeriesValue};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Pairs of which a proof of harmlessness consists at most: it rests on fresh data.
const TRAILING_SIGN: usize = 24;
const TRAILING_MEAN: usize = 60;
/// Stable's last values beside a canary, which are remembered for when it serves nobody.
const REMEMBERED: usize = 60;

/// What pairs are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are only followed: no stage yet, or one that cannot be compared.
    Follow,
    /// They are compared.
    Compare,
    /// The canary is compared with what stable was: it serves nobody any more.
    Remember,
}

/// A reading that waits for the other version's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reading {
    t: i64,
    value: Option<f64>,
    why: Option<String>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesTest {
    pub(crate) config: Series,
    attendance: Attendance,
    waiting: [Option<Reading>; 2],
    /// Both counters, and the requests of both versions, at the pair before.
    before: Option<([f64; 2], [u64; 2])>,
    /// By how much the last pairs were worse.
    worse: VecDeque<f64>,
    /// Whether the pair before counted.
    counted: bool,
    harm: Onset,
    harmless: VecDeque<(bool, f64)>,
    stable: VecDeque<f64>,
    /// Against what stable was.
    alone: Run,
    log_harm: f64,
}

impl SeriesTest {
    pub(crate) fn new(config: Series) -> Self {
        Self {
            config,
            attendance: Attendance::default(),
            waiting: [None, None],
            before: None,
            worse: VecDeque::new(),
            counted: false,
            harm: Onset::default(),
            harmless: VecDeque::new(),
            stable: VecDeque::new(),
            alone: Run::default(),
            log_harm: 0.0,
        }
    }

    /// Seconds between readings, as configured.
    pub(crate) fn every_s(&self) -> i64 {
        i64::try_from(self.config.every.as_secs())
            .unwrap_or(i64::MAX)
            .max(1)
    }

    /// A stage begins: harmlessness is proved anew.
    pub(crate) fn enter_stage(&mut self, t: i64) {
        self.attendance.enter_stage(t);
        self.harmless.clear();
    }

    /// Nobody is served, so nothing is expected.
    pub(crate) fn excuse(&mut self, t: i64) {
        self.attendance.excuse(t);
    }

    /// What was slow only at first is not held against the canary.
    pub(crate) fn restart_harm(&mut self) {
        self.harm = Onset::default();
        self.log_harm = 0.0;
    }

    /// Takes a reading; the `requests` of both versions so far go with it.
    pub(crate) fn take(&mut self, value: &SeriesValue, mode: Mode, requests: [u64; 2], alpha: f64) {
        let side = value.side.index();
        if let Some(left) = self.waiting[side].take() {
            self.attendance.missed(left.t, left.why);
        }
        let number = value.value.filter(|v| v.is_finite());
        let reading = Reading {
            t: value.t,
            value: number,
            why: value.why.clone(),
        };
        let apart = (self.every_s() / 2).max(1);
        match self.waiting[1 - side].take() {
            Some(other) if (other.t - reading.t).abs() <= apart => {
                let t = other.t.max(reading.t);
                let why = reading.why.or(other.why);
                match (other.value, reading.value) {
                    (Some(first), Some(second)) => {
                        let pair = if side == 1 {
                            [first, second]
                        } else {
                            [second, first]
                        };
                        self.pair(t, pair, mode, requests, alpha);
                    }
                    _ => self.attendance.missed(t, why),
                }
            }
            other => {
                if let Some(other) = other {
                    self.attendance.missed(other.t, other.why);
                }
                self.waiting[side] = Some(reading);
            }
        }
    }

    fn pair(&mut self, t: i64, pair: [f64; 2], mode: Mode, requests: [u64; 2], alpha: f64) {
        let Some([stable, canary]) = self.compared(pair, requests) else {
            // A first reading of counters is their beginning, and no lack.
            self.attendance.met(t);
            return;
        };
        let canary_known = canary.is_finite();
        let stable_known = stable.is_finite() || mode == Mode::Remember;
        if !canary_known || !stable_known {
            let why = "no request was served meanwhile";
            return self.attendance.missed(t, Some(why.to_owned()));
        }
        self.attendance.met(t);
        match mode {
            Mode::Follow => {}
            Mode::Compare => self.compare(stable, canary, alpha),
            Mode::Remember => {
                if let Some(stable) = self.remembered() {
                    let (by, margin) = self.worse_by(stable, canary);
                    self.alone.add(by > margin, by - margin);
                }
            }
        }
    }

    /// What is compared of two readings; nothing where they only begin, no number where
    /// there is none.
    fn compared(&mut self, pair: [f64; 2], requests: [u64; 2]) -> Option<[f64; 2]> {
        if self.config.kind != SeriesKind::Counter {
            return Some(pair);
        }
        let (values, served) = self.before.replace((pair, requests))?;
        let side = |at: usize| {
            // A counter that falls began anew, at zero.
            let increase = if pair[at] < values[at] {
                pair[at]
            } else {
                pair[at] - values[at]
            };
            match self.config.per {
                None => increase,
                Some(Per::Request) => increase / requests[at].saturating_sub(served[at]) as f64,
            }
        };
        Some([side(0), side(1)])
    }

    /// By how much the canary's value is worse, and how much is tolerated.
    fn worse_by(&self, stable: f64, canary: f64) -> (f64, f64) {
        let by = match self.config.direction {
            Direction::Up => canary - stable,
            Direction::Down => stable - canary,
        };
        (by, self.config.margin.get() * stable.abs())
    }

    fn compare(&mut self, stable: f64, canary: f64, alpha: f64) {
        push(&mut self.stable, stable, REMEMBERED);
        let (by, margin) = self.worse_by(stable, canary);
        // Decided by what came before, so that no bet is placed after the toss.
        let skips = self.counted && is_correlated(self.worse.iter().copied());
        push(&mut self.worse, by, WINDOW);
        self.counted = !skips;
        if skips {
            return;
        }
        self.harm.add(by > margin, by - margin, self.bet(), alpha);
        self.log_harm = self.harm.log_e(self.bet(), alpha);
        let tolerated = self.config.noninferior.get() * stable.abs();
        let trailing = match self.bet_on_harmless() {
            Bet::Sign => TRAILING_SIGN,
            Bet::Mean => TRAILING_MEAN,
        };
        push(
            &mut self.harmless,
            (by <= tolerated, tolerated - by),
            trailing,
        );
    }

    const fn bet(&self) -> Bet {
        match self.config.kind {
            SeriesKind::Gauge | SeriesKind::Counter => Bet::Sign,
            SeriesKind::Mean => Bet::Mean,
        }
    }

    /// Rare events leave most increases at zero on both versions, whatever their rates:
    /// only the mean of a counter proves anything.
    const fn bet_on_harmless(&self) -> Bet {
        match self.config.kind {
            SeriesKind::Gauge => Bet::Sign,
            SeriesKind::Counter | SeriesKind::Mean => Bet::Mean,
        }
    }

    /// Log evidence that the canary is worse beyond the margin.
    pub(crate) const fn log_harm(&self) -> f64 {
        self.log_harm
    }

    /// Log evidence that it is not, in this stage.
    pub(crate) fn log_harmless(&self, alpha: f64) -> f64 {
        let mut run = Run::default();
        for (within, by) in &self.harmless {
            run.add(*within, *by);
        }
        run.log_e(self.bet_on_harmless(), alpha)
    }

    /// Log evidence that the canary is worse than stable was beside it.
    pub(crate) fn log_alone(&self, alpha: f64) -> f64 {
        self.alone.log_e(self.bet(), alpha)
    }

    fn remembered(&self) -> Option<f64> {
        let mut values: Vec<f64> = self.stable.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// What is missing at `t`; also a first pair that is not due yet when `all_told`.
    pub(crate) fn lack(&self, t: i64, all_told: bool) -> Option<Lack> {
        self.attendance.lack(t, self.every_s(), all_told)
    }

    /// Seconds without a pair, where that is longer than `rule_s` tolerates and a proof is
    /// asked for.
    pub(crate) fn blind_for(&self, t: i64, rule_s: i64) -> Option<i64> {
        let blind = self.attendance.blind_for(t, self.every_s(), rule_s);
        blind.filter(|_| self.config.required)
    }
}

fn push<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(value);
}
