//! What happens at the end of a stage's minimum watch, and when the data stops.
//!
//! Pure policy over a verdict; the judge itself never applies it.

use crate::config::{Blind, BlindThen, OnUnproven};
use crate::verdict::{Decision, Reason, Standing, Verdict};
use serde::{Deserialize, Serialize};

/// Why a stage may be left upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// Harmlessness was proved.
    Proof,
    /// Not proved, but enough was seen and all is quiet.
    Quiet,
}

/// What to do with a stage whose minimum watch is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum StageEnd {
    /// Expose more.
    Advance {
        /// On which grounds.
        grounds: Grounds,
        /// What was proved, beside what was asked.
        proved: String,
    },
    /// Stay; ask again every second until the hold's deadline.
    Hold {
        /// Why.
        reason: Reason,
    },
    /// Return.
    Rollback {
        /// Why.
        reason: Reason,
    },
}

/// Decides at the end of a stage's minimum watch, and every second after it.
#[must_use]
pub fn at_stage_end(verdict: &Verdict, policy: OnUnproven) -> StageEnd {
    let reason = verdict.reason.clone();
    match (verdict.decision, policy) {
        (Decision::Rollback, _) => StageEnd::Rollback { reason },
        _ if !verdict.progress.watched => StageEnd::Hold { reason },
        (Decision::Proceed, _) => StageEnd::Advance {
            grounds: Grounds::Proof,
            proved: verdict.proved(),
        },
        (Decision::Hold, OnUnproven::PromoteIfQuiet) if quiet_enough(verdict) => {
            StageEnd::Advance {
                grounds: Grounds::Quiet,
                proved: verdict.proved(),
            }
        }
        (Decision::Hold, OnUnproven::Rollback) if !lacks_data(&reason) => {
            StageEnd::Rollback { reason }
        }
        (Decision::Hold, _) => StageEnd::Hold { reason },
    }
}

/// What the plan wants after a silence that is longer than it tolerates.
#[must_use]
pub fn when_blind(verdict: &Verdict, blind: &Blind) -> Option<BlindThen> {
    matches!(
        verdict.reason,
        Reason::Blind { .. } | Reason::BlindSeries { .. }
    )
    .then_some(blind.then)
}

fn quiet_enough(verdict: &Verdict) -> bool {
    verdict.standing == Standing::Quiet
        && verdict.progress.floor_reached
        && !forbids_quiet(&verdict.reason)
}

/// Reasons under which silence on harm says nothing about the canary.
const fn forbids_quiet(reason: &Reason) -> bool {
    match reason {
        // A required series asks for its proof.
        Reason::Unproven { metric, .. } => metric.is_series(),
        Reason::NotComparable | Reason::NoBaseline { .. } | Reason::Proven => false,
        Reason::NotStarted
        | Reason::Outage { .. }
        | Reason::NeverAbove { .. }
        | Reason::Harm { .. }
        | Reason::SloBurn { .. }
        | Reason::SloBurning { .. }
        | Reason::SharedBurn { .. }
        | Reason::Suspicious { .. }
        | Reason::NoTraffic { .. }
        | Reason::MissingData { .. }
        | Reason::Blind { .. }
        | Reason::MissingSeries { .. }
        | Reason::BlindSeries { .. }
        | Reason::SplitMismatch { .. }
        | Reason::SharedFault { .. }
        | Reason::SharedLimit { .. }
        | Reason::Reassigned { .. }
        | Reason::BaselineMoved { .. }
        | Reason::BadHost { .. }
        | Reason::TooGood { .. }
        | Reason::ColdStart { .. }
        | Reason::TooLittle { .. }
        | Reason::Watching { .. } => true,
    }
}

/// A return for want of a proof still needs something to have been seen.
const fn lacks_data(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NotStarted
            | Reason::NoTraffic { .. }
            | Reason::MissingData { .. }
            | Reason::Blind { .. }
            | Reason::MissingSeries { .. }
            | Reason::BlindSeries { .. }
            | Reason::SplitMismatch { .. }
            | Reason::TooLittle { .. }
            | Reason::Watching { .. }
    )
}
