//! The split of a service's units between its stable version and its canary.

use esclusa_model::{BasisPoints, Digest, ReleaseId, Salt};
use serde::{Deserialize, Serialize};

/// A named group of units, told by an expression over the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRule {
    /// The segment's name, for explanations.
    pub name: String,
    /// An `esclusa-expr` condition, such as `header("x-team") == "red"`.
    pub when: String,
}

/// Who is sent to the canary. Everybody else stays with the stable version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// The release that turned this dial.
    pub release: ReleaseId,
    /// Orders the units; by default the release's id.
    pub salt: Salt,
    /// The version that the chosen units are sent to.
    pub canary: Digest,
    /// The share of units by hash.
    pub share: BasisPoints,
    /// Segments that are exposed whatever the share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRule>,
    /// All unit ids, when they are known: a partial share then takes the first
    /// max(1, ceil(share * n)) by hash, so that 5 % of 12 tenants is one tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub population: Vec<String>,
    /// The canary's units are those to whom this flag serves its variant, and `share`
    /// and `segments` only say what was asked for. One evaluator decides who is exposed
    /// and who is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_flag: Option<FlagSide>,
}

/// The side of a flag that a release exposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagSide {
    /// The environment.
    pub environment: String,
    /// The flag: of several that are turned together, the first.
    pub flag: String,
    /// Its variant.
    pub variant: String,
}
