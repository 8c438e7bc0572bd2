//! What happens to one release, drawn from a seed: what kind of version it is, what
//! people ask of it, what is done to its processes.
//!
//! Pure. The same seed, service and number give the same script.

use crate::Random;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What kind of version is released.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Nothing is wrong with it.
    Good,
    /// Fails this part of its requests, so long after its first one by a person.
    Failing {
        /// 0 to 1.
        rate: f64,
        /// Milliseconds.
        after_ms: u64,
    },
    /// Takes twenty times as long; its plan compares latency.
    Slow,
    /// Ends as soon as it is started.
    NeverStarts,
}

impl Kind {
    /// Whether it answers with errors.
    #[must_use]
    pub const fn fails(self) -> bool {
        matches!(self, Self::Failing { .. })
    }
}

/// What a person asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Stop advancing.
    Pause,
    /// Advance again.
    Resume,
    /// Pass the present stage.
    Skip,
    /// Go to 100 % now.
    Promote,
    /// Return everything.
    Abort,
    /// Return everything, also after 100 %.
    Rollback,
}

impl Verb {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Skip => "skip",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        }
    }

    /// Whether a release that was asked this goes back.
    #[must_use]
    pub const fn returns(self) -> bool {
        matches!(self, Self::Abort | Self::Rollback)
    }
}

/// Whose process is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The version that everybody had.
    Stable,
    /// The new one.
    Canary,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// The version's process is killed.
    Kill(Whose),
    /// It is halted for so many milliseconds.
    Halt(Whose, u64),
    /// Its supervisor is killed.
    KillShim(Whose),
}

/// Something that happens so long after the load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timed<T> {
    /// Milliseconds after the load began.
    pub at_ms: u64,
    /// What.
    pub what: T,
}

impl<T> Timed<T> {
    /// When, after the load began.
    #[must_use]
    pub const fn at(&self) -> Duration {
        Duration::from_millis(self.at_ms)
    }
}

/// All that is planned for one release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    /// What it is.
    pub kind: Kind,
    /// What people ask, in order.
    pub asks: Vec<Timed<Verb>>,
    /// What is done to its processes, in order.
    pub harms: Vec<Timed<Harm>>,
    /// Rolled back by a person once it is promoted.
    pub regretted: bool,
    /// Proxies take the share back after this silence, in milliseconds.
    pub lost_control_ms: u64,
    /// What is left to chance while it runs.
    pub seed: u64,
}

/// Which harms may be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harms {
    /// To canaries, and whatever leaves a process running.
    Gentle,
    /// To stable versions too.
    All,
}

impl Script {
    /// A script for release `number` of service `service`. `span` is how long the
    /// release takes when nothing happens.
    #[must_use]
    pub fn draw(seed: u64, service: u64, number: u64, span: Duration, harms: Harms) -> Self {
        let mixed = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(service << 32)
            .wrapping_add(number);
        let mut random = Random::new(mixed);
        // The first number of neighbouring seeds is not far enough apart to be thrown.
        random.bits();
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let kind = draw_kind(&mut random);
        let asks = draw_asks(&mut random, span);
        let regretted = asks.iter().all(|ask| !ask.what.returns()) && random.chance(0.15);
        Self {
            kind,
            asks,
            harms: draw_harms(&mut random, span, harms),
            regretted,
            lost_control_ms: if random.chance(0.2) { 2_000 } else { 60_000 },
            seed: random.bits(),
        }
    }

    /// A good version to which nothing happens.
    #[must_use]
    pub const fn calm(seed: u64) -> Self {
        Self {
            kind: Kind::Good,
            asks: Vec::new(),
            harms: Vec::new(),
            regretted: false,
            lost_control_ms: 120_000,
            seed,
        }
    }

    /// Whether a process of this side is killed.
    #[must_use]
    pub fn kills(&self, whose: Whose) -> bool {
        self.harms.iter().any(|harm| harm.what == Harm::Kill(whose))
    }

    /// How it may end. `stable` is what everybody had, `asked` are the verbs that were
    /// granted.
    #[must_use]
    pub fn may_end(&self, outcome: &str, stable: Kind, asked: &[Verb], was_returned: bool) -> bool {
        let hurried = asked
            .iter()
            .any(|verb| matches!(verb, Verb::Skip | Verb::Promote));
        let returned = asked.iter().any(|verb| verb.returns());
        // Errors, whoever makes them, are for the judge to weigh.
        let judged = matches!(self.kind, Kind::Failing { .. } | Kind::Slow)
            || stable.fails()
            || self.kills(Whose::Canary)
            || self.kills(Whose::Stable);
        match outcome {
            "promoted" => {
                !matches!(self.kind, Kind::Failing { .. } | Kind::NeverStarts) && !returned
            }
            "promoted_early" => !matches!(self.kind, Kind::NeverStarts) && hurried && !returned,
            "rolled_back" => judged || returned,
            "aborted" => returned || was_returned,
            "refused" => matches!(self.kind, Kind::NeverStarts) || self.kills(Whose::Canary),
            _ => false,
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Good => f.write_str("good")?,
            Kind::Failing { rate, after_ms } => write!(
                f,
                "fails {:.0} % after {:.1} s",
                rate * 100.0,
                after_ms as f64 / 1_000.0
            )?,
            Kind::Slow => f.write_str("slow")?,
            Kind::NeverStarts => f.write_str("never starts")?,
        }
        for Timed { at_ms, what } in &self.asks {
            write!(f, ", {} at {:.1} s", what.as_str(), *at_ms as f64 / 1_000.0)?;
        }
        for Timed { at_ms, what } in &self.harms {
            let at = *at_ms as f64 / 1_000.0;
            let side = |whose: &Whose| match whose {
                Whose::Stable => "stable",
                Whose::Canary => "canary",
            };
            match what {
                Harm::Kill(whose) => write!(f, ", {} killed at {at:.1} s", side(whose))?,
                Harm::Halt(whose, ms) => {
                    write!(f, ", {} halted {ms} ms at {at:.1} s", side(whose))?;
                }
                Harm::KillShim(whose) => {
                    write!(f, ", shim of {} killed at {at:.1} s", side(whose))?;
                }
            }
        }
        if self.regretted {
            f.write_str(", rolled back once promoted")?;
        }
        Ok(())
    }
}

fn draw_kind(random: &mut Random) -> Kind {
    match random.below(100) {
        0..58 => Kind::Good,
        58..84 => Kind::Failing {
            rate: 0.5 + random.unit() * 0.5,
            after_ms: random.below(3_000),
        },
        84..94 => Kind::Slow,
        _ => Kind::NeverStarts,
    }
}

fn draw_asks(random: &mut Random, span: u64) -> Vec<Timed<Verb>> {
    let at_ms = random.below(span);
    let ask = |what| vec![Timed { at_ms, what }];
    match random.below(100) {
        0..14 => ask(Verb::Abort),
        14..24 => {
            let mut asks = ask(Verb::Pause);
            asks.push(Timed {
                at_ms: at_ms + 500 + random.below(3_000),
                what: Verb::Resume,
            });
            asks
        }
        24..32 => ask(Verb::Promote),
        32..40 => ask(Verb::Skip),
        40..44 => ask(Verb::Rollback),
        _ => Vec::new(),
    }
}

fn draw_harms(random: &mut Random, span: u64, harms: Harms) -> Vec<Timed<Harm>> {
    if !random.chance(0.4) {
        return Vec::new();
    }
    let at_ms = random.below(span);
    let whose = if random.chance(0.5) {
        Whose::Canary
    } else {
        Whose::Stable
    };
    let what = match random.below(100) {
        0..35 if whose == Whose::Canary || harms == Harms::All => Harm::Kill(whose),
        0..70 => Harm::Halt(whose, 100 + random.below(1_500)),
        _ => Harm::KillShim(whose),
    };
    vec![Timed { at_ms, what }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(20);

    #[test]
    fn the_same_seed_is_the_same_script_and_others_differ() {
        let draw = |seed, number| Script::draw(seed, 1, number, SPAN, Harms::All);
        assert_eq!(draw(1, 1), draw(1, 1));
        let texts: std::collections::BTreeSet<String> =
            (0..200).map(|number| draw(7, number).to_string()).collect();
        assert!(texts.len() > 100, "{}", texts.len());
    }

    #[test]
    fn everything_is_drawn_sooner_or_later() {
        let all: Vec<Script> = (0..500)
            .map(|number| Script::draw(3, 0, number, SPAN, Harms::All))
            .collect();
        let some = |wanted: &dyn Fn(&Script) -> bool| all.iter().filter(|s| wanted(s)).count() > 5;
        assert!(some(&|s| matches!(s.kind, Kind::Failing { .. })));
        assert!(some(&|s| s.kind == Kind::NeverStarts));
        assert!(some(&|s| s.kills(Whose::Stable)));
        assert!(some(&|s| s.regretted));
        for verb in ["abort", "pause", "promote", "skip", "rollback"] {
            assert!(some(&|s| s
                .asks
                .iter()
                .any(|ask| ask.what.as_str() == verb)));
        }
        let gentle = (0..500).map(|n| Script::draw(3, 0, n, SPAN, Harms::Gentle));
        assert!(gentle.into_iter().all(|s| !s.kills(Whose::Stable)));
    }

    #[test]
    fn a_wrong_end_is_not_accepted() {
        let mut script = Script::calm(1);
        assert!(script.may_end("promoted", Kind::Good, &[], false));
        for wrong in [
            "rolled_back",
            "aborted",
            "refused",
            "rollback_failed",
            "promoted_early",
        ] {
            assert!(!script.may_end(wrong, Kind::Good, &[], false), "{wrong}");
        }
        assert!(script.may_end("aborted", Kind::Good, &[Verb::Abort], false));
        // Everybody has a version that fails, which a person promoted: any end is judged.
        let failing = Kind::Failing {
            rate: 0.9,
            after_ms: 0,
        };
        assert!(script.may_end("rolled_back", failing, &[], false));
        assert!(!script.may_end("aborted", failing, &[], false));
        assert!(!script.may_end("promoted", Kind::Good, &[Verb::Abort], false));
        script.kind = Kind::Failing {
            rate: 1.0,
            after_ms: 0,
        };
        assert!(!script.may_end("promoted", Kind::Good, &[], false));
        assert!(script.may_end("rolled_back", Kind::Good, &[], false));
    }
}
