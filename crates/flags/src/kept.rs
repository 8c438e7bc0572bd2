//! In which order a flag's share stands: whoever goes on from it goes on with the same units.

use crate::definition::FlagSet;
use esclusa_model::BasisPoints;

/// What orders the units of a share. Two shares of one order hold each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareOrder {
    /// The salt.
    pub salt: String,
    /// The attribute that names the unit; `targetingKey` when absent.
    pub of: Option<String>,
}

impl ShareOrder {
    /// The order of this salt over these units.
    #[must_use]
    pub fn new(salt: impl Into<String>, of: Option<&str>) -> Self {
        Self {
            salt: salt.into(),
            of: of.filter(|of| *of != "targetingKey").map(str::to_owned),
        }
    }

    /// The unit's attribute, always.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.of.as_deref().unwrap_or("targetingKey")
    }
}

impl FlagSet {
    /// The order of the largest share to which a flag serves a variant by itself, for whomever
    /// no other rule decides about; nothing where it serves it to no such share.
    #[must_use]
    pub fn kept_order(&self, key: &str, variant: &str, environment: &str) -> Option<ShareOrder> {
        let flag = self.flags.get(key)?;
        let rules = &flag.environments.get(environment)?.rules;
        let shares = rules.iter().filter(|rule| {
            let alone = rule.when.is_none() && rule.segment.is_none();
            alone && rule.variant.as_deref() == Some(variant)
        });
        let shares = shares.filter_map(|rule| rule.share.as_ref());
        let some = shares.filter(|share| share.basis_points > BasisPoints::ZERO);
        let share = some.max_by_key(|share| share.basis_points)?;
        let salt = share.salt.clone().unwrap_or_else(|| self.own_salt(key));
        Some(ShareOrder::new(salt, share.of.as_deref()))
    }

    /// The salt of a flag's own shares.
    #[must_use]
    pub fn own_salt(&self, key: &str) -> String {
        let named = self.flags.get(key).and_then(|flag| flag.salt.clone());
        named.unwrap_or_else(|| key.to_owned())
    }

    /// The salt that orders the units of flags that are turned together: of the first that is
    /// turned for a share already, else the first one's own.
    #[must_use]
    pub fn salt_for<'f>(
        &self,
        flags: impl IntoIterator<Item = (&'f str, &'f str)> + Clone,
        environment: &str,
    ) -> Option<String> {
        let mut known = flags.clone().into_iter();
        let kept = known.find_map(|(key, variant)| self.kept_order(key, variant, environment));
        let first = || flags.into_iter().next().map(|(key, _)| self.own_salt(key));
        kept.map(|order| order.salt).or_else(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set() -> FlagSet {
        let rules = json!([
            { "share": { "basis-points": 500, "salt": "small" }, "variant": "on" },
            { "share": { "basis-points": 2500, "of": "tenant" }, "variant": "on" },
            { "share": { "basis-points": 9000, "salt": "off" }, "variant": "off" },
            { "share": { "basis-points": 9500, "salt": "some" }, "variant": "on", "segment": "s" },
        ]);
        FlagSet::from_json(json!({
            "environments": ["production"],
            "segments": { "s": { "keys": ["u"] } },
            "flags": {
                "a": { "type": "boolean", "environments": { "production": { "rules": rules } } },
                "b": { "type": "boolean", "salt": "both" },
                "c": { "type": "boolean", "environments": { "production": { "rules": [
                    { "share": { "basis-points": 100, "of": "targetingKey", "salt": "x" },
                      "variant": "on" },
                ] } } },
            },
        }))
        .expect("a set")
    }

    // ROL-06: who goes on from a share goes on with the same units.
    #[test]
    fn the_largest_share_of_a_variant_says_the_order() {
        let set = set();
        let of = |key| set.kept_order(key, "on", "production");
        assert_eq!(of("a"), Some(ShareOrder::new("a", Some("tenant"))));
        assert_eq!(of("c"), Some(ShareOrder::new("x", None)));
        assert_eq!((of("b"), of("none")), (None, None));
        assert_eq!(set.kept_order("a", "on", "elsewhere"), None);
        let salt = |flags: &[&str]| {
            let turned = flags.iter().map(|key| (*key, "on"));
            set.salt_for(turned, "production")
        };
        assert_eq!(salt(&["b"]).as_deref(), Some("both"));
        assert_eq!(salt(&["b", "c"]).as_deref(), Some("x"));
        assert_eq!(salt(&["a", "c"]).as_deref(), Some("a"));
        assert_eq!(salt(&[]), None);
    }
}
