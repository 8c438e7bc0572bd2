//! Looking again, less and less often, until a deadline.

use esclusa_model::Millis;
use std::time::Duration;
use tokio::time::Instant;

/// Growing pauses between looks, up to a deadline.
pub(super) struct Pauses {
    deadline: Instant,
    pause: Duration,
}

impl Pauses {
    pub(super) fn within(limit: Millis) -> Self {
        // A year is longer than any deploy, and always fits the clock.
        let limit = limit.as_std().min(Duration::from_secs(366 * 86_400));
        Self {
            deadline: Instant::now() + limit,
            pause: Duration::from_millis(20),
        }
    }

    pub(super) fn left(&self) -> Millis {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    /// Pauses; `Over` once the deadline has come.
    pub(super) async fn next(&mut self) -> Waited {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Waited::Over;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        Waited::Again
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Again,
    Over,
}
