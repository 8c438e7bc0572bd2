//! Processor time and allocations of two sides, batch about batch, so that whatever
//! else the machine does falls on both.

use rustix::time::{ClockId, clock_gettime};

/// What one evaluation costs.
pub(crate) struct Cost {
    pub(crate) nanoseconds: f64,
    pub(crate) allocations: u64,
}

type Side<'s> = dyn FnMut(u32) + 's;

/// Evaluations of usual size in one batch.
const BATCH: u32 = 400_000;

pub(crate) fn both(
    runs: usize,
    scale: u32,
    ours: &mut Side<'_>,
    peer: &mut Side<'_>,
) -> (Cost, Cost) {
    let times = (BATCH / scale).max(100);
    let mut best = [f64::INFINITY; 2];
    for _ in 0..runs {
        best[0] = best[0].min(batch(times, ours));
        best[1] = best[1].min(batch(times, peer));
    }
    let cost = |nanoseconds, side: &mut Side<'_>| Cost {
        nanoseconds,
        allocations: allocation_counter::measure(|| side(1)).count_total,
    };
    (cost(best[0], ours), cost(best[1], peer))
}

/// What one of a side without a peer costs.
pub(crate) fn alone(runs: usize, scale: u32, side: &mut Side<'_>) -> Cost {
    let times = (BATCH / scale).max(100);
    let best = (0..runs).map(|_| batch(times, side));
    Cost {
        nanoseconds: best.fold(f64::INFINITY, f64::min),
        allocations: allocation_counter::measure(|| side(1)).count_total,
    }
}

/// Nanoseconds of this thread for one of `times` evaluations.
fn batch(times: u32, side: &mut Side<'_>) -> f64 {
    side(times / 10); // warm
    let before = now();
    side(times);
    (now() - before) / f64::from(times)
}

fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
