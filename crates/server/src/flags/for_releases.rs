//! Flags as releases turn them.

use super::Flags;
use crate::rollouts::{FlagPlane, Turned, Waiting};
use esclusa_flags::{FlagSet, Patch, Rollout, prerequisites};
use esclusa_model::{Actor, ServiceName, Timestamp};
use esclusa_plan::FlagTurn;
use esclusa_wire::FlagKill;
use std::sync::Arc;

impl FlagPlane for Flags {
    fn set(&self) -> Result<Arc<FlagSet>, String> {
        let ledger = self.ledger().map_err(|error| error.to_string())?;
        Ok(Arc::clone(&ledger.set))
    }

    fn running(&self) -> Vec<Rollout> {
        self.live().rollouts()
    }

    fn killed(&self, flag: &str) -> Option<FlagKill> {
        self.live().killed_by(flag)
    }

    fn kill_of(&self, flags: &[FlagTurn], since: Option<Timestamp>) -> Option<FlagKill> {
        // Without a readable set what they need is not known; what they are is.
        let set = self.set().unwrap_or_default();
        let turned = flags.iter().map(|turn| turn.flag.as_str());
        let needed = prerequisites(&set, turned);
        let live = self.live();
        let now = needed.iter().find_map(|key| live.killed_by(key));
        now.or_else(|| live.killed_since(since?, &needed))
    }

    fn turn(&self, service: &ServiceName, turned: Turned) -> Waiting<'_, Result<(), String>> {
        self.live().turn(service, turned);
        Box::pin(async move { self.publish().await.map_err(|error| error.0) })
    }

    fn change(&self, patch: Patch, reason: String, by: Actor) -> Waiting<'_, Result<(), String>> {
        Box::pin(async move {
            let made = Flags::change(self, patch, &reason, &by).await;
            made.map_err(|error| error.to_string())?;
            // Recorded: what the proxy cannot take now it is sent again.
            if let Err(error) = self.publish().await {
                tracing::warn!(
                    error = error.0,
                    "Flags that a release changed are not in force yet"
                );
            }
            Ok(())
        })
    }
}
