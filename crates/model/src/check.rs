//! Answers to questions about the world. Unknown is an answer.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a check found. Only [`CheckStatus::Pass`] lets anything through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Asked, and it is so.
    Pass,
    /// Asked, and it is not so.
    Fail,
    /// Could not be asked, or the answer could not be read.
    Unknown,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        })
    }
}

/// One answer, with what was seen (HLT-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// The answer.
    pub status: CheckStatus,
    /// What was seen, in one sentence, without secrets.
    pub message: String,
    /// When it was seen.
    pub at: Timestamp,
}
