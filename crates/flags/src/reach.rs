//! Whether a flag that is to be turned can reach anybody: a look at what is written, without
//! a single context.
//!
//! Cautious: it says no only where nothing that stands in the set can serve the variant.
//! Whether a condition ever holds is not asked.

use crate::compile::MAX_NESTING;
use crate::definition::{
    DistributionDefinition, FlagDefinition, FlagSet, FlagSettings, FlagState, Prerequisite,
    RuleDefinition,
};
use esclusa_model::BasisPoints;
use std::collections::BTreeMap;
use std::fmt;

/// What stands in the way of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The flag is killed.
    Killed,
    /// The environment disables it.
    Disabled,
    /// Nothing in the set serves the variant.
    Unserved,
}

/// Why a flag that is turned reaches nobody in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachesNobody {
    /// The flag.
    pub flag: String,
    /// The environment.
    pub environment: String,
    /// The prerequisites on the way to the obstacle, the flag's own first; none where it is
    /// at the flag itself.
    pub needs: Vec<Prerequisite>,
    /// What stands in the way, of the last of them.
    pub obstacle: Obstacle,
}

impl ReachesNobody {
    /// The flag at which something has to be done.
    #[must_use]
    pub fn at(&self) -> &str {
        self.needs.last().map_or(&self.flag, |needed| &needed.flag)
    }
}

impl fmt::Display for ReachesNobody {
    /// Such as `reports needs exec on, which nobody has in staging`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.flag)?;
        for (place, needed) in self.needs.iter().enumerate() {
            let which = if place == 0 { "" } else { ", which" };
            write!(f, "{which} needs {} {}", needed.flag, needed.variant)?;
        }
        let which = if self.needs.is_empty() { "" } else { ", which" };
        let environment = &self.environment;
        match self.obstacle {
            Obstacle::Killed => write!(f, "{which} is killed"),
            Obstacle::Disabled => write!(f, "{which} is disabled in {environment}"),
            Obstacle::Unserved => write!(f, "{which} nobody has in {environment}"),
        }
    }
}

impl FlagSet {
    /// Why a flag serves a variant to nobody in an environment while `turned` are turned to
    /// theirs there; `None` where somebody may get it.
    #[must_use]
    pub fn reaches_nobody(
        &self,
        (flag, variant): (&str, &str),
        environment: &str,
        turned: &BTreeMap<String, String>,
        killed: &dyn Fn(&str) -> bool,
    ) -> Option<ReachesNobody> {
        let way = Way {
            set: self,
            environment,
            turned,
            killed,
        };
        let (mut needs, obstacle) = way.obstacle(flag, variant, 0)?;
        needs.reverse();
        Some(ReachesNobody {
            flag: flag.to_owned(),
            environment: environment.to_owned(),
            needs,
            obstacle,
        })
    }
}

struct Way<'a> {
    set: &'a FlagSet,
    environment: &'a str,
    turned: &'a BTreeMap<String, String>,
    killed: &'a dyn Fn(&str) -> bool,
}

impl Way<'_> {
    /// The obstacle, with the prerequisites that lead to it, the last one first.
    fn obstacle(
        &self,
        key: &str,
        variant: &str,
        depth: usize,
    ) -> Option<(Vec<Prerequisite>, Obstacle)> {
        // A valid set is no deeper; of another one nothing is claimed.
        let flag = self.set.flags.get(key).filter(|_| depth <= MAX_NESTING)?;
        let settings = flag.environments.get(self.environment);
        let disabled = settings.is_some_and(|s| s.state == FlagState::Disabled);
        let kept_off = (self.killed)(key) || disabled || !flag.prerequisites.is_empty();
        if variant == flag.off && kept_off {
            return None;
        }
        if (self.killed)(key) {
            return Some((Vec::new(), Obstacle::Killed));
        }
        if disabled {
            return Some((Vec::new(), Obstacle::Disabled));
        }
        for needed in &flag.prerequisites {
            if let Some((mut needs, obstacle)) =
                self.obstacle(&needed.flag, &needed.variant, depth + 1)
            {
                needs.push(needed.clone());
                return Some((needs, obstacle));
            }
        }
        let turned = self.turned.get(key).is_some_and(|to| to == variant);
        (!turned && !serves(flag, settings, variant)).then_some((Vec::new(), Obstacle::Unserved))
    }
}

/// Whether anything that is written serves a variant.
fn serves(flag: &FlagDefinition, settings: Option<&FlagSettings>, variant: &str) -> bool {
    let own = settings.and_then(|settings| settings.default.as_ref());
    let default = own.or(flag.default.as_ref()).unwrap_or(&flag.off);
    let by_settings = |settings: &FlagSettings| {
        let mut single = settings.users.values().chain(settings.tenants.values());
        single.any(|to| to == variant) || settings.rules.iter().any(|rule| gives(rule, variant))
    };
    default == variant || settings.is_some_and(by_settings)
}

fn gives(rule: &RuleDefinition, variant: &str) -> bool {
    let nobody =
        |share: &crate::definition::ShareDefinition| share.basis_points == BasisPoints::ZERO;
    let part_of = |among: &DistributionDefinition| {
        let mut parts = among.weights.iter();
        parts.any(|part| part.variant == variant && part.basis_points > BasisPoints::ZERO)
    };
    !rule.share.as_ref().is_some_and(nobody)
        && (rule.variant.as_deref() == Some(variant)
            || rule.distribution.as_ref().is_some_and(part_of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(exec: Value) -> FlagSet {
        let mut exec = exec;
        exec["type"] = json!("boolean");
        FlagSet::from_json(json!({
            "environments": ["production", "staging"],
            "segments": { "team": { "keys": ["ana"] } },
            "flags": {
                "exec": exec,
                "master": { "type": "boolean",
                    "prerequisites": [{ "flag": "exec", "variant": "on" }] },
                "deep": { "type": "boolean",
                    "prerequisites": [{ "flag": "master", "variant": "on" }] },
                "old-way": { "type": "boolean",
                    "prerequisites": [{ "flag": "exec", "variant": "off" }] },
            },
        }))
        .expect("a set")
    }

    fn why(set: &FlagSet, flag: &str, turned: &[&str], killed: &str) -> Option<String> {
        let turned = turned.iter().chain([&flag]);
        let turned = turned.map(|flag| ((*flag).to_owned(), "on".to_owned()));
        let killed = |flag: &str| flag == killed;
        set.reaches_nobody((flag, "on"), "staging", &turned.collect(), &killed)
            .map(|why| why.to_string())
    }

    // FLAG-09, ROL-05: an obstacle for everybody is found, through all prerequisites.
    #[test]
    fn what_reaches_nobody_is_named() {
        let off = set(json!({}));
        for (flag, turned, killed, expected) in [
            ("exec", &[][..], "", None),
            ("master", &["exec"], "", None),
            ("old-way", &[], "", None),
            ("old-way", &[], "exec", None),
            ("exec", &[], "exec", Some("exec is killed")),
            (
                "master",
                &[],
                "",
                Some("master needs exec on, which nobody has in staging"),
            ),
            (
                "master",
                &["exec"],
                "exec",
                Some("master needs exec on, which is killed"),
            ),
            (
                "deep",
                &["exec"],
                "",
                Some("deep needs master on, which nobody has in staging"),
            ),
            (
                "deep",
                &["master"],
                "",
                Some("deep needs master on, which needs exec on, which nobody has in staging"),
            ),
        ] {
            assert_eq!(
                why(&off, flag, turned, killed).as_deref(),
                expected,
                "{flag}"
            );
        }
        let disabled = set(json!({ "default": "on",
            "environments": { "staging": { "state": "disabled" } } }));
        assert_eq!(
            why(&disabled, "master", &[], "").as_deref(),
            Some("master needs exec on, which is disabled in staging")
        );
        assert_eq!(
            why(&disabled, "exec", &[], "").as_deref(),
            Some("exec is disabled in staging")
        );
    }

    // ROL-05: whatever may serve it to one is enough.
    #[test]
    fn whatever_serves_it_to_somebody_is_enough() {
        for (exec, open) in [
            (json!({ "default": "on" }), true),
            (
                json!({ "environments": { "staging": { "default": "on" } } }),
                true,
            ),
            (
                json!({ "environments": { "production": { "default": "on" } } }),
                false,
            ),
            (
                json!({ "default": "on", "environments": { "staging": { "default": "off" } } }),
                false,
            ),
            (
                json!({ "environments": { "staging": { "users": { "ana": "on" } } } }),
                true,
            ),
            (
                json!({ "environments": { "staging": { "tenants": { "acme": "on" } } } }),
                true,
            ),
            (
                json!({ "environments": { "staging": { "rules": [
                    { "segment": "team", "variant": "on" }] } } }),
                true,
            ),
            (
                json!({ "environments": { "staging": { "rules": [
                    { "share": { "basis-points": 0 }, "variant": "on" },
                    { "segment": "team", "variant": "off" }] } } }),
                false,
            ),
            (
                json!({ "environments": { "staging": { "rules": [{ "distribution": { "weights": [
                    { "variant": "on", "basis-points": 1 },
                    { "variant": "off", "basis-points": 9999 }] } }] } } }),
                true,
            ),
        ] {
            assert_eq!(
                why(&set(exec.clone()), "master", &[], "").is_none(),
                open,
                "{exec}"
            );
        }
    }
}
