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
    /// Takes longer for two requests of a hundred, and for no other.
    Tail,
    /// Takes requests and never answers them.
    Hanging,
    /// Knows none of its pages: 404 everywhere.
    NotFound,
    /// Fails the first person who comes by name, and answers everybody else well.
    OnePerson,
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
    /// How many times longer [`BehaviourKind::Slow`] and [`BehaviourKind::Tail`] take.
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

/// What a request is, as far as an answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Asked<'a> {
    /// Whether a person asks; no controller's probe or warm-up.
    pub organic: bool,
    /// The name that the person gives.
    pub person: Option<&'a str>,
    /// How many times longer its route takes than the front page.
    pub weight: f64,
}

/// How one request is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How long the answer takes.
    pub delay: Duration,
    /// What it is.
    pub answer: Answer,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A page.
    Page,
    /// A 500.
    Error,
    /// A 404.
    NotFound,
    /// None, ever.
    None,
}

/// The spread of the latency; with a median of 9 ms, 98 of 100 lie between 4 and 20.
const SIGMA: f64 = 0.35;
/// How many times longer a cold version takes on top.
const COLD_EXTRA: f64 = 3.0;
/// The part of its requests for which a version with a tail takes longer.
const TAIL_PART: f64 = 0.02;

/// A behaviour in the course of time.
#[derive(Debug)]
pub(crate) struct Course {
    behaviour: Behaviour,
    random: Random,
    first: Option<Instant>,
    first_organic: Option<Instant>,
    file_seen: bool,
    ordered_rate: Option<f64>,
    /// Whom [`BehaviourKind::OnePerson`] fails.
    person: Option<String>,
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
            person: None,
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

    /// How a request that arrives `now` is answered.
    pub(crate) fn answer(&mut self, now: Instant, asked: Asked<'_>) -> Verdict {
        let first = *self.first.get_or_insert(now);
        if asked.organic {
            self.first_organic.get_or_insert(now);
        }
        if let (BehaviourKind::OnePerson, None, Some(person)) =
            (self.behaviour.kind, &self.person, asked.person)
        {
            self.person = Some(person.to_owned());
        }
        let factor = match self.behaviour.kind {
            BehaviourKind::Slow => self.behaviour.slow_factor,
            BehaviourKind::Tail if self.random.chance(TAIL_PART) => self.behaviour.slow_factor,
            BehaviourKind::ColdStart => {
                let age = now.saturating_duration_since(first).as_secs_f64();
                let tau = self.behaviour.warms_up_in.as_secs_f64().max(0.001);
                1.0 + COLD_EXTRA * (-age / tau).exp()
            }
            _ => 1.0,
        };
        let spread = (SIGMA * self.random.normal()).exp();
        let delay = self.behaviour.median.as_secs_f64() * spread * factor * asked.weight;
        let fails = self.random.chance(self.rate(now, asked));
        Verdict {
            delay: Duration::from_secs_f64(delay.clamp(0.000_1, 30.0)),
            answer: match self.behaviour.kind {
                _ if fails => Answer::Error,
                BehaviourKind::Hanging => Answer::None,
                BehaviourKind::NotFound => Answer::NotFound,
                _ => Answer::Page,
            },
        }
    }

    fn rate(&self, now: Instant, asked: Asked<'_>) -> f64 {
        if let Some(ordered) = self.ordered_rate {
            return ordered;
        }
        let triggered = match (self.behaviour.kind, self.behaviour.fail_after) {
            (BehaviourKind::Failing, FailAfter::File) => self.file_seen,
            (BehaviourKind::Failing, FailAfter::Organic(after)) => self
                .first_organic
                .is_some_and(|first| now.saturating_duration_since(first) >= after),
            (BehaviourKind::OnePerson, _) => {
                return f64::from(asked.person.is_some() && asked.person == self.person.as_deref());
            }
            _ => false,
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

    fn asked(organic: bool, person: Option<&str>) -> Asked<'_> {
        Asked {
            organic,
            person,
            weight: 1.0,
        }
    }

    /// Failures and mean delay in milliseconds of many answers at one moment.
    fn many(course: &mut Course, now: Instant, organic: bool) -> (u32, f64) {
        let (mut failures, mut total) = (0, 0.0);
        for _ in 0..N {
            let verdict = course.answer(now, asked(organic, None));
            failures += u32::from(verdict.answer == Answer::Error);
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

    #[test]
    fn a_tail_is_long_and_thin() {
        let now = Instant::now();
        let mut tail = course(BehaviourKind::Tail);
        tail.behaviour.slow_factor = 20.0;
        let longest = Duration::from_millis(60);
        let long = (0..N)
            .filter(|_| tail.answer(now, asked(true, None)).delay > longest)
            .count();
        assert!((50..115).contains(&long), "{long}");
    }

    #[test]
    fn one_person_is_failed_and_nobody_else() {
        let now = Instant::now();
        let mut picky = course(BehaviourKind::OnePerson);
        let mut answer = |person| picky.answer(now, asked(true, person)).answer;
        assert_eq!(answer(None), Answer::Page);
        for (person, expected) in [("ana", Answer::Error), ("eva", Answer::Page)] {
            assert_eq!([answer(Some(person)); 2], [expected; 2], "{person}");
        }
        assert_eq!(answer(None), Answer::Page);
        assert_eq!(answer(Some("ana")), Answer::Error);
    }

    #[test]
    fn what_hangs_or_knows_nothing_does_so_always() {
        let now = Instant::now();
        for (kind, expected) in [
            (BehaviourKind::Hanging, Answer::None),
            (BehaviourKind::NotFound, Answer::NotFound),
        ] {
            assert_eq!(course(kind).answer(now, asked(true, None)).answer, expected);
        }
    }
}
