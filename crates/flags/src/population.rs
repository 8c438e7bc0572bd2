//! A share of units that are all known: the first so many in the salt's order.

use crate::bucket::UnitOrder;
use esclusa_model::BasisPoints;

/// Known units in the order of (bucket, id), and how many of them are exposed.
#[derive(Debug, Clone)]
pub(crate) struct KnownPopulation {
    order: Vec<(u64, Box<str>)>,
    exposed: usize,
}

impl KnownPopulation {
    /// A unit named twice counts once.
    pub(crate) fn new(units: &[String], order: &UnitOrder, share: BasisPoints) -> Self {
        let mut order: Vec<(u64, Box<str>)> = units
            .iter()
            .map(|unit| (order.bucket(unit), unit.as_str().into()))
            .collect();
        order.sort_unstable();
        order.dedup();
        let exposed = floor_of_one(order.len(), share);
        Self { order, exposed }
    }

    /// The unit's place, from 0; `None` when it is not known.
    pub(crate) fn rank(&self, bucket: u64, unit: &str) -> Option<usize> {
        self.order
            .binary_search_by(|(b, id)| (*b, &**id).cmp(&(bucket, unit)))
            .ok()
    }

    pub(crate) fn exposed(&self) -> usize {
        self.exposed
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// max(1, ceil(share * n)) of n units; nobody at share 0 or without units.
pub(crate) fn floor_of_one(n: usize, share: BasisPoints) -> usize {
    if share == BasisPoints::ZERO {
        return 0;
    }
    // In 128 bits no number of units overflows; the result is at most n.
    let wanted = (n as u128 * u128::from(share.get())).div_ceil(10_000) as usize;
    wanted.max(1).min(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_populations_have_a_floor_of_one() {
        for (n, bp, expected) in [
            (12, 500, 1),
            (12, 2_500, 3),
            (12, 5_000, 6),
            (13, 5_000, 7),
            (1, 1, 1),
            (12, 0, 0),
            (12, 10_000, 12),
            (0, 500, 0),
            (1_000, 500, 50),
            (usize::MAX, 9_999, usize::MAX - usize::MAX / 10_000),
        ] {
            let share = BasisPoints::new(bp).expect("a share");
            assert_eq!(floor_of_one(n, share), expected, "{n} at {share}");
        }
    }
}
