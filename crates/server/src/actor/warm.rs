//! Housekeeping between releases: the route at rest, the warm version's end, the view.

use super::observe::system;
use super::{Message, ServiceActor};
use crate::clock;
use crate::routing::service_route;
use crate::view::ServiceView;
use crate::world::stop_deployed;
use esclusa_engine::DialState;
use esclusa_model::Digest;
use esclusa_release::{Deployed, Exposure, Phase, ServiceEvent};
use std::time::Instant;

impl ServiceActor {
    /// What has to be done whether or not a release is under way.
    pub(super) async fn keep_house(&mut self) {
        self.close_ended().await;
        self.serve_at_rest().await;
        self.retire_warm();
    }

    /// Without a release the stable version serves everybody.
    async fn serve_at_rest(&mut self) {
        if self.run.is_some() || self.published {
            return;
        }
        if self.service.stable.is_none() {
            self.shared.dataplane.asks_nothing(&self.service.name).await;
            self.published = true;
            return;
        }
        let nobody = Exposure::default();
        let route = service_route(&self.placed_service(), None, &nobody, &self.cookie_key);
        // Nothing comes after this but what is asked later.
        let _turn = self.turns.give().take().await;
        match self
            .shared
            .dataplane
            .publish(&self.service.name, route)
            .await
        {
            Ok(_) => (self.published, self.rest_trouble) = (true, None),
            Err(error) if self.rest_trouble.as_ref() == Some(&error.0) => {}
            Err(error) => {
                tracing::warn!(%error, service = %self.service.name,
                    "The route at rest is not in force yet");
                self.rest_trouble = Some(error.0);
            }
        }
    }

    /// Stops versions that nothing returns to: the one before, when its time is over or
    /// a new release exposes its first user, and whatever stood before that.
    fn retire_warm(&mut self) {
        if self.stopping_warm || self.care.is_starting() {
            return;
        }
        let Some(deployed) = self.retired().cloned() else {
            return;
        };
        self.stopping_warm = true;
        let (own, shared) = (self.own.clone(), self.shared.clone());
        let service = self.service.name.clone();
        tokio::spawn(async move {
            let outcome = stop_deployed(&shared, &service, &deployed).await;
            let _ = own
                .send(Message::WarmStopped(deployed.version.digest, outcome))
                .await;
        });
    }

    fn retired(&self) -> Option<&Deployed> {
        let warm = self.service.warm.as_ref().filter(|_| self.warm_is_over());
        // Two ways back would be one too many.
        self.service
            .retiring
            .first()
            .or_else(|| warm.map(|warm| &warm.deployed))
    }

    /// Whether nothing returns to the version before any more: then nothing keeps it.
    pub(super) fn warm_is_over(&self) -> bool {
        let Some(warm) = &self.service.warm else {
            return false;
        };
        let run = self.run.as_ref();
        let replaced = run.is_some_and(|run| {
            *run.id() != warm.release
                && run.release.was_exposed
                // Flags alone bring no version: the way back stays.
                && run.release.flags_alone().is_none()
                && !run.release.phase.is_returning()
        });
        let needed =
            run.is_some_and(|run| *run.id() == warm.release && run.release.phase.is_returning());
        (clock::now() >= warm.until || replaced) && !needed
    }

    pub(super) async fn warm_stopped(&mut self, version: Digest, outcome: Result<(), String>) {
        self.stopping_warm = false;
        if let Err(reason) = outcome {
            tracing::warn!(reason, "The version before could not be stopped yet");
            return;
        }
        let event = ServiceEvent::WarmRetired { version };
        if let Err(error) = self.commit_service(event, &system("engine")).await {
            tracing::error!(%error, "The end of the version before is not recorded yet");
        }
    }

    /// The service as people see it.
    pub(super) fn make_view(&mut self) -> ServiceView {
        let judged = match &mut self.run {
            Some(run) => run.judging.words(&run.release),
            None => None,
        };
        let release = self.run.as_ref().map(|run| &run.release);
        let shown = release.filter(|release| {
            release.phase != Phase::Ended
                || self.service.active.as_ref() == Some(&release.requested.release)
                || release.ended.is_some()
        });
        let mut view = ServiceView::new(&self.service, shown, &self.traffic, self.can_return());
        if let (Some(release), Some(words)) = (&mut view.release, judged) {
            release.judged = Some(words);
        }
        if let (Some(release), Some(run)) = (&mut view.release, &self.run) {
            // Known before it can be recorded.
            let exposure = run.release.exposure();
            let reading = run.dial.reading.as_ref();
            release.share_confirmed |= reading.is_some_and(|reading| {
                reading.asked == exposure && reading.state == DialState::Converged
            });
        }
        if let Some(release) = &mut view.release
            && self.run.as_ref().is_some_and(|run| !run.pending.is_empty())
        {
            let trouble = self.store_trouble.clone();
            let because = trouble.unwrap_or_else(|| "the store has not answered yet".into());
            release.not_recorded_because = Some(because);
        }
        if let Some(release) = &mut view.release
            && release.outcome.is_none()
        {
            release.reaches_nobody_because = self.reaches_nobody();
        }
        view.instances = self.care.views(Instant::now());
        view
    }
}
