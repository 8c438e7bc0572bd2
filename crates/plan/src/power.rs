//! What a plan's stages can see at the traffic that there is, and what to change where
//! they see too little.
//!
//! Means for independent requests, as `esclusa_judge::power` says them. What is compared
//! here is failures; nobody's latency is known beforehand.

use crate::model::{Audience, Expose, Plan, Stage};
use esclusa_judge::{JudgeConfig, OnUnproven, Planned, Power, power};
use esclusa_model::{BasisPoints, Fraction};
use serde::Serialize;

/// No stage is advised to last longer than this.
const LONGEST_S: u64 = 14 * 86_400;
/// No budget is advised that is larger.
const LARGEST_BUDGET: u32 = 5_000;

/// What is known of a service's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traffic {
    /// Requests a second.
    pub rps: f64,
    /// Failures in it.
    pub error_rate: Fraction,
    /// Users or tenants, where they were counted.
    pub units: Option<u64>,
}

/// What one stage can see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePower {
    /// Its index in the plan.
    pub stage: usize,
    /// The canary's share.
    pub share: BasisPoints,
    /// The share after it.
    pub next_share: BasisPoints,
    /// How long it lasts.
    pub for_s: u64,
    /// How many users or tenants meet it, where they were counted.
    pub units: Option<u64>,
    /// What it sees.
    pub power: Power,
    /// Why it does not do what it is for; absent where it does.
    pub lacks: Option<Lack>,
    /// What would bring the proof in time, each by itself; absent where it comes.
    pub advice: Option<Advice>,
}

/// Why a stage is powerless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Lack {
    /// Its time is over before the canary had the requests that anything asks for.
    Requests {
        /// How many are asked for.
        needed: u64,
    },
    /// Even a version that fails everything would not be found by comparison in time.
    Sight,
    /// Healthy versions are not proved in time, and the plan goes on with a proof only.
    Proof,
}

/// Changes of a stage, each enough by itself where it is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Advice {
    /// A longer stage, in seconds.
    pub for_s: Option<u64>,
    /// A larger share, still below the next one.
    pub share: Option<BasisPoints>,
    /// A wider margin: this `errors.risk-budget`.
    pub risk_budget: Option<Fraction>,
}

/// What every stage with a share below 100 % can see.
#[must_use]
pub fn stage_power(plan: &Plan, traffic: &Traffic) -> Vec<StagePower> {
    let shares: Vec<(usize, BasisPoints, u64)> = plan
        .stages
        .iter()
        .enumerate()
        .filter_map(|(index, stage)| match stage {
            Stage::Expose(Expose {
                to: Audience::Share(share),
                for_,
                ..
            }) => Some((index, *share, for_.0 / 1_000)),
            Stage::Expose(_) | Stage::WarmUp(_) => None,
        })
        .collect();
    let next = shares.iter().skip(1).map(|(_, share, _)| *share);
    let next = next.chain(std::iter::once(BasisPoints::FULL));
    shares
        .iter()
        .zip(next)
        .filter(|((_, share, _), _)| *share < BasisPoints::FULL && *share > BasisPoints::ZERO)
        .map(|((stage, share, for_s), next_share)| {
            let planned = Planned {
                rps: traffic.rps,
                error_rate: traffic.error_rate.get(),
                share: *share,
                next_share,
                for_s: *for_s,
            };
            of_stage(&plan.judge, *stage, &planned, traffic)
        })
        .collect()
}

fn of_stage(judge: &JudgeConfig, stage: usize, planned: &Planned, traffic: &Traffic) -> StagePower {
    let sees = power(judge, planned);
    StagePower {
        stage,
        share: planned.share,
        next_share: planned.next_share,
        for_s: planned.for_s,
        units: traffic
            .units
            .map(|units| (units as f64 * planned.share.fraction()).round() as u64),
        lacks: lack(judge, planned, &sees),
        advice: (!is_proved(judge, planned)).then(|| advice(judge, planned)),
        power: sees,
    }
}

/// The canary's requests that a stage's end asks for, by proof or by quiet.
fn needed(judge: &JudgeConfig) -> u64 {
    let quiet = match judge.on_unproven {
        OnUnproven::PromoteIfQuiet => judge.floor.min_requests,
        OnUnproven::Hold | OnUnproven::Rollback => 0,
    };
    judge.bake.min_requests.max(quiet)
}

fn lack(judge: &JudgeConfig, planned: &Planned, sees: &Power) -> Option<Lack> {
    let needed = needed(judge);
    let waits = judge.on_unproven != OnUnproven::PromoteIfQuiet;
    if sees.requests < needed as f64 {
        Some(Lack::Requests { needed })
    } else if sees.found_error_rate.is_none() {
        Some(Lack::Sight)
    } else if waits && !is_proved(judge, planned) {
        Some(Lack::Proof)
    } else {
        None
    }
}

/// Whether a healthy version is proved within the stage.
fn is_proved(judge: &JudgeConfig, planned: &Planned) -> bool {
    let sees = power(judge, planned);
    sees.proof_s.is_some() && sees.requests >= needed(judge) as f64
}

fn advice(judge: &JudgeConfig, planned: &Planned) -> Advice {
    let longer = |for_s| is_proved(judge, &Planned { for_s, ..*planned });
    let shared = |points: u64| {
        let share = BasisPoints::new(points as u16).unwrap_or(planned.share);
        is_proved(judge, &Planned { share, ..*planned })
    };
    let wider = |parts: u64| {
        let mut judge = judge.clone();
        judge.errors.risk_budget = Fraction::from_per_100k(parts as u32);
        is_proved(&judge, planned)
    };
    let budget = (judge.errors.risk_budget.get() * 100_000.0) as u64;
    let below_next = u64::from(planned.next_share.get()).saturating_sub(1);
    Advice {
        for_s: least(planned.for_s, LONGEST_S, longer).map(rounded),
        share: least(u64::from(planned.share.get()), below_next, shared)
            .and_then(|points| BasisPoints::new(points as u16).ok()),
        risk_budget: least(budget, u64::from(LARGEST_BUDGET), wider)
            .map(|parts| Fraction::from_per_100k(parts as u32)),
    }
}

/// The least number above `from` for which it holds, where more is never worse.
fn least(from: u64, most: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if from >= most || !holds(most) {
        return None;
    }
    let (mut low, mut high) = (from, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// A time that people write: whole minutes.
const fn rounded(seconds: u64) -> u64 {
    seconds.div_ceil(60) * 60
}

impl StagePower {
    /// What it sees, as one sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { share, power, .. } = self;
        let found = power.found_error_rate.map_or_else(
            || "finds no regression in time".to_owned(),
            |rate| format!("finds errors from {:.2} % on", rate * 100.0),
        );
        let proof = power.proof_s.map_or_else(
            || "a healthy version is not proved in time".to_owned(),
            |seconds| format!("a healthy version is proved after {}", time(seconds)),
        );
        let units = self
            .units
            .map_or_else(String::new, |units| format!(" of {units} or more units"));
        format!(
            "{share} for {}, {:.0} canary requests{units}: {found}; an outage after {}; {proof}",
            time(self.for_s as f64),
            power.requests,
            time(power.outage_s)
        )
    }

    /// What would bring the proof, as one sentence; nothing where it comes anyway.
    #[must_use]
    pub fn advice_in_words(&self) -> Option<String> {
        let advice = self.advice?;
        let ways: Vec<String> = [
            advice.for_s.map(|s| format!("for: {}", time(s as f64))),
            advice.share.map(|share| format!("to: {share}")),
            advice
                .risk_budget
                .map(|budget| format!("judge.errors.risk-budget: {budget}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let rps = self.power.rps_for_proof.ceil().max(1.0);
        let traffic = format!("{rps:.0} requests/s and more");
        Some(if ways.is_empty() {
            format!("no change of this stage alone brings a proof; it takes {traffic}")
        } else {
            format!(
                "a proof would come with {}, or {traffic}",
                ways.join(", or ")
            )
        })
    }
}

fn time(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    let whole = if whole > 600 { rounded(whole) } else { whole };
    esclusa_model::Millis(whole * 1_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(rps: f64, share: u16, for_s: u64) -> Planned {
        Planned {
            rps,
            error_rate: 0.001,
            share: BasisPoints::new(share).expect("a share"),
            next_share: BasisPoints::new(5_000).expect("a share"),
            for_s,
        }
    }

    fn seen(judge: &JudgeConfig, planned: &Planned) -> StagePower {
        let traffic = Traffic {
            rps: planned.rps,
            error_rate: Fraction::from_per_100k(100),
            units: Some(400),
        };
        of_stage(judge, 0, planned, &traffic)
    }

    #[test]
    fn advice_that_is_followed_brings_the_proof() {
        let judge = JudgeConfig::default();
        let weak = planned(20.0, 500, 600);
        let stage = seen(&judge, &weak);
        let advice = stage.advice.expect("no proof in time");
        assert_eq!(stage.units, Some(20));
        let longer = Planned {
            for_s: advice.for_s.expect("a time"),
            ..weak
        };
        let larger = Planned {
            share: advice.share.expect("a share"),
            ..weak
        };
        let mut wider = judge.clone();
        wider.errors.risk_budget = advice.risk_budget.expect("a budget");
        for (judge, planned) in [(&judge, longer), (&judge, larger), (&wider, weak)] {
            assert_eq!(seen(judge, &planned).advice, None, "{planned:?}");
        }
        let less = Planned {
            for_s: longer.for_s - 61,
            ..weak
        };
        assert!(
            seen(&judge, &less).advice.is_some(),
            "not a second too much"
        );
    }

    #[test]
    fn a_stage_lacks_what_it_lacks() {
        let mut judge = JudgeConfig::default();
        let lacks = |judge: &JudgeConfig, planned| seen(judge, &planned).lacks;
        assert_eq!(lacks(&judge, planned(1_000.0, 500, 900)), None);
        let few = lacks(&judge, planned(1.0, 500, 900));
        assert_eq!(few, Some(Lack::Requests { needed: 100 }));
        // Quiet is enough, but a plan that waits for a proof would wait for ever.
        assert_eq!(lacks(&judge, planned(20.0, 500, 600)), None);
        judge.on_unproven = OnUnproven::Hold;
        assert_eq!(lacks(&judge, planned(20.0, 500, 600)), Some(Lack::Proof));
        judge.bake.min_requests = 1;
        assert_eq!(lacks(&judge, planned(2.0, 500, 20)), Some(Lack::Sight));
    }

    #[test]
    fn words_name_numbers_and_ways() {
        let stage = seen(&JudgeConfig::default(), &planned(20.0, 500, 600));
        let words = stage.in_words();
        assert!(
            words.contains("5% for 10m, 600 canary requests of 20"),
            "{words}"
        );
        let advice = stage.advice_in_words().expect("advice");
        assert!(
            advice.contains("for: ") && advice.contains("to: "),
            "{advice}"
        );
    }
}
