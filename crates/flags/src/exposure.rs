//! Which answers are exposures that are recorded: of whom, of which flags.

use crate::bucket::{UnitOrder, in_share};
use crate::context::{Context, Digits};
use crate::definition::FlagSet;
use crate::problem::{Place, ProblemCode, Problems};
use crate::snapshot::{Snapshot, TENANT, USER};
use esclusa_model::{BasisPoints, Salt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Orders units where some of them are sampled. All flags have this one order, so that
/// whoever is sampled is sampled for all of them.
pub const EXPOSURE_SALT: &str = "esclusa-exposures";
/// Days for which exposures are kept where nothing else is said, and at most.
const KEEP_DAYS: u16 = 7;
const MAX_KEEP_DAYS: u16 = 400;

/// Which answers are recorded, and for how long. Nothing is where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExposureRules {
    /// Days after which records are removed.
    #[serde(default = "keep_days", skip_serializing_if = "is_keep_days")]
    pub keep_days: u16,
    /// What is recorded, by environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, ExposureRule>,
}

/// What is recorded in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExposureRule {
    /// The sampled share of all units, in hundredths of a percent.
    pub basis_points: BasisPoints,
    /// The flags; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<BTreeSet<String>>,
    /// Whether answers to clients that ask for all flags at once count too. Such an answer
    /// says what a client would get, not that anybody met it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
}

impl Default for ExposureRules {
    fn default() -> Self {
        Self {
            keep_days: KEEP_DAYS,
            environments: BTreeMap::new(),
        }
    }
}

fn keep_days() -> u16 {
    KEEP_DAYS
}

fn is_keep_days(days: &u16) -> bool {
    *days == KEEP_DAYS
}

/// A rule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Sampling {
    order: UnitOrder,
    share: BasisPoints,
    /// By the number of the flag; all without.
    flags: Option<Box<[bool]>>,
    bulk: bool,
}

impl Sampling {
    /// Whether this unit is sampled.
    #[must_use]
    pub fn takes_unit(&self, unit: &str) -> bool {
        match self.share {
            BasisPoints::FULL => true,
            share => in_share(self.order.bucket(unit), share),
        }
    }

    /// Whether answers to clients that ask for all flags at once count too.
    #[must_use]
    pub fn takes_bulk(&self) -> bool {
        self.bulk
    }
}

impl Snapshot {
    /// What of its answers is recorded; nothing without.
    #[must_use]
    pub fn sampling(&self) -> Option<&Sampling> {
        self.sampling.as_deref()
    }

    /// Whether answers of a flag are recorded.
    #[must_use]
    pub fn samples_flag(&self, key: &str) -> bool {
        self.sampling.as_ref().is_some_and(|sampling| {
            let chosen = sampling.flags.as_ref();
            chosen.is_none_or(|flags| self.keys.find(key).is_some_and(|id| flags[id as usize]))
        })
    }
}

impl Context<'_> {
    /// Lets `read` see who is exposed: the user, else whoever the targeting key names, else
    /// the tenant. `None` when the context names nobody.
    pub fn with_unit<T>(&self, read: impl FnOnce(&str) -> T) -> Option<T> {
        let (mut user, mut tenant) = (Digits::default(), Digits::default());
        let unit = self
            .unit(USER, &mut user)
            .or_else(|| self.unit(TENANT, &mut tenant))?;
        Some(read(unit))
    }
}

/// What is wrong with the rules.
pub(crate) fn check(set: &FlagSet, problems: &mut Problems) {
    let Some(rules) = &set.exposures else {
        return;
    };
    let root = Place::root("exposures");
    if !(1..=MAX_KEEP_DAYS).contains(&rules.keep_days) {
        let message = format!("exposures are kept for 1 to {MAX_KEEP_DAYS} days");
        problems.add(&root.key("keep-days"), ProblemCode::BadValue, message);
    }
    let place = root.key("environments");
    for (name, rule) in &rules.environments {
        let place = place.key(name);
        if !(set.environments.contains(name) || set.environments.is_empty() && name.is_empty()) {
            let known = set.environments.iter().map(String::as_str);
            let code = ProblemCode::UnknownEnvironment;
            problems.unknown(&place, code, ("environment", name), known);
        }
        let place = place.key("flags");
        for key in rule.flags.iter().flatten() {
            if !set.flags.contains_key(key) {
                let known = set.flags.keys().map(String::as_str);
                problems.unknown(&place, ProblemCode::UnknownFlag, ("flag", key), known);
            }
        }
    }
}

/// The rule of an environment, ready to be asked. One that takes nobody is none.
pub(crate) fn compile(set: &FlagSet, environment: &str) -> Option<Box<Sampling>> {
    let rule = set.exposures.as_ref()?.environments.get(environment)?;
    if rule.basis_points == BasisPoints::ZERO {
        return None;
    }
    let chosen = |keys: &BTreeSet<String>| set.flags.keys().map(|key| keys.contains(key)).collect();
    Some(Box::new(Sampling {
        order: UnitOrder::new(&Salt::new(EXPOSURE_SALT).ok()?),
        share: rule.basis_points,
        flags: rule.flags.as_ref().map(chosen),
        bulk: rule.bulk,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::AttributeValue;
    use serde_json::json;

    fn snapshot(rule: &serde_json::Value) -> Snapshot {
        let set = FlagSet::from_json(json!({
            "environments": ["production", "staging"],
            "exposures": { "environments": { "production": rule } },
            "flags": { "a": { "type": "boolean" }, "b": { "type": "boolean" } },
        }));
        Snapshot::compile(&set.expect("a set"), "production").expect("valid")
    }

    // Moving this order would break every join over time.
    #[test]
    fn whoever_is_sampled_stays_so_and_in_every_larger_share() {
        let takes = |basis_points: u32, unit: &str| {
            let snapshot = snapshot(&json!({ "basis-points": basis_points }));
            snapshot.sampling().expect("on").takes_unit(unit)
        };
        let units: Vec<String> = (0..2_000).map(|n| format!("user-{n}")).collect();
        let small: Vec<&String> = units.iter().filter(|unit| takes(1_000, unit)).collect();
        assert!((140..260).contains(&small.len()), "{}", small.len());
        assert!(
            small
                .iter()
                .all(|unit| takes(5_000, unit) && takes(10_000, unit))
        );
        let first: Vec<&str> = small.iter().take(3).map(|unit| unit.as_str()).collect();
        assert_eq!(first, FIRST_SAMPLED);
    }

    const FIRST_SAMPLED: [&str; 3] = ["user-5", "user-14", "user-17"];

    #[test]
    fn nothing_is_recorded_where_nothing_is_said() {
        let none = snapshot(&json!({ "basis-points": 0 }));
        assert!(none.sampling().is_none() && !none.samples_flag("a"));
        let some = snapshot(&json!({ "basis-points": 1, "flags": ["a"] }));
        assert!(some.samples_flag("a") && !some.samples_flag("b") && !some.samples_flag("c"));
        assert!(!some.sampling().expect("on").takes_bulk());
        let set = FlagSet::from_json(json!({ "exposures": { "environments": {
            "production": { "basis-points": 1, "share": 2 } } } }));
        assert!(set.is_err(), "an unknown field");
    }

    #[test]
    fn the_person_is_exposed_else_the_tenant() {
        let snapshot = snapshot(&json!({ "basis-points": 10_000 }));
        let mut context = snapshot.context();
        let unit = |context: &Context<'_>| context.with_unit(str::to_owned);
        assert_eq!(unit(&context), None);
        context.set("tenant", AttributeValue::Integer(7));
        assert_eq!(unit(&context).as_deref(), Some("7"));
        context.set("targetingKey", AttributeValue::Text("ana"));
        assert_eq!(unit(&context).as_deref(), Some("ana"));
        context.set("user", AttributeValue::Text("ben"));
        assert_eq!(unit(&context).as_deref(), Some("ben"));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let set = FlagSet::from_json(json!({
            "environments": ["production"],
            "exposures": { "keep-days": 0, "environments": {
                "produktion": { "basis-points": 1, "flags": ["nope"] } } },
        }));
        let found = crate::validate(&set.expect("a set"));
        let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/exposures/environments/produktion",
                "/exposures/environments/produktion/flags",
                "/exposures/keep-days",
            ]
        );
    }
}
