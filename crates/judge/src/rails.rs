//! Outer guard rails: a rate of bad events that the canary must never exceed.
//!
//! A rail is compared with stable before anyone is blamed, and it must not undo the
//! defence against bursts. A fault of the version shows on every instance, a burst on
//! one: with several instances a rail has to be broken without the worst one too; with
//! one instance, the fault has to last longer than most bursts do. Bad events are
//! counted in units of the size in which the baseline's own come.

use crate::evidence::Counts;
use crate::fast::{FastPaths, Window};
use crate::math::{coin_divergence, theta};
use crate::metric::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Windows that end now, in seconds.
const WINDOWS: [i64; 12] = [3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 60];
/// Fewest bad events, and seconds that they lie in when instances agree.
const EVENTS: f64 = 10.0;
const SECONDS: u64 = 3;
/// Fewest seconds when only one instance tells.
const SECONDS_OF_ONE: u64 = 8;
/// Evidence 1000 against "within the limit" and against "as stable".
const NATS: f64 = 6.907_755_278_982_137;
/// A canary must stand this far above stable before it is the canary's fault.
const RATIO: f64 = 1.25;

/// One guard rail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rail {
    pub metric: Metric,
    /// The tolerated rate of bad events.
    pub limit: f64,
    /// For latency: bad from here, in microseconds.
    pub edge_us: Option<u64>,
}

/// What a guard rail says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    /// The canary broke it and stable did not.
    Broken(Window),
    /// Stable is beyond it as well.
    Shared(Window),
}

/// How bad events lie over the canary's instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// One instance serves, or none is told apart.
    Untold,
    /// The rail is broken without the worst instance too.
    Several,
    /// It is not.
    OneOfSeveral,
}

impl Rail {
    /// Whether this rail, number `index`, is broken; `cluster` is the size in which the
    /// baseline's own bad events come, `burst_s` how long they come so.
    pub(crate) fn state(
        &self,
        index: usize,
        paths: &FastPaths,
        t: i64,
        cluster: f64,
        burst_s: u64,
    ) -> Option<State> {
        let mut shared = None;
        for length in WINDOWS {
            let (window, seconds) = paths.window(t, length, |r| {
                r.rails.get(index).copied().unwrap_or_default()
            });
            if window.canary_bad as f64 >= EVENTS * cluster
                && seconds >= SECONDS
                && self.is_exceeded(window.canary_bad, window.canary, cluster)
            {
                let stable = window.baseline_bad as f64 / window.baseline.max(1) as f64;
                if stable > self.limit {
                    shared = shared.or(Some(State::Shared(window)));
                } else if stands_above_stable(&window, cluster)
                    && self.lasts(paths, t, length, seconds, cluster, burst_s)
                {
                    return Some(State::Broken(window));
                }
            }
        }
        shared
    }

    fn is_exceeded(&self, bad: u64, all: u64, cluster: f64) -> bool {
        let rate = (bad as f64 / all.max(1) as f64).min(1.0);
        let limit = self.limit.clamp(1e-9, 1.0 - 1e-9);
        rate > limit && all as f64 * coin_divergence(rate, limit) >= NATS * cluster
    }

    fn lasts(
        &self,
        paths: &FastPaths,
        t: i64,
        length: i64,
        seconds: u64,
        cluster: f64,
        burst_s: u64,
    ) -> bool {
        match self.spread(paths, t, length, cluster) {
            Spread::Several => true,
            Spread::Untold => seconds >= SECONDS_OF_ONE.max(burst_s),
            Spread::OneOfSeveral => false,
        }
    }

    fn spread(&self, paths: &FastPaths, t: i64, length: i64, cluster: f64) -> Spread {
        // Latency is not kept by instance.
        if self.edge_us.is_some() {
            return Spread::Untold;
        }
        let mut instances: BTreeMap<u32, Counts> = BTreeMap::new();
        for recent in paths.last(t, length) {
            for (instance, (requests, failures)) in &recent.instances {
                let sum = instances.entry(*instance).or_default();
                sum.canary += requests;
                sum.canary_bad += failures;
            }
        }
        let (bad, all) = instances
            .values()
            .fold((0, 0), |(bad, all), c| (bad + c.canary_bad, all + c.canary));
        let worst = instances
            .values()
            .max_by_key(|c| c.canary_bad)
            .copied()
            .unwrap_or_default();
        if instances.len() < 2 {
            Spread::Untold
        } else if self.is_exceeded(bad - worst.canary_bad, all - worst.canary, cluster) {
            Spread::Several
        } else {
            Spread::OneOfSeveral
        }
    }
}

/// Whether the canary has so many bad events more than stable that clusters of this size
/// do not explain it.
pub(crate) fn stands_above_stable(window: &Window, cluster: f64) -> bool {
    if window.baseline == 0 {
        return true;
    }
    let expected = theta(RATIO, window.canary, window.baseline);
    let bad = (window.canary_bad + window.baseline_bad) as f64;
    let part = window.canary_bad as f64 / bad;
    part > expected && bad * coin_divergence(part, expected) >= NATS * cluster
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::Recent;

    const RAIL: Rail = Rail {
        metric: Metric::Errors,
        limit: 0.05,
        edge_us: None,
    };

    /// What a second brings: failures by instance of 25 canary requests, and of the
    /// 75 of stable.
    #[derive(Clone)]
    struct Second(Vec<u64>, u64);

    fn state(seconds: &[Second], cluster: f64) -> Option<State> {
        let mut paths = FastPaths::default();
        for (t, Second(failures, baseline_bad)) in (0i64..).zip(seconds) {
            let each = 25 / failures.len() as u64;
            let instances = (0u32..).zip(failures.iter().map(|f| (each, *f))).collect();
            let canary_bad = failures.iter().sum();
            let counts = Counts {
                canary_bad,
                canary: 25,
                baseline_bad: *baseline_bad,
                baseline: 75,
            };
            paths.push(Recent {
                t,
                outage: counts,
                rails: vec![counts],
                instances,
            });
        }
        RAIL.state(0, &paths, seconds.len() as i64 - 1, cluster, 0)
    }

    fn is_broken(state: Option<State>) -> bool {
        matches!(state, Some(State::Broken(_)))
    }

    #[test]
    fn one_instance_has_to_fail_for_longer_than_a_short_burst() {
        let second = Second(vec![8], 0);
        assert_eq!(state(&vec![second.clone(); 7], 1.0), None);
        assert!(is_broken(state(&vec![second; 8], 1.0)));
    }

    #[test]
    fn several_failing_instances_decide_in_three_seconds() {
        let second = Second(vec![4, 4], 0);
        assert_eq!(state(&vec![second.clone(); 2], 1.0), None);
        assert!(is_broken(state(&vec![second; 3], 1.0)));
    }

    #[test]
    fn one_bad_instance_of_several_is_not_the_version() {
        assert_eq!(state(&vec![Second(vec![8, 0, 0], 0); 30], 1.0), None);
    }

    #[test]
    fn nine_bad_events_are_too_few() {
        assert_eq!(state(&vec![Second(vec![2, 1], 0); 3], 1.0), None);
    }

    #[test]
    fn a_limit_that_stable_breaks_too_is_shared() {
        let state = state(&vec![Second(vec![4, 4], 10); 10], 1.0);
        assert!(matches!(state, Some(State::Shared(_))));
    }

    #[test]
    fn bad_events_that_come_in_clusters_count_as_clusters() {
        let seconds = vec![Second(vec![4, 4], 0); 5];
        assert!(is_broken(state(&seconds, 1.0)));
        assert_eq!(state(&seconds, 8.0), None);
    }
}
