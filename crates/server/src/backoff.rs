//! How long to wait before something that ended is started again.
//!
//! At once the first time, because most ends are single ones; then twice as long each
//! time up to a limit, so that what cannot run does not keep the machine busy. What has
//! run steadily starts with a clean record. There is no last attempt: giving up on a
//! version that users need would be an outage that only a person could end.

use std::time::Duration;

/// The second pause; the first is none.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const MOST: Duration = Duration::from_secs(60);
/// Whatever ran for so long did run.
const STEADY: Duration = Duration::from_secs(60);

/// The record of one thing that is started again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause before the next start, after one that lasted so long.
    pub(crate) fn pause_after(&mut self, lasted: Duration) -> Duration {
        if lasted >= STEADY {
            self.failures = 0;
        }
        let pause = match self.failures {
            0 => Duration::ZERO,
            // 500 ms, 1 s, 2 s ...; seven doublings are more than the limit.
            n => MOST.min(FIRST * (1 << (n - 1).min(7))),
        };
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_a_steady_run_begins_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..10)
            .map(|_| backoff.pause_after(Duration::from_secs(1)).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [
                0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000
            ]
        );
        assert_eq!(backoff.pause_after(STEADY), Duration::ZERO);
        assert_eq!(backoff.pause_after(Duration::ZERO), FIRST);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.pause_after(Duration::ZERO), MOST);
    }
}
