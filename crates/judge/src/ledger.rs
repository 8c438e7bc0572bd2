//! Three witnesses of one metric: the canary now, the baseline now, and what both were
//! before, counted against rates and edges that were fixed before the canary came.
//!
//! A comparison alone cannot tell a canary that got worse from a baseline that got
//! better, nor a fault from heavy users who changed sides. A fault adds to the total of
//! the service; a change of sides adds on one what it takes from the other. What this
//! does not do: find harm. It only says when harm that was found is not the canary's.

use crate::surplus::Surplus;
use libm::{log, sqrt};
use serde::{Deserialize, Serialize};

/// Blocks after which the past has a third of its weight: half an hour.
const MEMORY_BLOCKS: f64 = 360.0;
/// Nats by which "the traffic changed sides" has to explain the counts better than "the
/// canary is harmful"; the surplus of traffic that came over counts as well.
const BETTER_NATS: f64 = 1.8;
/// Once it did, this is enough: what stays as it is should not be judged anew each second.
const STILL_NATS: f64 = 0.8;
/// Where it misses many times more, it got better by itself.
const MISSING_MOST: f64 = 4.0;
/// Nats against "the baseline is as before" from which it has moved.
const MOVED_NATS: f64 = 2.5;
/// Standard deviations by which the canary has to be above its past before it moved.
const CERTAINLY_MOVED: f64 = 2.0;
/// Expected bad events from which the canary has a past of its own.
const OWN_PAST: f64 = 5.0;
/// From this share on, taking its traffic away can itself change the baseline.
const LARGE_SHARE: f64 = 0.2;
/// An episode stands out by this many standard deviations and this many events.
const EPISODE_DEVIATIONS: f64 = 4.0;
const EPISODE_EVENTS: f64 = 3.0;
/// Blocks of quiet that end an episode.
const EPISODE_GAP: u32 = 2;
/// How much likelier than its share episodes fall on a harmful canary.
const EPISODE_ODDS: [f64; 3] = [4.0, 20.0, 200.0];
/// Past this an episode says nothing new.
const MOST_NATS: f64 = 460.0;

/// Bad events and how many were expected from before, both sides.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f64; 6]", into = "[f64; 6]")]
pub(crate) struct Sums {
    /// The baseline's bad events.
    pub baseline: f64,
    /// Expected of it.
    pub baseline_expected: f64,
    /// The canary's bad events.
    pub canary: f64,
    /// Of these, those beyond the margin of harm.
    pub canary_harm: f64,
    /// Expected of it.
    pub canary_expected: f64,
    /// What the margin of harm adds to the expected.
    pub canary_margin: f64,
}

impl From<[f64; 6]> for Sums {
    fn from(
        [
            baseline,
            baseline_expected,
            canary,
            canary_harm,
            canary_expected,
            canary_margin,
        ]: [f64; 6],
    ) -> Self {
        Self {
            baseline,
            baseline_expected,
            canary,
            canary_harm,
            canary_expected,
            canary_margin,
        }
    }
}

impl From<Sums> for [f64; 6] {
    fn from(s: Sums) -> Self {
        [
            s.baseline,
            s.baseline_expected,
            s.canary,
            s.canary_harm,
            s.canary_expected,
            s.canary_margin,
        ]
    }
}

impl Sums {
    /// Adds others, weighted.
    pub(crate) fn add(&mut self, more: &Self) {
        self.baseline += more.baseline;
        self.baseline_expected += more.baseline_expected;
        self.canary += more.canary;
        self.canary_harm += more.canary_harm;
        self.canary_expected += more.canary_expected;
        self.canary_margin += more.canary_margin;
    }

    fn fade(&mut self) {
        let kept = 1.0 - 1.0 / MEMORY_BLOCKS;
        let mut values: [f64; 6] = (*self).into();
        values.iter_mut().for_each(|v| *v *= kept);
        *self = values.into();
    }
}

/// Why what looks like harm is not the canary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// What the canary has more the baseline has less, and the total stayed.
    Reassigned,
    /// The canary is as before, and the baseline got better.
    BaselineMoved,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// Before the canary came; faded as the rest.
    first: Sums,
    /// Since it came.
    since: Sums,
    /// While the metric was quiet, the time before the canary included.
    before: Sums,
    /// Since it was quiet last.
    window: Sums,
    open: Sums,
    /// Traffic was seen to have changed sides, and nothing spoke against it since.
    reassigned: bool,
    episodes: Episodes,
}

impl Ledger {
    /// Takes what the baseline was before the canary came: bad events, and how many its
    /// remembered rate expects.
    pub(crate) fn begin(&mut self, bad: f64, expected: f64) {
        let before = Sums {
            baseline: bad,
            baseline_expected: expected,
            ..Sums::default()
        };
        *self = Self {
            first: before,
            before,
            ..Self::default()
        };
    }

    /// Counts a second.
    pub(crate) fn count(&mut self, second: &Sums) {
        self.open.add(second);
    }

    /// Ends a block; `quiet` when nothing speaks for harm now.
    pub(crate) fn end_block(&mut self, quiet: bool, phi: f64, surplus: &Surplus) {
        self.reassigned = self.changed_sides(phi, surplus);
        let block = std::mem::take(&mut self.open);
        self.episodes.end_block(&block, &self.before);
        self.window.add(&block);
        self.since.add(&block);
        self.before.fade();
        self.first.fade();
        self.since.fade();
        if quiet {
            let window = std::mem::take(&mut self.window);
            self.before.add(&window);
        }
    }

    /// Log evidence from the sides that episodes fall on.
    pub(crate) fn log_episodes(&self) -> f64 {
        self.episodes.log_evidence()
    }

    /// Why harm that was found here would not be the canary's. `ratio` and `share` are the
    /// margin and the canary's share, `phi` is overdispersion.
    pub(crate) fn excuse(
        &self,
        ratio: f64,
        share: f64,
        phi: f64,
        surplus: &Surplus,
    ) -> Option<Excuse> {
        if self.changed_sides(phi, surplus) {
            return Some(Excuse::Reassigned);
        }
        let mut now = self.window;
        now.add(&self.open);
        let before = &self.before;
        let level = level(before);
        if now.baseline >= level * now.baseline_expected {
            return None;
        }
        if better_as_moved(before, &now, phi, &Surplus::default()) >= BETTER_NATS {
            return Some(Excuse::Reassigned);
        }
        let past = (before.baseline, before.baseline_expected);
        let as_before = heterogeneity(past, (now.baseline, now.baseline_expected)) / phi;
        let own = before.canary_expected >= OWN_PAST;
        let reference = if own {
            (before.canary + 0.5) / (before.canary_expected + 0.5)
        } else {
            level
        };
        let tolerated = ratio * reference * now.canary_expected + now.canary_margin;
        let moved = now.canary_harm > tolerated + CERTAINLY_MOVED * sqrt(phi * tolerated);
        let can_tell = own || share >= LARGE_SHARE;
        (!moved && can_tell && as_before >= MOVED_NATS).then_some(Excuse::BaselineMoved)
    }

    /// Whether traffic changed sides when the canary came, the open block included.
    fn changed_sides(&self, phi: f64, surplus: &Surplus) -> bool {
        let mut since = self.since;
        since.add(&self.open);
        let asked = if self.reassigned {
            STILL_NATS
        } else {
            BETTER_NATS
        };
        better_as_moved(&self.first, &since, phi, surplus) >= asked
    }
}

/// The baseline's bad events for each expected.
fn level(before: &Sums) -> f64 {
    (before.baseline + 0.5) / (before.baseline_expected + 0.5)
}

/// Nats by which "the canary has what the baseline misses, and the total is as before"
/// explains the counts better than "the baseline is as before".
fn better_as_moved(before: &Sums, now: &Sums, phi: f64, surplus: &Surplus) -> f64 {
    let level = level(before);
    let missing = level * now.baseline_expected - now.baseline;
    let excess = now.canary - level * now.canary_expected;
    if missing > MISSING_MOST * excess {
        return f64::NEG_INFINITY;
    }
    let past = (before.baseline, before.baseline_expected);
    let baseline = (now.baseline, now.baseline_expected);
    let total = (
        now.baseline + now.canary,
        now.baseline_expected + now.canary_expected,
    );
    let better = heterogeneity(past, baseline) - heterogeneity(past, total);
    // Clusters may feign that sides were changed; what speaks for harm is taken whole.
    (if better > 0.0 { better / phi } else { better }) + surplus.nats(excess)
}

/// Log likelihood ratio of two rates against one, for counts and their expectations.
fn heterogeneity((a, a_expected): (f64, f64), (b, b_expected): (f64, f64)) -> f64 {
    let expected = a_expected + b_expected;
    if expected <= 0.0 {
        return 0.0;
    }
    let rate = (a + b) / expected;
    let part = |bad: f64, expected: f64| {
        if bad > 0.0 {
            bad * log(bad / (rate * expected).max(1e-12))
        } else {
            0.0
        }
    };
    (part(a, a_expected) + part(b, b_expected)).max(0.0)
}

/// Short bad times, each one observation whatever it holds: on which side they fall.
///
/// Where hosts of both versions have bursts alike, an episode falls on the canary by
/// its share; a harm that returns each minute falls on the canary only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Episodes {
    nats: [f64; EPISODE_ODDS.len()],
    quiet: u32,
    /// A side had an episode and has not been quiet since.
    going: [bool; 2],
}

impl Episodes {
    fn end_block(&mut self, block: &Sums, before: &Sums) {
        let expected = [block.baseline_expected, block.canary_expected];
        let all = expected[0] + expected[1];
        if expected[1] <= 0.0 || expected[0] <= 0.0 {
            return;
        }
        // One bar for both sides, or the smaller side would stand out sooner.
        let most = expected[0].max(expected[1]);
        let bar = EPISODE_EVENTS + EPISODE_DEVIATIONS * sqrt(most);
        let level = (before.baseline + 0.5) / (before.baseline_expected + 0.5);
        let stands = [
            block.baseline - level * expected[0] > bar,
            block.canary_harm - level * expected[1] > bar,
        ];
        if !stands[0] && !stands[1] {
            self.quiet += 1;
            if self.quiet >= EPISODE_GAP {
                self.going = [false; 2];
            }
            return;
        }
        self.quiet = 0;
        let share = expected[1] / all;
        for side in 0..2 {
            // Both at once is a fault that they share, and says nothing.
            if stands[side] && !stands[1 - side] && !self.going[side] {
                for (nats, odds) in self.nats.iter_mut().zip(EPISODE_ODDS) {
                    let canary = odds * share / (odds * share + 1.0 - share);
                    let more = if side == 1 {
                        log(canary / share)
                    } else {
                        log((1.0 - canary) / (1.0 - share))
                    };
                    *nats = (*nats + more).min(MOST_NATS);
                }
            }
            self.going[side] |= stands[side];
        }
    }

    fn log_evidence(&self) -> f64 {
        crate::math::log_mean_exp(&self.nats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(baseline: f64, canary: f64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.begin(240.0, 240.0);
        ledger.count(&Sums {
            baseline,
            baseline_expected: 57.0,
            canary,
            canary_harm: canary,
            canary_expected: 3.0,
            canary_margin: 0.0,
        });
        ledger
    }

    #[test]
    fn what_changed_sides_is_no_harm() {
        assert_eq!(
            ledger(30.0, 30.0).excuse(1.25, 0.05, 1.0, &Surplus::default()),
            Some(Excuse::Reassigned)
        );
    }

    #[test]
    fn requests_that_came_over_speak_for_failures_that_did() {
        let excuse = |canary| {
            let mut surplus = Surplus::default();
            surplus.count(canary, 20_000, 0.05);
            ledger(50.0, 12.0).excuse(1.25, 0.05, 1.0, &surplus)
        };
        assert_eq!(excuse(1_190), Some(Excuse::Reassigned));
        assert_eq!(excuse(1_000), None);
    }

    #[test]
    fn harm_adds_to_the_total() {
        assert_eq!(
            ledger(57.0, 30.0).excuse(1.25, 0.05, 1.0, &Surplus::default()),
            None
        );
        assert_eq!(
            ledger(50.0, 60.0).excuse(1.25, 0.05, 1.0, &Surplus::default()),
            None
        );
    }

    #[test]
    fn a_canary_that_stayed_is_not_guilty_of_a_baseline_that_got_better() {
        let mut ledger = ledger(57.0, 3.0);
        for _ in 0..4 {
            ledger.end_block(true, 1.0, &Surplus::default());
            ledger.count(&Sums {
                baseline: 57.0,
                baseline_expected: 57.0,
                canary: 3.0,
                canary_harm: 3.0,
                canary_expected: 3.0,
                canary_margin: 0.0,
            });
        }
        ledger.end_block(true, 1.0, &Surplus::default());
        for _ in 0..6 {
            ledger.count(&Sums {
                baseline: 6.0,
                baseline_expected: 57.0,
                canary: 3.0,
                canary_harm: 3.0,
                canary_expected: 3.0,
                canary_margin: 0.0,
            });
            ledger.end_block(false, 1.0, &Surplus::default());
        }
        assert_eq!(
            ledger.excuse(1.25, 0.05, 1.0, &Surplus::default()),
            Some(Excuse::BaselineMoved)
        );
    }

    #[test]
    fn short_harms_that_return_add_up_and_shared_ones_do_not() {
        let run = |sides: [f64; 2]| {
            let mut ledger = Ledger::default();
            ledger.begin(240.0, 240.0);
            for block in 0..120 {
                let hit = block % 12 == 0;
                let at = |side: usize, expected: f64| if hit { sides[side] } else { expected };
                ledger.count(&Sums {
                    baseline: at(0, 5.0),
                    baseline_expected: 5.0,
                    canary: at(1, 0.3),
                    canary_harm: at(1, 0.3),
                    canary_expected: 0.3,
                    canary_margin: 0.0,
                });
                ledger.end_block(true, 1.0, &Surplus::default());
            }
            ledger.log_episodes()
        };
        assert!(run([5.0, 40.0]) > 10.0);
        assert!(run([45.0, 0.3]) < 0.0);
        assert_eq!(run([60.0, 60.0]), 0.0);
    }
}
