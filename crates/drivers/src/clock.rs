//! The wall clock, for what is recorded and for ages across restarts.

use esclusa_model::Timestamp;
use std::time::SystemTime;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
}
