//! Where time and chance enter: nowhere else in this crate are they read.

use esclusa_model::{ReleaseId, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the wall clock.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        });
    Timestamp(micros)
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
