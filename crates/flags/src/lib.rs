//! Assigns units to variants: one evaluator for feature flags and traffic splits.
//!
//! Pure. A [`FlagSet`] is what people write and what is stored; [`Snapshot::compile`]
//! checks one environment of it, with all problems at once, and makes the flat program
//! that a [`Context`] is evaluated with. The order of choice is fixed and stands in
//! `evaluate.rs`: kill, state, prerequisites, tester, override, rules, shares, default.
//! Every answer says why; [`Context::explain`] gives each step.
//!
//! A split is the smallest assignment: [`SplitSpec`] is what travels,
//! [`CompiledSplit`] what is asked for each request. It shares the buckets, shares and
//! known populations of flags, and is compiled to a hash and a comparison.
//!
//! Not here: who a request's unit is (the data plane reads headers and cookies), when
//! a share changes (the engine decides), and whether a population's list is current
//! (a list that changes while a share runs may move the units at its edge).

mod answer;
mod assignment;
mod bucket;
mod compile;
mod compiled;
mod context;
mod definition;
mod diff;
mod evaluate;
mod explain;
mod exposure;
mod fields;
mod graph;
mod guard;
mod import;
mod kept;
mod kill;
mod lifetime;
mod merge;
mod names;
mod patch;
mod population;
mod problem;
mod reach;
mod read;
mod recorder;
mod recording;
mod request;
mod rollout;
mod snapshot;
mod split;
mod standing;
mod unambiguous;
mod uses;
mod value;
mod who;

pub use answer::{Answer, Detail, EvaluationError, FlagReason, RuleRef};
pub use assignment::{Assignment, Reason, Side};
pub use bucket::{bucket, in_share, unit_hash};
pub use compile::{MAX_ATTRIBUTES, MAX_FLAG_SEGMENTS, MAX_FLAGS, MAX_NESTING, MAX_RULES, validate};
pub use compiled::{CompiledSplit, MAX_SEGMENTS, SegmentError, SplitError};
pub use context::{AttributeValue, Context, ContextBuffer};
pub use definition::{
    AttributeDefinition, AttributeSource, AttributeType, DistributionDefinition, FlagDefinition,
    FlagSet, FlagSettings, FlagState, Prerequisite, RuleDefinition, SegmentDefinition,
    ShareDefinition, Tenant, Weight,
};
pub use diff::{Change, diff};
pub use esclusa_expr::nearest;
pub use explain::{Explanation, Stage, Step};
pub use exposure::{EXPOSURE_SALT, ExposureRule, ExposureRules, Sampling};
pub use graph::{Dependent, SegmentUse, dependents, off_with, prerequisites, segment_use};
pub use guard::{
    ClaimCheck, Coverage, CoverageOf, Endpoint, Guard, GuardDefinition, GuardMode, GuardOfNothing,
    GuardRequest, Guarded, GuardedEndpoint, GuardedRoute, IdleRoute, MAX_GUARDED_ROUTES,
    PathPattern, RequestPath, UnitSource, Units, Verdict, check_guards, closed_body, coverage,
    default_message, takes_method,
};
pub use import::{
    FLAG_VARIABLE, Import, LIST_VARIABLE, Unknown, import_env, parse_assignments, says_nothing,
};
pub use kept::ShareOrder;
pub use kill::{KillMark, Kills};
pub use lifetime::{Date, DateError, Lifetime, LifetimeKind, StaleFlag, stale};
pub use merge::overwritten;
pub use patch::{Patch, replay};
pub use problem::{Problem, ProblemCode};
pub use reach::{Obstacle, ReachesNobody};
pub use recording::OnFor;
pub use request::{RequestContext, compile_condition, request_schema};
pub use rollout::Rollout;
pub use snapshot::{FlagInfo, Snapshot};
pub use split::{FlagSide, SegmentRule, SplitSpec};
pub use standing::{KillTargets, MAX_STANDING_RULES, MAX_STANDING_WINDOW_S, StandingRule, Symptom};
pub use unambiguous::unambiguous;
pub use uses::flag_uses;
pub use value::{FlagType, FlagValue};
pub use who::{Changed, Outcome, named_people_with, tenants_by_variant, who_would_change};
