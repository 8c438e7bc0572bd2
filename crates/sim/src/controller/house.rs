//! Housekeeping: a release's end, the next in line, the warm version's end.

use super::Controller;
use crate::outside::{Died, Outside};
use crate::plans::literal;
use esclusa_model::Timestamp;
use esclusa_release::{Deployed, ServiceEvent};

impl Controller {
    /// What has to be done whether or not a release is under way.
    pub(super) fn keep_house(&mut self, out: &mut Outside) -> Result<(), Died> {
        self.admit_again(out)?;
        self.close_ended(out)?;
        self.retire_warm(out)
    }

    /// What became of the release is recorded with the service, and the next begins.
    fn close_ended(&mut self, out: &mut Outside) -> Result<(), Died> {
        let Some(run) = &self.run else {
            return self.take_next(out);
        };
        let Some(ended) = &run.release.ended else {
            return Ok(());
        };
        if self.service.active.as_ref() == Some(run.id()) && run.pending.is_empty() {
            let event = ServiceEvent::ReleaseEnded {
                release: run.id().clone(),
                outcome: ended.outcome,
            };
            if self
                .commit_service(out, event, &literal("engine"))?
                .is_err()
            {
                return Ok(());
            }
        }
        self.take_next(out)
    }

    /// Until when the warm version is kept, if its end comes by time alone.
    pub(super) fn warm_until(&self, out: &Outside) -> Option<Timestamp> {
        let warm = self.service.warm.as_ref()?;
        let needed = self
            .run
            .as_ref()
            .is_some_and(|run| *run.id() == warm.release && run.release.phase.is_returning());
        (!needed && !self.stuck).then(|| Timestamp(warm.until.0.saturating_sub(out.skew)))
    }

    /// Stops versions that nothing returns to. Stopping takes no time here.
    fn retire_warm(&mut self, out: &mut Outside) -> Result<(), Died> {
        let Some(deployed) = self.retired(out) else {
            return Ok(());
        };
        let event = ServiceEvent::WarmRetired {
            version: deployed.version.digest,
        };
        let _ = self.commit_service(out, event, &literal("engine"))?;
        Ok(())
    }

    fn retired(&self, out: &Outside) -> Option<&Deployed> {
        let warm = self.service.warm.as_ref().filter(|warm| {
            let run = self.run.as_ref();
            let replaced = run.is_some_and(|run| {
                *run.id() != warm.release
                    && run.release.was_exposed
                    // Flags alone bring no version: the way back stays.
                    && run.release.flags_alone().is_none()
                    && !run.release.phase.is_returning()
            });
            let needed = run
                .is_some_and(|run| *run.id() == warm.release && run.release.phase.is_returning());
            (out.clock() >= warm.until || replaced) && !needed
        });
        self.service
            .retiring
            .first()
            .or_else(|| warm.map(|warm| &warm.deployed))
    }
}
