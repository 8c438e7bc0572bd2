//! Repeatable randomness: the same seed gives the same run.

/// SplitMix64; good enough for latencies and coin tosses, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence that depends on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// At least 0, below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.unit() * end as f64) as u64
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right_and_runs_repeat() {
        let mut random = Random::new(7);
        let n = 100_000;
        let (mut heads, mut sum, mut squares) = (0, 0.0, 0.0);
        for _ in 0..n {
            heads += u32::from(random.chance(0.6));
            let z = random.normal();
            sum += z;
            squares += z * z;
        }
        assert!((59_000..61_000).contains(&heads), "{heads}");
        assert!((sum / f64::from(n)).abs() < 0.02, "{sum}");
        assert!((squares / f64::from(n) - 1.0).abs() < 0.03, "{squares}");
        assert_eq!(Random::new(3).bits(), Random::new(3).bits());
        assert_ne!(Random::new(3).bits(), Random::new(4).bits());
    }
}
