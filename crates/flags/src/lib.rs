//! Assigns units to variants: one evaluator for traffic splits and flags.
//!
//! Pure. The order of choice is fixed (design: unit, salt, share): segments before
//! share, share before default; every answer says why.

mod bucket;
mod split;

pub use bucket::{bucket, in_share, unit_hash};
pub use split::{SegmentRule, SplitSpec};
