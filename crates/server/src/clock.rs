//! Where time and chance enter: nowhere else in this crate are they read.

use esclusa_model::{ReleaseId, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The newest time that was given out, and when by the clock that nobody sets.
static NEWEST: Mutex<Option<(Timestamp, Instant)>> = Mutex::new(None);

/// Now, by the wall clock, which is followed forward only. One that is set back would
/// make what was just read look older than what was asked for, and let no deadline pass:
/// until it has caught up, time goes on at its own pace.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let mut newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    let steady = Instant::now();
    let now = forward(*newest, wall(), steady);
    *newest = Some((now, steady));
    now
}

fn forward(newest: Option<(Timestamp, Instant)>, wall: Timestamp, steady: Instant) -> Timestamp {
    newest.map_or(wall, |(newest, at)| {
        let passed = steady.saturating_duration_since(at);
        wall.max(plus(newest, passed))
    })
}

fn plus(at: Timestamp, passed: Duration) -> Timestamp {
    let micros = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_add(micros))
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }))
}

/// A new release id: sortable by time, unique without coordination.
#[must_use]
pub(crate) fn new_release_id() -> ReleaseId {
    #[expect(
        clippy::expect_used,
        reason = "a UUID's text is 36 hex digits and dashes, a valid id"
    )]
    ReleaseId::new(uuid::Uuid::now_v7().to_string()).expect("a UUID is a valid id")
}

/// A secret of 32 bytes as hex.
#[must_use]
pub(crate) fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// A number drawn evenly, for pauses that must not fall together.
#[must_use]
pub(crate) fn entropy() -> u64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_stops_nothing() {
        let began = Instant::now();
        let later = began + Duration::from_secs(3);
        let known = Some((Timestamp(10_000_000), began));
        // Set back by eight seconds.
        let now = forward(known, Timestamp(5_000_000), later);
        assert_eq!(now, Timestamp(13_000_000));
        // Set ahead: it is followed.
        let now = forward(known, Timestamp(90_000_000), later);
        assert_eq!(now, Timestamp(90_000_000));
        assert_eq!(forward(None, Timestamp(7), began), Timestamp(7));
    }
}
