//! What an evaluation answers, and why.

use crate::value::FlagValue;
use esclusa_model::BasisPoints;
use serde::{Deserialize, Serialize};
use std::fmt;

/// OpenFeature's reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FlagReason {
    /// The flag has one answer for every context.
    Static,
    /// A rule, segment, override or tester token chose it.
    TargetingMatch,
    /// A share or distribution chose it.
    Split,
    /// Killed, disabled, or without a prerequisite.
    Disabled,
    /// No rule applied.
    Default,
    /// Nothing could be decided: the safe value.
    Error,
}

/// Why nothing could be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EvaluationError<'s> {
    /// There is no such flag.
    #[error("there is no such flag")]
    FlagNotFound,
    /// A share needs the targeting key.
    #[error("the context has no targeting key, which a share needs")]
    TargetingKeyMissing,
    /// A share needs an attribute that the context lacks.
    #[error("the context has no usable {attribute:?}, which a share needs")]
    UnitMissing {
        /// The attribute.
        attribute: &'s str,
    },
}

impl EvaluationError<'_> {
    /// OpenFeature's error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::UnitMissing { .. } => "INVALID_CONTEXT",
        }
    }
}

/// What decided, in our own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'s> {
    /// A kill of this epoch.
    Killed {
        /// The epoch.
        epoch: u64,
    },
    /// The environment does not use the flag.
    Disabled,
    /// Another flag serves another variant than is needed.
    Prerequisite {
        /// The other flag.
        flag: &'s str,
        /// The variant that is needed.
        wanted: &'s str,
        /// The variant that it serves; `None` when it could not decide.
        got: Option<&'s str>,
    },
    /// A verified tester token.
    Tester,
    /// The user's override.
    User,
    /// The tenant's override.
    Tenant,
    /// A rule without a share.
    Rule(RuleRef<'s>),
    /// A rule with a share.
    Share {
        /// The rule.
        rule: RuleRef<'s>,
        /// The share.
        share: BasisPoints,
    },
    /// A rule's distribution.
    Distribution(RuleRef<'s>),
    /// The environment's default.
    EnvironmentDefault,
    /// The flag's default.
    FlagDefault,
    /// The safe value, for want of anything better.
    Error(EvaluationError<'s>),
}

/// A rule, as answers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleRef<'s> {
    /// Its place among the flag's rules, from 0.
    pub index: u32,
    /// Its name, when it has one.
    pub name: Option<&'s str>,
}

/// An answer. It refers to the snapshot that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'s> {
    /// The value; `None` only when there is no such flag.
    pub value: Option<&'s FlagValue>,
    /// The variant's name; `None` only when there is no such flag.
    pub variant: Option<&'s str>,
    /// OpenFeature's reason.
    pub reason: FlagReason,
    /// Our own.
    pub detail: Detail<'s>,
}

impl<'s> Answer<'s> {
    /// Why nothing could be decided, when that is so.
    #[must_use]
    pub fn error(&self) -> Option<EvaluationError<'s>> {
        match self.detail {
            Detail::Error(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the value is `true`.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.value == Some(&FlagValue::Boolean(true))
    }
}

impl Detail<'_> {
    /// OpenFeature's word for it. `alike` is whether the flag answers all contexts
    /// alike.
    pub(crate) fn reason(&self, alike: bool) -> FlagReason {
        match self {
            Self::Killed { .. } | Self::Disabled | Self::Prerequisite { .. } => {
                FlagReason::Disabled
            }
            Self::Tester | Self::User | Self::Tenant | Self::Rule(_) => FlagReason::TargetingMatch,
            Self::Share { .. } | Self::Distribution(_) => FlagReason::Split,
            Self::EnvironmentDefault | Self::FlagDefault if alike => FlagReason::Static,
            Self::EnvironmentDefault | Self::FlagDefault => FlagReason::Default,
            Self::Error(_) => FlagReason::Error,
        }
    }
}

impl fmt::Display for FlagReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Default => "DEFAULT",
            Self::Error => "ERROR",
        })
    }
}

impl fmt::Display for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.index + 1)?;
        match self.name {
            Some(name) => write!(f, " {name:?}"),
            None => Ok(()),
        }
    }
}

/// A clause for people.
impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { epoch } => write!(f, "it is killed (epoch {epoch})"),
            Self::Disabled => f.write_str("it is disabled in this environment"),
            Self::Prerequisite { flag, wanted, got } => {
                write!(f, "it needs {wanted:?} of {flag:?}, which ")?;
                match got {
                    Some(got) => write!(f, "serves {got:?}"),
                    None => f.write_str("cannot decide"),
                }
            }
            Self::Tester => f.write_str("a tester token says so"),
            Self::User => f.write_str("the user's override says so"),
            Self::Tenant => f.write_str("the tenant's override says so"),
            Self::Rule(rule) => write!(f, "{rule} applies"),
            Self::Share { rule, share } => write!(f, "{rule} takes {share} of all units"),
            Self::Distribution(rule) => write!(f, "{rule} divides the units"),
            Self::EnvironmentDefault => f.write_str("no rule applies: the environment's default"),
            Self::FlagDefault => f.write_str("no rule applies: the flag's default"),
            Self::Error(error @ EvaluationError::FlagNotFound) => write!(f, "{error}"),
            Self::Error(error) => write!(f, "{error}: the safe value"),
        }
    }
}
