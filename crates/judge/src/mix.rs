//! What kinds of requests each version is sent in this stage.
//!
//! A canary that is sent other routes looks slower or faster as a whole, and is not.
//! Comparing route by route is not fooled by it; people who look at totals are, so it
//! is said. A canary that is far too good on one route is said as well: a route that
//! answers ten times sooner may have stopped doing its work.

use crate::histogram::log_edge;
use crate::side::Side;
use libm::{fabs, lgamma};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Evidence 100 that the mixes differ.
const DIFFERS_NATS: f64 = 4.605_170_185_988_091;
/// Change of the mean log latency that other routes alone bring; less misleads nobody.
const MISLEADING: f64 = 0.1;
/// A route is too good when it is this many times faster (as a logarithm: five times)
/// and so much more than the others.
const TOO_FAST: f64 = 1.609_437_912_434_1;
const THAN_OTHERS: f64 = 0.7;
/// A route has vanished when less than this part of what was expected arrives.
const VANISHED: f64 = 0.1;
/// Failures have vanished when less than this part of so many expected ones is left.
const FEWER_FAILURES: f64 = 0.1;
const EXPECTED_FAILURES: f64 = 30.0;
/// Requests from which a route can be too good.
const ENOUGH: f64 = 50.0;

/// One route, both sides.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct OfRoute {
    requests: [u64; 2],
    failures: [u64; 2],
    timed: [u64; 2],
    logs: [f64; 2],
}

impl OfRoute {
    fn gap(&self) -> Option<f64> {
        let mean = |side: usize| self.logs[side] / self.timed[side] as f64;
        (self.timed.iter().all(|n| *n as f64 >= ENOUGH)).then(|| mean(1) - mean(0))
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Mix {
    routes: BTreeMap<u32, OfRoute>,
}

impl Mix {
    /// Counts one organic stratum's second.
    pub(crate) fn observe(&mut self, route: u32, baseline: &Side, canary: &Side) {
        if baseline.requests + canary.requests == 0 {
            return;
        }
        let sums = self.routes.entry(route).or_default();
        for (side, counts) in [baseline, canary].into_iter().enumerate() {
            sums.requests[side] += counts.requests;
            sums.failures[side] += counts.failures;
            for (bucket, n) in counts.latency.iter() {
                sums.timed[side] += n;
                sums.logs[side] += n as f64 * log_edge(bucket);
            }
        }
    }

    fn totals(&self) -> [f64; 2] {
        [0, 1].map(|side| self.routes.values().map(|r| r.requests[side]).sum::<u64>() as f64)
    }

    /// Whether the canary is sent another mix, enough to mislead whoever looks at totals.
    pub(crate) fn differs(&self) -> bool {
        let [baseline, canary] = self.totals();
        if baseline == 0.0 || canary == 0.0 || self.routes.len() < 2 {
            return false;
        }
        let mut shift = 0.0;
        for route in self.routes.values() {
            let timed = (route.timed[0] + route.timed[1]).max(1) as f64;
            let mean = (route.logs[0] + route.logs[1]) / timed;
            shift +=
                mean * (route.requests[1] as f64 / canary - route.requests[0] as f64 / baseline);
        }
        fabs(shift) > MISLEADING && self.log_evidence(baseline, canary) >= DIFFERS_NATS
    }

    /// Two mixes of their own against one, uniform priors.
    fn log_evidence(&self, baseline: f64, canary: f64) -> f64 {
        let kinds = self.routes.len() as f64;
        let marginal = |total: f64, count: &dyn Fn(&OfRoute) -> f64| {
            let each: f64 = self.routes.values().map(|r| lgamma(1.0 + count(r))).sum();
            lgamma(kinds) - lgamma(kinds + total) + each
        };
        marginal(baseline, &|r| r.requests[0] as f64) + marginal(canary, &|r| r.requests[1] as f64)
            - marginal(baseline + canary, &|r| {
                (r.requests[0] + r.requests[1]) as f64
            })
    }

    /// A route that is better than a version alone explains. `slower_tail` says that the
    /// canary has more slow answers than it should: failures that vanish while answers get
    /// slower may be hidden, not mended.
    pub(crate) fn too_good(&self, slower_tail: bool) -> Option<u32> {
        let [baseline, canary] = self.totals();
        if baseline == 0.0 {
            return None;
        }
        let vanished = |r: &OfRoute| {
            let expected = r.requests[0] as f64 * canary / baseline;
            expected >= ENOUGH && (r.requests[1] as f64) < VANISHED * expected
        };
        let hidden = |r: &OfRoute| {
            let each = r.requests[1] as f64 / r.requests[0].max(1) as f64;
            let expected = r.failures[0] as f64 * each;
            slower_tail
                && expected >= EXPECTED_FAILURES
                && (r.failures[1] as f64) < FEWER_FAILURES * expected
        };
        let gaps: Vec<(u32, f64)> = self
            .routes
            .iter()
            .filter_map(|(route, r)| r.gap().map(|gap| (*route, gap)))
            .collect();
        let too_fast = |route: u32| {
            let own = gaps.iter().find(|(r, _)| *r == route).map(|(_, gap)| *gap);
            let others: Vec<f64> = gaps
                .iter()
                .filter(|(r, _)| *r != route)
                .map(|(_, gap)| *gap)
                .collect();
            let mean = others.iter().sum::<f64>() / others.len().max(1) as f64;
            own.is_some_and(|own| own < -TOO_FAST && own < mean - THAN_OTHERS)
        };
        self.routes
            .iter()
            .find(|(route, r)| vanished(r) || hidden(r) || too_fast(**route))
            .map(|(route, _)| *route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(requests: u64, us: u64) -> Side {
        let mut side = Side {
            requests,
            ..Side::default()
        };
        side.latency.add(crate::bucket_of(us), requests);
        side
    }

    fn mix(canary: [u64; 2], slow_us: u64) -> Mix {
        let mut mix = Mix::default();
        mix.observe(0, &side(800, 10_000), &side(canary[0], 10_000));
        mix.observe(1, &side(200, 100_000), &side(canary[1], slow_us));
        mix
    }

    #[test]
    fn another_mix_is_told_and_the_same_is_not() {
        assert!(mix([300, 300], 100_000).differs());
        assert!(!mix([480, 120], 100_000).differs());
        assert!(!mix([3, 3], 100_000).differs());
    }

    #[test]
    fn a_route_that_vanished_or_answers_at_once_is_too_good() {
        assert_eq!(mix([480, 120], 100_000).too_good(false), None);
        assert_eq!(mix([600, 1], 100_000).too_good(false), Some(1));
        assert_eq!(mix([480, 120], 5_000).too_good(false), Some(1));
    }

    #[test]
    fn failures_that_vanish_while_answers_get_slower_are_too_good() {
        let failing = |failures: u64| Side {
            failures,
            ..side(10_000, 10_000)
        };
        let mix = |canary| {
            let mut mix = Mix::default();
            mix.observe(0, &failing(100), &failing(canary));
            mix
        };
        assert_eq!(mix(2).too_good(true), Some(0));
        assert_eq!(mix(2).too_good(false), None);
        assert_eq!(mix(60).too_good(true), None);
    }
}
