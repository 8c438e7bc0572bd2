//! One version's part of one second, and how slow requests are counted in it.

use crate::histogram::Histogram;
use crate::slice::{Cell, EventClass};

const SECOND_US: u64 = 1_000_000;

/// Counts of one version in one stratum in one second.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    pub requests: u64,
    pub failures: u64,
    pub events: Vec<(EventClass, u64)>,
    pub latency: Histogram,
    pub pending: Histogram,
}

impl Side {
    /// Adds one cell.
    pub(crate) fn add(&mut self, cell: &Cell) {
        let requests = cell.telling_requests();
        self.requests += requests;
        self.failures += cell.failures().min(requests);
        for (class, n) in &cell.events {
            match self.events.iter_mut().find(|(known, _)| known == class) {
                Some((_, sum)) => *sum += n,
                None => self.events.push((*class, *n)),
            }
        }
        self.latency.merge(&cell.latency);
        self.pending.merge(&cell.pending);
    }

    /// Finished requests with any of `classes`.
    pub(crate) fn events_of(&self, classes: &[EventClass]) -> u64 {
        self.events
            .iter()
            .filter(|(class, _)| classes.contains(class))
            .map(|(_, n)| n)
            .sum()
    }

    /// Requests newly known to be slower than `edge_us`, and all newly known ones.
    ///
    /// A waiting request counts once, when its age passes the edge; when it finishes
    /// later it is not counted again. `before` are those waiting a second ago.
    pub(crate) fn slower_than(&self, edge_us: u64, before: &Histogram) -> (u64, u64) {
        let later = edge_us.saturating_add(SECOND_US);
        let still = self.pending.at_or_above(later);
        let crossed = self.pending.at_or_above(edge_us) - still;
        let left = before.at_or_above(edge_us).saturating_sub(still);
        let done = self.latency.at_or_above(edge_us);
        let counted_before = done.min(left);
        (
            crossed + done - counted_before,
            self.latency.total() + crossed - counted_before,
        )
    }

    /// Requests whose wait passed `edge_us` in this second.
    pub(crate) fn began_to_hang(&self, edge_us: u64) -> u64 {
        self.pending.at_or_above(edge_us)
            - self.pending.at_or_above(edge_us.saturating_add(SECOND_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(ages_us: &[u64]) -> Side {
        let mut side = Side::default();
        ages_us.iter().for_each(|age| side.pending.record(*age));
        side
    }

    #[test]
    fn a_waiting_request_counts_once() {
        let edge = 249_856;
        let none = Histogram::default();
        let first = waiting(&[100_000]);
        assert_eq!(first.slower_than(edge, &none), (0, 0));
        let second = waiting(&[1_100_000]);
        assert_eq!(second.slower_than(edge, &first.pending), (1, 1));
        let third = waiting(&[2_100_000]);
        assert_eq!(third.slower_than(edge, &second.pending), (0, 0));
        let mut done = Side::default();
        done.latency.record(2_500_000);
        assert_eq!(done.slower_than(edge, &third.pending), (0, 0));
    }

    #[test]
    fn a_finished_request_counts_by_its_latency() {
        let mut side = Side::default();
        side.latency.record(300_000);
        side.latency.record(1_000);
        assert_eq!(side.slower_than(249_856, &Histogram::default()), (1, 2));
    }
}
