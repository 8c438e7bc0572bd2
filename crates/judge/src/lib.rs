//! Compares a canary with the stable version that serves at the same moment.
//!
//! Pure: slices and seconds go in, verdicts with their evidence come out. The same
//! input gives the same verdicts everywhere, byte by byte: `ln` and `exp` come from
//! `libm`, and time is what the data says.

mod config;
mod histogram;
mod slice;

pub use config::{
    Alpha, Bake, Blind, BlindThen, Errors, Evidence, Floor, JudgeConfig, Latency, OnUnproven,
    Quantile, WarmUp,
};
pub use histogram::{Histogram, MAX_BUCKET, bucket_of, lower_edge, upper_edge};
pub use slice::{
    Cell, EventClass, MAX_ROUTES, MAX_UNITS, OTHER_ROUTE, Owner, SLICE_VERSION, Slice, UnitCount,
};
