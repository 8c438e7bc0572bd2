//! Chance that follows from a seed (SplitMix64), and draws from counts.

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// At least 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// At least 0, below `n`; 0 of nothing.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        (self.unit() * n as f64) as u64
    }

    /// How many of `n` happen, each with this chance.
    pub(super) fn of(&mut self, n: u64, chance: f64) -> u64 {
        (0..n).filter(|_| self.unit() < chance).count() as u64
    }

    /// How many marked ones are among `drawn` of `all`, of which `marked` are marked;
    /// without putting any back.
    pub(super) fn drawn(&mut self, marked: u64, all: u64, drawn: u64) -> u64 {
        let (mut left, mut wanted) = (all, drawn.min(all));
        let mut found = 0;
        for _ in 0..marked.min(all) {
            if self.unit() * (left as f64) < wanted as f64 {
                found += 1;
                wanted -= 1;
            }
            left -= 1;
        }
        found
    }
}

/// A number that looks like any other, and is always the same.
pub(super) const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_their_mean_and_stay_in_bounds() {
        let mut dice = Dice::new(1);
        let sum: u64 = (0..2_000).map(|_| dice.of(50, 0.1)).sum();
        assert!((9_700..10_300).contains(&sum), "{sum}");
        let sum: u64 = (0..2_000).map(|_| dice.drawn(10, 50, 5)).sum();
        assert!((1_850..2_150).contains(&sum), "{sum}");
        assert_eq!([dice.drawn(7, 7, 3), dice.drawn(4, 9, 9)], [3, 4]);
        assert_eq!([dice.drawn(0, 9, 9), dice.below(0)], [0, 0]);
        assert!((0..1_000).all(|_| dice.below(3) < 3));
    }
}
