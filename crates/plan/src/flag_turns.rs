//! Flags as a plan turns them. Stored with the plan, so its shape is a contract.

use esclusa_model::VersionName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Flags that are turned as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagTurns {
    /// The flags in the plan's order, never none. Requests are told apart by the first.
    pub set: Vec<FlagTurn>,
    /// The environment in which they are turned.
    pub environment: String,
    /// The attribute that names the unit of a share; `targetingKey` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether they may be on for somebody already when the release begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_on: bool,
}

/// A flag and what it is turned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagTurn {
    /// The flag.
    pub flag: String,
    /// The variant that it serves to whoever is exposed.
    pub variant: String,
}

impl FlagTurns {
    /// Each flag with its variant, in the plan's order.
    pub fn turned(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let all = self.set.iter();
        all.map(|turn| (turn.flag.as_str(), turn.variant.as_str()))
    }

    /// A name for a release that turns these and nothing else, such as `exec-reports-on`.
    #[must_use]
    pub fn version_name(&self) -> Option<VersionName> {
        let first = self.set.first()?;
        let more = match self.set.len() - 1 {
            0 => String::new(),
            n => format!("+{n}"),
        };
        let room = 128usize.checked_sub(more.len())?;
        let name: String = format!("{}-{}", first.flag, first.variant);
        VersionName::new(format!(
            "{}{more}",
            name.chars().take(room).collect::<String>()
        ))
        .ok()
    }
}

impl fmt::Display for FlagTurns {
    /// Such as `exec-reports on, reports-api on`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, turn) in self.set.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", turn.flag, turn.variant)?;
        }
        Ok(())
    }
}
