//! `proxy`: the built-in data plane. The server turns it by publishing generations;
//! here stands only what plans may say about it.

use super::Adapter;
use crate::fields::entry;
use esclusa_plan::{Capability, DriverEntry};

pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: None,
};

fn describe() -> DriverEntry {
    entry(
        "proxy",
        "The built-in proxy: exact, sticky shares and segments, and every request counted.",
        Vec::new(),
        &[
            Capability::Sticky,
            Capability::Segments,
            Capability::Observes,
            Capability::ExactShare,
        ],
    )
}
