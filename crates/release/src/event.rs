//! What is recorded of a release. Each kind is a contract: stored for good.

use crate::{InstanceRecord, Phase, Source, Task, TaskEnd};
use esclusa_flags::Patch;
use esclusa_model::{
    BasisPoints, ComponentName, Digest, GenerationId, Outcome, ReleaseId, Salt, ServiceName,
    VersionName, VersionRef,
};
use esclusa_plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An event of a release's stream. The envelope adds position, time and actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "payload",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum Event {
    /// Somebody asked for the release. Always first.
    Requested(Box<Requested>),
    /// The version is stored and known by its digest.
    Prepared {
        /// The version.
        version: VersionRef,
        /// Digest of each component.
        components: BTreeMap<ComponentName, Digest>,
    },
    /// A task begins; recorded before it does.
    TaskStarted {
        /// The task.
        task: Task,
        /// Counts from 1; grows with each try.
        attempt: u32,
    },
    /// A task ended.
    TaskEnded {
        /// The task.
        task: Task,
        /// The try that ended.
        attempt: u32,
        /// How.
        end: TaskEnd,
    },
    /// What the end of the release changes in the flag set. Recorded before it is done, so
    /// that exactly that can be taken back.
    FlagsChange {
        /// The change.
        patch: Patch,
    },
    /// The canary's instances run and are ready.
    Deployed {
        /// Where they run.
        instances: Vec<InstanceRecord>,
    },
    /// A person agreed in a role.
    SignedOff(SignOff),
    /// The release goes on. Recorded before any exposure is raised.
    Advanced {
        /// Where to.
        to: Phase,
        /// Why, in words.
        why: String,
        /// What that rests on, where a judge spoke.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
    },
    /// The dial was read back at the exposure that was asked for.
    DialConfirmed(DialEvidence),
    /// What the judge says has changed.
    Judged(Evidence),
    /// The stage's watch is over and something is still missing.
    HoldBegan {
        /// What is missing.
        reason: String,
    },
    /// What was missing is there.
    HoldEnded,
    /// A proxy lost its controller and took the share back by itself. Nobody is
    /// exposed from here on until a person resumes.
    ReturnedByProxy {
        /// What happened, in words.
        reason: String,
    },
    /// A stage takes longer than its budget (PRE-24).
    OverBudget {
        /// The stage's index.
        stage: usize,
    },
    /// A person stopped the advance; the judge goes on watching.
    Paused(Option<Because>),
    /// A person lets the release advance again, and where a proxy had returned the
    /// share, exposes users again.
    Resumed(Option<Because>),
    /// A person skips what is left of this stage.
    Skipped(Option<Because>),
    /// A person asks for the last stage now; its own watch still counts.
    PromoteAsked(Option<Because>),
    /// Everything goes back. Nothing raises the exposure after this.
    ReturnDecided(Returned),
    /// Over.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why, in words.
        reason: String,
    },
}

/// The first event: everything that the release depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// The release.
    pub release: ReleaseId,
    /// Its service.
    pub service: ServiceName,
    /// People's name for the version.
    pub version: VersionName,
    /// The plan, whole.
    pub plan: Plan,
    /// Digest of the plan's text.
    pub plan_digest: Digest,
    /// Folder that the plan's relative paths start from.
    pub base_dir: String,
    /// Orders the units.
    pub salt: Salt,
    /// The version that serves now; absent on a first deployment.
    pub stable: Option<VersionRef>,
    /// The person behind whoever asked, where that is known; who asked stands in the
    /// envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Where the version comes from, where whoever asked stood in a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Why a person asked for something, where they said it. Absent in what was recorded
/// before it could be said, and where nothing was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Their words; never empty.
    pub reason: String,
}

impl Because {
    /// A reason, unless it is empty.
    #[must_use]
    pub fn said(reason: &str) -> Option<Self> {
        (!reason.is_empty()).then(|| Self {
            reason: reason.to_owned(),
        })
    }
}

/// An agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOff {
    /// The role in which somebody agreed. Who it was stands in the envelope.
    pub role: String,
    /// Their words, possibly empty.
    pub comment: String,
    /// The plan's checklist, each item confirmed as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemDone>,
}

/// An item of a checklist that somebody says is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemDone {
    /// The item, in the plan's words.
    pub item: String,
    /// Theirs, possibly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What a decision rests on: the judge's words and numbers at that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The kind of statement, such as `unproven` or `suspicious`: a new one is
    /// recorded when this changes, not with every number.
    pub code: String,
    /// In words, with the numbers that matter.
    pub summary: String,
    /// The verdict, whole.
    pub verdict: serde_json::Value,
}

/// What a dial showed when it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialEvidence {
    /// The share that was asked for.
    pub asked: BasisPoints,
    /// The share that is achieved; HAProxy has steps of 1/256.
    pub achieved: BasisPoints,
    /// The generation in which it is so, for the built-in proxy.
    pub generation: Option<GenerationId>,
    /// Who that is, where units are known by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
}

/// The known tenants and people to whom a release's flags are turned: what is behind a
/// percentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// How many they are.
    pub tenants: u64,
    /// Of how many in the directory.
    pub of: u64,
    /// Who they are; the first [`Reached::NAMED`] by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How many people whom the flag set names.
    #[serde(default, skip_serializing_if = "Reached::is_nobody")]
    pub people: u64,
}

impl Reached {
    /// How many are kept by name.
    pub const NAMED: usize = 100;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_nobody(people: &u64) -> bool {
        *people == 0
    }

    /// Such as `2 of 40 tenants, 3 named people`.
    #[must_use]
    pub fn in_words(tenants: u64, of: u64, people: u64) -> String {
        let of_tenants = match of {
            0 => None,
            1 => Some(format!("{tenants} of 1 tenant")),
            _ => Some(format!("{tenants} of {of} tenants")),
        };
        let named = match people {
            0 => None,
            1 => Some("1 named person".to_owned()),
            _ => Some(format!("{people} named people")),
        };
        let parts: Vec<String> = of_tenants.into_iter().chain(named).collect();
        match parts.is_empty() {
            true => "nobody who is known".to_owned(),
            false => parts.join(", "),
        }
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Self::in_words(self.tenants, self.of, self.people))
    }
}

/// Why a release goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnCause {
    /// The judge found harm.
    Judge,
    /// A check, step, task or dial failed.
    Failure,
    /// A hold or a deadline ran out.
    Deadline,
    /// Metrics were lost for too long.
    Blind,
    /// A person asked.
    Person,
    /// A newer release takes its place.
    Superseded,
}

/// The decision to go back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// What kind of reason.
    pub cause: ReturnCause,
    /// The reason, in words with numbers (CAN-04).
    pub reason: String,
    /// How the release will end if everything can be put back.
    pub outcome: Outcome,
    /// What the decision rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Event {
    /// The same event with a person's reason, where its kind has room for one and holds
    /// none yet.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        match self {
            Self::Paused(None) => Self::Paused(Because::said(reason)),
            Self::Resumed(None) => Self::Resumed(Because::said(reason)),
            Self::Skipped(None) => Self::Skipped(Because::said(reason)),
            Self::PromoteAsked(None) => Self::PromoteAsked(Because::said(reason)),
            other => other,
        }
    }

    /// The event's kind and payload as the envelope stores them.
    ///
    /// # Errors
    /// Never for values made by this program; JSON's own error otherwise.
    pub fn to_stored(&self) -> Result<(String, serde_json::Value), serde_json::Error> {
        stored_parts(serde_json::to_value(self)?)
    }

    /// Reads an event from an envelope's kind and payload.
    ///
    /// # Errors
    /// When the kind is unknown or the payload does not fit it.
    pub fn from_stored(kind: &str, payload: &serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(stored_form(kind, payload))
    }
}

/// Splits a tagged event into kind and payload.
pub(crate) fn stored_parts(
    mut value: serde_json::Value,
) -> Result<(String, serde_json::Value), serde_json::Error> {
    let kind = serde_json::from_value(value["kind"].take())?;
    Ok((kind, value["payload"].take()))
}

/// The reverse of [`stored_parts`]; events without fields carry no payload.
pub(crate) fn stored_form(kind: &str, payload: &serde_json::Value) -> serde_json::Value {
    if payload.is_null() {
        serde_json::json!({ "kind": kind })
    } else {
        serde_json::json!({ "kind": kind, "payload": payload })
    }
}
