//! What the judge is fed: seconds, and the stage that they belong to.

use crate::slice::Cell;
use esclusa_model::{BasisPoints, ProxyId};
use serde::{Deserialize, Serialize};

/// A cell and the proxy that counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyCell {
    /// Whose clock and traffic it is.
    pub proxy: ProxyId,
    /// The counts.
    pub cell: Cell,
}

/// One second of one service over all its proxies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// The second; rises from call to call.
    pub t: i64,
    /// All cells of this second.
    pub cells: Vec<ProxyCell>,
    /// Whether any proxy reported this second, be it that nothing happened.
    pub heard: bool,
}

/// Whether the audience can be compared with everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparable {
    /// Drawn at random: a share.
    Random,
    /// Chosen: a team, a header, a tenant. Only outages and guard rails act.
    NotRandom,
}

/// A stage as the judge needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageInfo {
    /// When it was entered, in the data's time.
    pub entered_at_s: i64,
    /// The canary's share now.
    pub share: BasisPoints,
    /// The share after it, for which harmlessness is to be proved.
    pub next_share: BasisPoints,
    /// Seconds before anything is proved: the stage's `for`, or `bake.min-s` where the
    /// stage may end early.
    pub min_watch_s: u32,
    /// Whether its audience is comparable.
    pub comparable: Comparable,
    /// Whether chosen people are exposed beside the share, as those of an earlier segment:
    /// the canary then serves more than its share by design.
    pub chosen: bool,
}
