//! What people ask of a release.

use super::{Controller, Run};
use crate::fact::Fact;
use crate::outside::{Died, Outside};
use crate::words::say_command;
use esclusa_engine::{Command, command};
use esclusa_model::Actor;
use esclusa_release::{ItemDone, Phase, ServiceEvent};

impl Controller {
    /// Carries out a command and says what came of it.
    pub(super) fn command(
        &mut self,
        out: &mut Outside,
        asked: &Command,
        by: &Actor,
    ) -> Result<(), Died> {
        let answer = self.carry_out(out, asked, by)?;
        out.fact(Fact::Asked {
            by: by.clone(),
            what: say_command(asked),
            answer,
        });
        Ok(())
    }

    pub(super) fn carry_out(
        &mut self,
        out: &mut Outside,
        asked: &Command,
        by: &Actor,
    ) -> Result<Result<(), String>, Died> {
        let Some(run) = &self.run else {
            return Ok(Err("no release is under way".into()));
        };
        let asked = &agreed_by(run, asked, by);
        let events = match command(&run.release, asked) {
            Ok(events) => events,
            Err(refused) => return Ok(Err(refused.message)),
        };
        if events.is_empty() {
            return Ok(Ok(()));
        }
        let undone = run.release.phase == Phase::Promoted;
        let committed = self.commit(out, events, by)?;
        if undone {
            self.admit_again(out)?;
        }
        let in_force = self.run.as_ref().is_some_and(|run| !run.pending.is_empty());
        // It is in force: the store learns of it later.
        Ok(committed.or_else(|why| if in_force { Ok(()) } else { Err(why) }))
    }

    /// A promoted release that goes back is under way again: the service must know, or a
    /// new life would not look after it once its warm version is restored.
    pub(super) fn admit_again(&mut self, out: &mut Outside) -> Result<(), Died> {
        let Some(run) = &self.run else { return Ok(()) };
        if self.service.active.is_some()
            || !run.release.phase.is_returning()
            || run.release.ended.is_some()
        {
            return Ok(());
        }
        let event = ServiceEvent::ReleaseAdmitted {
            release: run.id().clone(),
        };
        let by = run
            .release
            .returning
            .as_ref()
            .map_or_else(|| crate::plans::literal("engine"), |r| r.by.clone());
        let _ = self.commit_service(out, event, &by)?;
        Ok(())
    }

    /// Whether the version before could take over all users right now.
    pub(super) fn can_return(&self, out: &Outside) -> Result<(), String> {
        if let Some(run) = self
            .run
            .as_ref()
            .filter(|run| run.release.flags_alone().is_some())
        {
            return match run.release.flags_kept_until() {
                Some(until) if out.clock() >= until => Err("its time to go back is over".into()),
                _ => Ok(()),
            };
        }
        match &self.service.warm {
            None => Err("no version before this one is kept warm".into()),
            Some(warm) if out.clock() >= warm.until => Err(format!(
                "version {} is being stopped",
                warm.deployed.version.name
            )),
            Some(_) => Ok(()),
        }
    }
}

/// A sign-off as people here give it: each confirms the whole checklist. All other
/// commands as they are.
fn agreed_by(run: &Run, asked: &Command, by: &Actor) -> Command {
    let Command::SignOff { role, comment, .. } = asked else {
        return asked.clone();
    };
    let items = run.release.requested.plan.items_of(role);
    let items = items.into_iter().map(|item| ItemDone {
        item: item.to_owned(),
        note: String::new(),
    });
    Command::SignOff {
        role: role.clone(),
        comment: comment.clone(),
        items: items.collect(),
        hands: vec![by.to_string()],
    }
}
