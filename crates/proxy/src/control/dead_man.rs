//! Looks, again and again, whether anybody still controls what this proxy does.

use super::state::Control;
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
}
