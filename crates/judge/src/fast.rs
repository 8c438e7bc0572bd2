//! Fast paths: outages and outer guard rails, read from the last seconds.
//!
//! These need no margins and no blocks: the canary fails or is slow in plain sight
//! while the baseline is not. They use plain counts of all routes together, and they
//! are all that acts where the audience was not drawn at random. What they do not
//! do: find small regressions.

use crate::evidence::Counts;
use crate::math::{coin_divergence, theta};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Seconds that fast paths look back, except for the sparse outage.
const KEPT_SECONDS: i64 = 60;
/// Windows of the dense outage, in seconds.
const OUTAGE_WINDOWS: std::ops::RangeInclusive<i64> = 3..=10;
const OUTAGE_REQUESTS: u64 = 10;
const OUTAGE_SECONDS: u64 = 3;
const OUTAGE_RATE: f64 = 0.5;
/// The sparse outage: so many of the last requests, over so many seconds.
const SPARSE_REQUESTS: u64 = 8;
const SPARSE_SPAN_S: i64 = 5;
const SPARSE_RATE: f64 = 0.75;
/// A baseline that fails more than this has a fault of its own.
const HEALTHY_BASELINE: f64 = 0.1;
/// Guard rails: windows in seconds, fewest bad events and seconds, nats.
const GUARD_WINDOWS: [i64; 12] = [3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 60];
const GUARD_EVENTS: f64 = 10.0;
const GUARD_SECONDS: u64 = 8;
const GUARD_NATS: f64 = 6.907_755_278_982_137;
/// A canary must stand this far above stable before a rail is its fault.
const GUARD_RATIO: f64 = 1.25;

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

/// What a guard rail says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rail {
    /// The canary broke it and stable did not.
    Broken(Window),
    /// Stable is beyond it as well.
    Shared(Window),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recent {
    t: i64,
    outage: Counts,
    rails: Vec<Counts>,
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
    pub(crate) fn push(&mut self, t: i64, outage: Counts, rails: Vec<Counts>) {
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
        self.recent.push_back(Recent { t, outage, rails });
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
    pub(crate) fn outage(&self, t: i64) -> Option<Window> {
        OUTAGE_WINDOWS
            .map(|length| self.window(t, length, |r| r.outage))
            .find_map(|(window, seconds)| {
                let failed = window.canary_bad as f64 >= OUTAGE_RATE * window.canary as f64;
                let enough = window.canary >= OUTAGE_REQUESTS && seconds >= OUTAGE_SECONDS;
                (enough && failed && self.baseline_is_healthy(&window)).then_some(window)
            })
    }

    /// Three quarters of the last few canary requests failed, however long they took
    /// to come.
    pub(crate) fn sparse_outage(&self, t: i64) -> Option<Window> {
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
        let enough = canary >= SPARSE_REQUESTS && last.t - first.t >= SPARSE_SPAN_S;
        let failed = canary_bad as f64 >= SPARSE_RATE * canary as f64;
        (enough && failed && last.t == t && self.baseline_is_healthy(&window)).then_some(window)
    }

    /// Whether rail `index` is broken: bad events above rate `limit`, counted in units
    /// of `cluster` events, the size in which the baseline's own bad events come.
    pub(crate) fn rail(&self, t: i64, index: usize, limit: f64, cluster: f64) -> Option<Rail> {
        let mut shared = None;
        for length in GUARD_WINDOWS {
            let (window, seconds) = self.window(t, length, |r| {
                r.rails.get(index).copied().unwrap_or_default()
            });
            if (window.canary_bad as f64) < GUARD_EVENTS * cluster || seconds < GUARD_SECONDS {
                continue;
            }
            let rate = window.canary_bad as f64 / window.canary.max(1) as f64;
            let nats = window.canary as f64
                * coin_divergence(rate.min(1.0), limit.clamp(1e-9, 1.0 - 1e-9));
            if rate <= limit || nats < GUARD_NATS * cluster {
                continue;
            }
            let stable = window.baseline_bad as f64 / window.baseline.max(1) as f64;
            if stable > limit {
                shared = shared.or(Some(Rail::Shared(window)));
            } else if stands_above_stable(&window, cluster) {
                return Some(Rail::Broken(window));
            }
        }
        shared
    }

    /// Sums of the last `length` seconds, and the seconds with bad canary events.
    fn window(&self, t: i64, length: i64, part: impl Fn(&Recent) -> Counts) -> (Window, u64) {
        let mut window = Window {
            seconds: length,
            canary: 0,
            canary_bad: 0,
            baseline: 0,
            baseline_bad: 0,
        };
        let mut seconds = 0;
        for recent in self.recent.iter().rev().take_while(|r| r.t > t - length) {
            let counts = part(recent);
            window.canary += counts.canary;
            window.canary_bad += counts.canary_bad;
            window.baseline += counts.baseline;
            window.baseline_bad += counts.baseline_bad;
            seconds += u64::from(counts.canary_bad > 0);
        }
        (window, seconds)
    }

    /// Over the window, or over its whole past when it served nothing meanwhile. A
    /// baseline that never served anything is no excuse.
    fn baseline_is_healthy(&self, window: &Window) -> bool {
        let (bad, all) = match window.baseline {
            0 => (self.baseline_bad, self.baseline),
            all => (window.baseline_bad, all),
        };
        bad as f64 <= HEALTHY_BASELINE * all as f64
    }
}

fn stands_above_stable(window: &Window, cluster: f64) -> bool {
    if window.baseline == 0 {
        return true;
    }
    let expected = theta(GUARD_RATIO, window.canary, window.baseline);
    let bad = (window.canary_bad + window.baseline_bad) as f64;
    let part = window.canary_bad as f64 / bad;
    part > expected && bad * coin_divergence(part, expected) >= GUARD_NATS * cluster
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

    fn seconds(each: &[Counts]) -> FastPaths {
        let mut paths = FastPaths::default();
        for (t, counts) in each.iter().enumerate() {
            paths.push(t as i64, *counts, vec![*counts]);
        }
        paths
    }

    #[test]
    fn a_full_outage_is_seen_in_its_third_second() {
        let mut each = vec![counts(0, 25, 0, 75); 30];
        each.extend([counts(25, 25, 0, 75); 2]);
        assert_eq!(seconds(&each).outage(31), None);
        each.push(counts(25, 25, 0, 75));
        assert_eq!(seconds(&each).outage(32).map(|w| w.canary_bad), Some(75));
    }

    #[test]
    fn an_outage_of_both_is_nobodys_fault() {
        let each = vec![counts(25, 25, 40, 75); 10];
        let paths = seconds(&each);
        assert_eq!((paths.outage(9), paths.sparse_outage(9)), (None, None));
        assert!(matches!(paths.rail(9, 0, 0.05, 1.0), Some(Rail::Shared(_))));
    }

    #[test]
    fn few_requests_are_judged_one_by_one() {
        let mut paths = FastPaths::default();
        for t in 0..17 {
            let canary = u64::from(t % 2 == 0);
            paths.push(t, counts(canary, canary, 0, 10), vec![]);
            assert_eq!(
                paths.sparse_outage(t).is_some(),
                t == 14 || t == 16,
                "at {t}"
            );
        }
    }

    #[test]
    fn a_rail_needs_ten_bad_events_in_three_seconds() {
        let quiet = counts(0, 25, 0, 75);
        assert_eq!(
            seconds(&[quiet, counts(8, 25, 0, 75), counts(8, 25, 0, 75)]).rail(2, 0, 0.05, 1.0),
            None
        );
        let broken = seconds(&[counts(5, 25, 0, 75); 3]);
        assert!(matches!(
            broken.rail(2, 0, 0.05, 1.0),
            Some(Rail::Broken(_))
        ));
        assert_eq!(
            seconds(&[counts(3, 25, 0, 75); 3]).rail(2, 0, 0.05, 1.0),
            None
        );
    }

    #[test]
    fn bad_events_that_come_in_clusters_count_as_clusters() {
        let burst = seconds(&[counts(8, 25, 0, 75); 5]);
        assert!(matches!(burst.rail(4, 0, 0.05, 1.0), Some(Rail::Broken(_))));
        assert_eq!(burst.rail(4, 0, 0.05, 8.0), None);
    }
}
