//! What people ask of a release.

use super::admit::not_recorded;
use super::{AskedCommand, ServiceActor};
use crate::error::{ApiError, ErrorKind};
use esclusa_engine::{Command, command};
use esclusa_model::{Actor, Outcome, ReleaseId};
use esclusa_release::{Phase, ServiceEvent};

impl ServiceActor {
    /// Carries out a command, or says why not.
    pub(super) async fn command(
        &mut self,
        release: &ReleaseId,
        asked: AskedCommand,
        by: &Actor,
    ) -> Result<(), ApiError> {
        if self.waiting.contains_key(release) {
            return self.command_waiting(release, &asked, by).await;
        }
        let can_return = self.can_return();
        let run = self
            .run
            .as_ref()
            .filter(|run| run.id() == release)
            .ok_or_else(|| over(release))?;
        let (asked, because) = match asked {
            AskedCommand::Plain(command) => (command, String::new()),
            AskedCommand::Because { command, reason } => (command, reason),
            AskedCommand::Rollback { reason } => {
                let command = Command::Rollback { reason, can_return };
                (command, String::new())
            }
        };
        let events = command(&run.release, &asked).map_err(|refused| {
            ApiError::new(
                ErrorKind::Conflict,
                "ESC-0303",
                refused.message,
                refused.help,
            )
        })?;
        if events.is_empty() {
            return Ok(());
        }
        let events = events.into_iter().map(|event| event.because(&because));
        let events = events.collect();
        let undone = run.release.phase == Phase::Promoted;
        let committed = self.commit(events, by).await;
        if undone && self.service.active.is_none() {
            let event = ServiceEvent::ReleaseAdmitted {
                release: release.clone(),
            };
            if let Err(error) = self.commit_service(event, by).await {
                tracing::error!(%error, "The return of a promoted release is not recorded yet");
            }
        }
        match committed {
            Ok(()) => Ok(()),
            // It is in force: the store learns of it later.
            Err(error) if self.run.as_ref().is_some_and(|run| !run.pending.is_empty()) => {
                tracing::error!(%error, "A command in force is not recorded yet");
                Ok(())
            }
            Err(error) => Err(not_recorded(&error)),
        }
    }

    /// A release in line can only be taken out of it.
    async fn command_waiting(
        &mut self,
        release: &ReleaseId,
        asked: &AskedCommand,
        by: &Actor,
    ) -> Result<(), ApiError> {
        if !matches!(asked, AskedCommand::Plain(Command::Abort { .. })) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                "ESC-0304",
                format!("release {release} waits for another one to end"),
                "abort it to take it out of the queue",
            ));
        }
        let event = ServiceEvent::ReleaseEnded {
            release: release.clone(),
            outcome: Outcome::Aborted,
        };
        self.commit_service(event, by)
            .await
            .map_err(|e| not_recorded(&e))?;
        self.waiting.remove(release);
        Ok(())
    }

    /// Whether the version before could take over all users right now.
    pub(super) fn can_return(&self) -> Result<(), String> {
        let Some(warm) = &self.service.warm else {
            return Err("no version before this one is kept warm".into());
        };
        if self.stopping_warm {
            return Err(format!(
                "version {} is being stopped",
                warm.deployed.version.name
            ));
        }
        if let Some(down) = self.care.warm_is_down() {
            return Err(down);
        }
        Ok(())
    }
}

fn over(release: &ReleaseId) -> ApiError {
    ApiError::new(
        ErrorKind::Conflict,
        "ESC-0305",
        format!("release {release} is over"),
        "see `esclusa release history`; release a version again to move",
    )
}
