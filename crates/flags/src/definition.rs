//! Flags as people write them. What is here may be wrong; a [`crate::Snapshot`] is what
//! has been checked.

use crate::exposure::ExposureRules;
use crate::guard::GuardDefinition;
use crate::lifetime::Lifetime;
use crate::standing::StandingRule;
use crate::value::FlagType;
use esclusa_model::BasisPoints;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that one revision says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlagSet {
    /// Counts changes.
    #[serde(default)]
    pub revision: u64,
    /// What rules may ask about, beside `targetingKey`, `tenant` and `user`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeDefinition>,
    /// The environments that flags may have settings for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<String>,
    /// Reusable segments, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<String, SegmentDefinition>,
    /// The tenant directory: all known tenants, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, Tenant>,
    /// The flags, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, FlagDefinition>,
    /// Routes that flags open and close, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guards: BTreeMap<String, GuardDefinition>,
    /// What turns features off by itself, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub standing_rules: BTreeMap<String, StandingRule>,
    /// Which answers are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposures: Option<ExposureRules>,
}

/// A named value of the context, with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AttributeDefinition {
    /// Its type. A value of another type counts as missing.
    #[serde(rename = "type")]
    pub ty: AttributeType,
    /// Who says it.
    #[serde(default, skip_serializing_if = "AttributeSource::is_context")]
    pub source: AttributeSource,
    /// The key in the context or directory, when it differs from the name in rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number with decimals.
    Float,
    /// True or false.
    Boolean,
}

/// Where an attribute's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeSource {
    /// Whoever asks says it.
    #[default]
    Context,
    /// The directory says it of the context's tenant, whatever the context claims.
    Tenant,
}

impl AttributeSource {
    fn is_context(&self) -> bool {
        *self == Self::Context
    }
}

/// A reusable group. Whoever fits one of its parts belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SegmentDefinition {
    /// Members by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<String>,
    /// The attribute that `keys` are values of; `user` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// A condition over the attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Other segments whose members belong here too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<String>,
}

/// A tenant of the directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tenant {
    /// What is known of it, such as its size and when it was created.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlagDefinition {
    /// The type of its values.
    #[serde(rename = "type")]
    pub ty: FlagType,
    /// The values it can have, by name. A boolean flag without has `on` and `off`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, Value>,
    /// The variant of a flag that is killed, disabled, or lacks a prerequisite.
    #[serde(default = "off", skip_serializing_if = "is_off")]
    pub off: String,
    /// The variant where nothing can be decided; `off`'s when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<String>,
    /// The variant where no rule decides; `off`'s when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Other names by which it is killed, such as those of a runbook. Several flags may
    /// have one together.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Why it exists and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// What a guard tells people whom the flag keeps out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether browsers may read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub browsers: bool,
    /// Orders the units of its shares; the flag's key when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Flags that must serve a certain variant first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<Prerequisite>,
    /// What holds in each environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, FlagSettings>,
}

impl FlagDefinition {
    /// A boolean flag that is off.
    #[must_use]
    pub fn boolean() -> Self {
        Self {
            ty: FlagType::Boolean,
            variants: BTreeMap::new(),
            off: off(),
            safe: None,
            default: None,
            aliases: BTreeSet::new(),
            description: None,
            owner: None,
            project: None,
            lifetime: None,
            message: None,
            browsers: false,
            salt: None,
            prerequisites: Vec::new(),
            environments: BTreeMap::new(),
        }
    }

    /// Its variants, those of a boolean flag that names none included.
    #[must_use]
    pub fn effective_variants(&self) -> BTreeMap<String, Value> {
        if self.variants.is_empty() && self.ty == FlagType::Boolean {
            [("on", true), ("off", false)]
                .map(|(name, value)| (name.to_owned(), Value::Bool(value)))
                .into()
        } else {
            self.variants.clone()
        }
    }
}

fn off() -> String {
    "off".to_owned()
}

fn is_off(name: &str) -> bool {
    name == "off"
}

/// Another flag's variant that must be served first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prerequisite {
    /// The other flag.
    pub flag: String,
    /// Its variant.
    pub variant: String,
}

/// A flag in one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlagSettings {
    /// Whether it is in use here at all.
    #[serde(default, skip_serializing_if = "FlagState::is_enabled")]
    pub state: FlagState,
    /// The variant where no rule decides; the flag's own default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Variants of single users, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, String>,
    /// Variants of single tenants, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, String>,
    /// The first that applies decides. Those with a condition or segment come before
    /// those with a share alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleDefinition>,
}

impl FlagSettings {
    /// How many rules name people, by a condition or a segment: they stand before the
    /// shares.
    pub(crate) fn choosing_rules(&self) -> usize {
        let names = |rule: &&RuleDefinition| rule.when.is_some() || rule.segment.is_some();
        self.rules.iter().take_while(names).count()
    }
}

/// Whether a flag is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagState {
    /// Its rules decide.
    #[default]
    Enabled,
    /// Everybody gets its off variant.
    Disabled,
}

impl FlagState {
    fn is_enabled(&self) -> bool {
        *self == Self::Enabled
    }
}

/// A rule: it applies when all that it names holds, and then serves a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleDefinition {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A condition over the attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// A share of the units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareDefinition>,
    /// The variant that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Or the variants among which it divides units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<DistributionDefinition>,
}

/// A share of the units of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ShareDefinition {
    /// Hundredths of a percent.
    pub basis_points: BasisPoints,
    /// The attribute that names the unit; `targetingKey` when not given. Of `tenant`,
    /// the directory's first max(1, ceil(share * n)) are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Orders the units; the flag's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// Units divided among variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DistributionDefinition {
    /// The parts, in their order; 10,000 basis points together.
    pub weights: Vec<Weight>,
    /// The attribute that names the unit; `targetingKey` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Orders the units; the flag's with `/variants` behind it when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// One part of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Weight {
    /// The variant.
    pub variant: String,
    /// Hundredths of a percent.
    pub basis_points: BasisPoints,
}

impl FlagSet {
    /// The flags that `name` means where something is killed: the one of this key and
    /// those of this alias.
    #[must_use]
    pub fn meant_by(&self, name: &str) -> Vec<&str> {
        let flags = self.flags.iter();
        let meant = flags.filter(|(key, flag)| *key == name || flag.aliases.contains(name));
        meant.map(|(key, _)| key.as_str()).collect()
    }

    /// The set as JSON; [`FlagSet::from_json`] reads it back.
    #[must_use]
    pub fn to_json(&self) -> Value {
        // Cannot fail: all keys are strings and nothing refuses to be written.
        serde_json::to_value(self).unwrap_or_default()
    }
}
