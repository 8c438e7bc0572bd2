//! What people ask of a release.

use super::admit::not_recorded;
use super::journal::{entries_of, fold, read_all};
use super::observe::system;
use super::run::Run;
use super::{AskedCommand, ServiceActor};
use crate::error::{ApiError, ErrorKind};
use crate::judging::Judging;
use esclusa_engine::{Command, Refusal, command};
use esclusa_model::{Actor, Outcome, ReleaseId, StreamId};
use esclusa_release::{Event, ServiceEvent};
use esclusa_wire::FlagKill;

impl ServiceActor {
    /// Takes back what the command takes back, at once; nothing for one that does not.
    pub(super) fn lower_by_command(
        &mut self,
        release: &ReleaseId,
        asked: &AskedCommand,
        by: &Actor,
    ) -> Option<Result<(), ApiError>> {
        let takes_back = matches!(
            asked,
            AskedCommand::Rollback { .. } | AskedCommand::Plain(Command::Abort { .. })
        );
        if !takes_back || self.run.as_ref().is_none_or(|run| run.id() != release) {
            return None;
        }
        let events = match self.events_of(release, asked) {
            Ok(events) => events,
            Err(refused) => return Some(Err(refused)),
        };
        if events.is_empty() {
            // It goes back already.
            return Some(Ok(()));
        }
        match self.lower(&entries_of(events, by)) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(not_recorded(&error))),
        }
    }

    /// What somebody took back at the proxy while nobody was in charge is taken back as if
    /// it had been asked for here.
    pub(super) fn heed_proxy(&mut self) {
        let Some(run) = &self.run else { return };
        let release = run.id().clone();
        if run.release.phase.is_returning() || run.release.phase.is_final() {
            return;
        }
        let Some(taken) = self.shared.dataplane.taken_back(&release) else {
            return;
        };
        let reason = match taken.reason.as_str() {
            "" => "taken back at the proxy".to_owned(),
            why => format!("taken back at the proxy; {why}"),
        };
        let abort = AskedCommand::Plain(Command::Abort { reason });
        if let Some(Err(error)) = self.lower_by_command(&release, &abort, &taken.by) {
            tracing::error!(%error, %release, "What was taken back at the proxy goes on here");
        }
    }

    /// A release whose flags somebody kills goes back, as if that had been asked for here.
    pub(super) fn heed_kills(&mut self) {
        let Some(run) = &self.run else { return };
        let Some(flags) = &run.release.requested.plan.flags else {
            return;
        };
        let begun = run.release.requested_at;
        let Some(kill) = self.shared.flag_plane.kill_of(&flags.set, Some(begun)) else {
            return;
        };
        let abort = Command::for_kill(&run.release, kill.flags.as_deref(), &kill.reason);
        let Some(abort) = abort.map(AskedCommand::Plain) else {
            return;
        };
        let release = run.id().clone();
        if let Some(Err(error)) = self.lower_by_command(&release, &abort, &kill.by) {
            tracing::error!(%error, %release, "A release goes on though its flags are killed");
        }
    }

    /// A release in line whose flags somebody kills leaves it: it would begin to expose
    /// people by itself once the kill is lifted.
    pub(super) async fn heed_kills_in_line(&mut self) {
        let mut waiting = self.waiting.keys();
        let killed =
            waiting.find_map(|release| Some((release.clone(), self.killed_in_line(release)?)));
        let Some((release, kill)) = killed else {
            return;
        };
        let event = ServiceEvent::ReleaseEnded {
            release: release.clone(),
            outcome: Outcome::Aborted,
        };
        match self.commit_service(event, &kill.by).await {
            Ok(()) => {
                self.waiting.remove(&release);
                tracing::warn!(%release, by = %kill.by, "A release left the line: its flags were killed");
            }
            Err(error) => self.not_stored(&error),
        }
    }

    /// The kill of the flags of a release in line, since it was asked for.
    pub(super) fn killed_in_line(&self, release: &ReleaseId) -> Option<FlagKill> {
        let request = self.waiting.get(release)?;
        let flags = request.plan.flags.as_ref()?;
        let plane = &self.shared.flag_plane;
        plane.kill_of(&flags.set, Some(request.asked_at))
    }

    /// Carries the release again that somebody speaks to, where flags alone came after it
    /// or before it: either can be taken back as long as it is kept.
    pub(super) async fn recall(&mut self, release: &ReleaseId) {
        let over = |run: &Run| run.release.ended.is_some() && run.is_at_rest();
        let Some(run) = self.run.as_ref().filter(|run| over(run)) else {
            return;
        };
        let warm = self.service.warm.as_ref().map(|warm| &warm.release);
        let is_kept = warm == Some(release) || self.service.last.as_ref() == Some(release);
        let beside_flags = run.release.flags_alone().is_some() || warm == Some(run.id());
        if run.id() == release || !is_kept || !beside_flags || self.service.active.is_some() {
            return;
        }
        let (shared, id) = (self.shared.clone(), release.clone());
        let read = self.meanwhile(async move {
            let events = read_all(&shared.store, &StreamId::release(&id)).await?;
            let position = events.last().map_or(0, |event| event.position);
            let Some(release) = fold(&events)? else {
                return Ok::<_, ApiError>(None);
            };
            let judging = Judging::begin(&shared, &release).await;
            Ok(Some(Run::new(release, position, judging)))
        });
        if let Ok(Ok(Some(run))) = read.await
            && self.service.active.is_none()
        {
            self.run = Some(run);
            self.flags_told = false;
        }
    }

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
        let events = self.events_of(release, &asked)?;
        if events.is_empty() {
            return Ok(());
        }
        self.admit_passing(&asked)?;
        let committed = self.commit(events, by).await;
        committed.map_err(|error| not_recorded(&error))
    }

    fn events_of(&self, release: &ReleaseId, asked: &AskedCommand) -> Result<Vec<Event>, ApiError> {
        let run = self.run.as_ref().filter(|run| run.id() == release);
        let run = run.ok_or_else(|| over(release))?;
        let (asked, because) = match asked {
            AskedCommand::Plain(command) => (command.clone(), ""),
            AskedCommand::Because { command, reason } => (command.clone(), reason.as_str()),
            AskedCommand::Rollback { reason } => {
                let command = Command::Rollback {
                    reason: reason.clone(),
                    can_return: self.can_return(),
                };
                (command, "")
            }
        };
        let events = command(&run.release, &asked).map_err(|refused| {
            let (kind, code) = match refused.kind {
                Refusal::State => (ErrorKind::Conflict, "ESC-0303"),
                Refusal::Author => (ErrorKind::Forbidden, "ESC-0432"),
                Refusal::Items => (ErrorKind::BadInput, "ESC-0433"),
            };
            ApiError::new(kind, code, refused.message, refused.help)
        })?;
        let events = events.into_iter().map(|event| event.because(because));
        Ok(events.collect())
    }

    /// A promoted release that goes back is on its way again, and recorded as that.
    pub(super) async fn admit_return(&mut self) {
        let Some(run) = &self.run else { return };
        let returns = run.release.phase.is_returning() && run.release.ended.is_none();
        // First that it goes back: on its own, its being on its way would be the news.
        if !returns || self.service.active.is_some() || !run.pending.is_empty() {
            return;
        }
        let release = run.id().clone();
        let by = run.release.returning.as_ref();
        let by = by.map_or_else(|| system("engine"), |returning| returning.by.clone());
        let event = ServiceEvent::ReleaseAdmitted { release };
        if let Err(error) = self.commit_service(event, &by).await {
            self.not_stored(&error);
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
        let until = self
            .run
            .as_ref()
            .filter(|run| run.release.flags_alone().is_some());
        if let Some(until) = until.and_then(|run| run.release.flags_kept_until()) {
            return match crate::clock::now() < until {
                true => Ok(()),
                false => Err("the time to take the flags back is over".into()),
            };
        }
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
