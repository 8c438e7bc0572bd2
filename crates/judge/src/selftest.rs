//! A service's own traffic, split into two versions that are the same: what the judge
//! would say of a release that changes nothing, and of one that does known harm.
//!
//! Pure: each trial follows from its seed. What this does not do: keep requests that were
//! still waiting: both sides are without them.

mod dice;
mod split;

use crate::config::JudgeConfig;
use crate::judge::Judge;
use crate::replay::{Told, Traffic};
use crate::second::{Comparable, Second, StageInfo};
use crate::stage_end::{StageEnd, at_stage_end};
use crate::verdict::{Decision, Label};
use dice::Dice;
use esclusa_model::{BasisPoints, Fraction, InstanceId};
use libm::{exp, log, log1p};
use serde::{Deserialize, Serialize};
use split::Split;
use std::collections::BTreeSet;

/// Seconds of both versions before the canary, where the traffic is long enough.
const PRE_ROLL_S: usize = 300;
/// The least time that a trial takes, the seconds before included.
const LEAST_S: usize = 180;

/// How the traffic becomes two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// The same seconds; heavy units stay whole, all other requests are drawn one by one.
    Unit,
    /// The same seconds; whole instances are the canary's, with all their bursts.
    Host,
    /// The canary has another time's requests. A judge compares versions at one moment;
    /// this says how much the traffic changes by itself.
    Time,
}

/// What is done to the canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// So many of its good answers become failures.
    Errors(Fraction),
    /// All of its answers take so much longer: 1.25 for a quarter.
    Slower(f64),
    /// It fails everything.
    Outage,
}

/// One release to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What it depends on beside the traffic.
    pub seed: u64,
    /// The canary's share.
    pub share: BasisPoints,
    /// The share after it.
    pub next_share: BasisPoints,
    /// Seconds of its stage.
    pub for_s: usize,
    /// How the versions come about.
    pub by: SplitBy,
    /// What is planted from the stage's beginning.
    pub harm: Option<Harm>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Taken back so many seconds after the stage began.
    Returned {
        /// The seconds.
        after_s: i64,
        /// The first cause, where one is named.
        label: Option<Label>,
    },
    /// Kept waiting at the stage's end.
    Held,
    /// Let go on.
    Promoted,
}

/// Why traffic cannot be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLittle {
    /// Too short.
    #[error("it has {seconds} s of the stable version's traffic, and a trial takes {LEAST_S}")]
    Short {
        /// What there is.
        seconds: usize,
    },
    /// Nobody asked anything.
    #[error("nobody was served by its stable version")]
    Silent,
}

/// The seconds of one version that served alone or beside another.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    seconds: Vec<Second>,
    hosts: Vec<InstanceId>,
}

impl Past {
    /// What the stable version of a recording was asked by people.
    ///
    /// # Errors
    /// When there is too little of it for any trial.
    pub fn of(traffic: &Traffic) -> Result<Self, TooLittle> {
        let served = |second: &Second| {
            let cells = second.cells.iter().filter(|at| {
                let version = at.cell.served.unwrap_or(at.cell.intended);
                version == traffic.baseline && !at.cell.synthetic
            });
            Second {
                t: second.t,
                cells: cells.cloned().collect(),
                heard: second.heard,
            }
        };
        let seconds: Vec<Second> = traffic
            .told
            .iter()
            .filter_map(|told| match told {
                Told::Second(second) => Some(served(second)),
                Told::Stage(_) => None,
            })
            .collect();
        if seconds.len() < LEAST_S {
            let seconds = seconds.len();
            return Err(TooLittle::Short { seconds });
        }
        let requests = seconds.iter().flat_map(|second| &second.cells);
        if requests.map(|at| at.cell.requests).sum::<u64>() == 0 {
            return Err(TooLittle::Silent);
        }
        let instances = seconds.iter().flat_map(|second| &second.cells);
        let hosts: BTreeSet<&InstanceId> = instances
            .filter_map(|at| at.cell.instance.as_ref())
            .collect();
        let hosts = hosts.into_iter().cloned().collect();
        Ok(Self { seconds, hosts })
    }

    /// The ways in which this traffic can be split: by instance where there are several.
    #[must_use]
    pub fn splits(&self) -> Vec<SplitBy> {
        let mut splits = vec![SplitBy::Unit, SplitBy::Time];
        if self.hosts.len() > 1 {
            splits.insert(1, SplitBy::Host);
        }
        splits
    }

    /// How many seconds there are.
    #[must_use]
    pub const fn seconds(&self) -> usize {
        self.seconds.len()
    }

    /// People's requests a second, on average.
    #[must_use]
    pub fn requests_per_s(&self) -> f64 {
        let cells = self.seconds.iter().flat_map(|second| &second.cells);
        let requests: u64 = cells.map(|at| at.cell.requests).sum();
        requests as f64 / self.seconds.len().max(1) as f64
    }

    /// The longest stage that fits, at most `wanted` seconds.
    #[must_use]
    pub fn stage_s(&self, wanted: usize) -> usize {
        wanted.min(self.seconds.len() - self.pre_roll())
    }

    fn pre_roll(&self) -> usize {
        PRE_ROLL_S.min(self.seconds.len() / 3)
    }
}

/// Tries one release on this traffic.
#[must_use]
pub fn run(config: &JudgeConfig, past: &Past, trial: &Trial) -> Ended {
    let mut dice = Dice::new(trial.seed);
    let (all, before) = (past.seconds.len(), past.pre_roll());
    let stage_s = past.stage_s(trial.for_s);
    // Each trial begins elsewhere, so that together they see all of the traffic.
    let first = dice.below((all - before - stage_s + 1) as u64) as usize;
    let shift = match trial.by {
        SplitBy::Unit | SplitBy::Host => 0,
        SplitBy::Time => all / 4 + dice.below((all / 2).max(1) as u64) as usize,
    };
    let split = Split::new(trial, &past.hosts, dice.next());
    let mut judge = Judge::new(config.clone(), split::STABLE, split::CANARY);
    let stage = StageInfo {
        entered_at_s: before as i64,
        share: split.share(),
        next_share: trial.next_share,
        min_watch_s: u32::try_from(stage_s).unwrap_or(u32::MAX),
        comparable: Comparable::Random,
        chosen: false,
    };
    for step in 0..before + stage_s {
        let at = first + step;
        let other = &past.seconds[(at + shift) % all];
        let mut second = Second {
            t: step as i64,
            ..past.seconds[at].clone()
        };
        if step < before {
            split.all_stable(&mut second);
            judge.tick(&second);
            continue;
        }
        if step == before {
            judge.enter_stage(stage);
        }
        split.second(&mut second, other, &mut dice);
        judge.tick(&second);
        let verdict = judge.verdict();
        if verdict.decision == Decision::Rollback {
            return Ended::Returned {
                after_s: (step - before) as i64 + 1,
                label: verdict.causes.first().map(|cause| cause.label),
            };
        }
    }
    match at_stage_end(&judge.verdict(), config.on_unproven) {
        StageEnd::Advance { .. } => Ended::Promoted,
        StageEnd::Hold { .. } => Ended::Held,
        StageEnd::Rollback { .. } => Ended::Returned {
            after_s: stage_s as i64,
            label: None,
        },
    }
}

/// So many of so many, and what the rate may be at most with confidence 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub n: u64,
    /// Of how many.
    pub of: u64,
    /// The upper bound (Clopper and Pearson, one-sided).
    pub at_most: f64,
}

impl Rate {
    /// So many of so many.
    #[must_use]
    pub fn of(n: u64, of: u64) -> Self {
        Self {
            n,
            of,
            at_most: upper(n, of),
        }
    }
}

/// The rate at which `n` or fewer of `of` come only once in twenty times.
fn upper(n: u64, of: u64) -> f64 {
    if n >= of {
        return 1.0;
    }
    let (mut low, mut high) = (n as f64 / of as f64, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_most(n, of, middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chance of `n` or fewer of `of` at this rate.
fn at_most(n: u64, of: u64, rate: f64) -> f64 {
    if rate >= 1.0 {
        return 0.0;
    }
    let odds = log(rate) - log1p(-rate);
    let mut term = of as f64 * log1p(-rate);
    let mut sum = exp(term);
    for k in 1..=n {
        term += log((of - k + 1) as f64) - log(k as f64) + odds;
        sum += exp(term);
    }
    sum
}

#[cfg(test)]
mod tests;
