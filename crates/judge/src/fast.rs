//! The last seconds in plain counts of all routes together, and outages in them.
//!
//! An outage needs no margins and no blocks: the canary fails in plain sight while the
//! baseline does not. It acts even where the audience was not drawn at random. What
//! this does not do: find small regressions.

use crate::evidence::Counts;
use crate::math::coin_divergence;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Seconds that fast paths look back, except for the sparse outage.
const KEPT_SECONDS: i64 = 60;
/// Windows of the dense outage, in seconds.
const OUTAGE_WINDOWS: std::ops::RangeInclusive<i64> = 3..=10;
const OUTAGE_REQUESTS: u64 = 10;
const OUTAGE_SECONDS: u64 = 3;
const OUTAGE_RATE: f64 = 0.5;
/// Where the baseline's own bursts are known, half is what a burst does.
const OUTAGE_RATE_BURSTY: f64 = 0.8;
/// From this size of the baseline's own clusters on, its bursts are known.
const BURSTS: f64 = 3.0;
/// The sparse outage: so many of the last requests, over so many seconds.
const SPARSE_REQUESTS: u64 = 8;
const SPARSE_SPAN_S: i64 = 5;
const SPARSE_RATE: f64 = 0.75;
/// So many when the requests came in a shorter span than this.
const SPARSE_RATE_AT_ONCE: f64 = 0.9;
const SPARSE_LONG_S: i64 = 15;
/// Fewer are enough when all failed, the fewer the farther apart: requests, seconds.
const SPARSE_ALL: [(u64, i64); 2] = [(6, 10), (5, 40)];
const SPARSE_CLUSTER: f64 = 2.0;
/// A baseline that fails more than this has a fault of its own.
const HEALTHY_BASELINE: f64 = 0.1;
/// Nats against "fails as often as the baseline did in the last minute": where both fail
/// one request in twelve, half of ten is chance.
const BEYOND_BASELINE_NATS: f64 = 10.0;
/// Bad events of both sides over some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Length in seconds.
    pub seconds: i64,
    /// The canary's requests.
    pub canary: u64,
    /// Of these, bad.
    pub canary_bad: u64,
    /// The baseline's requests.
    pub baseline: u64,
    /// Of these, bad.
    pub baseline_bad: u64,
}

/// What one second brought.
/// Written as a tuple: judges keep a minute of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "RecentParts", into = "RecentParts")]
pub(crate) struct Recent {
    pub t: i64,
    /// Failed or hanging requests.
    pub outage: Counts,
    /// Bad events of each guard rail.
    pub rails: Vec<Counts>,
    /// The canary's requests and failures by instance.
    pub instances: BTreeMap<u32, (u64, u64)>,
}

type RecentParts = (i64, Counts, Vec<Counts>, BTreeMap<u32, (u64, u64)>);

impl From<RecentParts> for Recent {
    fn from((t, outage, rails, instances): RecentParts) -> Self {
        Self {
            t,
            outage,
            rails,
            instances,
        }
    }
}

impl From<Recent> for RecentParts {
    fn from(recent: Recent) -> Self {
        (recent.t, recent.outage, recent.rails, recent.instances)
    }
}

/// A second in which the canary finished requests, kept until enough later ones did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sparse {
    t: i64,
    canary: u64,
    canary_bad: u64,
    baseline_before: u64,
    baseline_bad_before: u64,
}

/// The last seconds of one kind of traffic (organic or synthetic).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct FastPaths {
    recent: VecDeque<Recent>,
    sparse: VecDeque<Sparse>,
    baseline: u64,
    baseline_bad: u64,
}

impl FastPaths {
    /// Counts one second.
    pub(crate) fn push(&mut self, second: Recent) {
        let Recent { t, outage, .. } = second;
        let nothing = Counts::default();
        if outage == nothing && second.rails.iter().all(|rail| *rail == nothing) {
            return;
        }
        if outage.canary > 0 {
            self.sparse.push_back(Sparse {
                t,
                canary: outage.canary,
                canary_bad: outage.canary_bad,
                baseline_before: self.baseline,
                baseline_bad_before: self.baseline_bad,
            });
        }
        self.baseline += outage.baseline;
        self.baseline_bad += outage.baseline_bad;
        while self.sparse.len() > 1 && self.is_enough_without_first() {
            self.sparse.pop_front();
        }
        self.recent.push_back(second);
        while self
            .recent
            .front()
            .is_some_and(|first| first.t <= t - KEPT_SECONDS)
        {
            self.recent.pop_front();
        }
    }

    fn is_enough_without_first(&self) -> bool {
        let (Some(second), Some(last)) = (self.sparse.get(1), self.sparse.back()) else {
            return false;
        };
        let requests: u64 = self.sparse.iter().skip(1).map(|s| s.canary).sum();
        requests >= SPARSE_REQUESTS && last.t - second.t >= SPARSE_SPAN_S
    }

    /// At least half of the canary's requests failed, and the baseline's did not.
    ///
    /// Looks at every window of three to ten seconds that ends now, so an outage in
    /// the middle of a stage need not first outweigh the good seconds before it.
    /// Failures are counted in units of `cluster`, the size in which the baseline's own
    /// come: where bursts are known, one burst is no outage.
    pub(crate) fn outage(&self, t: i64, cluster: f64) -> Option<Window> {
        OUTAGE_WINDOWS
            .map(|length| self.window(t, length, |r| r.outage))
            .find_map(|(window, seconds)| {
                let bad = window.canary_bad as f64;
                let rate = if cluster >= BURSTS {
                    OUTAGE_RATE_BURSTY
                } else {
                    OUTAGE_RATE
                };
                let failed = bad >= rate * window.canary as f64;
                let enough = window.canary >= OUTAGE_REQUESTS && seconds >= OUTAGE_SECONDS;
                let several = bad >= OUTAGE_RATE * OUTAGE_REQUESTS as f64 * cluster;
                (enough && failed && several && self.is_beyond_baseline(t, &window))
                    .then_some(window)
            })
    }

    /// Three quarters of the last few canary requests failed, however long they took
    /// to come. Too few to tell a burst by, where the baseline's failures come in bursts.
    pub(crate) fn sparse_outage(&self, t: i64, cluster: f64) -> Option<Window> {
        if cluster >= SPARSE_CLUSTER {
            return None;
        }
        let (first, last) = (self.sparse.front()?, self.sparse.back()?);
        let canary: u64 = self.sparse.iter().map(|s| s.canary).sum();
        let canary_bad: u64 = self.sparse.iter().map(|s| s.canary_bad).sum();
        let window = Window {
            seconds: t - first.t + 1,
            canary,
            canary_bad,
            baseline: self.baseline - first.baseline_before,
            baseline_bad: self.baseline_bad - first.baseline_bad_before,
        };
        let span = last.t - first.t;
        let all = canary_bad == canary
            && SPARSE_ALL
                .iter()
                .any(|(requests, seconds)| canary >= *requests && span >= *seconds);
        let enough = all || (canary >= SPARSE_REQUESTS && span >= SPARSE_SPAN_S);
        let rate = if span >= SPARSE_LONG_S {
            SPARSE_RATE
        } else {
            SPARSE_RATE_AT_ONCE
        };
        let failed = canary_bad as f64 >= rate * canary as f64;
        (enough && failed && last.t == t && self.is_beyond_baseline(t, &window)).then_some(window)
    }

    /// Sums of the last `length` seconds, and the seconds with bad canary events.
    pub(crate) fn window(
        &self,
        t: i64,
        length: i64,
        part: impl Fn(&Recent) -> Counts,
    ) -> (Window, u64) {
        let mut window = Window {
            seconds: length,
            canary: 0,
            canary_bad: 0,
            baseline: 0,
            baseline_bad: 0,
        };
        let mut seconds = 0;
        for recent in self.last(t, length) {
            let counts = part(recent);
            window.canary += counts.canary;
            window.canary_bad += counts.canary_bad;
            window.baseline += counts.baseline;
            window.baseline_bad += counts.baseline_bad;
            seconds += u64::from(counts.canary_bad > 0);
        }
        (window, seconds)
    }

    /// The last `length` seconds, latest first.
    pub(crate) fn last(&self, t: i64, length: i64) -> impl Iterator<Item = &Recent> {
        self.recent
            .iter()
            .rev()
            .take_while(move |r| r.t > t - length)
    }

    /// Whether the baseline is healthy, and the canary fails far more often than it.
    fn is_beyond_baseline(&self, t: i64, window: &Window) -> bool {
        if !self.baseline_is_healthy(window) {
            return false;
        }
        let (minute, _) = self.window(t, KEPT_SECONDS, |r| r.outage);
        let (bad, all) = self.baseline_of(&minute);
        let usual = ((bad as f64 + 1.0) / (all as f64 + 2.0)).min(HEALTHY_BASELINE);
        let rate = (window.canary_bad as f64 / window.canary.max(1) as f64).min(1.0);
        rate > usual && window.canary as f64 * coin_divergence(rate, usual) >= BEYOND_BASELINE_NATS
    }

    /// The baseline's bad events and requests in the window, or in its whole past when it
    /// served nothing meanwhile.
    const fn baseline_of(&self, window: &Window) -> (u64, u64) {
        match window.baseline {
            0 => (self.baseline_bad, self.baseline),
            all => (window.baseline_bad, all),
        }
    }

    /// A baseline that never served anything is no excuse.
    fn baseline_is_healthy(&self, window: &Window) -> bool {
        let (bad, all) = self.baseline_of(window);
        bad as f64 <= HEALTHY_BASELINE * all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(canary_bad: u64, canary: u64, baseline_bad: u64, baseline: u64) -> Counts {
        Counts {
            canary_bad,
            canary,
            baseline_bad,
            baseline,
        }
    }

    fn second(t: i64, outage: Counts) -> Recent {
        Recent {
            t,
            outage,
            rails: Vec::new(),
            instances: BTreeMap::new(),
        }
    }

    fn seconds(each: &[Counts]) -> FastPaths {
        let mut paths = FastPaths::default();
        for (t, counts) in each.iter().enumerate() {
            paths.push(second(t as i64, *counts));
        }
        paths
    }

    #[test]
    fn a_full_outage_is_seen_in_its_third_second() {
        let mut each = vec![counts(0, 25, 0, 75); 30];
        each.extend([counts(25, 25, 0, 75); 2]);
        assert_eq!(seconds(&each).outage(31, 1.0), None);
        each.push(counts(25, 25, 0, 75));
        assert_eq!(
            seconds(&each).outage(32, 1.0).map(|w| w.canary_bad),
            Some(75)
        );
    }

    #[test]
    fn an_outage_of_both_is_nobodys_fault() {
        let each = vec![counts(25, 25, 40, 75); 10];
        let paths = seconds(&each);
        assert_eq!(
            (paths.outage(9, 1.0), paths.sparse_outage(9, 1.0)),
            (None, None)
        );
    }

    #[test]
    fn half_of_ten_is_chance_where_both_fail_often() {
        let both = [counts(0, 4, 1, 12), counts(0, 4, 1, 12)].repeat(30);
        let after = |failed: u64| {
            let mut each = both.clone();
            each.extend([counts(failed, 4, 1, 12); 3]);
            seconds(&each).outage(62, 1.0)
        };
        assert_eq!(after(2), None);
        assert!(after(4).is_some());
    }

    #[test]
    fn few_requests_are_judged_one_by_one() {
        let mut paths = FastPaths::default();
        for t in 0..17 {
            let canary = u64::from(t % 2 == 0);
            paths.push(second(t, counts(canary, canary, 0, 10)));
            assert_eq!(
                paths.sparse_outage(t, 1.0).is_some(),
                t >= 10 && t % 2 == 0,
                "at {t}"
            );
        }
    }
}
