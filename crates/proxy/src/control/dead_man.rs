//! Looks, again and again, whether anybody still controls what this proxy does.

use super::role::Role;
use super::state::{Control, addresses};
use crate::table::RouteTable;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// While a share runs, the length of a silence is saved so often: a restart continues it.
const SAVE_EVERY: Duration = Duration::from_secs(5);

impl Control {
    /// Watches for silence, for ever.
    pub(crate) async fn watch(&self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.check_silence(SAVE_EVERY).await;
        }
    }

    /// Silence long enough to act on: takes back what its plan says to take back.
    async fn check_silence(&self, save_every: Duration) {
        let mut inner = self.inner.lock().await;
        if *self.role.borrow() == Role::HandsOver {
            return;
        }
        let silence = inner.silence();
        let table = self.shared.table.load_full();
        let mut withheld = inner.withheld.clone();
        let mut watched = false;
        for service in table.services().filter(|s| s.is_partial()) {
            let Some(split) = &service.split else {
                continue;
            };
            watched = true;
            if service
                .must_return_after()
                .is_some_and(|after| silence >= after)
            {
                tracing::warn!(service = %service.name, release = %split.release, share = %split.share,
                    "nobody controls this release: everybody is sent to the stable version");
                withheld
                    .returned
                    .insert(service.name.clone(), (split.release.clone(), split.share));
            }
        }
        if withheld != inner.withheld {
            let compiled = inner.generation.as_ref().map(|generation| {
                RouteTable::compile(generation, &withheld.splits(), &self.shared.registry)
            });
            match compiled {
                Some(Ok(table)) => {
                    self.in_force(table);
                    inner.withheld = withheld;
                    self.flags_as_withheld(&mut inner);
                    inner.told = None;
                    if let Some(state) = inner.state_file() {
                        self.followers.push(state);
                    }
                    inner.save();
                }
                // It compiled before, and nothing of it can have gone since.
                Some(Err(error)) => tracing::error!(%error, "a split cannot be taken back"),
                None => {}
            }
        } else if watched && inner.saved.elapsed() >= save_every {
            inner.save();
        }
        if inner.listeners.has_failed()
            && let Some(wanted) = inner.generation.as_ref().map(addresses)
            && *self.role.borrow() == Role::Leads
        {
            let prepared = inner.listeners.prepare(&wanted);
            inner.listen(prepared, &wanted);
        }
    }
}
