//! When to try again: a function over values. Time and chance come in.

use esclusa_model::{Millis, Timestamp};
use std::time::{Duration, SystemTime};

/// Longest that a receiver may keep us from trying again.
const LONGEST_WAIT: Millis = Millis(3_600_000);
/// Shortest pause, however the dice fall.
const SHORTEST_WAIT: Millis = Millis(100);

/// How often, how long and how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause is at most this.
    pub first: Millis,
    /// Every pause is at most this, unless the receiver asks for more.
    pub most: Millis,
    /// After so many tries it is given up.
    pub attempts: u32,
    /// After so long it is given up.
    pub age: Millis,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Millis(1_000),
            most: Millis(300_000),
            attempts: 500,
            age: Millis(86_400_000),
        }
    }
}

impl RetryPolicy {
    /// The pause after try number `attempt` (from 1): exponential with full jitter.
    /// `entropy` is a number that was drawn evenly; `asked` is what the receiver said.
    #[must_use]
    pub fn pause(&self, attempt: u32, entropy: u64, asked: Option<Millis>) -> Millis {
        let doublings = attempt.saturating_sub(1).min(32);
        let ceiling = self.first.0.saturating_mul(1 << doublings).min(self.most.0);
        // Evenly from nothing to the ceiling; without full jitter, those who failed
        // together would come back together.
        let span = u128::from(ceiling) + 1;
        let drawn = (u128::from(entropy) * span) >> 64;
        let drawn = Millis(u64::try_from(drawn).unwrap_or(ceiling));
        let asked = asked.unwrap_or(Millis::ZERO).min(LONGEST_WAIT);
        drawn.max(asked).max(SHORTEST_WAIT)
    }

    /// Why a message is given up after `attempts` tries, if it is.
    #[must_use]
    pub fn over(&self, attempts: u32, since: Timestamp, now: Timestamp) -> Option<String> {
        if attempts >= self.attempts {
            return Some(format!("given up after {attempts} tries"));
        }
        (now.since(since) >= self.age).then(|| format!("given up after {}", self.age))
    }
}

/// What `Retry-After` asks for: seconds, or a date.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Millis> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Millis::from_secs(seconds).min(LONGEST_WAIT));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_micros(u64::try_from(now.0).unwrap_or(0)))?;
    let left = until.duration_since(now).unwrap_or_default();
    let left = Millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    Some(left.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_jittered_in_full() {
        let policy = RetryPolicy::default();
        for (attempt, ceiling) in [
            (1, 1_000),
            (2, 2_000),
            (5, 16_000),
            (9, 256_000),
            (99, 300_000),
        ] {
            assert_eq!(policy.pause(attempt, u64::MAX, None), Millis(ceiling));
            assert_eq!(policy.pause(attempt, 0, None), SHORTEST_WAIT);
            let half = policy.pause(attempt, u64::MAX / 2, None).0;
            assert!(half.abs_diff(ceiling / 2) <= 1, "{attempt}: {half}");
        }
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_within_reason() {
        let policy = RetryPolicy::default();
        let asked = Some(Millis(7_000));
        assert_eq!(policy.pause(1, u64::MAX, asked), Millis(7_000));
        assert_eq!(policy.pause(99, u64::MAX, asked), Millis(300_000));
        let for_ever = Some(Millis(u64::MAX));
        assert_eq!(policy.pause(1, 0, for_ever), LONGEST_WAIT);
        let now = Timestamp(1_790_000_000_000_000);
        assert_eq!(retry_after("30", now), Some(Millis(30_000)));
        assert_eq!(retry_after(" 99999999 ", now), Some(LONGEST_WAIT));
        let date = "Mon, 21 Sep 2026 14:13:25 GMT";
        assert_eq!(retry_after(date, now), Some(Millis(5_000)));
        let past = "Mon, 21 Sep 2020 14:13:25 GMT";
        assert_eq!(retry_after(past, now), Some(Millis::ZERO));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn nothing_is_tried_for_ever() {
        let policy = RetryPolicy {
            attempts: 3,
            ..RetryPolicy::default()
        };
        let day = |hours: i64| Timestamp(hours * 3_600_000_000);
        assert_eq!(policy.over(2, day(0), day(23)), None);
        let tries = policy.over(3, day(0), day(0));
        assert_eq!(tries.as_deref(), Some("given up after 3 tries"));
        assert!(policy.over(0, day(0), day(24)).is_some());
    }
}
