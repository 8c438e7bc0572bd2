//! Requests that the canary serves beyond its share.
//!
//! Users stay where the split puts them, so the canary's part of the requests is not its
//! share by nature. But a surplus is traffic that was elsewhere before, and brings along
//! the errors and the slowness that it had there. What this does not do: excuse harm; it
//! says how likely it is that traffic changed sides.

use libm::sqrt;
use serde::{Deserialize, Serialize};

/// A surplus weighs no more than this many nats: harm of the canary may come with one.
const MOST_NATS: f64 = 4.0;
/// What a surplus costs that is found by looking for one.
const LOOKED_FOR: f64 = 1.0;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Surplus {
    served: f64,
    expected: f64,
    variance: f64,
}

impl Surplus {
    /// Counts a second: the canary's requests, those of both versions, and its share.
    pub(crate) fn count(&mut self, canary: u64, all: u64, share: f64) {
        if share > 0.0 && share < 1.0 {
            self.served += canary as f64;
            self.expected += share * all as f64;
            self.variance += share * (1.0 - share) * all as f64;
        }
    }

    fn requests(&self) -> f64 {
        self.served - self.expected
    }

    /// The part of the canary's requests that is beyond its share.
    pub(crate) fn part(&self) -> f64 {
        (self.requests() / self.served.max(1.0)).max(0.0)
    }

    /// Evidence that requests came over which brought `bad` bad events along: at least as
    /// many requests, and most likely as many as there are too many of. By the normal
    /// approximation; negative where there are too few.
    pub(crate) fn nats(&self, bad: f64) -> f64 {
        if self.variance <= 0.0 {
            return 0.0;
        }
        let deviation = sqrt(self.variance);
        let (seen, least) = (self.requests() / deviation, bad.max(0.0) / deviation);
        let likeliest = seen.max(least);
        let nats = seen * likeliest - likeliest * likeliest / 2.0;
        let looked_for = if seen > least { LOOKED_FOR } else { 0.0 };
        (nats - looked_for).clamp(-MOST_NATS, MOST_NATS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_that_came_over_shows_and_chance_does_not() {
        let counted = |canary| {
            let mut surplus = Surplus::default();
            surplus.count(canary, 20_000, 0.05);
            surplus
        };
        assert!(counted(1_030).nats(0.0) < 0.0);
        assert_eq!(counted(1_190).nats(20.0), MOST_NATS);
        // What never came cannot have brought a hundred failures along.
        assert!(counted(1_000).nats(100.0) < -2.0);
        assert_eq!(counted(700).nats(100.0), -MOST_NATS);
        assert_eq!(Surplus::default().nats(100.0), 0.0);
    }
}
