//! The plan language: YAML in, a checked and expanded [`Plan`] or all errors out.
//!
//! One table of keys is behind reading, messages and the JSON Schema. What exists
//! outside (drivers, their fields, what they can do) comes in as a [`Catalog`] value.
//! Nothing here reads files, asks a clock or looks anything up.

mod braces;
mod catalog;
mod diagnostic;
mod fields;
mod flag_turns;
mod format;
mod lint;
mod model;
mod parse;
mod placeholders;
mod places;
mod power;
mod read;
mod scalar;
mod schema;
mod section;
mod settings;
mod shape;
mod show;
mod sign_off;
mod sink;
mod source;
mod suggest;
mod templates;
mod units;
mod yaml;

pub use catalog::{Capability, Catalog, DriverEntry, Field, FieldKind};
pub use diagnostic::{CODES, Diagnostic, Severity, render_all, render_places, to_mend};
pub use flag_turns::{FlagTurn, FlagTurns};
pub use format::format;
pub use model::{
    Audience, Component, DIAL_LIMIT, DriverUse, Expose, Hold, HoldOrReturn, HoldThen, LostControl,
    NamedRoute, OnConflict, PartRoute, Plan, Requirement, Route, Stage, Step, Sticky, TakeOver,
    Undo, WarmUp,
};
pub use parse::{Parsed, parse, parse_judge, parse_with_traffic};
pub use placeholders::{Placeholders, UnknownPlaceholder, substitute};
pub use places::Places;
pub use power::{Advice, Lack, StagePower, Traffic, stage_power};
pub use schema::json_schema;
pub use settings::{Settings, read_settings};
pub use show::{
    Exposed, Exposure, Limit, Overview, Part, Phase, PhaseKind, Returning, overview, show,
};
pub use source::{SourceFile, Span};
pub use templates::Template;
