//! The end of a release that turns flags: the flag set keeps them, or is as it was.

use super::ServiceActor;
use super::journal::CommitError;
use super::observe::system;
use crate::rollouts::end_of;
use crate::world::{done, failed};
use esclusa_engine::Completion;
use esclusa_flags::{Change, FlagSet, Patch};
use esclusa_release::{Event, Phase};

impl ServiceActor {
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
