//! Assigns units to variants: one evaluator for traffic splits and flags.
//!
//! Pure. The order of choice is fixed: segments before
//! share, share before default; every answer says why.
//!
//! [`SplitSpec`] is what travels, [`CompiledSplit`] what is asked for each request.
//! Not here: who a request's unit is (the data plane reads headers and cookies), when
//! a share changes (the engine decides), and whether a population's list is current
//! (a list that changes while a share runs may move the units at its edge).

mod assignment;
mod bucket;
mod compiled;
mod population;
mod request;
mod split;

pub use assignment::{Assignment, Reason, Side};
pub use bucket::{bucket, in_share, unit_hash};
pub use compiled::{CompiledSplit, MAX_SEGMENTS, SegmentError, SplitError};
pub use request::{RequestContext, compile_condition, request_schema};
pub use split::{SegmentRule, SplitSpec};
