//! Joins the slices of several proxies into seconds.
//!
//! A second is handed on as soon as every known proxy has reported it. One that is
//! late is waited for, at most [`LATE_S`], and once only: after that it is lost until
//! it reports again. What comes later still is dropped and counted. What this does
//! not do: remove duplicates, which the sequence of a slice shows before it gets here.

use crate::second::{ProxyCell, Second};
use crate::slice::Slice;
use esclusa_model::ProxyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a second waits for a known proxy that has not reported it.
pub const LATE_S: i64 = 10;

/// Seconds after which an empty second is handed on when no proxy is known to live.
const NOBODY_S: i64 = 2;

/// A pause longer than this is told as one silent second, not as many.
const LONG_PAUSE_S: i64 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    Reports,
    Lost,
}

/// One proxy's seconds on the common scale: its monotonic clock plus an offset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ProxyClock {
    offset: i64,
    uptime_s: u64,
    latest: i64,
    life: Life,
}

/// See the module. Serialise it with the judge that it feeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assembler {
    proxies: BTreeMap<ProxyId, ProxyClock>,
    waiting: BTreeMap<i64, Vec<ProxyCell>>,
    next: Option<i64>,
    dropped_late: u64,
}

impl Assembler {
    /// An assembler that knows no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one proxy's slice of one service, at wall-clock second `now_s`.
    ///
    /// Seconds follow the proxy's monotonic clock, so a step of its wall clock neither
    /// repeats nor skips any; they are anchored anew when the proxy restarts or the
    /// result would lie outside what can still be used.
    pub fn push(&mut self, proxy: &ProxyId, slice: Slice, now_s: i64) {
        let t = self.place(proxy, &slice, now_s);
        if self.next.is_some_and(|next| t < next) {
            self.dropped_late += 1;
            return;
        }
        let cells = self.waiting.entry(t).or_default();
        cells.extend(slice.cells.into_iter().map(|cell| ProxyCell {
            proxy: proxy.clone(),
            cell,
        }));
        self.next.get_or_insert(t);
    }

    /// All seconds that are complete, or that have waited long enough, at `now_s`.
    #[must_use]
    pub fn drain(&mut self, now_s: i64) -> Vec<Second> {
        let mut seconds = Vec::new();
        while let Some(t) = self.next {
            if !self.is_due(t, now_s) {
                break;
            }
            let cells = self.waiting.remove(&t);
            let heard = cells.is_some();
            seconds.push(Second {
                t,
                cells: cells.unwrap_or_default(),
                heard,
            });
            self.next = Some(self.following(t, now_s));
        }
        seconds
    }

    /// Stops waiting for a proxy that is known to be gone.
    pub fn forget(&mut self, proxy: &ProxyId) {
        self.proxies.remove(proxy);
    }

    /// Slices that came too late to count.
    #[must_use]
    pub const fn dropped_late(&self) -> u64 {
        self.dropped_late
    }

    fn place(&mut self, proxy: &ProxyId, slice: &Slice, now_s: i64) -> i64 {
        let uptime = i64::try_from(slice.uptime_s).unwrap_or(i64::MAX / 2);
        // A proxy that claims the future is taken to speak of now.
        let claimed = slice.second.min(now_s);
        let earliest = self.next.unwrap_or(i64::MIN);
        let clock = self.proxies.entry(proxy.clone()).or_insert(ProxyClock {
            offset: claimed - uptime,
            uptime_s: 0,
            latest: i64::MIN,
            life: Life::Reports,
        });
        let placed = clock.offset + uptime;
        let restarted = slice.uptime_s < clock.uptime_s;
        let unusable = placed > now_s || (placed < earliest && claimed >= earliest);
        if restarted || unusable {
            clock.offset = claimed - uptime;
        }
        clock.uptime_s = slice.uptime_s;
        clock.life = Life::Reports;
        let t = clock.offset + uptime;
        clock.latest = clock.latest.max(t);
        t
    }

    fn is_due(&mut self, t: i64, now_s: i64) -> bool {
        let mut living = self
            .proxies
            .values()
            .filter(|p| p.life == Life::Reports)
            .peekable();
        if living.peek().is_none() {
            return self.waiting.contains_key(&t) || now_s - t >= NOBODY_S;
        }
        if living.all(|p| p.latest >= t) {
            return true;
        }
        let waited = now_s - t > LATE_S;
        if waited {
            for clock in self.proxies.values_mut().filter(|p| p.latest < t) {
                clock.life = Life::Lost;
            }
        }
        waited
    }

    fn following(&self, t: i64, now_s: i64) -> i64 {
        let soonest = self.waiting.keys().next().copied().unwrap_or(i64::MAX);
        if soonest.min(now_s) - t > LONG_PAUSE_S {
            soonest.min(now_s - LATE_S)
        } else {
            t + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::{Epoch, GenerationId, ServiceName};

    fn proxy(name: &str) -> ProxyId {
        ProxyId::new(name).expect("a valid id")
    }

    fn slice(second: i64, uptime_s: u64) -> Slice {
        Slice {
            v: crate::SLICE_VERSION,
            service: ServiceName::new("shop").expect("a valid name"),
            second,
            uptime_s,
            generation: GenerationId {
                epoch: Epoch(1),
                number: 1,
            },
            cells: Vec::new(),
            client_faults: 0,
            proxy_faults: 0,
        }
    }

    fn times(seconds: &[Second]) -> Vec<(i64, bool)> {
        seconds.iter().map(|s| (s.t, s.heard)).collect()
    }

    #[test]
    fn a_second_waits_for_no_one_once_all_have_reported() {
        let mut assembler = Assembler::new();
        assembler.push(&proxy("a"), slice(100, 10), 101);
        assembler.push(&proxy("b"), slice(100, 70), 101);
        assert_eq!(times(&assembler.drain(101)), [(100, true)]);
        assembler.push(&proxy("a"), slice(101, 11), 102);
        assert_eq!(times(&assembler.drain(102)), []);
        assembler.push(&proxy("b"), slice(101, 71), 102);
        assert_eq!(times(&assembler.drain(102)), [(101, true)]);
    }

    #[test]
    fn a_lost_proxy_delays_once_and_a_late_slice_is_dropped() {
        let mut assembler = Assembler::new();
        let mut emitted = Vec::new();
        for t in 0..30 {
            assembler.push(&proxy("a"), slice(t, t as u64), t + 1);
            if t < 5 {
                assembler.push(&proxy("b"), slice(t, t as u64), t + 1);
            }
            emitted.push(assembler.drain(t + 1).len());
        }
        assert_eq!(emitted.iter().sum::<usize>(), 30);
        assert_eq!(
            emitted[5..15].iter().sum::<usize>(),
            0,
            "waits ten seconds for b"
        );
        assert!(
            emitted[16..].iter().all(|n| *n == 1),
            "then no more: {emitted:?}"
        );
        assembler.push(&proxy("b"), slice(6, 6), 31);
        assert_eq!(assembler.dropped_late(), 1);
    }

    #[test]
    fn silence_becomes_unheard_seconds() {
        let mut assembler = Assembler::new();
        assembler.push(&proxy("a"), slice(0, 0), 1);
        assert_eq!(times(&assembler.drain(1)), [(0, true)]);
        assert_eq!(times(&assembler.drain(11)), []);
        assert_eq!(assembler.drain(40).iter().filter(|s| !s.heard).count(), 38);
    }

    #[test]
    fn a_step_of_the_wall_clock_repeats_no_second() {
        let mut assembler = Assembler::new();
        let mut seen = Vec::new();
        for t in 0..20 {
            let wall = if t < 10 { t } else { t - 3 };
            assembler.push(&proxy("a"), slice(1_000 + wall, t as u64), 1_001 + t);
            seen.extend(assembler.drain(1_001 + t).iter().map(|s| s.t));
        }
        assert_eq!(seen, (1_000..1_020).collect::<Vec<_>>());
    }
}
