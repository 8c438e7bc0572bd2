//! What a rollout leaves in the set once it is over, and what is on before it begins.

use crate::definition::{FlagSet, FlagState, RuleDefinition};
use crate::rollout::Rollout;
use esclusa_model::BasisPoints;
use std::fmt;

/// Somebody who gets a flag's variant already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFor {
    /// Whoever no rule decides about.
    Default,
    /// Whom a rule means: what it is called or its place, and whom it names.
    Rule(String),
    /// Users of their own, by id.
    Users(Vec<String>),
    /// Tenants of their own, by id.
    Tenants(Vec<String>),
}

impl fmt::Display for OnFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, what: &str, ids: &[String]| {
            let s = if ids.len() == 1 { "" } else { "s" };
            write!(f, "{what}{s} {}", ids.join(", "))
        };
        match self {
            Self::Default => f.write_str("everybody by default"),
            Self::Rule(whom) => f.write_str(whom),
            Self::Users(ids) => list(f, "user", ids),
            Self::Tenants(ids) => list(f, "tenant", ids),
        }
    }
}

impl FlagSet {
    /// The set that has what a rollout turned, so that it can end and nobody notices: for
    /// everybody the environment's default, else rules that stay. An earlier rollout of
    /// the same salt and variant is replaced.
    #[must_use]
    pub fn recording(&self, rollout: &Rollout) -> Self {
        if rollout.share == BasisPoints::FULL {
            return self.for_everybody(rollout);
        }
        let mut set = self.clone();
        for (key, variant) in &rollout.flags {
            let settings = set
                .flags
                .get_mut(key)
                .and_then(|flag| flag.environments.get_mut(&rollout.environment));
            if let Some(settings) = settings {
                settings
                    .rules
                    .retain(|rule| !is_of_before(rule, rollout, variant));
            }
        }
        set.while_running(std::slice::from_ref(rollout))
    }

    /// The set in which at most these units and segments get what a rollout turns: what
    /// earlier ones left, and shares of the flags' own, are taken out. Rules and overrides
    /// that name people stay.
    #[must_use]
    pub fn lowered_to(&self, rollout: &Rollout) -> Self {
        let mut set = self.clone();
        for (key, variant) in &rollout.flags {
            let Some(flag) = set.flags.get_mut(key) else {
                continue;
            };
            let by_itself = flag.default.as_ref().unwrap_or(&flag.off) == variant;
            let off = flag.off.clone();
            let said = flag.environments.contains_key(&rollout.environment);
            if !said && (!by_itself || off == *variant) {
                continue;
            }
            let settings = flag.environments.entry(rollout.environment.clone());
            let settings = settings.or_default();
            if settings.default.as_ref() == Some(variant) {
                settings.default = None;
            }
            if settings.default.is_none() && by_itself && off != *variant {
                settings.default = Some(off);
            }
            settings.rules.retain(|rule| !is_left(rule, variant));
        }
        set.while_running(std::slice::from_ref(rollout))
    }

    /// The share to which a flag serves a variant by its default and its own shares.
    #[must_use]
    pub fn kept_share(&self, key: &str, variant: &str, environment: &str) -> BasisPoints {
        if self
            .on_for(key, variant, environment)
            .contains(&OnFor::Default)
        {
            return BasisPoints::FULL;
        }
        let flag = self.flags.get(key);
        let settings = flag.and_then(|flag| flag.environments.get(environment));
        let rules = settings.map_or(&[][..], |settings| &settings.rules);
        let shares = rules.iter().filter(|rule| {
            rule.variant.as_deref() == Some(variant)
                && rule.when.is_none()
                && rule.segment.is_none()
        });
        let shares = shares.filter_map(|rule| Some(rule.share.as_ref()?.basis_points));
        shares.max().unwrap_or(BasisPoints::ZERO)
    }

    /// Shares of a flag's own stood behind the whole, and decided nothing.
    fn for_everybody(&self, rollout: &Rollout) -> Self {
        let mut set = self.clone();
        for (key, variant) in &rollout.flags {
            let Some(flag) = set.flags.get_mut(key) else {
                continue;
            };
            let settings = flag
                .environments
                .entry(rollout.environment.clone())
                .or_default();
            settings.rules.truncate(settings.choosing_rules());
            settings.default = Some(variant.clone());
        }
        set
    }

    /// Who gets a flag's variant in an environment, as far as the set says so by itself:
    /// prerequisites and kills may keep it from them still.
    #[must_use]
    pub fn on_for(&self, key: &str, variant: &str, environment: &str) -> Vec<OnFor> {
        let Some(flag) = self.flags.get(key) else {
            return Vec::new();
        };
        let settings = flag
            .environments
            .get(environment)
            .cloned()
            .unwrap_or_default();
        if settings.state == FlagState::Disabled {
            return Vec::new();
        }
        let mut found = Vec::new();
        let default = settings.default.or_else(|| flag.default.clone());
        if default.as_ref().unwrap_or(&flag.off) == variant {
            found.push(OnFor::Default);
        }
        let rules = settings.rules.iter().enumerate();
        found.extend(
            rules
                .filter(|(_, rule)| serves(rule, variant))
                .map(|(place, rule)| OnFor::Rule(words(place, rule))),
        );
        let ids = |of: &std::collections::BTreeMap<String, String>| -> Vec<String> {
            let theirs = of.iter().filter(|(_, served)| *served == variant);
            theirs.map(|(id, _)| id.clone()).collect()
        };
        let (users, tenants) = (ids(&settings.users), ids(&settings.tenants));
        found.extend((!users.is_empty()).then_some(OnFor::Users(users)));
        found.extend((!tenants.is_empty()).then_some(OnFor::Tenants(tenants)));
        found
    }
}

/// Whether a rule was left by an earlier rollout that this one goes on from.
fn is_of_before(rule: &RuleDefinition, rollout: &Rollout, variant: &str) -> bool {
    let same = rule.variant.as_deref() == Some(variant) && rule.when.is_none();
    match (&rule.segment, &rule.share) {
        (Some(segment), None) => same && rollout.segments.contains(segment),
        (None, Some(share)) => same && share.salt.as_ref() == Some(&rollout.salt),
        _ => false,
    }
}

/// Whether a rule serves a share of this variant, or was left by a rollout.
fn is_left(rule: &RuleDefinition, variant: &str) -> bool {
    let share_alone = rule.when.is_none() && rule.segment.is_none() && rule.share.is_some();
    let of_a_release = rule
        .name
        .as_ref()
        .is_some_and(|name| name.starts_with("release "));
    rule.variant.as_deref() == Some(variant) && (share_alone || of_a_release)
}

fn serves(rule: &RuleDefinition, variant: &str) -> bool {
    let some = |share: BasisPoints| share > BasisPoints::ZERO;
    if let Some(distribution) = &rule.distribution {
        let mut weights = distribution.weights.iter();
        return weights.any(|w| w.variant == variant && some(w.basis_points));
    }
    let reaches = rule.share.as_ref().is_none_or(|s| some(s.basis_points));
    rule.variant.as_deref() == Some(variant) && reaches
}

fn words(place: usize, rule: &RuleDefinition) -> String {
    let name = rule.name.as_ref().map(|name| format!(" ({name})"));
    let mut whom = Vec::new();
    whom.extend(rule.segment.as_ref().map(|s| format!("segment {s}")));
    whom.extend(
        rule.when
            .as_ref()
            .map(|when| format!("whoever fits {when}")),
    );
    whom.extend(rule.share.as_ref().map(|s| s.basis_points.to_string()));
    if whom.is_empty() {
        whom.push("everybody it comes to".to_owned());
    }
    let (place, name) = (place + 1, name.unwrap_or_default());
    format!("{} by rule {place}{name}", whom.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttributeValue, Snapshot};
    use esclusa_model::ReleaseId;
    use proptest::prelude::*;
    use serde_json::json;

    fn set() -> FlagSet {
        FlagSet::from_json(json!({
            "environments": ["production"],
            "segments": { "team": { "keys": ["u1", "u2"] }, "blocked": { "keys": ["u3"] } },
            "tenants": { "acme": {}, "globex": {}, "initech": {} },
            "flags": {
                "reports": { "type": "boolean", "environments": { "production": {
                    "users": { "u4": "off" },
                    "rules": [
                        { "segment": "blocked", "variant": "off" },
                        { "share": { "basis-points": 3000 }, "variant": "off" },
                    ] } } },
                "api": { "type": "boolean" },
            },
        }))
        .expect("a set")
    }

    fn rollout(share: u16, segments: &[&str], of: Option<&str>) -> Rollout {
        Rollout {
            release: ReleaseId::new("r-1").expect("valid"),
            environment: "production".into(),
            flags: ["reports", "api"]
                .map(|f| (f.to_owned(), "on".to_owned()))
                .into(),
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            share: BasisPoints::new(share).expect("in range"),
            of: of.map(str::to_owned),
            salt: "reports".into(),
        }
    }

    fn answers(set: &FlagSet) -> Vec<bool> {
        let snapshot = Snapshot::compile(set, "production").expect("valid");
        let mut found = Vec::new();
        for user in 0..300 {
            let key = format!("u{user}");
            let tenant = ["acme", "globex", "initech", "other"][user % 4];
            for flag in ["reports", "api"] {
                let mut context = snapshot.context();
                context.set("targetingKey", AttributeValue::Text(&key));
                context.set("user", AttributeValue::Text(&key));
                context.set("tenant", AttributeValue::Text(tenant));
                found.push(context.evaluate(flag).is_on());
            }
        }
        found
    }

    proptest! {
        // ROL-02, ROL-04: nobody notices that a rollout is over and the set has it, and a
        // later, larger one takes it from nobody and leaves one rule.
        #[test]
        fn the_end_of_a_rollout_is_seen_by_nobody(
            first in 0u16..=10_000, second in 0u16..=10_000, team: bool, tenants: bool,
        ) {
            let segments: &[&str] = if team { &["team"] } else { &[] };
            let of = tenants.then_some("tenant");
            let (low, high) = (first.min(second), first.max(second));
            let low = rollout(low, segments, of);
            let kept = set().recording(&low);
            prop_assert_eq!(answers(&kept), answers(&set().while_running(&[low])));
            let high = rollout(high, segments, of);
            let more = kept.recording(&high);
            prop_assert_eq!(answers(&more), answers(&kept.while_running(std::slice::from_ref(&high))));
            for (before, after) in answers(&kept).into_iter().zip(answers(&more)) {
                prop_assert!(!before || after);
            }
            prop_assert_eq!(&more.recording(&high), &more);
            // And it can be taken back, field by field.
            let patch = kept.patch_to(&more);
            let there = kept.patched(&patch).expect("applies");
            let back = there.patched(&patch.inverse(there.revision)).expect("applies");
            prop_assert_eq!(answers(&back), answers(&kept));
        }
    }

    // ROL-05: down is down for everybody who is not named, and those who stay had it.
    #[test]
    fn a_lowered_flag_reaches_nobody_new() {
        let all = set().recording(&rollout(10_000, &[], None));
        assert_eq!(
            all.kept_share("reports", "on", "production"),
            BasisPoints::FULL
        );
        let quarter = all.lowered_to(&rollout(2_500, &[], None));
        assert_eq!(quarter.kept_share("api", "on", "production").get(), 2_500);
        let tenth = quarter.lowered_to(&rollout(1_000, &[], None));
        let mut both = answers(&tenth).into_iter().zip(answers(&quarter));
        assert!(both.clone().all(|(low, high)| !low || high) && both.any(|(l, h)| l != h));
        let off = tenth.lowered_to(&rollout(0, &[], None));
        assert!(answers(&off).into_iter().all(|on| !on));
        assert_eq!(off.kept_share("api", "on", "production"), BasisPoints::ZERO);
    }

    // FLAG-16, PRE-03: for whom it is on is listed, whichever way.
    #[test]
    fn who_has_it_already_is_named() {
        let on = |set: &FlagSet| -> Vec<String> {
            let found = set.on_for("reports", "on", "production");
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(on(&set()), Vec::<String>::new());
        let mut set = set().recording(&rollout(500, &["team"], None));
        let flag = set.flags.get_mut("reports").expect("there");
        let settings = flag.environments.get_mut("production").expect("there");
        settings.users.insert("ana".into(), "on".into());
        settings.tenants.insert("acme".into(), "on".into());
        settings.default = Some("on".into());
        let told = on(&set);
        assert_eq!(
            told,
            [
                "everybody by default",
                "segment team by rule 1 (release r-1)",
                "5% by rule 3 (release r-1)",
                "user ana",
                "tenant acme",
            ]
        );
        let flag = set.flags.get_mut("reports").expect("there");
        let settings = flag.environments.get_mut("production").expect("there");
        settings.state = FlagState::Disabled;
        assert_eq!(on(&set), Vec::<String>::new());
    }
}
