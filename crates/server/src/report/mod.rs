//! What a release did, for the record (CAN-05, CHK-14, PIP-10).
//!
//! A pure function of the release, its events and its counted traffic: the same record
//! gives the same report on every machine. What is not known is said to be unknown,
//! never shown as zero.

mod build;
mod chart;
mod checklist;
mod decisions;
mod html;
mod junit;
mod markdown;
mod post_mortem;
mod when;

pub use build::build;
pub use checklist::{ChecklistEntry, ChecklistKind};
pub(crate) use decisions::decision_of;
pub use html::html;
pub(crate) use html::policy;
pub use junit::junit;
pub use markdown::markdown;
pub use post_mortem::post_mortem;
pub use when::rfc3339;
pub(crate) use when::second;

use crate::figures::{LatencyMs, Percent};
use crate::series::Series;
use crate::source::SourceView;
use crate::view::VersionView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[cfg(test)]
mod form_tests;
#[cfg(test)]
pub(crate) mod tests;

/// The version of the report's own shape.
pub const REPORT_VERSION: u16 = 1;

/// Where a release stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way.
    InProgress,
    /// All users have the new version.
    Succeeded,
    /// All users have the version before.
    Returned,
    /// It ended before any user saw it.
    Refused,
    /// Something could not be put back.
    Failed,
}

impl Status {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::InProgress => "in progress",
            Self::Succeeded => "succeeded",
            Self::Returned => "returned",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a machine that waits for this release does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// Wait: nothing is decided yet.
    Hold,
    /// The change is or goes back.
    Rollback,
}

impl Verdict {
    /// The word for machines that look for it in a text (PIP-10).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proceed => "PROCEED",
            Self::Hold => "HOLD",
            Self::Rollback => "ROLLBACK",
        }
    }
}

/// A release from beginning to end, or to now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Report {
    /// The version of this shape.
    pub v: u16,
    /// The release.
    pub release: String,
    /// Its service.
    pub service: String,
    /// The version that was released.
    pub version: ReportVersion,
    /// The version before; absent on a first deployment.
    pub stable: Option<VersionView>,
    /// Digest of the plan's text.
    pub plan_digest: String,
    /// Where it stands.
    pub status: Status,
    /// What a machine that waits for it does.
    pub verdict: Verdict,
    /// How it ended; absent while it is under way.
    pub outcome: Option<String>,
    /// Why, in words; while it is under way, where it stands.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: String,
    /// When, as RFC 3339.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// From start to end in milliseconds.
    pub duration_ms: Option<u64>,
    /// The last line of the checklist: who signed off, when it was over.
    pub completion: Completion,
    /// Where the version comes from, where that is known.
    pub source: Option<SourceView>,
    /// This release's own copy of everything that its plan requires.
    pub checklist: Vec<ChecklistEntry>,
    /// Stages in the plan's order.
    pub stages: Vec<StageReport>,
    /// What was decided, by whom, and on what it rested.
    pub decisions: Vec<Decision>,
    /// Checks, steps and other work.
    pub tasks: Vec<TaskReport>,
    /// Agreements.
    pub sign_offs: Vec<SignOffReport>,
    /// Everybody who acted, people and parts of the program.
    pub actors: Vec<String>,
    /// Traffic by version.
    pub traffic: TrafficReport,
    /// Traffic over time.
    pub series: Series,
    /// The record that this report is made of.
    pub record: Record,
}

/// What was released.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ReportVersion {
    /// People's name for it.
    pub name: String,
    /// Its digest, once stored.
    pub digest: Option<String>,
    /// Whether the digest is of the content itself.
    pub verified: Option<bool>,
    /// Digests of its components.
    pub components: BTreeMap<String, String>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StageReport {
    /// What it exposes.
    pub to: String,
    /// Its least watch in milliseconds.
    pub for_ms: u64,
    /// When it was entered.
    pub entered_at: Option<String>,
    /// When its exposure was read back.
    pub confirmed_at: Option<String>,
    /// When it was left.
    pub left_at: Option<String>,
    /// From entering to leaving in milliseconds.
    pub took_ms: Option<u64>,
    /// Why it was left.
    pub left_because: Option<String>,
    /// Whether it took longer than its budget.
    pub over_budget: bool,
    /// The time that the plan gives it, where it gives one.
    pub budget_ms: Option<u64>,
    /// How much longer it took than that; absent when it did not, and until it is left.
    pub over_by_ms: Option<u64>,
    /// What became of it.
    pub result: StageResult,
}

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageResult {
    /// The release went on from it.
    Passed,
    /// The release went back from it.
    Returned,
    /// The release stands in it.
    UnderWay,
    /// The release never came to it.
    NotReached,
}

/// The last line of the checklist (CHK-14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Completion {
    /// Whether the release is over and all users have the new version.
    pub completed: bool,
    /// Everybody who signed off, with their role.
    pub signed_off_by: Vec<String>,
    /// The day on which it was over, in UTC.
    pub date: Option<String>,
    /// The time of that day.
    pub time: Option<String>,
    /// How long it took in milliseconds.
    pub duration_ms: Option<u64>,
}

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Decision {
    /// When.
    pub at: String,
    /// By whom.
    pub by: String,
    /// What.
    pub what: String,
    /// Why, possibly empty.
    pub why: String,
    /// What it rested on, where the judge spoke.
    pub evidence: Option<String>,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct TaskReport {
    /// Its name.
    pub task: String,
    /// In the plan's words.
    pub title: String,
    /// Tries.
    pub attempts: u32,
    /// How it ended; absent while it runs.
    pub result: Option<String>,
    /// Whether it is done.
    pub done: bool,
    /// How long the last try took.
    pub took_ms: Option<u64>,
}

/// One agreement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SignOffReport {
    /// The role; missing ones are listed without a name.
    pub role: String,
    /// Who; absent while it is missing.
    pub by: Option<String>,
    /// When.
    pub at: Option<String>,
    /// Their words.
    pub comment: String,
    /// The plan's checklist for the role, and what of it was confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<crate::view::ItemView>,
}

/// Traffic that was counted while the release ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct TrafficReport {
    /// By version; empty when nothing was counted.
    pub versions: Vec<VersionTotals>,
    /// The first second that was counted; absent when nothing was.
    pub from: Option<String>,
    /// The last second that was counted.
    pub to: Option<String>,
    /// Why nothing is known, when that is so.
    pub unknown_because: Option<String>,
}

/// One version's traffic, without synthetic requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct VersionTotals {
    /// Its digest.
    pub digest: String,
    /// Its name, where it takes part in this release.
    pub name: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Failures by the version's fault.
    pub failures: u64,
    /// Failures in a hundred requests; absent without requests.
    pub error_percent: Option<Percent>,
    /// Half of the requests got their answer's head within this many milliseconds.
    pub p50_ms: Option<LatencyMs>,
    /// 95 of 100 did.
    pub p95_ms: Option<LatencyMs>,
    /// 99 of 100 did.
    pub p99_ms: Option<LatencyMs>,
}

/// The record that a report is made of; with the head's hash, the audit's check of the
/// stream covers the report too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Record {
    /// Events.
    pub events: u64,
    /// The last event's hash.
    pub head: Option<String>,
}
