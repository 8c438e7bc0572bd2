//! In what size the baseline's own bad events come, on time scales from a block to
//! two minutes, remembered for about half an hour.
//!
//! A burst that lasts longer than a block looks smooth from block to block and only
//! shows on its own time scale; one that comes every ten minutes has to be remembered.

use serde::{Deserialize, Serialize};

/// Lengths of the compared windows, in blocks.
const SCALES: [u32; 5] = [1, 2, 4, 8, 24];
/// Blocks after which a window's weight has fallen to about a third.
const MEMORY_BLOCKS: f64 = 360.0;
/// Events, and windows, that speak for independence before any data does. The largest
/// of several noisy estimates is taken, and long scales have few windows.
const PRIOR_EVENTS: f64 = 5.0;
const PRIOR_WINDOWS: f64 = 8.0;

/// One time scale.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Scale {
    blocks: u32,
    bad: u64,
    all: u64,
    last: Option<(u64, u64)>,
    squares: f64,
    events: f64,
    windows: f64,
}

impl Scale {
    fn absorb(&mut self, bad: u64, all: u64, length: u32) {
        self.blocks += 1;
        self.bad += bad;
        self.all += all;
        if self.blocks < length {
            return;
        }
        let window = (self.bad, self.all);
        if let Some((last_bad, last_all)) = self.last
            && last_all > 0
            && self.all > 0
        {
            let (n, before) = (self.all as f64, last_all as f64);
            // Rates are compared, not counts: a wave of load is no cluster.
            let step = self.bad as f64 * before - last_bad as f64 * n;
            let kept = 1.0 - f64::from(length) / MEMORY_BLOCKS;
            self.squares = kept * self.squares + step * step / (n * before) / 2.0;
            self.events = kept * self.events + (self.bad + last_bad) as f64 / 2.0;
            self.windows = kept * self.windows + 1.0;
        }
        *self = Self {
            last: Some(window),
            squares: self.squares,
            events: self.events,
            windows: self.windows,
            ..Self::default()
        };
    }

    fn size(&self) -> f64 {
        let prior = PRIOR_EVENTS + PRIOR_WINDOWS * self.events / self.windows.max(1.0);
        (self.squares + prior) / (self.events + prior)
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Clusters {
    scales: [Scale; SCALES.len()],
}

impl Clusters {
    /// Takes one block of the baseline in.
    pub(crate) fn absorb(&mut self, bad: u64, all: u64) {
        for (scale, length) in self.scales.iter_mut().zip(SCALES) {
            scale.absorb(bad, all, length);
        }
    }

    /// Forgets the windows that later ones would be compared with, not what was learnt.
    pub(crate) fn begin_windows(&mut self) {
        for scale in &mut self.scales {
            (scale.blocks, scale.bad, scale.all, scale.last) = (0, 0, 0, None);
        }
    }

    /// The length in blocks of the scale where they cluster most.
    pub(crate) fn span(&self) -> u32 {
        let sizes = self.scales.iter().map(Scale::size).zip(SCALES);
        let largest = sizes.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        largest.map_or(1, |(_, length)| length)
    }

    /// Events a cluster on the scale where they cluster most; at least one.
    pub(crate) fn size(&self) -> f64 {
        self.scales.iter().map(Scale::size).fold(1.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smooth_burst_shows_on_its_own_scale_and_is_remembered() {
        let mut clusters = Clusters::default();
        for block in 0..200u64 {
            let bad = match block {
                20..=25 => [5, 15, 25, 25, 15, 5][(block - 20) as usize],
                _ => block % 2,
            };
            clusters.absorb(bad, 400);
        }
        assert!(clusters.size() > 10.0, "{}", clusters.size());
    }

    #[test]
    fn independent_events_and_waves_of_load_do_not_cluster() {
        let mut clusters = Clusters::default();
        for block in 0..400u64 {
            let wave = 1 + (block / 20) % 3;
            clusters.absorb(2 * wave + block % 3, 400 * wave);
        }
        assert!(clusters.size() < 1.5, "{}", clusters.size());
    }
}
