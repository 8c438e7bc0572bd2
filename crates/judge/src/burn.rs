//! How fast the error budget of an absolute objective is spent.
//!
//! burn = (bad / all) / (1 - target). A burn of 1 spends the budget exactly in the
//! objective's own window. Two windows have to agree: the long one says that it is no
//! blip, the short one that it has not ended. The pairs are those of chapter 5 of the
//! SRE workbook (14.4 over an hour, 6 over six) scaled to the length of a stage. What
//! this does not do: blame. See `blame`.

use crate::config::Slo;
use crate::evidence::Counts;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// Most latency objectives of one judge; bounds its state.
pub const MAX_LATENCY_SLOS: usize = 4;

/// Seconds a bucket and buckets kept: five minutes, and half an hour.
const FINE: (i64, i64) = (5, 60);
const COARSE: (i64, i64) = (30, 60);

/// How many times too fast a budget is spent: a part of all events that may be bad.
pub(crate) fn burn(bad: u64, all: u64, budget: f64) -> f64 {
    bad as f64 / all.max(1) as f64 / budget
}

/// A burn that acts when both of its windows show it.
struct Pair {
    factor: f64,
    long_s: i64,
    short_s: i64,
}

const PAIRS: [Pair; 2] = [
    Pair {
        factor: 14.4,
        long_s: 300,
        short_s: 30,
    },
    Pair {
        factor: 6.0,
        long_s: 1_800,
        short_s: 150,
    },
];

/// What an objective promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Objective {
    /// A request does not fail.
    Availability,
    /// A request that does not fail takes so many milliseconds at most.
    Latency {
        /// Still good.
        le_ms: u64,
    },
}

impl Objective {
    /// A stable key, such as `latency_300ms`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Availability => "availability".into(),
            Self::Latency { le_ms } => format!("latency_{le_ms}ms"),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Availability => f.write_str("availability"),
            Self::Latency { le_ms } => write!(f, "latency within {le_ms} ms"),
        }
    }
}

/// A budget that is spent too fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Of which objective.
    pub objective: Objective,
    /// How many times too fast, over the longer window.
    pub burn: f64,
    /// The longer window, in seconds.
    pub seconds: i64,
    /// Bad events in it.
    pub bad: u64,
    /// All events in it.
    pub all: u64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the error budget of {} {:.1} times too fast ({} of {} requests in {} s)",
            self.objective, self.burn, self.bad, self.all, self.seconds
        )
    }
}

/// Whose requests are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Canary,
    Stable,
    Everybody,
}

impl Who {
    const fn of(self, counts: &Counts) -> (u64, u64) {
        match self {
            Self::Canary => (counts.canary_bad, counts.canary),
            Self::Stable => (counts.baseline_bad, counts.baseline),
            Self::Everybody => (counts.bad(), counts.canary + counts.baseline),
        }
    }
}

/// Sums of the last while in buckets of equal length; silent ones are left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Ring(VecDeque<(i64, Counts)>);

impl Ring {
    fn add(&mut self, t: i64, (step_s, kept): (i64, i64), counts: &Counts) {
        let index = t.div_euclid(step_s);
        match self.0.back_mut() {
            Some((last, sum)) if *last == index => sum.add(counts),
            _ => self.0.push_back((index, *counts)),
        }
        while self.0.front().is_some_and(|(i, _)| *i <= index - kept) {
            self.0.pop_front();
        }
    }

    /// The sum of the buckets that make up the last `seconds`, the open one included.
    fn last(&self, t: i64, step_s: i64, seconds: i64) -> Counts {
        let open = t.div_euclid(step_s);
        let mut sum = Counts::default();
        self.0
            .iter()
            .rev()
            .take_while(|(index, _)| *index > open - seconds / step_s)
            .for_each(|(_, counts)| sum.add(counts));
        sum
    }
}

/// One objective and what was seen of it lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tracked {
    pub objective: Objective,
    /// The part of events that may be bad.
    budget: f64,
    fine: Ring,
    coarse: Ring,
    /// Stable's bad and all events before nobody was left on it.
    frozen: Option<(u64, u64)>,
}

impl Tracked {
    fn new(objective: Objective, target: f64) -> Self {
        Self {
            objective,
            // A target of 1 has no budget; one bad event in a thousand million burns.
            budget: (1.0 - target).max(1e-9),
            fine: Ring::default(),
            coarse: Ring::default(),
            frozen: None,
        }
    }

    /// For latency: bad from here, in microseconds.
    pub(crate) const fn edge_us(&self) -> Option<u64> {
        match self.objective {
            Objective::Availability => None,
            Objective::Latency { le_ms } => Some(le_ms.saturating_mul(1_000).saturating_add(1)),
        }
    }

    fn rate(&self, (bad, all): (u64, u64)) -> f64 {
        burn(bad, all, self.budget)
    }

    fn window(&self, t: i64, seconds: i64) -> Counts {
        if seconds <= FINE.0 * FINE.1 {
            self.fine.last(t, FINE.0, seconds)
        } else {
            self.coarse.last(t, COARSE.0, seconds)
        }
    }

    /// Whether somebody's budget is spent too fast, by both windows of a pair.
    pub(crate) fn spent(&self, t: i64, who: Who) -> Option<Spent> {
        PAIRS.iter().find_map(|pair| {
            let long = who.of(&self.window(t, pair.long_s));
            let short = who.of(&self.window(t, pair.short_s));
            let burns = self.rate(long) >= pair.factor && self.rate(short) >= pair.factor;
            burns.then(|| Spent {
                objective: self.objective,
                burn: self.rate(long),
                seconds: pair.long_s,
                bad: long.0,
                all: long.1,
            })
        })
    }

    /// Stable's bad and all events: of the last half an hour, or before nobody was left
    /// on it.
    pub(crate) fn stable_was(&self, t: i64) -> (u64, u64) {
        let kept = || Who::Stable.of(&self.window(t, COARSE.0 * COARSE.1));
        self.frozen.unwrap_or_else(kept)
    }

    /// How long ago the canary was seen first, as far as five minutes tell.
    pub(crate) fn canary_seen_s(&self, t: i64) -> i64 {
        let mut buckets = self.fine.0.iter();
        let first = buckets.find(|(_, counts)| counts.canary > 0);
        first.map_or(0, |(index, _)| t - index * FINE.0)
    }

    /// Whether stable alone spent its budget too fast: now, or before nobody was left
    /// on it. Nothing when it was never seen.
    pub(crate) fn stable_spends(&self, t: i64) -> Option<bool> {
        if let Some(frozen) = self.frozen {
            let least = PAIRS
                .iter()
                .map(|pair| pair.factor)
                .fold(f64::MAX, f64::min);
            return (frozen.1 > 0).then(|| self.rate(frozen) >= least);
        }
        let mut seen = false;
        for pair in &PAIRS {
            let long = Who::Stable.of(&self.window(t, pair.long_s));
            seen |= long.1 > 0;
            if self.rate(long) >= pair.factor {
                return Some(true);
            }
        }
        seen.then_some(false)
    }
}

/// All objectives of a judge. Empty when none are configured, and then not written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Burn(Vec<Tracked>);

impl Burn {
    pub(crate) fn new(slo: Option<&Slo>) -> Self {
        let Some(slo) = slo else {
            return Self::default();
        };
        let availability = slo
            .availability
            .map(|target| Tracked::new(Objective::Availability, target.get()));
        let latency = slo.latency.iter().take(MAX_LATENCY_SLOS).map(|one| {
            let objective = Objective::Latency { le_ms: one.le_ms };
            Tracked::new(objective, one.target.get())
        });
        Self(availability.into_iter().chain(latency).collect())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn objectives(&self) -> &[Tracked] {
        &self.0
    }

    /// Counts one second of objective number `index`.
    pub(crate) fn add(&mut self, index: usize, t: i64, counts: &Counts) {
        if *counts == Counts::default() {
            return;
        }
        if let Some(tracked) = self.0.get_mut(index) {
            tracked.fine.add(t, FINE, counts);
            tracked.coarse.add(t, COARSE, counts);
        }
    }

    /// Remembers stable as it was when the last user leaves it, and forgets that when
    /// users are back.
    pub(crate) fn freeze(&mut self, t: i64, nobody_left: bool) {
        for tracked in &mut self.0 {
            let last = Who::Stable.of(&tracked.window(t, COARSE.0 * COARSE.1));
            tracked.frozen = match (nobody_left, tracked.frozen) {
                (false, _) => None,
                (true, Some(before)) => Some(before),
                (true, None) => Some(last),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LatencySlo;
    use esclusa_model::Fraction;

    fn slo(availability: f64) -> Slo {
        Slo {
            availability: Some(Fraction::new(availability).expect("a fraction")),
            latency: Vec::new(),
        }
    }

    fn counts(canary_bad: u64, canary: u64, baseline_bad: u64, baseline: u64) -> Counts {
        Counts {
            canary_bad,
            canary,
            baseline_bad,
            baseline,
        }
    }

    fn run(seconds: impl IntoIterator<Item = Counts>) -> (Burn, i64) {
        let mut burn = Burn::new(Some(&slo(0.999)));
        let mut last = 0;
        for (t, counts) in seconds.into_iter().enumerate() {
            last = t as i64;
            burn.add(0, last, &counts);
        }
        (burn, last)
    }

    // The worked number of the specification: 30 bad of 2,000 at 99.9 % burn 15 times.
    #[test]
    fn burn_is_the_rate_over_the_budget() {
        let tracked = Tracked::new(Objective::Availability, 0.999);
        assert!((tracked.rate((30, 2_000)) - 15.0).abs() < 1e-9);
        assert!(tracked.rate((0, 0)).abs() < 1e-9);
    }

    #[test]
    fn both_windows_have_to_burn() {
        // Good for half an hour, then a tenth fails: five minutes need 43 s of it.
        let good = vec![counts(0, 10, 0, 90); 1_800];
        let bad = counts(1, 10, 0, 90);
        let after = |n: usize| run(good.iter().copied().chain(vec![bad; n]));
        let (early, t) = after(30);
        assert_eq!(early.objectives()[0].spent(t, Who::Canary), None);
        let (late, t) = after(50);
        let spent = late.objectives()[0].spent(t, Who::Canary).expect("burns");
        assert!(spent.burn >= 14.4 && spent.seconds == 300, "{spent:?}");
        assert_eq!(late.objectives()[0].spent(t, Who::Stable), None);
        // It ends when the short window is clean again, though the long one is not.
        let (over, t) =
            run(good
                .iter()
                .copied()
                .chain(vec![bad; 60])
                .chain(vec![counts(0, 10, 0, 90); 40]));
        assert_eq!(over.objectives()[0].spent(t, Who::Canary), None);
    }

    #[test]
    fn a_slow_burn_is_found_over_half_an_hour() {
        // 0.8 %: eight times too fast, below 14.4.
        let (burn, t) = run((0..1_700).map(|t| counts(u64::from(t % 25 == 0), 5, 0, 95)));
        let spent = burn.objectives()[0].spent(t, Who::Canary).expect("burns");
        assert_eq!(spent.seconds, 1_800);
        assert!(spent.burn > 6.0 && spent.burn < 14.4, "{spent:?}");
    }

    #[test]
    fn stable_is_remembered_when_it_is_gone() {
        let (mut burn, t) = run(vec![counts(0, 1, 5, 95); 60]);
        assert_eq!(burn.objectives()[0].stable_spends(t), Some(true));
        burn.freeze(t, true);
        for later in 0..4_000 {
            burn.add(0, t + later, &counts(1, 100, 0, 0));
        }
        assert_eq!(burn.objectives()[0].stable_spends(t + 4_000), Some(true));
        burn.freeze(t + 4_000, false);
        assert_eq!(burn.objectives()[0].stable_spends(t + 4_000), None);
    }

    #[test]
    fn its_state_has_a_bound() {
        let mut slo = slo(0.999);
        slo.latency = vec![
            LatencySlo {
                le_ms: 300,
                target: Fraction::from_per_100k(99_000),
            };
            9
        ];
        let mut burn = Burn::new(Some(&slo));
        assert_eq!(burn.objectives().len(), 1 + MAX_LATENCY_SLOS);
        for t in 0..10_000 {
            for index in 0..5 {
                burn.add(index, t, &counts(111, 11_111, 1_111, 111_111));
            }
        }
        let bytes = serde_json::to_string(&burn).expect("JSON").len();
        assert!(bytes < 24 * 1_024, "{bytes}");
    }
}
