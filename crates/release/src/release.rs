//! The release's state machine: [`Release::begin`] and [`Release::apply`].

use crate::{
    DialEvidence, Event, Evidence, InstanceRecord, Phase, Requested, Returned, SignOff, Task,
    TaskEnd,
};
use esclusa_model::{Actor, BasisPoints, ComponentName, Digest, Outcome, Timestamp, VersionRef};
use esclusa_plan::{Audience, Stage};
use serde::Serialize;
use std::collections::BTreeMap;

/// Who is exposed to the canary.
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
        self.share <= other.share && self.segments.iter().all(|s| other.segments.contains(s))
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
    /// The canary's instances, once they are ready.
    pub instances: Vec<InstanceRecord>,
    /// Work begun or done.
    pub tasks: BTreeMap<Task, TaskState>,
    /// Agreements by role.
    pub sign_offs: BTreeMap<String, (SignOff, Actor, Timestamp)>,
    /// Stages entered so far.
    pub stages: Vec<StageRecord>,
    /// The exposure that was read back last.
    pub dial: Option<(DialEvidence, Timestamp)>,
    /// Whether any user was ever sent to the canary on purpose.
    pub was_exposed: bool,
    /// What the judge said last.
    pub judged: Option<Evidence>,
    /// A person's pause.
    pub paused: Option<Pause>,
    /// What is missing.
    pub hold: Option<HoldState>,
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
            instances: Vec::new(),
            tasks: BTreeMap::new(),
            sign_offs: BTreeMap::new(),
            stages: Vec::new(),
            dial: None,
            was_exposed: false,
            judged: None,
            paused: None,
            hold: None,
            skip_asked: false,
            promote_asked: false,
            hurried: false,
            returning: None,
            ended: None,
        }
    }

    /// The exposure that this state asks for. Going back and not yet begun ask for none.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        match self.phase {
            Phase::Stage(index) => self.exposure_at(index),
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
    pub fn dial_confirmed(&self) -> bool {
        let asked = self.exposure().share;
        self.dial
            .as_ref()
            .is_some_and(|(dial, at)| dial.asked == asked && *at >= self.phase_since)
    }

    /// How a task ended, if it did.
    #[must_use]
    pub fn task_end(&self, task: Task) -> Option<&TaskEnd> {
        self.tasks.get(&task).and_then(|state| state.end.as_ref())
    }

    /// The state after `event`, recorded at `at` by `by`.
    ///
    /// # Errors
    /// [`Illegal`] when the event cannot follow; the state is then unchanged.
    pub fn apply(&mut self, event: &Event, by: &Actor, at: Timestamp) -> Result<(), Illegal> {
        match event {
            Event::Requested(_) => return self.illegal("requested", "only the first event asks"),
            Event::Prepared {
                version,
                components,
            } => {
                self.require_phase("prepared", Phase::Preparing)?;
                self.version = Some(version.clone());
                self.components.clone_from(components);
            }
            Event::TaskStarted { task, attempt } => self.start_task(*task, *attempt, at)?,
            Event::TaskEnded { task, attempt, end } => self.end_task(*task, *attempt, end, at)?,
            Event::Deployed { instances } => {
                self.require_phase("deployed", Phase::Deploying)?;
                self.instances.clone_from(instances);
            }
            Event::SignedOff(sign_off) => {
                let entry = (sign_off.clone(), by.clone(), at);
                self.sign_offs.insert(sign_off.role.clone(), entry);
            }
            Event::Advanced { to, why, .. } => self.advance(*to, why, at)?,
            Event::DialConfirmed(dial) => {
                if let Some(record) = self.stages.last_mut()
                    && record.left_at.is_none()
                {
                    record.confirmed_at.get_or_insert(at);
                }
                self.dial = Some((dial.clone(), at));
            }
            Event::Judged(evidence) => self.judged = Some(evidence.clone()),
            Event::HoldBegan { reason } => {
                // The hold's deadline counts from its beginning, whatever is missing since.
                let since = self.hold.as_ref().map_or(at, |hold| hold.since);
                self.hold = Some(HoldState {
                    reason: reason.clone(),
                    since,
                });
            }
            Event::HoldEnded => self.hold = None,
            Event::OverBudget { stage } => {
                if let Some(record) = self.stages.iter_mut().rev().find(|r| r.stage == *stage) {
                    record.over_budget = true;
                }
            }
            Event::Paused => {
                self.require_under_way("paused")?;
                self.paused = Some(Pause {
                    by: by.clone(),
                    since: at,
                });
            }
            Event::Resumed => self.paused = None,
            Event::Skipped => {
                self.require_under_way("skipped")?;
                (self.skip_asked, self.hurried) = (true, true);
            }
            Event::PromoteAsked => {
                self.require_under_way("promote_asked")?;
                (self.promote_asked, self.hurried) = (true, true);
            }
            Event::ReturnDecided(decision) => self.turn_back(decision, by, at)?,
            Event::Ended { outcome, reason } => self.end(*outcome, reason, at)?,
        }
        Ok(())
    }

    fn illegal<T>(&self, event: &'static str, why: &'static str) -> Result<T, Illegal> {
        Err(Illegal {
            event,
            phase: self.phase,
            why,
        })
    }

    fn require_phase(&self, event: &'static str, phase: Phase) -> Result<(), Illegal> {
        if self.phase == phase {
            Ok(())
        } else {
            self.illegal(event, "it belongs to another phase")
        }
    }

    fn require_under_way(&self, event: &'static str) -> Result<(), Illegal> {
        if self.phase.is_returning() || self.phase.is_final() {
            self.illegal(event, "the release is not under way")
        } else {
            Ok(())
        }
    }

    fn start_task(&mut self, task: Task, attempt: u32, at: Timestamp) -> Result<(), Illegal> {
        let last = self.tasks.get(&task);
        if last.is_some_and(|state| state.end.is_none()) {
            return self.illegal("task_started", "the task runs already");
        }
        if attempt != last.map_or(0, |state| state.attempt) + 1 {
            return self.illegal("task_started", "attempts count up by one");
        }
        self.tasks.insert(
            task,
            TaskState {
                attempt,
                started_at: at,
                end: None,
                ended_at: None,
            },
        );
        Ok(())
    }

    fn end_task(
        &mut self,
        task: Task,
        attempt: u32,
        end: &TaskEnd,
        at: Timestamp,
    ) -> Result<(), Illegal> {
        let phase = self.phase;
        match self.tasks.get_mut(&task) {
            Some(state) if state.attempt == attempt && state.end.is_none() => {
                state.end = Some(end.clone());
                state.ended_at = Some(at);
                Ok(())
            }
            _ => Err(Illegal {
                event: "task_ended",
                phase,
                why: "no such attempt runs",
            }),
        }
    }

    fn advance(&mut self, to: Phase, why: &str, at: Timestamp) -> Result<(), Illegal> {
        if !self
            .phase
            .may_advance_to(to, self.requested.plan.stages.len())
        {
            return self.illegal("advanced", "that is not the next phase");
        }
        if let Some(record) = self.stages.last_mut()
            && record.left_at.is_none()
        {
            record.left_at = Some(at);
            record.left_because = Some(why.to_owned());
        }
        if let Phase::Stage(stage) = to {
            self.stages.push(StageRecord {
                stage,
                entered_at: at,
                confirmed_at: None,
                left_at: None,
                left_because: None,
                over_budget: false,
            });
        }
        (self.phase, self.phase_since) = (to, at);
        self.hold = None;
        self.skip_asked = false;
        self.was_exposed |= !self.exposure().is_nobody();
        Ok(())
    }

    fn turn_back(&mut self, decision: &Returned, by: &Actor, at: Timestamp) -> Result<(), Illegal> {
        if self.phase.is_returning() {
            return self.illegal("return_decided", "it is going back already");
        }
        if let Some(record) = self.stages.last_mut()
            && record.left_at.is_none()
        {
            record.left_at = Some(at);
            record.left_because = Some(decision.reason.clone());
        }
        self.returning = Some(Return {
            decision: decision.clone(),
            by: by.clone(),
            at,
            from: self.phase,
        });
        (self.phase, self.phase_since) = (Phase::Lowering, at);
        (self.hold, self.paused, self.ended) = (None, None, None);
        Ok(())
    }

    fn end(&mut self, outcome: Outcome, reason: &str, at: Timestamp) -> Result<(), Illegal> {
        let promoted = matches!(outcome, Outcome::Promoted | Outcome::PromotedEarly);
        if promoted != (self.phase == Phase::Promoted) {
            return self.illegal("ended", "the outcome does not fit the phase");
        }
        if self.ended.is_some() {
            return self.illegal("ended", "it ended already");
        }
        self.ended = Some(Ended {
            outcome,
            reason: reason.to_owned(),
            at,
        });
        if !promoted {
            (self.phase, self.phase_since) = (Phase::Ended, at);
        }
        Ok(())
    }
}
