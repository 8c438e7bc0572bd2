//! Which change has arrived when. Pure: times are microseconds that come in.

use std::collections::VecDeque;

/// Delays that are kept of each kind; older ones count in the histogram alone.
const KEPT: usize = 256;
/// Changes that may be under way. A subscriber that is away for long loses the oldest.
const UNDER_WAY: usize = 256;
/// Upper edges of the histogram's buckets, in microseconds.
pub(crate) const EDGES: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A change of the set or the lifting of a kill, from when it is recorded.
    Change,
    /// A kill, from when it is ordered.
    Kill,
}

/// A state of all flags, as far as its order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The revision of the set.
    pub revision: u64,
    /// The newest kill or lifting.
    pub kills: u64,
}

impl State {
    fn has(self, other: Self) -> bool {
        self.revision >= other.revision && self.kills >= other.kills
    }
}

/// Something under way.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    kind: Kind,
    state: State,
    began: u64,
    told: bool,
}

/// Delays of one kind to one point, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delays {
    kept: VecDeque<u64>,
    buckets: [u64; EDGES.len() + 1],
    sum: u64,
}

/// How one kind arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Until the event is there.
    pub told: Delays,
    /// Until an answer shows it.
    pub seen: Delays,
}

/// Everything that was measured at one proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    under_way: VecDeque<UnderWay>,
    /// How many were given up unmeasured.
    unmeasured: u64,
    changes: Reached,
    kills: Reached,
}

impl Book {
    /// Something holds since `at`, and is to arrive.
    pub(crate) fn began(&mut self, kind: Kind, state: State, at: u64) {
        if self.under_way.len() >= UNDER_WAY {
            self.under_way.pop_front();
            self.unmeasured += 1;
        }
        self.under_way.push_back(UnderWay {
            kind,
            state,
            began: at,
            told: false,
        });
    }

    /// An event spoke of this state.
    pub(crate) fn told(&mut self, state: State, at: u64) {
        for one in &mut self.under_way {
            if !one.told && state.has(one.state) {
                one.told = true;
                let delay = at.saturating_sub(one.began);
                match one.kind {
                    Kind::Change => self.changes.told.push(delay),
                    Kind::Kill => self.kills.told.push(delay),
                }
            }
        }
    }

    /// An answer was of this state. Who missed the event knows it from then on.
    pub(crate) fn seen(&mut self, state: State, at: u64) {
        self.told(state, at);
        let (changes, kills) = (&mut self.changes.seen, &mut self.kills.seen);
        self.under_way.retain(|one| {
            let has = state.has(one.state);
            if has {
                let delay = at.saturating_sub(one.began);
                match one.kind {
                    Kind::Change => changes.push(delay),
                    Kind::Kill => kills.push(delay),
                }
            }
            !has
        });
    }

    /// How one kind arrives.
    pub(crate) fn of(&self, kind: Kind) -> &Reached {
        match kind {
            Kind::Change => &self.changes,
            Kind::Kill => &self.kills,
        }
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// For how long the oldest of them has been.
    pub(crate) fn oldest(&self, now: u64) -> Option<u64> {
        let began = self.under_way.iter().map(|one| one.began).min()?;
        Some(now.saturating_sub(began))
    }

    /// How many were given up unmeasured.
    pub(crate) fn unmeasured(&self) -> u64 {
        self.unmeasured
    }
}

impl Delays {
    fn push(&mut self, delay: u64) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(delay);
        let bucket = EDGES.partition_point(|edge| *edge < delay);
        self.buckets[bucket] += 1;
        self.sum = self.sum.saturating_add(delay);
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.kept.len()
    }

    /// The smallest delay that so many in a hundred do not exceed. None of nothing.
    pub(crate) fn percentile(&self, percent: usize) -> Option<u64> {
        let mut sorted: Vec<u64> = self.kept.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// The newest.
    pub(crate) fn last(&self) -> Option<u64> {
        self.kept.back().copied()
    }

    /// How many there ever were in each bucket, by [`EDGES`] and above; and their sum.
    pub(crate) fn histogram(&self) -> (&[u64], u64) {
        (&self.buckets, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(revision: u64, kills: u64) -> State {
        State { revision, kills }
    }

    #[test]
    fn what_nobody_measured_is_unknown() {
        let book = Book::default();
        for kind in [Kind::Change, Kind::Kill] {
            let told = &book.of(kind).told;
            assert_eq!(
                (told.count(), told.percentile(50), told.last()),
                (0, None, None)
            );
        }
        assert_eq!(book.oldest(7), None);
    }

    #[test]
    fn each_arrives_with_the_first_state_that_has_it() {
        let mut book = Book::default();
        book.began(Kind::Change, at(2, 0), 100);
        book.began(Kind::Kill, at(0, 5), 200);
        book.told(at(1, 4), 250);
        assert_eq!(book.of(Kind::Change).told.count(), 0, "an older state");
        book.told(at(2, 4), 300);
        book.told(at(2, 4), 350);
        assert_eq!(book.of(Kind::Change).told.last(), Some(200));
        assert_eq!(book.of(Kind::Change).told.count(), 1, "it arrives once");
        assert_eq!(book.of(Kind::Kill).told.count(), 0);
        book.seen(at(2, 4), 400);
        assert_eq!(book.of(Kind::Change).seen.last(), Some(300));
        assert_eq!((book.under_way(), book.oldest(500)), (1, Some(300)));
        // The event was missed: the answer after the reconnect is the arrival.
        book.seen(at(2, 5), 900);
        let kill = book.of(Kind::Kill);
        assert_eq!((kill.told.last(), kill.seen.last()), (Some(700), Some(700)));
        assert_eq!(book.under_way(), 0);
    }

    #[test]
    fn two_changes_in_one_event_both_arrive() {
        let mut book = Book::default();
        book.began(Kind::Change, at(2, 0), 0);
        book.began(Kind::Change, at(3, 0), 10);
        book.told(at(3, 0), 30);
        let told = &book.of(Kind::Change).told;
        assert_eq!((told.count(), told.percentile(99)), (2, Some(30)));
    }

    #[test]
    fn what_never_arrives_is_bounded_and_counted() {
        let mut book = Book::default();
        for n in 0..UNDER_WAY as u64 + 3 {
            book.began(Kind::Change, at(n, 0), n);
        }
        assert_eq!((book.under_way(), book.unmeasured()), (UNDER_WAY, 3));
        for n in 0..KEPT as u64 + 10 {
            book.began(Kind::Kill, at(0, n), 0);
            book.seen(at(0, n), n);
        }
        let seen = &book.of(Kind::Kill).seen;
        assert_eq!((seen.count(), seen.percentile(1)), (KEPT, Some(12)));
        let (buckets, sum) = seen.histogram();
        let all = KEPT as u64 + 10;
        assert_eq!(
            (buckets.iter().sum::<u64>(), sum),
            (all, all * (all - 1) / 2)
        );
    }

    #[test]
    fn a_delay_on_an_edge_is_within_it() {
        let mut delays = Delays::default();
        for delay in [1_000, 1_001, 60_000_001] {
            delays.push(delay);
        }
        let (buckets, _) = delays.histogram();
        assert_eq!((buckets[0], buckets[1], buckets[EDGES.len()]), (1, 1, 1));
    }

    proptest! {
        #[test]
        fn percentiles_are_of_what_was_measured(
            all in prop::collection::vec(0u64..1_000_000, 1..200),
            percent in 1usize..=100,
        ) {
            let mut delays = Delays::default();
            all.iter().for_each(|delay| delays.push(*delay));
            let found = delays.percentile(percent).expect("some");
            let within = all.iter().filter(|delay| **delay <= found).count();
            let below = all.iter().filter(|delay| **delay < found).count();
            prop_assert!(all.contains(&found));
            prop_assert!(within * 100 >= percent * all.len());
            prop_assert!(below * 100 < percent * all.len());
        }
    }
}
