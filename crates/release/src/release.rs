//! What is known of a release, and the questions that its state answers. How it
//! changes stands in `fold`.

use crate::{
    Because, DialEvidence, Evidence, InstanceRecord, Phase, Reached, Requested, Returned, SignOff,
    Task, TaskEnd,
};
use esclusa_flags::Patch;
use esclusa_model::{Actor, BasisPoints, ComponentName, Digest, Outcome, Timestamp, VersionRef};
use esclusa_plan::{Audience, FlagTurns, Stage};
use serde::Serialize;
use std::collections::BTreeMap;

/// Who is sent to the release's version; everybody else is sent to the version that
/// was stable when it was asked for ([`Requested::stable`]), even where the service's
/// record already names the release's version as stable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Exposure {
    /// Share of units by hash.
    pub share: BasisPoints,
    /// Segments that are exposed whatever the share.
    pub segments: Vec<String>,
}

impl Exposure {
    /// Whether nobody is exposed.
    #[must_use]
    pub const fn is_nobody(&self) -> bool {
        self.share.get() == 0 && self.segments.is_empty()
    }

    /// Whether this exposes nobody whom `other` does not.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let everybody = other.share == BasisPoints::FULL;
        let segments = self.segments.iter().all(|s| other.segments.contains(s));
        everybody || self.share <= other.share && segments
    }
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskState {
    /// The try that runs or ended last, from 1.
    pub attempt: u32,
    /// When that try began.
    pub started_at: Timestamp,
    /// How it ended, once it did.
    pub end: Option<TaskEnd>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// One stage as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageRecord {
    /// The stage's index in the plan.
    pub stage: usize,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// When its exposure was read back; its watch counts from here.
    pub confirmed_at: Option<Timestamp>,
    /// Who is exposed in it, where units are known by name.
    pub reached: Option<Reached>,
    /// When it was left.
    pub left_at: Option<Timestamp>,
    /// Why it was left, in words.
    pub left_because: Option<String>,
    /// Whether its budget was overrun.
    pub over_budget: bool,
}

/// A pause by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Who.
    pub by: Actor,
    /// Since when.
    pub since: Timestamp,
    /// Why, where they said it.
    pub because: Option<Because>,
}

/// Something is missing after the stage's watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldState {
    /// What is missing.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// The decision to go back, with who and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Return {
    /// The decision.
    pub decision: Returned,
    /// Who decided.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Where the release stood.
    pub from: Phase,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Everything that is known of a release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// What was asked for.
    pub requested: Requested,
    /// Who asked.
    pub requested_by: Actor,
    /// When.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Timestamp,
    /// The version, once it is stored.
    pub version: Option<VersionRef>,
    /// Digest of each component, once stored.
    pub components: BTreeMap<ComponentName, Digest>,
    /// What the end of the release changes in the flag set, once that is decided.
    pub flags_change: Option<Patch>,
    /// The canary's instances, once they are ready.
    pub instances: Vec<InstanceRecord>,
    /// Work begun or done.
    pub tasks: BTreeMap<Task, TaskState>,
    /// Agreements by role.
    pub sign_offs: BTreeMap<String, (SignOff, Actor, Timestamp)>,
    /// Stages entered so far.
    pub stages: Vec<StageRecord>,
    /// Since when the present exposure is asked for: its dial's time runs from here, every
    /// reading that counts for it is younger.
    pub exposure_since: Timestamp,
    /// When the present exposure was read back, once it was.
    pub exposure_confirmed_at: Option<Timestamp>,
    /// The exposure that was read back last, whichever it was.
    pub dial: Option<(DialEvidence, Timestamp)>,
    /// Whether any user was ever sent to the canary on purpose.
    pub was_exposed: bool,
    /// What the judge said last.
    pub judged: Option<Evidence>,
    /// A person's pause.
    pub paused: Option<Pause>,
    /// What is missing.
    pub hold: Option<HoldState>,
    /// A proxy returned the share by itself and no person has resumed since: nobody
    /// is exposed.
    pub returned_by_proxy: Option<HoldState>,
    /// A person wants the next gate passed now.
    pub skip_asked: bool,
    /// A person wants 100 % now.
    pub promote_asked: bool,
    /// Whether a person passed a gate in place of its evidence.
    pub hurried: bool,
    /// The decision to go back.
    pub returning: Option<Return>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// Why an event cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow in phase {phase}: {why}")]
pub struct Illegal {
    /// The event's kind.
    pub event: &'static str,
    /// Where the release stands.
    pub phase: Phase,
    /// What does not fit.
    pub why: &'static str,
}

impl Release {
    /// A release from its first event.
    #[must_use]
    pub fn begin(requested: Requested, by: Actor, at: Timestamp) -> Self {
        Self {
            requested,
            requested_by: by,
            requested_at: at,
            phase: Phase::Preparing,
            phase_since: at,
            version: None,
            components: BTreeMap::new(),
            flags_change: None,
            instances: Vec::new(),
            tasks: BTreeMap::new(),
            sign_offs: BTreeMap::new(),
            stages: Vec::new(),
            exposure_since: at,
            exposure_confirmed_at: None,
            dial: None,
            was_exposed: false,
            judged: None,
            paused: None,
            hold: None,
            returned_by_proxy: None,
            skip_asked: false,
            promote_asked: false,
            hurried: false,
            returning: None,
            ended: None,
        }
    }

    /// The exposure that this state asks for. Not yet begun, going back, and returned by
    /// a proxy ask for none.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        match self.phase {
            Phase::Stage(_) if self.returned_by_proxy.is_some() => Exposure::default(),
            Phase::Stage(index) => self.exposure_at(index),
            Phase::After | Phase::HandOver | Phase::Promoted if self.flags_alone().is_some() => {
                // Flags may stay with some: with those of the last stage.
                self.exposure_at(self.requested.plan.stages.len().saturating_sub(1))
            }
            Phase::After | Phase::HandOver | Phase::Promoted => Exposure {
                share: BasisPoints::FULL,
                segments: Vec::new(),
            },
            Phase::Preparing
            | Phase::Preflight
            | Phase::Before
            | Phase::Deploying
            | Phase::CanaryChecks
            | Phase::Lowering
            | Phase::HandingBack
            | Phase::Undoing
            | Phase::Stopping
            | Phase::Ended => Exposure::default(),
        }
    }

    /// The exposure of a stage: its own and that of all stages before it, so that
    /// nobody loses the new version on the way up.
    #[must_use]
    pub fn exposure_at(&self, index: usize) -> Exposure {
        let mut exposure = Exposure::default();
        for stage in self.requested.plan.stages.iter().take(index + 1) {
            if let Stage::Expose(expose) = stage {
                match &expose.to {
                    Audience::Share(share) => exposure.share = exposure.share.max(*share),
                    Audience::Segment(name) => exposure.segments.push(name.clone()),
                }
            }
        }
        if exposure.share == BasisPoints::FULL {
            exposure.segments.clear();
        }
        exposure
    }

    /// The flags of a release that turns nothing else.
    #[must_use]
    pub fn flags_alone(&self) -> Option<&FlagTurns> {
        self.requested.plan.flags_alone()
    }

    /// Whether the flag set itself says what this release turned, as far as this state
    /// knows: the release turns nothing beside it any more.
    #[must_use]
    pub fn flags_are_recorded(&self) -> bool {
        self.phase == Phase::Promoted
            && self
                .task_end(Task::RecordFlags)
                .is_some_and(TaskEnd::is_done)
    }

    /// Until when the flags of a release of flags alone can be taken back after its end.
    #[must_use]
    pub fn flags_kept_until(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        self.flags_alone()
            .map(|_| ended.at.plus(self.requested.plan.keep_warm))
    }

    /// The change of the flag set that must not be seen any more, though the set may still
    /// have it: the release goes back, and lowering waits for no record.
    #[must_use]
    pub fn withdrawn_flags(&self) -> Option<&Patch> {
        let restored = self
            .task_end(Task::RestoreFlags)
            .is_some_and(TaskEnd::is_done);
        let change = self.flags_change.as_ref();
        change.filter(|_| self.phase.is_returning() && !restored)
    }

    /// The stage it stands in.
    #[must_use]
    pub fn stage(&self) -> Option<(usize, &Stage)> {
        match self.phase {
            Phase::Stage(index) => self
                .requested
                .plan
                .stages
                .get(index)
                .map(|stage| (index, stage)),
            _ => None,
        }
    }

    /// The record of the stage it stands in.
    #[must_use]
    pub fn stage_record(&self) -> Option<&StageRecord> {
        let (index, _) = self.stage()?;
        self.stages.last().filter(|record| record.stage == index)
    }

    /// Whether the dial was read back at the exposure asked for now.
    #[must_use]
    pub const fn dial_confirmed(&self) -> bool {
        self.exposure_confirmed_at.is_some()
    }

    /// How a task ended, if it did.
    #[must_use]
    pub fn task_end(&self, task: Task) -> Option<&TaskEnd> {
        self.tasks.get(&task).and_then(|state| state.end.as_ref())
    }
}
