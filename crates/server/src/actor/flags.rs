//! Releases that turn flags: whether they may, and their end, at which the flag set keeps
//! the flags or is as it was.

use super::journal::{CommitError, fold, read_all};
use super::observe::system;
use super::{AskedCommand, ServiceActor};
use crate::error::{ApiError, ErrorKind};
use crate::rollouts::end_of;
use crate::world::{done, failed};
use esclusa_engine::{Command, Completion};
use esclusa_flags::{Change, FlagSet, Patch};
use esclusa_judge::BlindThen;
use esclusa_model::{ReleaseId, StreamId};
use esclusa_plan::Plan;
use esclusa_release::{Event, Phase};

impl ServiceActor {
    /// Flags, variants and segments are known, off for everybody, and somebody can judge
    /// them: told before anything begins.
    pub(super) fn may_turn_its_flags(&self, plan: &Plan) -> Result<(), ApiError> {
        let Some(turns) = &plan.flags else {
            return Ok(());
        };
        let plane = &self.shared.flag_plane;
        let set = plane.set().map_err(|why| {
            let help = "run `esclusa audit verify`, then restore the state from a backup";
            ApiError::new(ErrorKind::Unavailable, "ESC-0909", why, help)
        })?;
        // What it takes the place of turns them no more.
        let active = self.service.active.as_ref();
        crate::rollouts::admit(plan, active, &set, &plane.running())?;
        crate::rollouts::admit_kills(turns, plane.as_ref())?;
        crate::rollouts::admit_reach(plan, &set, plane.as_ref())?;
        let seen = self.shared.observes_release(plan, &self.service);
        if plan.flags_alone().is_some() && !seen && plan.judge.blind.then == BlindThen::Rollback {
            let service = &self.service.name;
            return Err(ApiError::new(
                ErrorKind::BadInput,
                "ESC-0785",
                format!(
                    "nothing counts the requests of {service} by this flag, so nothing could \
                     judge it and every release would return"
                ),
                "let people decide with `judge: { blind: { then: hold } }`, or bring the service \
                 behind esclusa's proxy",
            ));
        }
        Ok(())
    }

    /// Why the flags that are turned reach nobody as things stand.
    pub(super) fn reaches_nobody(&self) -> Option<String> {
        let plane = &self.shared.flag_plane;
        let plan = &self.run.as_ref()?.release.requested.plan;
        let why = crate::rollouts::reaches_nobody(plan, &*plane.set().ok()?, plane.as_ref());
        why.map(|why| why.to_string())
    }

    /// No gate is passed for flags that reach nobody. Without a readable set that is not
    /// known, and nothing can be kept in it either.
    ///
    /// # Errors
    /// The flag that stands so, and what is in its way.
    pub(super) fn admit_passing(&self, asked: &AskedCommand) -> Result<(), ApiError> {
        let (AskedCommand::Plain(command) | AskedCommand::Because { command, .. }) = asked else {
            return Ok(());
        };
        let plane = &self.shared.flag_plane;
        let run = self.run.as_ref().map(|run| &run.release);
        let flags = run.filter(|release| release.flags_alone().is_some());
        match (command, flags, plane.set()) {
            (Command::Skip | Command::Promote, Some(release), Ok(set)) => {
                crate::rollouts::admit_reach(&release.requested.plan, &set, plane.as_ref())
            }
            _ => Ok(()),
        }
    }

    /// The release, if it turned flags alone.
    pub(super) async fn turned_flags_alone(
        &self,
        id: &ReleaseId,
    ) -> Result<Option<ReleaseId>, ApiError> {
        let events = read_all(&self.shared.store, &StreamId::release(id)).await?;
        let alone = fold(&events)?.is_some_and(|release| release.flags_alone().is_some());
        Ok(alone.then(|| id.clone()))
    }

    /// What is going to be changed is recorded first, so that exactly that can be taken
    /// back. Done where the set has it already.
    pub(super) async fn record_flags(&mut self) -> Result<Completion, CommitError> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way"));
        };
        let set = match self.shared.flag_plane.set() {
            Ok(set) => set,
            Err(why) => return Ok(failed(why)),
        };
        let known = run.release.flags_change.clone();
        if let Some(patch) = &known
            && stands(&set, patch, |change| &change.after)
        {
            return Ok(done("recorded before"));
        }
        let patch = match known {
            Some(patch) if stands(&set, &patch, |change| &change.before) => patch,
            _ => {
                let Some(end) = end_of(&run.release, &set) else {
                    return Ok(failed("the plan turns no flags"));
                };
                let patch = set.patch_to(&end);
                let event = Event::FlagsChange {
                    patch: patch.clone(),
                };
                self.commit(vec![event], &system("engine")).await?;
                patch
            }
        };
        // Somebody may have taken it back while that was recorded.
        let goes_on = |run: &super::run::Run| {
            run.release.phase == Phase::HandOver && run.release.flags_change.is_some()
        };
        let Some(run) = self.run.as_ref().filter(|run| goes_on(run)) else {
            return Ok(failed("the release went back meanwhile"));
        };
        let reason = format!("the end of release {}", run.id());
        self.change_flags(patch, reason).await
    }

    /// Takes back what was recorded, unless the set never had it.
    pub(super) async fn restore_flags(&mut self) -> Result<Completion, CommitError> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way"));
        };
        let Some(patch) = run.release.flags_change.clone() else {
            return Ok(done("nothing was recorded"));
        };
        let set = match self.shared.flag_plane.set() {
            Ok(set) => set,
            Err(why) => return Ok(failed(why)),
        };
        if stands(&set, &patch, |change| &change.before) {
            return Ok(done("was not recorded, or restored before"));
        }
        let returning = run.release.returning.as_ref();
        let why = returning.map_or("", |returning| returning.decision.reason.as_str());
        let reason = format!("release {} went back: {why}", run.id());
        self.change_flags(patch.inverse(set.revision), reason).await
    }

    async fn change_flags(
        &mut self,
        patch: Patch,
        reason: String,
    ) -> Result<Completion, CommitError> {
        if patch.changes.is_empty() {
            return Ok(done("the flag set had it already"));
        }
        let fields = patch.changes.len();
        let plane = self.shared.flag_plane.clone();
        let changed = self
            .meanwhile(async move { plane.change(patch, reason, system("engine")).await })
            .await?;
        Ok(match changed {
            Ok(()) => done(format!(
                "{fields} field{} of the flag set changed",
                if fields == 1 { "" } else { "s" }
            )),
            Err(why) => failed(why),
        })
    }
}

/// Whether the set has this side of every field of a patch.
fn stands(
    set: &FlagSet,
    patch: &Patch,
    side: impl Fn(&Change) -> &Option<serde_json::Value>,
) -> bool {
    let json = set.to_json();
    let mut changes = patch.changes.iter();
    changes.all(|change| json.pointer(&change.path) == side(change).as_ref())
}
