//! How a release ends, and what its command returns.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The end of a release, or `Held` while only a person can move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Reached all users through its gates.
    Promoted,
    /// Reached all users because a person skipped what was left.
    PromotedEarly,
    /// Returned by the judge, a limit, a failed step, or a person after 100 %.
    RolledBack,
    /// Returned by a person, a kill or a superseding release.
    Aborted,
    /// Waits for a person.
    Held,
    /// Ended before any user was exposed.
    Refused,
    /// Something could not be put back; a person must look.
    RollbackFailed,
}

impl Outcome {
    /// The exit code of `release start --wait`.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Promoted | Self::PromotedEarly => 0,
            Self::RolledBack => 3,
            Self::Held => 4,
            Self::Aborted => 5,
            Self::Refused => 6,
            Self::RollbackFailed => 9,
        }
    }

    /// The name used in JSON, events and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::PromotedEarly => "promoted_early",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Held => "held",
            Self::Refused => "refused",
            Self::RollbackFailed => "rollback_failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_table_is_a_contract() {
        let table = [
            (Outcome::Promoted, "promoted", 0),
            (Outcome::PromotedEarly, "promoted_early", 0),
            (Outcome::RolledBack, "rolled_back", 3),
            (Outcome::Held, "held", 4),
            (Outcome::Aborted, "aborted", 5),
            (Outcome::Refused, "refused", 6),
            (Outcome::RollbackFailed, "rollback_failed", 9),
        ];
        for (outcome, name, code) in table {
            assert_eq!(outcome.as_str(), name);
            assert_eq!(outcome.exit_code(), code);
            assert_eq!(
                serde_json::to_string(&outcome).ok(),
                Some(format!("\"{name}\""))
            );
        }
    }
}
