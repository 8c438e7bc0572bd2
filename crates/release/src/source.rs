//! Where a version comes from, as the checkout said it when the release was asked for.

use esclusa_model::Timestamp;
use serde::{Deserialize, Serialize};

/// The commit that a release was asked from, and what is new in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The commit's whole hash.
    pub commit: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The branch, where one was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit of the version before, where that is known; the range begins behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The commits of the range, newest first; empty when its beginning is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<Commit>,
    /// How many more there are.
    #[serde(default)]
    pub left_out: u64,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Its short hash.
    pub hash: String,
    /// Its first line.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When it was committed.
    pub committed_at: Timestamp,
}
