//! Compares a canary with the stable version that serves at the same moment.
//!
//! Pure: slices and seconds go in, verdicts with their evidence come out. The same
//! input gives the same verdicts everywhere, byte by byte: `ln` and `exp` come from
//! `libm`, and time is what the data says.
//!
//! [`Assembler`] joins the slices of several proxies into [`Second`]s, [`Judge`] weighs
//! them, [`at_stage_end`] applies the plan's policy to its [`Verdict`], and [`replay`]
//! runs recorded traffic through all of it.

mod assemble;
mod assess;
mod blame;
mod burn;
mod clusters;
mod comparison;
mod config;
mod dispersion;
mod evidence;
mod fast;
mod histogram;
mod hosts;
mod intake;
mod judge;
mod ledger;
mod math;
mod metric;
mod mix;
mod outlook;
mod power;
mod rails;
pub mod record;
pub mod replay;
mod report;
mod second;
pub mod selftest;
mod series;
mod side;
mod slice;
mod stage_end;
mod stratum;
mod strict;
mod surplus;
mod timeline_schema;
mod verdict;
mod warm_up;
mod witness;
#[cfg(test)]
mod worked;

pub use assemble::{Assembler, LATE_S};
pub use burn::{MAX_LATENCY_SLOS, Objective, Spent};
pub use config::{
    Alpha, Bake, Blind, BlindThen, BurstMode, Errors, Evidence, Floor, JudgeConfig, Latency,
    LatencySlo, OnUnproven, Quantile, Slo, WarmUp,
};
pub use fast::Window;
pub use histogram::{Histogram, MAX_BUCKET, bucket_of, lower_edge, upper_edge};
pub use judge::Judge;
pub use metric::Metric;
pub use power::{Planned, Power, power};
pub use report::{Margin, Observed, Unit};
pub use second::{Comparable, ProxyCell, Second, StageInfo};
pub use series::{
    Direction, Per, Series, SeriesKind, SeriesName, SeriesNameError, SeriesSide, SeriesValue,
    half_width, sign_log_e,
};
pub use slice::{
    Cell, EventClass, MAX_ROUTES, MAX_UNITS, OTHER_ROUTE, Owner, SLICE_VERSION, Slice, UnitCount,
};
pub use stage_end::{Grounds, StageEnd, at_stage_end, when_blind};
pub use timeline_schema::timeline_schema;
pub use verdict::{Cause, Decision, Label, Progress, Reason, Standing, Verdict};
