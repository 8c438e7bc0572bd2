//! Whether a standing rule acts: what was seen of an application, what its features stand
//! at and the time in, an act with its reason out.
//!
//! Remembers nothing but the window. What the rule did before is in the record of kills,
//! so that a controller that begins anew goes on where another ended.

use esclusa_flags::{StandingRule, Symptom};
use esclusa_judge::{Cell, EventClass};
use esclusa_model::{BasisPoints, Millis, Timestamp};
use std::collections::VecDeque;

/// The time in which a rule's own lifts are counted.
const DAY: Millis = Millis::from_secs(86_400);
/// Of the requests of a window, those that may be slow while its p95 keeps a limit.
const P95_REST: u64 = 20;

/// One second of one proxy, as a rule counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    requests: u64,
    failures: u64,
    slow: u64,
    /// Slow already and still without an answer at the second's end.
    waiting: u64,
}

/// How a health check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It passed.
    Healthy,
    /// It failed.
    Unhealthy,
    /// It could not be made.
    Unknown,
}

/// What was seen lately of the application that a rule watches.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// By second since 1970, oldest first; several proxies' slices share one.
    seconds: VecDeque<(i64, Tally)>,
    /// Failed checks in a row, and when the last was.
    failed_checks: u32,
    checked_at: Option<Timestamp>,
    /// Checks in a row that could not be made.
    unknown_checks: u32,
}

/// Where a rule's features stand, from the record of kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KillStanding {
    /// Whether all that the rule kills is killed.
    pub killed: bool,
    /// When this rule killed it; absent when somebody else did, or nobody.
    pub killed_by_rule_at: Option<Timestamp>,
    /// When any of it was killed or lifted last, by whomever.
    pub changed_at: Option<Timestamp>,
    /// When this rule acted last, or a person lifted any of it: for its cool-down. What others
    /// killed keeps no rule from its own, which may be more.
    pub acted_at: Option<Timestamp>,
    /// How often this rule killed it within the last day.
    pub kills_in_a_day: u32,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingAct {
    /// It turns its features off.
    Kill {
        /// Why, with numbers.
        because: String,
    },
    /// It takes its own kill back.
    Lift {
        /// Why.
        because: String,
    },
}

/// What a rule makes of what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The symptom is not there.
    Quiet,
    /// Nothing can be said; in words why.
    Unknown(String),
    /// The symptom is there, and the rule has done what it does.
    Seen(String),
    /// The symptom is there, and the rule acts no earlier than its cool-down ends.
    Cooling {
        /// What is seen.
        symptom: String,
        /// When it may act again.
        until: Timestamp,
    },
    /// The rule acts.
    Act(StandingAct),
}

impl Watched {
    /// Counts a slice's cell. Requests that esclusa sent itself are left out.
    pub fn count(&mut self, rule: &StandingRule, second: i64, cell: &Cell) {
        let own_route = rule.routes.is_empty() || rule.routes.contains(&cell.route);
        if cell.synthetic || !own_route {
            return;
        }
        let (mut slow, mut waiting) = (0, 0);
        if let Symptom::P95 { above_ms } = rule.when {
            let limit_us = above_ms.saturating_mul(1_000);
            slow = cell.latency.at_or_above(limit_us) + event(cell, EventClass::Timeout);
            waiting = cell.pending.at_or_above(limit_us);
        }
        let tally = Tally {
            requests: cell.telling_requests(),
            failures: cell.failures(),
            slow,
            waiting,
        };
        self.add(rule, second, tally);
    }

    fn add(&mut self, rule: &StandingRule, second: i64, more: Tally) {
        // Slices of several proxies arrive a little out of order.
        let at = self.seconds.partition_point(|(known, _)| *known < second);
        match self.seconds.get_mut(at) {
            Some((known, tally)) if *known == second => tally.add(more),
            _ => self.seconds.insert(at, (second, more)),
        }
        while self.seconds.len() > rule.over_s as usize {
            self.seconds.pop_front();
        }
    }

    /// Notes a health check.
    pub fn checked(&mut self, health: Health, at: Timestamp) {
        match health {
            Health::Healthy => self.failed_checks = 0,
            Health::Unhealthy => self.failed_checks = self.failed_checks.saturating_add(1),
            // Neither a failure nor a pass: the row stays as long as it was.
            Health::Unknown => {
                self.unknown_checks = self.unknown_checks.saturating_add(1);
                return;
            }
        }
        self.unknown_checks = 0;
        self.checked_at = Some(at);
    }

    /// Forgets what was seen before a feature was turned on or off: it says nothing of
    /// what is now.
    pub fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// The window's sum; requests that wait count in the last second alone.
    fn sum(&self, rule: &StandingRule, now: Timestamp) -> Tally {
        let now_s = now.0.div_euclid(1_000_000);
        let first = now_s - i64::from(rule.over_s);
        let within = self.seconds.iter().filter(|(second, _)| *second >= first);
        let mut sum = Tally::default();
        for (_, tally) in within {
            let waiting = tally.waiting;
            sum.add(*tally);
            sum.waiting = waiting;
        }
        sum
    }
}

impl Tally {
    fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.failures = self.failures.saturating_add(more.failures);
        self.slow = self.slow.saturating_add(more.slow);
        self.waiting = self.waiting.saturating_add(more.waiting);
    }
}

fn event(cell: &Cell, class: EventClass) -> u64 {
    cell.events.get(&class).copied().unwrap_or_default()
}

/// What the rule does now.
#[must_use]
pub fn standing(
    rule: &StandingRule,
    watched: &Watched,
    kill: KillStanding,
    now: Timestamp,
) -> Finding {
    if let Some(act) = lift(rule, kill, now) {
        return Finding::Act(act);
    }
    let symptom = match seen(rule, watched, now) {
        Finding::Seen(symptom) => symptom,
        other => return other,
    };
    if kill.killed {
        return Finding::Seen(symptom);
    }
    let cool_down = Millis::from_secs(rule.cool_down_s.into());
    let cooled = kill.acted_at.map(|at| at.plus(cool_down));
    match cooled.filter(|until| now < *until) {
        Some(until) => Finding::Cooling { symptom, until },
        None => Finding::Act(StandingAct::Kill { because: symptom }),
    }
}

fn lift(rule: &StandingRule, kill: KillStanding, now: Timestamp) -> Option<StandingAct> {
    let (after, since) = (rule.lift_after_s?, kill.killed_by_rule_at?);
    let waited = now.since(since);
    let may = kill.killed && kill.kills_in_a_day <= rule.lifts_a_day;
    (may && waited >= Millis::from_secs(after.into())).then(|| StandingAct::Lift {
        because: format!("off for {waited}; it is tried again"),
    })
}

/// How long ago a rule's own kills still count.
#[must_use]
pub fn counts_still(killed_at: Timestamp, now: Timestamp) -> bool {
    now.since(killed_at) < DAY
}

fn seen(rule: &StandingRule, watched: &Watched, now: Timestamp) -> Finding {
    let over = Millis::from_secs(rule.over_s.into());
    if let Symptom::Unhealthy { url, times, .. } = &rule.when {
        let (failed, unknown) = (watched.failed_checks, watched.unknown_checks);
        return match watched.checked_at {
            Some(_) if failed >= *times => {
                Finding::Seen(format!("{url} failed {failed} times in a row"))
            }
            Some(_) if unknown < *times => Finding::Quiet,
            None if unknown == 0 => Finding::Unknown(format!("{url} was not checked yet")),
            _ => Finding::Unknown(format!(
                "{url} could not be asked, {unknown} times in a row"
            )),
        };
    }
    let sum = watched.sum(rule, now);
    let all = sum.requests.saturating_add(sum.waiting);
    if all < rule.at_least {
        return Finding::Unknown(format!(
            "{all} requests in {over}, at least {} are needed",
            rule.at_least
        ));
    }
    match rule.when {
        Symptom::ErrorRate { above } if exceeds(sum.failures, sum.requests, above) => {
            Finding::Seen(format!(
                "{} of {} requests failed in {over}, more than {above}",
                sum.failures, sum.requests
            ))
        }
        Symptom::P95 { above_ms } => {
            let slow = sum.slow.saturating_add(sum.waiting);
            if slow.saturating_mul(P95_REST) > all {
                let limit = Millis(above_ms);
                Finding::Seen(format!(
                    "{slow} of {all} requests took longer than {limit} in {over}: p95 is above it"
                ))
            } else {
                Finding::Quiet
            }
        }
        Symptom::ErrorRate { .. } | Symptom::Unhealthy { .. } => Finding::Quiet,
    }
}

fn exceeds(part: u64, all: u64, limit: BasisPoints) -> bool {
    u128::from(part) * 10_000 > u128::from(all) * u128::from(limit.get())
}

#[cfg(test)]
mod tests;
