//! Standing rules: what turns features off by itself, at any time, when an application
//! shows a symptom.

use crate::definition::FlagSet;
use crate::problem::{Place, ProblemCode, Problems};
use esclusa_model::{BasisPoints, ServiceName};
use serde::{Deserialize, Serialize};

/// Longest window of a rule: an hour.
pub const MAX_STANDING_WINDOW_S: u32 = 3_600;
/// Most standing rules of a set.
pub const MAX_STANDING_RULES: usize = 200;

/// A symptom and the features that it turns off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StandingRule {
    /// The service whose traffic is watched, all its versions together.
    pub service: String,
    /// The routes that count, by the names that the service's counts have; all without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// What has to be seen.
    pub when: Symptom,
    /// Seconds over which it has to be seen, at most [`MAX_STANDING_WINDOW_S`].
    #[serde(default = "window")]
    pub over_s: u32,
    /// Requests that the window must hold; fewer say nothing.
    #[serde(default = "sample")]
    pub at_least: u64,
    /// What is killed then.
    pub kill: KillTargets,
    /// Seconds between two acts of this rule, at the least.
    #[serde(default = "cool_down")]
    pub cool_down_s: u32,
    /// Seconds after which the rule lifts its own kill. Without, a person does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lift_after_s: Option<u32>,
    /// How often in a day it may do so: after one kill more it is left to a person.
    #[serde(default = "lifts")]
    pub lifts_a_day: u32,
    /// Whether it is at rest: it neither kills nor lifts, and looks at nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// What a standing rule looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Symptom {
    /// Failures of versions, as a share of all requests in the window. What a guard
    /// answered is no failure.
    ErrorRate {
        /// More than this.
        above: BasisPoints,
    },
    /// The 95th percentile of the time to an answer; requests that still wait or ran into
    /// a timeout count as slow.
    P95 {
        /// More than so many milliseconds.
        above_ms: u64,
    },
    /// A health check that fails several times, one after another.
    Unhealthy {
        /// Asked with GET; 200 is healthy.
        url: String,
        /// Failures in a row. A check that could not be made is none, and ends no row.
        #[serde(default = "times")]
        times: u32,
        /// Seconds between two checks.
        #[serde(default = "every")]
        every_s: u32,
    },
}

/// What a kill turns off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillTargets {
    /// Every flag.
    All,
    /// These flags.
    Flags(Vec<String>),
}

fn window() -> u32 {
    300
}

fn sample() -> u64 {
    100
}

fn cool_down() -> u32 {
    600
}

fn lifts() -> u32 {
    1
}

fn times() -> u32 {
    3
}

fn every() -> u32 {
    10
}

/// Whatever is wrong with the standing rules of a set.
pub(crate) fn check(set: &FlagSet, problems: &mut Problems) {
    let list = Place::root("standing-rules");
    if set.standing_rules.len() > MAX_STANDING_RULES {
        let count = set.standing_rules.len();
        let message = format!("there are {count} rules, {MAX_STANDING_RULES} are allowed");
        problems.add(&list, ProblemCode::TooMany, message);
    }
    for (name, rule) in &set.standing_rules {
        check_rule(set, &list.key(name), rule, problems);
    }
}

fn check_rule(set: &FlagSet, place: &Place<'_>, rule: &StandingRule, problems: &mut Problems) {
    let mut bad = |key: &str, message: String| {
        problems.add(&place.key(key), ProblemCode::BadValue, message);
    };
    if let Err(error) = ServiceName::new(rule.service.clone()) {
        bad("service", error.to_string());
    }
    if rule.over_s == 0 || rule.over_s > MAX_STANDING_WINDOW_S {
        let message = format!("a window is 1 to {MAX_STANDING_WINDOW_S} seconds long");
        bad("over-s", message);
    }
    if rule.at_least == 0 {
        bad("at-least", "no request at all says nothing".to_owned());
    }
    if rule
        .lift_after_s
        .is_some_and(|after| after < rule.cool_down_s)
    {
        let message = "a kill is not lifted before the rule may act again (cool-down-s)";
        bad("lift-after-s", message.to_owned());
    }
    match &rule.when {
        Symptom::ErrorRate { above } if *above >= BasisPoints::FULL => {
            bad("when", "no error rate is above 100 %".to_owned());
        }
        Symptom::P95 { above_ms: 0 } => bad("when", "every answer takes longer".to_owned()),
        Symptom::Unhealthy {
            url,
            times,
            every_s,
        } => {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                bad("when", format!("{url:?} is no address that can be asked"));
            }
            if *times == 0 || *every_s == 0 {
                bad(
                    "when",
                    "a check is made, and fails, at least once".to_owned(),
                );
            }
        }
        Symptom::ErrorRate { .. } | Symptom::P95 { .. } => {}
    }
    let KillTargets::Flags(flags) = &rule.kill else {
        return;
    };
    let kill = place.key("kill");
    if flags.is_empty() {
        problems.add(&kill, ProblemCode::BadValue, "it names no flag");
    }
    let known = set.flags.keys().map(String::as_str);
    for flag in flags.iter().filter(|flag| !set.flags.contains_key(*flag)) {
        let code = ProblemCode::UnknownFlag;
        problems.unknown(&kill, code, ("flag", flag), known.clone());
    }
}

#[cfg(test)]
mod tests {
    use crate::{FlagSet, ProblemCode, validate};
    use serde_json::{Value, json};

    fn with(rule: &Value) -> Vec<(String, ProblemCode)> {
        let set = FlagSet::from_json(json!({
            "environments": ["production"],
            "flags": { "reports": { "type": "boolean" } },
            "standing-rules": { "r": rule },
        }))
        .expect("a set");
        let problems = validate(&set).into_iter();
        problems
            .map(|problem| (problem.path, problem.code))
            .collect()
    }

    // RBK-02..04: the three defaults are accepted, and each mistake has its place.
    #[test]
    fn rules_are_checked_with_the_set() {
        for rule in [
            json!({ "service": "shop", "when": { "error-rate": { "above": 1000 } }, "kill": { "flags": ["reports"] } }),
            json!({ "service": "shop", "when": { "p95": { "above-ms": 15000 } }, "kill": { "flags": ["reports"] }, "routes": ["POST /x"] }),
            json!({ "service": "shop", "when": { "unhealthy": { "url": "http://127.0.0.1/health" } }, "kill": "all", "lift-after-s": 600 }),
        ] {
            assert_eq!(with(&rule), [], "{rule}");
        }
        let good = json!({ "service": "shop", "when": { "error-rate": { "above": 1000 } }, "kill": { "flags": ["reports"] } });
        for (field, wrong, path, code) in [
            ("service", json!("Shop!"), "service", ProblemCode::BadValue),
            ("over-s", json!(0), "over-s", ProblemCode::BadValue),
            ("over-s", json!(4000), "over-s", ProblemCode::BadValue),
            ("at-least", json!(0), "at-least", ProblemCode::BadValue),
            (
                "lift-after-s",
                json!(10),
                "lift-after-s",
                ProblemCode::BadValue,
            ),
            (
                "when",
                json!({ "error-rate": { "above": 10000 } }),
                "when",
                ProblemCode::BadValue,
            ),
            (
                "when",
                json!({ "p95": { "above-ms": 0 } }),
                "when",
                ProblemCode::BadValue,
            ),
            (
                "when",
                json!({ "unhealthy": { "url": "shop" } }),
                "when",
                ProblemCode::BadValue,
            ),
            (
                "when",
                json!({ "unhealthy": { "url": "http://x/", "times": 0 } }),
                "when",
                ProblemCode::BadValue,
            ),
            (
                "kill",
                json!({ "flags": [] }),
                "kill",
                ProblemCode::BadValue,
            ),
            (
                "kill",
                json!({ "flags": ["report"] }),
                "kill",
                ProblemCode::UnknownFlag,
            ),
        ] {
            let mut rule = good.clone();
            rule[field] = wrong;
            let path = format!("/standing-rules/r/{path}");
            assert_eq!(with(&rule), [(path, code)], "{rule}");
        }
    }
}
