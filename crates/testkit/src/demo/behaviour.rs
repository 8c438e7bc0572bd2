//! How a demo version behaves: how long each answer takes and whether it fails.
//!
//! Time comes in as a value, so that hours are tested in no time.

use crate::Random;
use std::time::{Duration, Instant};

/// What kind of version it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum BehaviourKind {
    /// Answers well.
    #[default]
    Good,
    /// Answers well until its trigger, then fails a share of its requests. Its health
    /// check stays good: that is why a release compares instead of asking.
    Failing,
    /// Takes longer, always.
    Slow,
    /// Takes four times as long at first and warms up with use.
    ColdStart,
}

/// When a failing version begins to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailAfter {
    /// So long after its first organic request.
    Organic(Duration),
    /// When the trigger file appears.
    File,
}

/// A demo version's behaviour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// What kind it is.
    pub kind: BehaviourKind,
    /// The share of requests that fail once it fails, 0 to 1.
    pub fail_rate: f64,
    /// When it begins to fail.
    pub fail_after: FailAfter,
    /// How many times longer [`BehaviourKind::Slow`] takes.
    pub slow_factor: f64,
    /// The time constant of warming up.
    pub warms_up_in: Duration,
    /// The median time of an answer when all is well.
    pub median: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            kind: BehaviourKind::Good,
            fail_rate: 0.6,
            fail_after: FailAfter::Organic(Duration::from_secs(5)),
            slow_factor: 2.0,
            warms_up_in: Duration::from_secs(8),
            median: Duration::from_millis(9),
        }
    }
}

/// How one request is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How long the answer takes.
    pub delay: Duration,
    /// Whether it is a 500.
    pub fails: bool,
}

/// The spread of the latency; with a median of 9 ms, 98 of 100 lie between 4 and 20.
const SIGMA: f64 = 0.35;
/// How many times longer a cold version takes on top.
const COLD_EXTRA: f64 = 3.0;

/// A behaviour in the course of time.
#[derive(Debug)]
pub(crate) struct Course {
    behaviour: Behaviour,
    random: Random,
    first: Option<Instant>,
    first_organic: Option<Instant>,
    file_seen: bool,
    ordered_rate: Option<f64>,
}

impl Course {
    pub(crate) const fn new(behaviour: Behaviour, seed: u64) -> Self {
        Self {
            behaviour,
            random: Random::new(seed),
            first: None,
            first_organic: None,
            file_seen: false,
            ordered_rate: None,
        }
    }

    /// Fails at this rate from now on, whatever the kind; 0 heals.
    pub(crate) const fn order_rate(&mut self, rate: f64) {
        self.ordered_rate = Some(rate);
    }

    /// The trigger file has appeared.
    pub(crate) const fn file_appeared(&mut self) {
        self.file_seen = true;
    }

    /// How a request that arrives `now` is answered; `weight` is how many times longer
    /// its route takes than the front page.
    pub(crate) fn answer(&mut self, now: Instant, organic: bool, weight: f64) -> Verdict {
        let first = *self.first.get_or_insert(now);
        if organic {
            self.first_organic.get_or_insert(now);
        }
        let factor = match self.behaviour.kind {
            BehaviourKind::Good | BehaviourKind::Failing => 1.0,
            BehaviourKind::Slow => self.behaviour.slow_factor,
            BehaviourKind::ColdStart => {
                let age = now.saturating_duration_since(first).as_secs_f64();
                let tau = self.behaviour.warms_up_in.as_secs_f64().max(0.001);
                1.0 + COLD_EXTRA * (-age / tau).exp()
            }
        };
        let spread = (SIGMA * self.random.normal()).exp();
        let delay = self.behaviour.median.as_secs_f64() * spread * factor * weight;
        let rate = self.rate(now);
        Verdict {
            delay: Duration::from_secs_f64(delay.clamp(0.000_1, 30.0)),
            fails: self.random.chance(rate),
        }
    }

    fn rate(&self, now: Instant) -> f64 {
        if let Some(ordered) = self.ordered_rate {
            return ordered;
        }
        let triggered = match (self.behaviour.kind, self.behaviour.fail_after) {
            (BehaviourKind::Failing, FailAfter::File) => self.file_seen,
            (BehaviourKind::Failing, FailAfter::Organic(after)) => self
                .first_organic
                .is_some_and(|first| now.saturating_duration_since(first) >= after),
            (BehaviourKind::Good | BehaviourKind::Slow | BehaviourKind::ColdStart, _) => false,
        };
        if triggered {
            self.behaviour.fail_rate
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 4_000;

    /// Failures and mean delay in milliseconds of many answers at one moment.
    fn many(course: &mut Course, now: Instant, organic: bool) -> (u32, f64) {
        let (mut failures, mut total) = (0, 0.0);
        for _ in 0..N {
            let verdict = course.answer(now, organic, 1.0);
            failures += u32::from(verdict.fails);
            total += verdict.delay.as_secs_f64() * 1_000.0;
        }
        (failures, total / f64::from(N))
    }

    fn course(kind: BehaviourKind) -> Course {
        let behaviour = Behaviour {
            kind,
            ..Behaviour::default()
        };
        Course::new(behaviour, 1)
    }

    #[test]
    fn a_failing_version_waits_for_people() {
        let start = Instant::now();
        let mut failing = course(BehaviourKind::Failing);
        let hour = start + Duration::from_secs(3_600);
        assert_eq!(many(&mut failing, start, false).0, 0);
        assert_eq!(
            many(&mut failing, hour, false).0,
            0,
            "warm-up is no trigger"
        );
        assert_eq!(many(&mut failing, hour, true).0, 0);
        let before = hour + Duration::from_millis(4_999);
        assert_eq!(many(&mut failing, before, true).0, 0);
        let (failures, _) = many(&mut failing, hour + Duration::from_secs(5), true);
        assert!((2_280..2_520).contains(&failures), "{failures}");
    }

    #[test]
    fn a_file_or_an_order_triggers_and_heals() {
        let now = Instant::now();
        let behaviour = Behaviour {
            kind: BehaviourKind::Failing,
            fail_after: FailAfter::File,
            fail_rate: 1.0,
            ..Behaviour::default()
        };
        let mut failing = Course::new(behaviour, 1);
        let later = now + Duration::from_secs(60);
        many(&mut failing, now, true);
        assert_eq!(many(&mut failing, later, true).0, 0);
        failing.file_appeared();
        assert_eq!(many(&mut failing, later, true).0, N);
        failing.order_rate(0.0);
        assert_eq!(many(&mut failing, later, true).0, 0);
        let mut good = course(BehaviourKind::Good);
        good.order_rate(1.0);
        assert_eq!(many(&mut good, now, true).0, N);
    }

    #[test]
    fn slow_stays_slow_and_cold_warms_up() {
        let now = Instant::now();
        let (_, good) = many(&mut course(BehaviourKind::Good), now, true);
        assert!((8.0..12.0).contains(&good), "{good}");
        let (_, slow) = many(&mut course(BehaviourKind::Slow), now, true);
        assert!((1.9..2.1).contains(&(slow / good)), "{slow}");
        let mut cold = course(BehaviourKind::ColdStart);
        let factors = [0, 8, 60].map(|seconds| {
            let (_, mean) = many(&mut cold, now + Duration::from_secs(seconds), true);
            mean / good
        });
        assert!((3.8..4.2).contains(&factors[0]), "{factors:?}");
        assert!((2.0..2.2).contains(&factors[1]), "{factors:?}");
        assert!((0.95..1.05).contains(&factors[2]), "{factors:?}");
    }
}
