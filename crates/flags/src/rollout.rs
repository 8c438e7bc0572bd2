//! What a running release turns: rules that stand before a flag's own as long as the
//! release exposes somebody, and are in no stored set. Going back is leaving them out.

use crate::definition::{FlagSet, RuleDefinition, ShareDefinition};
use esclusa_model::{BasisPoints, ReleaseId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Flags that a release turns together, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollout {
    /// The release.
    pub release: ReleaseId,
    /// The environment in which it turns them.
    pub environment: String,
    /// The variant that each flag serves to those who are exposed.
    pub flags: BTreeMap<String, String>,
    /// Segments of the set that are exposed whatever the share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<String>,
    /// The share of units that is exposed.
    #[serde(default)]
    pub share: BasisPoints,
    /// The attribute that names the unit; `targetingKey` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Orders the units. One for all its flags, so that whoever has one has all.
    pub salt: String,
}

impl Rollout {
    /// Whether nobody is exposed.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.share == BasisPoints::ZERO && self.segments.is_empty()
    }

    fn rules(&self, variant: &str) -> (Vec<RuleDefinition>, Option<RuleDefinition>) {
        let rule = RuleDefinition {
            name: Some(format!("release {}", self.release)),
            variant: Some(variant.to_owned()),
            ..RuleDefinition::default()
        };
        let segments = self.segments.iter().map(|segment| RuleDefinition {
            segment: Some(segment.clone()),
            ..rule.clone()
        });
        let share = (self.share > BasisPoints::ZERO).then(|| RuleDefinition {
            share: Some(ShareDefinition {
                basis_points: self.share,
                of: self.of.clone(),
                salt: Some(self.salt.clone()),
            }),
            ..rule.clone()
        });
        (segments.collect(), share)
    }
}

impl FlagSet {
    /// The set as it is while these rollouts run. Their segments stand before a flag's
    /// own rules, their shares before its own shares; kills, prerequisites and overrides
    /// come before them as always. A flag or environment that the set does not have is
    /// left out: whoever starts a release has checked it.
    #[must_use]
    pub fn while_running(&self, rollouts: &[Rollout]) -> Self {
        let mut set = self.clone();
        for rollout in rollouts.iter().filter(|rollout| !rollout.is_nobody()) {
            if !set.environments.contains(&rollout.environment) {
                continue;
            }
            for (key, variant) in &rollout.flags {
                let Some(flag) = set.flags.get_mut(key) else {
                    continue;
                };
                let settings = flag
                    .environments
                    .entry(rollout.environment.clone())
                    .or_default();
                let (segments, share) = rollout.rules(variant);
                let own = settings.choosing_rules();
                settings.rules.splice(own..own, share);
                settings.rules.splice(0..0, segments);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttributeValue, Snapshot};
    use crate::{MAX_RULES, validate};
    use serde_json::json;

    fn set() -> FlagSet {
        FlagSet::from_json(json!({
            "environments": ["production"],
            "segments": { "team": { "keys": ["ana"] }, "blocked": { "keys": ["eve"] } },
            "flags": { "reports": { "type": "boolean", "environments": { "production": {
                "users": { "rex": "off" },
                "rules": [
                    { "segment": "blocked", "variant": "off" },
                    { "share": { "basis-points": 1000 }, "variant": "off" },
                ] } } } },
        }))
        .expect("a set")
    }

    fn rollout(share: u16, segments: &[&str]) -> Rollout {
        Rollout {
            release: ReleaseId::new("r-1").expect("valid"),
            environment: "production".into(),
            flags: [("reports".to_owned(), "on".to_owned())].into(),
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            share: BasisPoints::new(share).expect("in range"),
            of: None,
            salt: "reports".into(),
        }
    }

    fn is_on(set: &FlagSet, user: &str) -> bool {
        let snapshot = Snapshot::compile(set, "production").expect("valid");
        let mut context = snapshot.context();
        context.set("targetingKey", AttributeValue::Text(user));
        context.evaluate("reports").is_on()
    }

    // ROL-01, ROL-04, FLAG-04: those exposed get it, an override and a rule that names
    // people come first, and without the rollout everything is as before.
    #[test]
    fn a_rollout_stands_before_a_flags_own_shares() {
        let stored = set();
        let team = stored.while_running(&[rollout(0, &["team"])]);
        assert!(is_on(&team, "ana") && !is_on(&team, "tom"));
        let all = stored.while_running(&[rollout(10_000, &[])]);
        assert!(is_on(&all, "ana") && is_on(&all, "tom"));
        assert!(!is_on(&all, "rex") && !is_on(&all, "eve"));
        assert_eq!(stored.while_running(&[rollout(0, &[])]), stored);
        assert_eq!(stored.while_running(&[]), stored);
    }

    // ROL-06: a flag that has all the rules it may have can be rolled out too.
    #[test]
    fn a_rollout_has_room_for_its_rules() {
        let mut full = set();
        let flag = full.flags.get_mut("reports").expect("there");
        let settings = flag.environments.get_mut("production").expect("there");
        let named = settings.rules[0].clone();
        settings.rules = vec![named.clone(); MAX_RULES];
        assert_eq!(validate(&full), []);
        let running = full.while_running(&[rollout(500, &["team"])]);
        assert!(is_on(&running, "ana"));
        let flag = full.flags.get_mut("reports").expect("there");
        let settings = flag.environments.get_mut("production").expect("there");
        settings.rules.push(named);
        assert_eq!(validate(&full).len(), 1);
    }
}
