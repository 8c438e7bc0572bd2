//! What a proxy serves that has handed over, and how any proxy ends.

use super::holder::HolderLink;
use super::state::Control;
use super::withheld::Withheld;
use crate::table::RouteTable;
use esclusa_model::Millis;
use esclusa_wire::StateFile;
use std::time::Instant;

impl Control {
    /// Serves what the proxy in charge serves, and tells those that follow this one.
    ///
    /// # Errors
    /// Why that cannot be; what is served stays.
    pub(crate) async fn follow(&self, state: StateFile) -> Result<(), String> {
        let mut inner = self.inner.lock().await;
        if state.generation.id < inner.id() {
            return Err("the leader is behind its follower".into());
        }
        let withheld = Withheld::of(&state);
        let table =
            RouteTable::compile(&state.generation, &withheld.splits(), &self.shared.registry)
                .map_err(|error| error.to_string())?;
        self.in_force(table);
        // Earlier ones follow us, as we follow.
        self.followers.push(state.clone());
        inner.carried = state.silent_for.as_std();
        inner.heard = Instant::now();
        inner.withheld = withheld;
        inner.generation = Some(state.generation);
        Ok(())
    }

    /// Notes that the proxy in charge lives, and what it has heard.
    pub(crate) async fn hear_leader(&self, silent_for: Millis) {
        let mut inner = self.inner.lock().await;
        inner.carried = silent_for.as_std();
        inner.heard = Instant::now();
    }

    /// How long no controller was heard.
    pub(crate) async fn silent_for(&self) -> Millis {
        let silence = self.inner.lock().await.silence();
        Millis(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether somebody keeps the sockets listening when this process has ended.
    pub(crate) async fn is_held(&self) -> bool {
        let inner = self.inner.lock().await;
        inner.listeners.all_activated()
            || inner.holder.as_ref().is_some_and(HolderLink::is_complete)
    }

    /// Lets go of the listening sockets. A holder keeps its own.
    pub(crate) async fn stop_listening(&self) {
        let mut inner = self.inner.lock().await;
        inner.holder = None;
        inner.listeners.close();
    }

    /// Writes the state a last time and waits for the disk.
    pub(crate) async fn finish(&self) {
        let mut inner = self.inner.lock().await;
        inner.save();
        if let Some(persister) = inner.persister.take() {
            persister.finish();
        }
        inner.save_flags();
        if let Some(persister) = inner.flags_persister.take() {
            persister.finish();
        }
    }
}
