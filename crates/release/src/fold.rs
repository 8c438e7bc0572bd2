//! The fold: [`Release::apply`] is the only way a release changes.
//!
//! Every event says in which states it may follow; one that may not is refused and
//! changes nothing, so that a stream which was ever accepted is accepted everywhere.

use crate::{
    DialEvidence, Ended, Event, HoldState, Illegal, Pause, Phase, Release, Return, Returned,
    StageRecord, Task, TaskEnd, TaskState,
};
use esclusa_model::{Actor, Outcome, Timestamp};

impl Release {
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
            Event::FlagsChange { patch } => {
                self.require_phase("flags_change", Phase::HandOver)?;
                self.flags_change = Some(patch.clone());
            }
            Event::Deployed { instances } => {
                self.require_phase("deployed", Phase::Deploying)?;
                self.instances.clone_from(instances);
            }
            Event::TaskStarted { task, attempt } => self.start_task(*task, *attempt, at)?,
            Event::TaskEnded { task, attempt, end } => self.end_task(*task, *attempt, end, at)?,
            Event::Advanced { to, why, .. } => self.advance(*to, why, at)?,
            Event::DialConfirmed(dial) => self.confirm(dial, at)?,
            Event::ReturnDecided(decision) => self.turn_back(decision, by, at)?,
            Event::Ended { outcome, reason } => self.end(*outcome, reason, at)?,
            Event::SignedOff(_)
            | Event::Judged(_)
            | Event::HoldBegan { .. }
            | Event::HoldEnded
            | Event::ReturnedByProxy { .. }
            | Event::OverBudget { .. }
            | Event::Paused(_)
            | Event::Resumed(_)
            | Event::Skipped(_)
            | Event::PromoteAsked(_) => self.apply_under_way(event, by, at)?,
        }
        Ok(())
    }

    /// Events that make sense only on the way forward.
    fn apply_under_way(&mut self, event: &Event, by: &Actor, at: Timestamp) -> Result<(), Illegal> {
        if self.phase.is_returning() || self.phase.is_final() {
            return self.illegal(name(event), "the release is not under way");
        }
        match event {
            Event::SignedOff(sign_off) => {
                let entry = (sign_off.clone(), by.clone(), at);
                self.sign_offs.insert(sign_off.role.clone(), entry);
            }
            Event::Judged(evidence) => self.judged = Some(evidence.clone()),
            Event::HoldBegan { reason } => self.begin_hold(reason, at),
            Event::HoldEnded => self.hold = None,
            Event::ReturnedByProxy { reason } => {
                if self.stage().is_none() || self.returned_by_proxy.is_some() {
                    return self.illegal(name(event), "no share is there to be returned");
                }
                self.begin_hold(reason, at);
                self.returned_by_proxy.clone_from(&self.hold);
                self.exposure_changed(at);
            }
            Event::OverBudget { stage } => {
                if let Some(record) = self.stages.iter_mut().rev().find(|r| r.stage == *stage) {
                    record.over_budget = true;
                }
            }
            Event::Paused(because) => {
                self.paused = Some(Pause {
                    by: by.clone(),
                    since: at,
                    because: because.clone(),
                });
                // A person looks after it now: the next hold has its whole time again.
                self.hold = None;
            }
            Event::Resumed(_) => {
                (self.paused, self.hold) = (None, None);
                if self.returned_by_proxy.take().is_some() {
                    self.exposure_changed(at);
                    if let Some(record) = self.stages.last_mut() {
                        record.confirmed_at = None;
                    }
                }
            }
            Event::Skipped(_) | Event::PromoteAsked(_) => self.hurry(event)?,
            _ => {}
        }
        Ok(())
    }

    fn hurry(&mut self, event: &Event) -> Result<(), Illegal> {
        if self.stage().is_none() {
            return self.illegal(name(event), "no stage is there to be passed");
        }
        self.hurried = true;
        if matches!(event, Event::Skipped(_)) {
            self.skip_asked = true;
        } else {
            // Whoever wants all users now does not want to wait.
            (self.promote_asked, self.paused) = (true, None);
        }
        Ok(())
    }

    fn begin_hold(&mut self, reason: &str, at: Timestamp) {
        // The hold's deadline counts from its beginning, whatever is missing since.
        let since = self.hold.as_ref().map_or(at, |hold| hold.since);
        self.hold = Some(HoldState {
            reason: reason.to_owned(),
            since,
        });
    }

    fn confirm(&mut self, dial: &DialEvidence, at: Timestamp) -> Result<(), Illegal> {
        if self.ended.is_some() {
            return self.illegal("dial_confirmed", "the release is over");
        }
        if dial.asked == self.exposure().share {
            self.exposure_confirmed_at = Some(at);
            if self.returned_by_proxy.is_none()
                && let Some(record) = self.stages.last_mut()
                && record.left_at.is_none()
            {
                record.confirmed_at.get_or_insert(at);
                record.reached.clone_from(&dial.reached);
            }
        }
        self.dial = Some((dial.clone(), at));
        Ok(())
    }

    fn exposure_changed(&mut self, at: Timestamp) {
        self.exposure_since = at;
        self.exposure_confirmed_at = None;
    }

    /// Whatever still runs belongs to a phase that is left.
    fn cancel_tasks(&mut self, at: Timestamp) {
        for state in self.tasks.values_mut().filter(|state| state.end.is_none()) {
            (state.end, state.ended_at) = (Some(TaskEnd::Cancelled), Some(at));
        }
    }

    fn leave_stage(&mut self, why: &str, at: Timestamp) {
        if let Some(record) = self.stages.last_mut()
            && record.left_at.is_none()
        {
            record.left_at = Some(at);
            record.left_because = Some(why.to_owned());
        }
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

    fn start_task(&mut self, task: Task, attempt: u32, at: Timestamp) -> Result<(), Illegal> {
        if self.ended.is_some() {
            return self.illegal("task_started", "the release is over");
        }
        let last = self.tasks.get(&task);
        if last.is_some_and(|state| state.end.is_none()) {
            return self.illegal("task_started", "the task runs already");
        }
        if Some(attempt) != last.map_or(0, |state| state.attempt).checked_add(1) {
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
        if self.returned_by_proxy.is_some() {
            return self.illegal(
                "advanced",
                "a proxy returned the share, a person must resume",
            );
        }
        let before = self.exposure();
        self.leave_stage(why, at);
        self.cancel_tasks(at);
        if let Phase::Stage(stage) = to {
            self.stages.push(StageRecord {
                stage,
                entered_at: at,
                confirmed_at: None,
                reached: None,
                left_at: None,
                left_because: None,
                over_budget: false,
            });
        }
        (self.phase, self.phase_since) = (to, at);
        self.hold = None;
        (self.skip_asked, self.promote_asked) = (false, false);
        let exposure = self.exposure();
        // Each stage is read back anew, even one that exposes the same people.
        if matches!(to, Phase::Stage(_)) || exposure != before {
            self.exposure_changed(at);
        }
        self.was_exposed |= !exposure.is_nobody();
        Ok(())
    }

    fn turn_back(&mut self, decision: &Returned, by: &Actor, at: Timestamp) -> Result<(), Illegal> {
        if self.phase.is_returning() {
            return self.illegal("return_decided", "it is going back already");
        }
        if !matches!(
            decision.outcome,
            Outcome::RolledBack | Outcome::Aborted | Outcome::Refused
        ) {
            return self.illegal("return_decided", "no return ends like that");
        }
        self.leave_stage(&decision.reason, at);
        self.cancel_tasks(at);
        self.returning = Some(Return {
            decision: decision.clone(),
            by: by.clone(),
            at,
            from: self.phase,
        });
        (self.phase, self.phase_since) = (Phase::Lowering, at);
        self.exposure_changed(at);
        (self.hold, self.paused, self.ended) = (None, None, None);
        self.returned_by_proxy = None;
        (self.skip_asked, self.promote_asked) = (false, false);
        Ok(())
    }

    fn end(&mut self, outcome: Outcome, reason: &str, at: Timestamp) -> Result<(), Illegal> {
        let fits = match outcome {
            Outcome::Promoted | Outcome::PromotedEarly => self.phase == Phase::Promoted,
            Outcome::RolledBack | Outcome::Aborted | Outcome::Refused | Outcome::RollbackFailed => {
                self.phase.is_returning()
            }
            // Held is a state that a person ends, not an end.
            Outcome::Held => false,
        };
        if !fits {
            return self.illegal("ended", "the outcome does not fit the phase");
        }
        if self.ended.is_some() {
            return self.illegal("ended", "it ended already");
        }
        self.cancel_tasks(at);
        self.ended = Some(Ended {
            outcome,
            reason: reason.to_owned(),
            at,
        });
        if self.phase.is_returning() {
            (self.phase, self.phase_since) = (Phase::Ended, at);
        }
        Ok(())
    }
}

/// An event's kind, for refusals.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::Requested(_) => "requested",
        Event::Prepared { .. } => "prepared",
        Event::TaskStarted { .. } => "task_started",
        Event::TaskEnded { .. } => "task_ended",
        Event::FlagsChange { .. } => "flags_change",
        Event::Deployed { .. } => "deployed",
        Event::SignedOff(_) => "signed_off",
        Event::Advanced { .. } => "advanced",
        Event::DialConfirmed(_) => "dial_confirmed",
        Event::Judged(_) => "judged",
        Event::HoldBegan { .. } => "hold_began",
        Event::HoldEnded => "hold_ended",
        Event::ReturnedByProxy { .. } => "returned_by_proxy",
        Event::OverBudget { .. } => "over_budget",
        Event::Paused(_) => "paused",
        Event::Resumed(_) => "resumed",
        Event::Skipped(_) => "skipped",
        Event::PromoteAsked(_) => "promote_asked",
        Event::ReturnDecided(_) => "return_decided",
        Event::Ended { .. } => "ended",
    }
}
