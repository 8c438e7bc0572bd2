//! How regularly a series gives pairs: what is missing is seen here.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Steps between readings that tell how often they come.
const STEPS: usize = 9;
/// Fewest steps that outweigh the configured one.
const LEAST_STEPS: usize = 3;
/// Readings in a row without a pair that are a lack.
const ROW: i64 = 3;
/// Fewest expected pairs of which half can be said to be missing.
const HALF_OF: u32 = 4;

/// Readings and pairs of a stage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Attendance {
    /// From when on pairs are expected.
    since: i64,
    readings: u32,
    pairs: u32,
    last_reading: Option<i64>,
    last_pair: Option<i64>,
    steps: VecDeque<i64>,
    /// Why there was no pair at the last reading.
    why: Option<String>,
}

/// What is missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lack {
    /// Seconds without a pair.
    pub for_s: i64,
    /// Pairs of this stage.
    pub pairs: u32,
    /// Pairs that there should be.
    pub expected: u32,
    /// What was said at the last reading.
    pub why: Option<String>,
}

impl Attendance {
    /// A stage begins.
    pub(super) fn enter_stage(&mut self, t: i64) {
        self.since = t;
        (self.readings, self.pairs) = (0, 0);
    }

    /// Nothing can be expected up to now: the canary serves nobody.
    pub(super) fn excuse(&mut self, t: i64) {
        self.enter_stage(t);
    }

    /// A reading without a pair.
    pub(super) fn missed(&mut self, t: i64, why: Option<String>) {
        self.read(t);
        self.why = why;
    }

    /// A reading with a pair.
    pub(super) fn met(&mut self, t: i64) {
        self.read(t);
        self.pairs += 1;
        self.last_pair = Some(t);
        self.why = None;
    }

    fn read(&mut self, t: i64) {
        self.readings += 1;
        if let Some(last) = self.last_reading.replace(t).filter(|last| *last < t) {
            if self.steps.len() == STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back(t - last);
        }
    }

    /// Seconds between readings: as configured, or as slowly as they really come.
    fn step_s(&self, every_s: i64) -> i64 {
        if self.steps.len() < LEAST_STEPS {
            return every_s;
        }
        let mut steps: Vec<i64> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        every_s.max(steps[steps.len() / 2])
    }

    /// Seconds without a pair, beyond which a rule of so many seconds is broken.
    pub(super) fn blind_for(&self, t: i64, every_s: i64, rule_s: i64) -> Option<i64> {
        let silent = self.silent_s(t);
        (silent >= rule_s.max(ROW * self.step_s(every_s))).then_some(silent)
    }

    fn silent_s(&self, t: i64) -> i64 {
        t - self.last_pair.unwrap_or(self.since).max(self.since)
    }

    /// What is missing at `t`; also a pair that is not due yet when `all_told`.
    pub(super) fn lack(&self, t: i64, every_s: i64, all_told: bool) -> Option<Lack> {
        let step = self.step_s(every_s);
        let due = u32::try_from((t - self.since).max(0) / step.max(1)).unwrap_or(u32::MAX);
        let expected = self.readings.max(due);
        let silent = self.silent_s(t);
        let half = expected >= HALF_OF && self.pairs.saturating_mul(2) < expected;
        let lacks = silent >= ROW * step || half || (all_told && self.pairs == 0);
        lacks.then(|| Lack {
            for_s: silent,
            pairs: self.pairs,
            expected,
            why: self.why.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(attendance: &Attendance, t: i64) -> bool {
        attendance.lack(t, 15, false).is_some()
    }

    // Trap 3: no data is no good news.
    #[test]
    fn three_missed_in_a_row_or_more_than_half_are_a_lack() {
        let mut attendance = Attendance::default();
        attendance.enter_stage(0);
        assert!(!lacks(&attendance, 44) && lacks(&attendance, 45));
        assert!(attendance.lack(1, 15, true).is_some());
        (1..=6).for_each(|n| attendance.met(15 * n));
        assert!(!lacks(&attendance, 134) && lacks(&attendance, 135));
        // Every second one is missing: half is there.
        let mut gappy = Attendance::default();
        gappy.enter_stage(0);
        for n in 1..=20 {
            if n % 2 == 0 {
                gappy.met(15 * n);
            } else {
                gappy.missed(15 * n, None);
            }
        }
        assert!(!lacks(&gappy, 300));
        gappy.missed(315, Some("gone".into()));
        let lack = gappy.lack(316, 15, false).expect("more than half");
        assert_eq!((lack.pairs, lack.expected), (10, 21));
        assert_eq!(lack.why.as_deref(), Some("gone"));
    }

    #[test]
    fn readings_that_come_more_slowly_are_expected_more_slowly() {
        let mut slow = Attendance::default();
        slow.enter_stage(0);
        (0..5).for_each(|n| slow.met(60 * n));
        assert!(!lacks(&slow, 240 + 179) && lacks(&slow, 240 + 180));
        assert_eq!(slow.blind_for(240 + 179, 15, 120), None);
        assert_eq!(slow.blind_for(240 + 180, 15, 120), Some(180));
        slow.excuse(420);
        assert!(!lacks(&slow, 430));
    }
}
